//! Showing a token once, so that a browser is known from then on.

use std::sync::Arc;

use http::StatusCode;
use http::header::{HeaderValue, SET_COOKIE};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

use super::frame;
use super::html::{Html, html};
use crate::audit::Outcome;
use crate::guard::{COOKIE_NAME, cookie, token};
use crate::http::{App, Call, Problem, Refused, Reply, is_local, see_other};

/// Returns where to ask for a token, to go on to `target` then.
pub(crate) fn address(target: &str) -> String {
    match target {
        "/" => "/login".into(),
        _ if !is_local(target) => "/login".into(),
        _ => format!("/login?next={}", utf8_percent_encode(target, NON_ALPHANUMERIC)),
    }
}

pub(crate) fn page(_: &App, call: &Call) -> Result<Reply, Refused> {
    Ok(form(call.text("next").unwrap_or("/"), None))
}

fn form(next: &str, complaint: Option<&str>) -> Reply {
    let mut main = Html::new();
    html!(main; "<section class=\"card narrow\"><h1>Sign in</h1>"
        "<p class=\"quiet\">With a token that an administrator made: <code>backupd token add</code>.</p>");
    if let Some(complaint) = complaint {
        html!(main; "<p class=\"complaint\" role=\"alert\">" (complaint) "</p>");
    }
    html!(main; "<form method=\"post\" action=\"/login\"><label for=\"token\">Token</label>"
        "<input id=\"token\" name=\"token\" type=\"password\" autocomplete=\"current-password\" required autofocus>"
        "<input type=\"hidden\" name=\"next\" value=\"" (next) "\"><button>Sign in</button></form></section>");
    frame::bare("Sign in", &main)
}

pub(crate) async fn login(app: Arc<App>, call: Call) -> Result<Reply, Refused> {
    let now = app.clock.elapsed();
    if !app.guard.failures.allows(call.peer.address(), now) {
        return Err(Problem::too_many(std::time::Duration::from_secs(60)));
    }
    let next = call.form("next").filter(|next| is_local(next)).unwrap_or_else(|| "/".into());
    let shown = call.form("token").unwrap_or_default();
    let records = app.ledger.tokens().await?;
    let Some(record) = token::recognise(shown.trim(), &records, app.clock.now()) else {
        let _ = app.guard.failures.take(call.peer.address(), now);
        app.recorder.refused(&call.caller, call.peer, "login").await;
        let mut reply = form(&next, Some("This token is not known, was revoked, or has ended."));
        *reply.status_mut() = StatusCode::UNAUTHORIZED;
        return Ok(reply);
    };
    let actor = format!("token {}", record.name);
    app.recorder.append(&actor, &call.peer.to_string(), "login", "", Outcome::Allowed).await?;
    let session = app.guard.sessions.begin(&record.id, now)?;
    Ok(with_cookie(&app, see_other(&next), &session, 12 * 3600))
}

pub(crate) async fn logout(app: Arc<App>, call: Call) -> Result<Reply, Refused> {
    if let Some(session) = cookie(&call.headers)
        && app.guard.sessions.end(session)
    {
        app.recorder.of(&call.caller, call.peer, "logout", "", Outcome::Allowed).await?;
    }
    Ok(with_cookie(&app, see_other("/"), "", 0))
}

fn with_cookie(app: &App, mut reply: Reply, session: &str, seconds: u32) -> Reply {
    let secure = if app.settings.tls.is_some() { "; Secure" } else { "" };
    let cookie = format!(
        "{COOKIE_NAME}={session}; Path=/; HttpOnly; SameSite=Lax; Max-Age={seconds}{secure}"
    );
    if let Ok(cookie) = HeaderValue::from_str(&cookie) {
        reply.headers_mut().insert(SET_COOKIE, cookie);
    }
    reply
}
