//! Throw-away places for drills: a MariaDB server of our own, or a database on a given server.

mod blame;
mod folder;
mod given;
mod local;
mod place;
mod server;
mod user;

pub use given::GivenServer;
pub use local::LocalServer;
