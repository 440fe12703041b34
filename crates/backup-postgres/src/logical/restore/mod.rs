//! Writing a snapshot into a database.

mod build;
mod check;
mod database;
mod finish;
mod hosted;
mod large_objects;
mod program;
mod report;
mod rows;
mod schema;
mod sequences;
mod stream;
mod table;
mod target;
mod temporary;

pub(crate) use database::{drop_database, maintenance};
pub(crate) use hosted::Furnished;
pub(crate) use large_objects::{Calls, metadata as large_object_metadata};
pub(crate) use schema::{Files, Schema};
pub(crate) use sequences::read as sequence_values;
pub(crate) use stream::read_part;
pub(crate) use table::TablePart;
pub use target::LogicalTarget;
pub(crate) use target::major_of;
pub(crate) use temporary::TemporaryFolder;
