//! Throw-away places for drills: a server of our own, or a database on a given server.

mod absent;
mod blame;
mod cluster;
mod extract;
mod feed;
mod folder;
mod given;
mod indexes;
mod local;
mod place;
mod server;
mod user;
mod whole;

pub use cluster::{Recovery, ScratchCluster};
pub use extract::{Extracted, Extraction};
pub use given::GivenServer;
pub use local::LocalServer;
