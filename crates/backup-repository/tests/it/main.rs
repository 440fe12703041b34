//! The repository on a store in memory: round trips, damage, faults, races, growth.
#![allow(clippy::unwrap_used, clippy::print_stderr, reason = "helpers of tests")]

mod base_rate;
mod copy;
mod damage;
mod faults;
mod format;
mod growth;
mod heads;
mod keep;
mod keys;
mod many;
mod prune;
mod receipts;
mod resume;
mod round_trip;
mod stress;
mod wal;
mod world;
