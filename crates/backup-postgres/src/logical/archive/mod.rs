//! pg_dump's custom archive format, as far as a schema archive needs it: the header and the
//! table of contents, read and written back unchanged or with entries left out and roles
//! replaced. Row data is never in these archives.

mod entry;
mod read;
mod write;

pub(crate) use entry::{Entry, Section};
pub(crate) use read::Archive;
