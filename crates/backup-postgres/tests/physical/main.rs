//! Whole clusters, copied while they are written to, restored, and questioned with PostgreSQL's
//! own programs.

#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of tests fail the test")]

mod damage;
mod incremental;
mod refusals;
mod round_trip;
mod support;
