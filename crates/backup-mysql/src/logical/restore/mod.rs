//! Restoring into a new database.

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

pub use target::LogicalTarget;
pub(crate) use target::read_schema;
