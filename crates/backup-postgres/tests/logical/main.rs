//! Logical backup and restore against real servers: every test takes a backup of a real
//! database, restores it into another, and compares what pg_dump says of both.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "helpers of tests fail the test that calls them"
)]

mod changes;
mod compare;
mod encodings;
mod export;
mod full_disk;
mod majors;
mod people;
mod refusals;
mod round_trip;
mod subset;
mod support;
