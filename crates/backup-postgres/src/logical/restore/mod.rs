//! Writing a snapshot into a database.

mod check;
mod database;
mod finish;
mod large_objects;
mod program;
mod rows;
mod schema;
mod sequences;
mod stream;
mod target;
mod temporary;

pub(crate) use stream::read_part;
pub use target::LogicalTarget;
pub(crate) use temporary::TemporaryFolder;
