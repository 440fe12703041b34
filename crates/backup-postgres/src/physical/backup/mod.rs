//! Taking a physical backup.

mod cluster;
mod copied;
mod file;
mod group;
mod local;
mod manifest_part;
mod merge;
mod read;
mod remote;
mod source;
mod walk;

pub(crate) use copied::is_listed;
pub use source::{Access, PhysicalSource};
