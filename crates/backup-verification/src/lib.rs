//! Proves what manifests promise.
//!
//! **What it is.** [`verify`]: level *exists* compares every object a snapshot needs with what
//! the store lists; level *read* reads every byte back, opens it and hashes it. What it finds
//! is told by source, snapshot and part. What it proves is recorded in the repository.
//! [`compare`] holds a restored database against the evidence of its snapshot.
//!
//! **What it is not.** It restores nothing: that a database comes back and answers is for a
//! drill to prove. It shares no code with writing beyond the format itself.
//!
//! ```
//! use backup_verification::{Depth, Request};
//!
//! // A tenth of all data, going on where the last run stopped.
//! let request = Request { snapshots: Vec::new(), depth: Depth::Sample { percent: 10 } };
//! assert!(request.is_all());
//! ```

mod cluster;
mod compare;
mod damage;
mod read;
mod report;
mod request;
mod sample;
mod tree;
mod verify;

pub use compare::{Finding as Comparison, compare};
pub use report::{Problem, Report, SnapshotReport};
pub use request::{Depth, Request};
pub use verify::verify;
