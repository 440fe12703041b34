//! The repository on a store in memory: round trips, damage, faults, races, growth.

mod damage;
mod faults;
mod format;
mod growth;
mod keys;
mod prune;
mod round_trip;
mod world;
