//! The composition root: backups from inside another program.
//!
//! **What it is.** [`Backup`] is the embedding surface: a repository, a passphrase and a
//! database URL become `backup`, `restore` and `verify`. [`Composer`] turns settings into open
//! repositories, providers and notifiers; programs are built on it. Everything below is
//! re-exported, so that this is the one crate to depend on.
//!
//! **What it is not.** It decides nothing itself, prints nothing, and reads the environment
//! only where it is handed one ([`config::Environment`]).
//!
//! ```no_run
//! use backup::{Backup, Secret, verify::Depth};
//!
//! # async fn example() -> backup::Result<()> {
//! backup::install_tls();
//! let passphrase = Secret::new("correct horse battery staple");
//! let backup = Backup::open_or_create("file:///srv/backups", passphrase).await?;
//! let taken = backup.backup("postgres://app@db.example.com/shop").await?;
//! assert!(!taken.record.snapshot.is_suspect());
//! backup.restore("latest", "postgres://app@localhost/shop_copy").await?;
//! assert!(backup.verify(Depth::Read).await?.is_clean());
//! # Ok(())
//! # }
//! ```

mod channel;
mod cluster_check;
mod compose;
mod copying;
#[cfg(unix)]
pub mod daemon;
mod disaster;
mod drill;
mod embed;
mod export;
mod extract;
mod files_source;
mod group;
#[cfg(unix)]
mod health;
mod machine;
mod managed;
mod provider;
pub mod recovery;
mod scratch;
mod settings;
mod smoke;
mod store;
mod tls;
pub mod wal;

pub use backup_catalog as catalog;
pub use backup_config as config;
pub use backup_core as core;
pub use backup_files as files;
pub use backup_mysql as mysql;
pub use backup_notify as notify;
pub use backup_ops as ops;
pub use backup_postgres as postgres;
pub use backup_repository as repository;
pub use backup_retention as retention;
pub use backup_storage as storage;
pub use backup_verification as verify;

pub use backup_core::{Error, ErrorKind, Result, Secret};
pub use backup_crypto::{KeyKind, KeyRecord, KeySecret, Role, generate_key_file};
pub use backup_ops::{BackupReceipt, restore::RestoreReceipt};

pub use cluster_check::check_clusters;
pub use compose::Composer;
pub use copying::second_store;
pub use disaster::{bare_environment, repository_on_sheet};
pub use drill::drill_request;
pub use embed::Backup;
pub use export::{ExportOptions, ExportReport, export};
pub use extract::{ExtractTarget, check_extract, describe_extract, extract};
pub use group::{group, group_of, group_promises, holdings, keys_asked};
#[cfg(unix)]
pub use health::repository_health;
pub use machine::{check_space, check_tools, default_jobs};
pub use managed::{DRILL_AT_PROVIDER, FileBook, count_native, run_id};
pub use provider::{database_name, has_password, location, provider};
pub use scratch::{scratch_cluster, scratch_recovery};
pub use settings::{load_channels, load_settings, promises, settings_from_nothing, wal_retention};
pub use smoke::SmokeCommand;
pub use store::{open_store, repository_place};
pub use tls::install_tls;

use std::sync::Arc;

/// Returns the system's clock.
#[must_use]
pub fn system_clock() -> Arc<dyn backup_core::port::Clock> {
    Arc::new(backup_storage::SystemClock::new())
}
