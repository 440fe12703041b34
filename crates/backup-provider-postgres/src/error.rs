//! Errors of this provider in the words of its callers.

use backup_core::{Error, ErrorKind};

/// A URL that cannot be used is a fault of the configuration, whatever the parser calls it.
pub(crate) fn unusable_url(error: Error) -> Error {
    error.into_kind(ErrorKind::ConfigInvalid)
}

/// A kind of snapshot that this provider does not make.
pub(crate) fn unsupported_kind(kind: &str) -> Error {
    Error::new(ErrorKind::Unsupported, "open database for backup")
        .with("provider", "postgres")
        .with("kind", kind)
        .hint("Use a logical or a physical backup for this source.")
}
