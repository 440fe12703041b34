//! pg_dump's custom archive format, as far as a schema archive needs it: the header and the
//! table of contents, read and written back unchanged or with entries left out and roles
//! replaced. Row data is never in these archives.

mod entry;
mod read;
mod write;

pub(crate) use entry::{Entry, Section};
pub(crate) use read::Archive;

/// Reads bytes as an archive; for the fuzz target.
#[doc(hidden)]
#[must_use]
pub fn is_archive(bytes: &[u8]) -> bool {
    Archive::parse(bytes).is_ok()
}
