//! Taking a physical backup.

mod archive;
mod bounds;
mod cluster;
mod copied;
mod file;
mod group;
mod local;
mod manifest_part;
mod merge;
mod notes;
mod patch;
mod proof;
mod read;
mod reading;
mod remote;
mod segment;
mod served;
mod source;
mod walk;

pub(crate) use copied::is_listed;
pub use source::{Access, PhysicalSource};
