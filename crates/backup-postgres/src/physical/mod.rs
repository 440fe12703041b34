//! Physical backup and restore: a whole cluster, file by file and page by page.
//!
//! **What it is.** [`PhysicalSource`] copies a running cluster, over the replication protocol or out
//! of its data directory where that can be read, and [`DirectoryTarget`] turns a snapshot into a data directory that a server starts from.
//! Every snapshot is complete: its WAL from start to stop is inside, its files were compared
//! with the server's manifest, its pages with their checksums.
//!
//! **What it is not.** It plans no recovery: [`RecoverySettings`] come from outside, and become
//! the server's settings here. The parts of a snapshot are described in `docs/format.md`.
//!
//! [`RecoverySettings`]: backup_core::port::RecoverySettings

mod archiving;
mod backup;
mod changes;
mod examine;
mod facts;
mod files;
mod label;
mod manifest;
mod manifest_write;
mod page;
mod ready;
mod restore;
mod tar;
mod wal;

pub use backup::{Access, PhysicalSource};
pub use examine::{ClusterCheck, check_cluster};
pub use facts::{ClusterFacts, WHOLE_CLUSTER};
pub use restore::DirectoryTarget;

pub(crate) use archiving::archiving;
pub(crate) use ready::readiness;
pub(crate) use restore::auto_conf;

/// The part that holds PostgreSQL's backup manifest.
pub(crate) const MANIFEST: &str = "manifest";
