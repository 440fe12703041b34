//! Why a call failed, and whether it happened.

use std::error::Error as StdError;
use std::fmt;
use std::time::Duration;

use backup_core::{Error, ErrorKind};

/// Whether the vendor did what it was asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It did not: it said so, or was never reached.
    NotDone,
    /// Nobody knows: the answer was lost, or was an error of the vendor's own.
    Unknown,
}

/// A call that failed. Becomes a [`backup_core::Error`] by `?`.
#[derive(Debug)]
pub struct ApiError(pub(crate) Box<Facts>);

/// What is known of it.
#[derive(Debug)]
pub(crate) struct Facts {
    pub(crate) vendor: &'static str,
    pub(crate) page: &'static str,
    pub(crate) operation: String,
    pub(crate) status: Option<u16>,
    pub(crate) code: Option<String>,
    pub(crate) message: Option<String>,
    pub(crate) request_id: Option<String>,
    pub(crate) retry_after: Option<Duration>,
    pub(crate) attempts: u32,
    pub(crate) fate: Fate,
    pub(crate) temporary: bool,
    pub(crate) cause: Option<Box<dyn StdError + Send + Sync>>,
}

impl ApiError {
    /// Returns the HTTP status, where there was an answer.
    #[must_use]
    pub fn status(&self) -> Option<u16> {
        self.0.status
    }

    /// Returns the vendor's own code of the error.
    #[must_use]
    pub fn code(&self) -> Option<&str> {
        self.0.code.as_deref()
    }

    /// Returns the vendor's words.
    #[must_use]
    pub fn message(&self) -> Option<&str> {
        self.0.message.as_deref()
    }

    /// Returns whether the vendor did what it was asked.
    #[must_use]
    pub fn fate(&self) -> Fate {
        self.0.fate
    }

    /// Returns whether what was asked for is not there.
    #[must_use]
    pub fn is_not_found(&self) -> bool {
        matches!(self.0.status, Some(404 | 410))
    }

    fn kind(&self) -> ErrorKind {
        match self.0.status {
            Some(402) => ErrorKind::Unsupported,
            Some(404 | 410) => ErrorKind::NotFound,
            Some(409) => ErrorKind::Conflict,
            Some(400 | 405 | 406 | 412..=422) => ErrorKind::Failed,
            _ => ErrorKind::SourceUnavailable,
        }
    }

    fn remedy(&self) -> String {
        match self.0.status {
            Some(401) => "The token was not accepted: it was revoked, has expired, or was not copied whole.".into(),
            Some(403) => format!("The token lacks a permission for this; {} lists those it needs.", self.0.page),
            Some(402) => "The plan does not include this; see the vendor's page on plans.".into(),
            Some(404 | 410) => "Check the ids in the configuration, and that the token may see that project.".into(),
            Some(409) => "Something of that name is there already, or changed meanwhile; look at it, then try again.".into(),
            Some(423) => "Another operation is running there; wait for its end, then try again.".into(),
            Some(429) => "The vendor's limit on requests is reached; try again later.".into(),
            Some(status) if status >= 500 => "The vendor is out of order; look at its status page, then try again.".into(),
            Some(_) => format!("The vendor refused the request; {} says what it needs.", self.0.page),
            None => "Check the network and the proxy; nothing is wrong with the database itself.".into(),
        }
    }
}

impl From<Facts> for ApiError {
    fn from(facts: Facts) -> Self {
        Self(Box::new(facts))
    }
}

impl fmt::Display for ApiError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at {}", self.0.operation, self.0.vendor)?;
        self.0.status.map_or(Ok(()), |status| write!(f, ": HTTP {status}"))?;
        self.0.message.as_ref().map_or(Ok(()), |message| write!(f, ": {message}"))
    }
}

impl StdError for ApiError {}

impl From<ApiError> for Error {
    fn from(error: ApiError) -> Self {
        let (remedy, kind, error) = (error.remedy(), error.kind(), *error.0);
        let mut out = Self::new(kind, error.operation).with("provider", error.vendor).hint(remedy);
        if let Some(status) = error.status {
            out = out.with("status", status);
        }
        if let Some(code) = error.code {
            out = out.with("code", code);
        }
        if let Some(id) = error.request_id {
            out = out.with("request id", id);
        }
        if error.attempts > 1 {
            out = out.with("attempts", error.attempts);
        }
        if let Some(message) = error.message {
            out = out.because(message);
        } else if let Some(cause) = error.cause {
            out = out.because(cause);
        }
        if error.temporary { out.temporary().persistent() } else { out }
    }
}
