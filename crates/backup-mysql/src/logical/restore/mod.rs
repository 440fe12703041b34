//! Restoring into a new database.

mod accounts;
mod enums;
mod foreign;
mod insert;
mod make;
mod part;
mod place;
mod report;
mod rows;
mod session;
mod subset;
mod target;
mod vitess;

pub(crate) use insert::Inserts;
pub(crate) use make::{How, settings, statement};
pub(crate) use part::{TablePart, read_part};
pub(crate) use place::{drop_database, objects};
pub(crate) use subset::Subset;
pub use target::LogicalTarget;
pub(crate) use target::read_schema;
