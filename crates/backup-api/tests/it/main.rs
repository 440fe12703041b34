//! The server and its pages, on a daemon that lives in memory.

#![allow(clippy::unwrap_used, reason = "a failed fixture is a failed test")]

mod port;
mod world;
