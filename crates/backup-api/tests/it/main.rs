//! The server and its pages, on a daemon that lives in memory.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test that cannot go on fails"
)]

mod access;
mod browser;
mod described;
mod fleet;
mod hostile;
mod live;
mod numbers;
mod pages;
mod port;
mod schema;
mod serve;
mod tls;
mod world;
