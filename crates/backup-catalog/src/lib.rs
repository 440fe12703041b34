//! The local memory of runs.
//!
//! **What it is.** [`SqliteCatalog`]: the [`Catalog`](backup_core::port::Catalog) port on one
//! SQLite file. What was written survives the process being killed at any instant; a file that
//! is damaged is put aside and said, never believed and never in the way.
//!
//! **What it is not.** A truth: what counts is in the repository. It starts nothing and decides
//! nothing.
//!
//! ```
//! use backup_catalog::SqliteCatalog;
//! use backup_core::port::Catalog;
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> backup_core::Result<()> {
//! let catalog = SqliteCatalog::in_memory()?;
//! catalog.put("jobs", &[("backup shop".into(), Some("{}".into()))]).await?;
//! assert_eq!(catalog.get("jobs", "backup shop").await?.as_deref(), Some("{}"));
//! # Ok(())
//! # }
//! ```

mod open;
mod runs;
mod schema;
mod sqlite;

pub use open::Found;
pub use sqlite::SqliteCatalog;
