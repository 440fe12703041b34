//! Migrate: a database to another server, version or vendor, through the repository.

mod checklist;
mod mysql;
mod preflight;
mod run;

pub use checklist::{ChecklistStep, checklist};
pub use preflight::{Check, Fit, preflight};
pub use run::{MigrateRequest, Migration, demand, migrate, plan};
