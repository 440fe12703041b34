//! PostgreSQL's own client programs: finding the right one, and running it.
//!
//! `pg_dump`, `pg_restore` and `pg_dumpall` know the catalogs best, so they own the schema.
//! A program must be of the server's major version or newer; the nearest one is taken, since
//! what a newer one writes may not load into the older server.

mod find;
mod messages;
mod run;

pub use find::{Tool, ToolPaths};
pub(crate) use messages::Messages;
pub(crate) use run::{Finished, Run};
