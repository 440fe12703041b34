//! The provider for a PostgreSQL server you run, or any that is reached by its URL alone.
//!
//! **What it is.** [`PostgresProvider`] puts the logical engine of `backup-postgres` behind the
//! port [`backup_core::port::Provider`]: discover, open for backup, open for restore.
//!
//! **What it is not.** It has no control plane: it creates no server, branch or volume, and
//! calls no vendor's API.
//!
//! ```
//! use backup_core::port::Provider;
//! use backup_postgres::tools::ToolPaths;
//! use backup_provider_postgres::PostgresProvider;
//!
//! let provider = PostgresProvider::new("postgres://app:secret@db.example.com/shop", ToolPaths::system())?;
//! assert_eq!(provider.name(), "postgres");
//! assert!(!format!("{provider:?}").contains("secret"));
//! # Ok::<(), backup_core::Error>(())
//! ```

mod config;
mod directory;
mod error;
mod provider;

pub use config::PostgresConfig;
pub use directory::DirectoryProvider;
pub use provider::PostgresProvider;
