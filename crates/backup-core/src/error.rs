//! The one error type that crosses ports.
//!
//! A message says what failed (`operation`: a verb and its object, lowercase), where
//! (`context` pairs), why (`source`) and what to do next (`hint`, a sentence). Retry looks at
//! [`ErrorStatus`] only; exit codes come from [`ErrorKind`] only, in one table.

use std::error::Error as StdError;
use std::fmt;

/// The result of everything that crosses a port.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What sort of failure this is; decides the exit code.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// Something failed that has no better word.
    Failed,
    /// The command line or the call was wrong.
    Usage,
    /// The configuration or the environment holds an unusable value.
    ConfigInvalid,
    /// This combination is not supported (a capability that is not declared).
    Unsupported,
    /// The database could not be reached, or refused us.
    SourceUnavailable,
    /// The store could not be reached, refused us, or is full.
    StoreUnavailable,
    /// Stored bytes are missing, damaged, or not what they claim to be.
    Integrity,
    /// No key here opens the repository.
    WrongKey,
    /// Nothing matched, or the named object does not exist.
    NotFound,
    /// The target is not empty, the object exists already, or a lease is held.
    Conflict,
    /// The result cannot be trusted, or a source is not protected.
    Suspect,
    /// SIGINT.
    Interrupted,
    /// SIGTERM.
    Terminated,
}

impl ErrorKind {
    /// Every kind.
    const ALL: [Self; 13] = [
        Self::Failed,
        Self::Usage,
        Self::ConfigInvalid,
        Self::Unsupported,
        Self::SourceUnavailable,
        Self::StoreUnavailable,
        Self::Integrity,
        Self::WrongKey,
        Self::NotFound,
        Self::Conflict,
        Self::Suspect,
        Self::Interrupted,
        Self::Terminated,
    ];

    /// Returns the kind of that [word](Self::as_str); nothing for a word that is none.
    #[must_use]
    pub fn of(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == word)
    }

    /// Returns the process exit code that documents this kind.
    #[must_use]
    pub fn exit_code(self) -> u8 {
        match self {
            Self::Failed => 1,
            Self::Usage | Self::ConfigInvalid | Self::Unsupported => 2,
            Self::SourceUnavailable => 3,
            Self::StoreUnavailable => 4,
            Self::Integrity => 5,
            Self::WrongKey => 6,
            Self::NotFound => 7,
            Self::Conflict => 8,
            Self::Suspect => 9,
            Self::Interrupted => 130,
            Self::Terminated => 143,
        }
    }

    /// Returns the stable word used in JSON.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Failed => "failed",
            Self::Usage => "usage",
            Self::ConfigInvalid => "config_invalid",
            Self::Unsupported => "unsupported",
            Self::SourceUnavailable => "source_unavailable",
            Self::StoreUnavailable => "store_unavailable",
            Self::Integrity => "integrity",
            Self::WrongKey => "wrong_key",
            Self::NotFound => "not_found",
            Self::Conflict => "conflict",
            Self::Suspect => "suspect",
            Self::Interrupted => "interrupted",
            Self::Terminated => "terminated",
        }
    }
}

/// Whether trying again can help.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ErrorStatus {
    /// The same call will fail the same way.
    Permanent,
    /// The same call may succeed later; adapters retry these.
    Temporary,
    /// It was temporary, was retried, and still fails.
    Persistent,
}

/// What failed, where, why, and what to do next.
pub struct Error {
    inner: Box<Inner>,
}

struct Inner {
    kind: ErrorKind,
    status: ErrorStatus,
    operation: String,
    context: Vec<(&'static str, String)>,
    hint: Option<String>,
    source: Option<Box<dyn StdError + Send + Sync>>,
}

impl Error {
    /// Creates a permanent error; `operation` is what failed: "open repository".
    #[must_use]
    pub fn new(kind: ErrorKind, operation: impl Into<String>) -> Self {
        Self {
            inner: Box::new(Inner {
                kind,
                status: ErrorStatus::Permanent,
                operation: operation.into(),
                context: Vec::new(),
                hint: None,
                source: None,
            }),
        }
    }

    /// Adds where it happened: a name and its value. Never pass a secret.
    #[must_use]
    pub fn with(mut self, name: &'static str, value: impl fmt::Display) -> Self {
        self.inner.context.push((name, value.to_string()));
        self
    }

    /// Adds the remedy, as a sentence.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.inner.hint = Some(hint.into());
        self
    }

    /// Adds the cause.
    #[must_use]
    pub fn because(mut self, source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        self.inner.source = Some(source.into());
        self
    }

    /// Marks the error as one that may pass.
    #[must_use]
    pub fn temporary(mut self) -> Self {
        self.inner.status = ErrorStatus::Temporary;
        self
    }

    /// Marks a temporary error as retried in vain.
    #[must_use]
    pub fn persistent(mut self) -> Self {
        if self.inner.status == ErrorStatus::Temporary {
            self.inner.status = ErrorStatus::Persistent;
        }
        self
    }

    /// Replaces the kind, keeping everything else (an adapter's `NotFound` becomes the
    /// caller's `Integrity`).
    #[must_use]
    pub fn into_kind(mut self, kind: ErrorKind) -> Self {
        self.inner.kind = kind;
        self
    }

    /// Returns the kind.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        self.inner.kind
    }

    /// Returns whether trying again can help.
    #[must_use]
    pub fn status(&self) -> ErrorStatus {
        self.inner.status
    }

    /// Returns what failed: a verb and its object.
    #[must_use]
    pub fn operation(&self) -> &str {
        &self.inner.operation
    }

    /// Returns where it failed.
    #[must_use]
    pub fn context(&self) -> &[(&'static str, String)] {
        &self.inner.context
    }

    /// Returns the remedy: this error's, else the nearest cause's.
    #[must_use]
    pub fn remedy(&self) -> Option<&str> {
        self.inner.hint.as_deref().or_else(|| {
            let source = self.inner.source.as_deref()?;
            source.downcast_ref::<Self>()?.remedy()
        })
    }
}

impl fmt::Display for Error {
    /// Writes `operation (name: value, …): cause: cause`, on one line, without the hint.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.inner.operation)?;
        for (position, (name, value)) in self.inner.context.iter().enumerate() {
            write!(f, "{}{name}: {value}", if position == 0 { " (" } else { ", " })?;
        }
        if !self.inner.context.is_empty() {
            f.write_str(")")?;
        }
        let mut source = self.inner.source.as_deref().map(|s| s as &dyn StdError);
        while let Some(cause) = source {
            write!(f, ": {cause}")?;
            // Our own errors print their whole chain themselves.
            source = if cause.is::<Self>() { None } else { cause.source() };
        }
        Ok(())
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}/{:?}: {self}", self.inner.kind, self.inner.status)?;
        self.remedy().map_or(Ok(()), |hint| write!(f, " [{hint}]"))
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.inner.source.as_deref().map(|s| s as &(dyn StdError + 'static))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prints_operation_context_and_causes_once() {
        let disk = std::io::Error::other("no space left on device");
        let inner = Error::new(ErrorKind::StoreUnavailable, "write object")
            .with("object", "packs/00/aa")
            .hint("Free space on the repository's disk.")
            .because(disk);
        let outer = Error::new(ErrorKind::StoreUnavailable, "store pack").because(inner);
        assert_eq!(
            outer.to_string(),
            "store pack: write object (object: packs/00/aa): no space left on device"
        );
        assert_eq!(outer.remedy(), Some("Free space on the repository's disk."));
    }

    #[test]
    fn only_temporary_errors_become_persistent() {
        let error = Error::new(ErrorKind::Failed, "x");
        assert_eq!(error.persistent().status(), ErrorStatus::Permanent);
        let error = Error::new(ErrorKind::Failed, "x").temporary();
        assert_eq!(error.persistent().status(), ErrorStatus::Persistent);
    }
}
