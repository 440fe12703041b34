//! What a daemon must answer, so that it can be served.
//!
//! Three object-safe traits, one per reason to change; one type may implement all of them.
//! Errors are [`backup_core::Error`]s, whose kind decides the HTTP status (`NotFound` is 404,
//! `Conflict` 409, `Usage` 400, …). By the contract of errors they hold no secret; neither may
//! any view.

mod actions;
mod facts;
mod ledger;

pub use actions::{Actions, Job, RestoreQuestion, Trigger};
pub use facts::{Facts, RunFilter, SnapshotFilter};
pub use ledger::{Ledger, Role, TokenRecord};
