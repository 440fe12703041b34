//! The use cases, one module each: backup, restore, verify, forget, prune, status, doctor.
//!
//! **What it is.** Pure planners with thin executors around them, on ports and the repository
//! only. Programs call one operation and show its result; the results as JSON are in
//! [`document`].
//!
//! **What it is not.** It sees no adapter, no vendor, no configuration and no terminal, reads
//! no environment and prints nothing.
//!
//! ```
//! use backup_ops::{Selector, Standing, assess};
//! use std::collections::BTreeMap;
//!
//! // What a person typed.
//! let selector: Selector = "shop@latest".parse()?;
//! let stored: [backup_core::SnapshotRecord; 0] = [];
//! assert!(backup_ops::select(&stored, &selector).is_err());
//!
//! // A source that was promised protection and has no snapshot.
//! let promises = BTreeMap::from([("shop".parse()?, Default::default())]);
//! let status = assess(&[], &promises, "2026-01-01T00:00:00Z".parse().unwrap());
//! assert_eq!(status[0].standing, Standing::NeverBackedUp);
//! # Ok::<(), backup_core::Error>(())
//! ```

pub mod alert;
pub mod alerting;
pub mod audit;
mod backup;
pub mod daemon;
pub mod difference;
pub mod doctor;
pub mod document;
pub mod drill;
pub mod forget;
pub mod group;
pub mod health;
mod interrupt;
pub mod key;
pub mod managed;
pub mod migrate;
mod plausible;
pub mod prune;
pub mod report;
pub mod restore;
mod select;
pub mod sheet;
mod status;
#[cfg(test)]
mod testing;
pub mod verify;
pub mod wal;

pub use backup::{BackupReceipt, BackupRequest, backup, backup_while_opening};
pub use interrupt::{Interrupt, Interrupter, interrupt};
pub use plausible::{Plausibility, accept, compare};
pub use select::{Selector, Which, newest_of, select};
pub use status::{
    Promise, SourceStatus, Standing, assess, assess_with_drills, doubt, standings, status,
};
pub use verify::Depth;
