//! From a tree to the parts of a snapshot.

pub(crate) mod bundle;
mod copy;
pub(crate) mod findings;
mod owners;
mod read;
mod source;
pub(crate) mod walk;

pub use findings::Tolerance;
pub use source::{TreeOptions, TreeSource, look};
