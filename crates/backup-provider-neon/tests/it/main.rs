//! Neon's control plane as its own schema describes it: a fake that is held to the schema, with
//! virtual time and troubles on demand.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod contract;
mod facts;
mod places;
mod troubles;
mod world;
