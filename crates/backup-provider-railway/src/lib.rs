//! The provider for databases that Railway hosts.
//!
//! **What it is.** [`RailwayProvider`] backs up and restores a service's database by its URL,
//! private or public. [`RailwayPlatform`] drives Railway's own means: backups of the volume, forks
//! to a moment, restore in place.
//!
//! **What it is not.** A backup of Railway's is no copy that outlives the project; it never
//! applies staged changes of somebody else, and deletes no service or backup that is none of
//! ours.
//!
//! ```
//! use backup_provider_railway::{Address, Way};
//!
//! let address = Address::parse("postgres://postgres:secret@monorail.proxy.rlwy.net:31337/railway")?;
//! assert_eq!((address.way, address.connect.ssl_mode().as_str()), (Way::Public, "require"));
//! assert!(!format!("{address:?}").contains("secret"));
//! # Ok::<(), backup_core::Error>(())
//! ```

mod address;
mod archive;
mod client;
mod config;
mod documents;
mod platform;
mod provider;

pub use address::{Address, Way, is_railway_host};
pub use archive::{Archive, ArchiveFiles, Gap};
pub use client::{API, Token};
pub use config::{RailwayConfig, RailwayPlace};
#[doc(hidden)]
pub use documents::ALL as DOCUMENTS;
pub use platform::{RailwayPlatform, StagedChanges};
pub use provider::RailwayProvider;
