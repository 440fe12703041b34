//! Logical backups against real servers.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod changes;
mod connections;
mod refusals;
mod round_trip;
mod support;
mod ways_out;
