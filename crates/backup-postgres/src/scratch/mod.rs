//! Throw-away places for drills: a server of our own, or a database on a given server.

mod folder;
mod given;
mod indexes;
mod local;
mod place;
mod server;
mod user;

pub use given::GivenServer;
pub use local::LocalServer;
