//! Speaks PostgreSQL: one client for the wire protocol, and logical dump and restore on top.
//!
//! **What it is.** [`ConnectOptions`] say where a database is and how much of TLS is demanded;
//! [`Client`] is one session: statements, `COPY` in and out at the speed of the server, cancel
//! requests. Errors carry the server's [`DbError`] and the next thing to do.
//!
//! **What it is not.** It knows no vendor, reads no environment, installs no process-wide TLS
//! provider, and never uses a session that is out of step: what was dropped halfway is given up.
//!
//! ```
//! use backup_postgres::ConnectOptions;
//!
//! let options = ConnectOptions::parse("postgres://app:secret@db.example.com/shop")?;
//! assert_eq!(options.location(), "app@db.example.com:5432/shop");
//! assert_eq!(options.ssl_mode().as_str(), "verify-full");
//! # Ok::<(), backup_core::Error>(())
//! ```

mod connect;
pub mod logical;
pub mod physical;
pub mod replication;
pub mod scratch;
mod spool;
pub mod tools;
pub mod wal;
#[doc(hidden)]
pub mod wire;

pub use connect::{
    ChannelBinding, ConnectOptions, Host, Keepalive, RootCertificates, SslMode, SslNegotiation,
};
pub use wire::{
    CancelToken, Client, CopyIn, CopyOut, DbError, Row, TransactionStatus, quote_ident,
    quote_literal, sqlstate,
};
