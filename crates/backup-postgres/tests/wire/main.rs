//! The wire client against real servers, and against one that breaks the rules.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stderr,
    reason = "helpers of tests fail the test"
)]

mod cancel;
mod copy_in;
mod copy_out;
mod hostile;
mod login;
mod options;
mod sql;
mod support;
mod tls;
