//! The replication client against real servers.

#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of tests fail the test")]

mod base_backup;
mod session;
mod stream;
mod support;
