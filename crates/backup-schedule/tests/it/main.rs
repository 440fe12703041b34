//! The calendar against one that is counted minute by minute, and weeks of simulated time.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test that cannot go on fails"
)]

mod calendar;
mod decisions;
mod week;
