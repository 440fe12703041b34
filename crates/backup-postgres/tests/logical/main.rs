//! Logical backup and restore against real servers: every test takes a backup of a real
//! database, restores it into another, and compares what pg_dump says of both.

mod changes;
mod encodings;
mod export;
mod majors;
mod refusals;
mod round_trip;
mod subset;
mod support;
