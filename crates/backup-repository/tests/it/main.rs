//! The repository on a store in memory: round trips, damage, faults, races, growth.

mod damage;
mod faults;
mod format;
mod growth;
mod keys;
mod many;
mod prune;
mod resume;
mod round_trip;
mod stress;
mod world;
