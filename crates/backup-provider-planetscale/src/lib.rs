//! PlanetScale Postgres: backups, point-in-time restore, short-lived roles.
//!
//! **What it is.** [`PlanetscalePlatform`] puts PlanetScale's control plane behind
//! [`backup_core::port::Platform`]: backups are made, protected and deleted, restores go to a new
//! branch, and a dump reads through a role that was made for it and ends by itself.
//!
//! **What it is not.** It is not for PlanetScale's MySQL, and makes no frozen copies of its own
//! accord: every branch is a cluster that is billed. It was tested against PlanetScale's published
//! schema, not against PlanetScale.

mod answers;
mod begin;
mod client;
mod config;
mod platform;

pub use answers::Policy;
pub use config::PlanetscaleConfig;
pub use platform::PlanetscalePlatform;
