//! The use cases on memory ports, with everything breaking that can break.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test that cannot go on fails"
)]

mod alerting;
mod backup;
mod daemon;
mod drill;
mod faults;
mod fixture;
mod luck;
mod restore;
