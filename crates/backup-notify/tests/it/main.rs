//! Every kind of destination against a real socket, or a real server.

#![allow(clippy::panic, clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod chat;
mod common;
mod email;
mod github;
mod healthchecks;
mod pagerduty;
mod slack;
mod webhook;
