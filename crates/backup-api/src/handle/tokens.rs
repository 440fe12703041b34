//! Tokens.

use std::sync::Arc;

use http::StatusCode;
use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::guard::token;
use crate::http::{App, Call, Problem, Refused, Reply, full, json};
use crate::port::{Role, TokenRecord};

/// `GET /api/v1/tokens`.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Tokens {
    /// Every token, revoked ones included.
    tokens: Vec<Token>,
}

/// A token, without what makes it work.
#[derive(Debug, Serialize, JsonSchema)]
struct Token {
    /// Its public half.
    id: String,
    /// What its owner calls it.
    name: String,
    /// What it allows.
    role: Role,
    /// When it was made.
    created_at: Timestamp,
    /// When it ends by itself.
    expires_at: Option<Timestamp>,
    /// When it was revoked.
    revoked_at: Option<Timestamp>,
}

/// Which token to make.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "TokenRequest")]
pub(crate) struct Wanted {
    /// What to call it.
    #[schemars(length(min = 1, max = 64), regex(pattern = r"^[A-Za-z0-9 ._@-]+$"))]
    name: String,
    /// What it allows.
    role: Role,
    /// When it ends by itself.
    #[serde(default)]
    expires_at: Option<Timestamp>,
}

/// A new token.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "NewToken")]
pub(crate) struct Made {
    /// Its public half.
    id: String,
    /// The token. It cannot be had again.
    token: String,
}

pub(crate) async fn list(app: Arc<App>, _: Call) -> Result<Reply, Refused> {
    let tokens = app.ledger.tokens().await?.into_iter().map(shown).collect();
    json(StatusCode::OK, &Tokens { tokens })
}

fn shown(record: TokenRecord) -> Token {
    Token {
        id: record.id,
        name: record.name,
        role: record.role,
        created_at: record.created_at,
        expires_at: record.expires_at,
        revoked_at: record.revoked_at,
    }
}

pub(crate) async fn make(app: Arc<App>, call: Call) -> Result<Reply, Refused> {
    let wanted: Wanted = call.json()?;
    let now = app.clock.now();
    let (token, record) = token::make(&wanted.name, wanted.role, now, wanted.expires_at)?;
    app.ledger.keep_token(&record).await?;
    json(StatusCode::CREATED, &Made { id: record.id, token: token.expose().to_owned() })
}

pub(crate) async fn revoke(app: Arc<App>, call: Call) -> Result<Reply, Refused> {
    let id = call.text("token").ok_or_else(Problem::not_found)?;
    app.ledger.revoke_token(id, app.clock.now()).await?;
    let mut reply = http::Response::new(full(Vec::new()));
    *reply.status_mut() = StatusCode::NO_CONTENT;
    Ok(reply)
}
