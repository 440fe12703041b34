//! What went wrong, as an answer (RFC 9457).

use backup_core::{Error, ErrorKind};
use http::StatusCode;
use http::header::{ALLOW, CONTENT_TYPE, HeaderName, HeaderValue, RETRY_AFTER, WWW_AUTHENTICATE};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Reply, full};

/// Why there is no other answer.
pub(crate) type Refused = Box<Problem>;

/// What went wrong.
#[derive(Debug)]
pub(crate) struct Problem {
    pub(crate) status: StatusCode,
    kind: &'static str,
    detail: String,
    hint: Option<String>,
    headers: Vec<(HeaderName, HeaderValue)>,
}

/// The body of every answer that is not a success.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub(crate) struct ProblemDocument {
    /// The status, again.
    pub(crate) status: u16,
    /// The status in words.
    pub(crate) title: String,
    /// The sort of problem, one word.
    pub(crate) kind: String,
    /// What failed, where and why, on one line.
    pub(crate) detail: String,
    /// What to do next.
    pub(crate) hint: Option<String>,
}

impl Problem {
    /// An answer could not be put into words.
    pub(crate) fn unwritable(error: &serde_json::Error) -> Refused {
        let what = format!("write JSON: {error}");
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "failed", what)
    }

    pub(crate) fn new(
        status: StatusCode,
        kind: &'static str,
        detail: impl Into<String>,
    ) -> Box<Self> {
        Box::new(Self { status, kind, detail: detail.into(), hint: None, headers: Vec::new() })
    }

    pub(crate) fn hint(mut self: Box<Self>, hint: impl Into<String>) -> Box<Self> {
        self.hint = Some(hint.into());
        self
    }

    fn with(mut self: Box<Self>, name: HeaderName, value: HeaderValue) -> Box<Self> {
        self.headers.push((name, value));
        self
    }

    pub(crate) fn bad_request(detail: impl Into<String>) -> Box<Self> {
        Self::new(StatusCode::BAD_REQUEST, "usage", detail)
    }

    pub(crate) fn not_found() -> Box<Self> {
        Self::new(StatusCode::NOT_FOUND, "not_found", "there is nothing at this address")
            .hint("GET /api/v1/openapi.json lists what there is.")
    }

    pub(crate) fn wrong_method(allowed: &str) -> Box<Self> {
        let problem = Self::new(
            StatusCode::METHOD_NOT_ALLOWED,
            "usage",
            "this address does not know that method",
        );
        match HeaderValue::from_str(allowed) {
            Ok(value) => problem.with(ALLOW, value),
            Err(_) => problem,
        }
    }

    pub(crate) fn unauthorized(refused: bool) -> Box<Self> {
        let detail = if refused {
            "the token is not known, was revoked, or has ended"
        } else {
            "this needs a token"
        };
        Self::new(StatusCode::UNAUTHORIZED, "unauthorized", detail)
            .hint("Send `Authorization: Bearer TOKEN`; `backupd token add` makes one.")
            .with(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer realm=\"backup\""))
    }

    pub(crate) fn forbidden(detail: impl Into<String>) -> Box<Self> {
        Self::new(StatusCode::FORBIDDEN, "forbidden", detail)
    }

    pub(crate) fn too_many(wait: std::time::Duration) -> Box<Self> {
        let seconds = wait.as_secs_f64().ceil().max(1.0) as u64;
        Self::new(StatusCode::TOO_MANY_REQUESTS, "rate_limited", "too many requests")
            .hint(format!("Try again in {seconds} s."))
            .with(RETRY_AFTER, HeaderValue::from(seconds))
    }

    pub(crate) fn document(&self) -> ProblemDocument {
        ProblemDocument {
            status: self.status.as_u16(),
            title: self.status.canonical_reason().unwrap_or("problem").into(),
            kind: self.kind.into(),
            detail: self.detail.clone(),
            hint: self.hint.clone(),
        }
    }

    pub(crate) fn into_reply(self) -> Reply {
        let body = serde_json::to_vec(&self.document()).unwrap_or_default();
        let mut reply = http::Response::new(full(body));
        *reply.status_mut() = self.status;
        let json = HeaderValue::from_static("application/problem+json");
        reply.headers_mut().insert(CONTENT_TYPE, json);
        reply.headers_mut().extend(self.headers);
        reply
    }
}

impl From<Error> for Box<Problem> {
    fn from(error: Error) -> Self {
        let problem = Problem::new(status(error.kind()), error.kind().as_str(), error.to_string());
        match error.remedy() {
            Some(hint) => problem.hint(hint),
            None => problem,
        }
    }
}

/// The one table from kinds of errors to statuses.
fn status(kind: ErrorKind) -> StatusCode {
    match kind {
        ErrorKind::Usage => StatusCode::BAD_REQUEST,
        ErrorKind::NotFound => StatusCode::NOT_FOUND,
        ErrorKind::Conflict => StatusCode::CONFLICT,
        ErrorKind::Unsupported => StatusCode::UNPROCESSABLE_ENTITY,
        ErrorKind::SourceUnavailable
        | ErrorKind::StoreUnavailable
        | ErrorKind::Interrupted
        | ErrorKind::Terminated => StatusCode::SERVICE_UNAVAILABLE,
        _ => StatusCode::INTERNAL_SERVER_ERROR,
    }
}
