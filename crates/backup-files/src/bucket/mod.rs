//! Buckets: their objects as a source, and as what is restored.
//!
//! A snapshot of a bucket is one of files: its list holds keys in the order of their bytes, what the
//! service says about an object as attributes. A restore goes into another bucket, or, as far as
//! keys are sound paths, into a directory.

mod about;
mod copy;
mod fill;
mod findings;
mod provider;
mod read;
mod source;
mod target;

pub(crate) use about::lasting;
pub use provider::{BucketPlace, BucketProvider};
pub use source::{BucketOptions, BucketSource};
pub use target::BucketTarget;
