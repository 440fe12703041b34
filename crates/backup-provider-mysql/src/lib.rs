//! The provider for a MySQL or MariaDB server you run, or any that is reached by its URL alone.
//!
//! **What it is.** [`MysqlProvider`] puts the logical engine of `backup-mysql` behind the port
//! [`backup_core::port::Provider`]: discover, open for backup, open for restore.
//!
//! **What it is not.** It has no control plane: it creates no server or branch, and calls no
//! vendor's API.
//!
//! ```
//! use backup_core::port::Provider;
//! use backup_provider_mysql::MysqlProvider;
//!
//! let provider = MysqlProvider::new("mysql://app:secret@db.example.com/shop")?;
//! assert_eq!(provider.name(), "mysql");
//! assert!(!format!("{provider:?}").contains("secret"));
//! # Ok::<(), backup_core::Error>(())
//! ```

mod provider;

pub use provider::MysqlProvider;
