//! Taking a physical backup.

mod cluster;
mod copied;
mod file;
mod group;
mod manifest_part;
mod remote;
mod source;

pub use source::PhysicalSource;
