//! Logical backups: one instant, the schema from pg_dump, rows by parallel COPY.

mod archive;
mod backup;
mod catalog;
mod discover;
mod export;
mod names;
mod neighbours;
mod ranges;
mod rate;
mod restore;
mod roles;
mod session;
mod statement;
mod subset;

pub use backup::LogicalSource;
pub use discover::discover;
pub use export::{ExportOptions, ExportReport, export};
pub use restore::LogicalTarget;
