//! PlanetScale, Postgres and MySQL: backups, restores to new branches, short-lived credentials.
//!
//! **What it is.** [`PlanetscalePlatform`] puts PlanetScale's control plane behind
//! [`backup_core::port::Platform`]: backups are made, protected and deleted, restores go to a new
//! branch, and a dump reads through a role (Postgres) or password (MySQL) that was made for it and
//! ends by itself. Of MySQL only a branch that was restored from a backup is read: the platform
//! [needs a copy](backup_core::port::Platform::needs_copy).
//!
//! **What it is not.** Of Postgres it makes no frozen copies of its own accord: every branch is a
//! cluster that is billed. It was tested against PlanetScale's published schema, not against
//! PlanetScale.

mod answers;
mod begin;
mod client;
mod config;
mod mysql;
mod platform;
mod sizes;

pub use answers::Policy;
pub use config::PlanetscaleConfig;
pub use platform::PlanetscalePlatform;
