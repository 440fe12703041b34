//! Speaks MySQL and MariaDB: logical dump and restore.
//!
//! **What it is.** [`ConnectOptions`] say where a database is and how much of TLS is demanded;
//! [`Client`] is one session. Errors carry the server's [`DbError`] and the next thing to do.
//!
//! **What it is not.** It knows no vendor, reads no environment, and runs none of the server's
//! client programs.
//!
//! ```
//! use backup_mysql::ConnectOptions;
//!
//! let options = ConnectOptions::parse("mysql://app:secret@db.example.com/shop")?;
//! assert_eq!(options.location(), "app@db.example.com:3306/shop");
//! assert_eq!(options.ssl_mode().as_str(), "verify-identity");
//! # Ok::<(), backup_core::Error>(())
//! ```

mod accounts;
mod catalog;
mod connect;
pub mod logical;
mod schema;
pub mod scratch;
mod wire;

/// The engine's word in the identity of a source.
pub const ENGINE: &str = "mysql";

pub use connect::{ConnectOptions, Host, SslMode, VitessReading};
pub use wire::{Client, DbError, Row, error_code, quote_name, quote_text};
