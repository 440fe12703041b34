//! Stores on local disk and on object storage.
//!
//! **What it is.** [`open`] turns a URL into a [`Store`](backup_core::port::Store) that keeps
//! the port's contract: our own adapters for local disk and SFTP, opendal for S3, Azure Blob and
//! Google Cloud Storage. Around every adapter sit
//! layers with one job each: counting, bandwidth, concurrency, retry.
//! [`probe_create_if_absent`] finds out what a store really does, whatever it claims.
//!
//! Azure, Google and SFTP are features of those names (`azure`, `google`, `sftp`), off by default.
//!
//! **What it is not.** It knows nothing of repositories, encrypts nothing, and reads no
//! environment of its own: what is not in the URL is in [`StoreOptions`].
//!
//! ```
//! use backup_storage::{StoreOptions, open};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> backup_core::Result<()> {
//! let store = open("memory:", &StoreOptions::default()).await?;
//! store.create(&"packs/aa".parse()?, "body".into()).await?;
//! assert_eq!(store.get_range(&"packs/aa".parse()?, 1..3).await?, "od");
//! assert!(store.capabilities().create_if_absent);
//! # Ok(())
//! # }
//! ```

mod clock;
mod disk;
mod foreign;
mod keys;
mod layer;
mod open;
mod options;
mod pace;
mod probe;
mod remote;
#[cfg(feature = "sftp")]
mod sftp;
mod url;

pub use clock::SystemClock;
pub use foreign::Foreign;
pub use keys::Keys;
pub use open::open;
pub use options::{AzureCredentials, CreateIfAbsent, Credentials, Retry, StoreOptions};
pub use probe::probe_create_if_absent;
pub use url::StoreUrl;
