//! The daemon as its users run it: processes, signals, kills, real PostgreSQL.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stderr,
    reason = "a test that cannot go on fails"
)]

mod alerts;
mod away;
mod clusters;
mod config;
mod drill;
mod faults;
mod files;
mod groups;
mod http;
mod kills;
mod mysql;
mod native;
mod nightly;
mod push;
mod receiver;
#[cfg(feature = "otlp")]
mod traces;
mod via_daemon;
mod wal;
mod world;
