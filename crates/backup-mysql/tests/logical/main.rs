//! Logical backups against real servers.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod accounts;
mod changes;
mod connections;
mod elsewhere;
mod limits;
mod refusals;
mod round_trip;
mod support;
mod targets;
mod vitess;
mod vitess_targets;
mod ways_out;
