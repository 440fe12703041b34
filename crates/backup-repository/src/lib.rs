//! Turns streams into sealed packs and signed manifests, and back.
//!
//! **What it is.** The repository: chunk → hash → deduplicate → compress (whole or as a
//! difference to a base) → seal → pack → index → manifest, and the same line backwards; key
//! records, pins, proofs, two-phase prune, index repair. `docs/format.md` describes every byte.
//!
//! **What it is not.** It knows no database, no storage service and no schedule: bytes arrive
//! through [`backup_core::port::PartSink`] and rest in a [`backup_core::port::Store`].
//!
//! ```
//! use std::sync::Arc;
//! use backup_core::{Evidence, Layout, PartName, SnapshotKind, SourceIdentity};
//! use backup_core::port::{NoObserver, PartSink};
//! use backup_crypto::KeySecret;
//! use backup_repository::{NewKey, Repository, Settings, SnapshotDraft};
//! use backup_testkit::{FakeClock, MemoryStore};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> backup_core::Result<()> {
//! let secret = KeySecret::KeyFile(backup_crypto::generate_key_file()?);
//! let key = NewKey { secret, label: "example".into() };
//! let clock = Arc::new(FakeClock::new(jiff::Timestamp::UNIX_EPOCH));
//! let store = Arc::new(MemoryStore::new());
//! let repository = Repository::init(store, clock, vec![key], Settings::default()).await?;
//!
//! let draft = SnapshotDraft {
//!     source: "shop".parse()?,
//!     identity: SourceIdentity {
//!         engine: "example".into(), system: "1".into(), database: "1".into(),
//!     },
//!     kind: SnapshotKind::Logical,
//!     started_at: jiff::Timestamp::UNIX_EPOCH,
//! };
//! let writer = repository.begin(draft, Arc::new(NoObserver)).await?;
//! let part = PartName::new("table/public.orders");
//! writer.begin_part(&part, Layout::Segments).await?;
//! let mut segment = writer.segment(&part, 0).await?;
//! segment.write(b"1\tpaid\n").await?;
//! segment.finish().await?;
//! writer.finish_part(&part, Default::default()).await?;
//! let snapshot = writer.commit(Evidence::default()).await?;
//! assert_eq!(snapshot.read_bytes, 7);
//! # Ok(())
//! # }
//! ```

mod base;
mod blob;
mod bytes;
mod check;
mod codec;
mod config;
mod contents;
mod copy;
mod cursor;
mod cut;
mod drills;
#[doc(hidden)]
pub mod fuzzing;
mod heads;
mod index;
mod keys;
mod layout;
mod lease;
mod map;
mod open;
mod pack;
mod proofs;
mod prune;
mod random;
mod read;
mod repair;
mod repository;
mod settings;
mod signed;
mod since;

mod snapshots;
mod statement;
mod wal;
mod window;
mod write;

pub use base::DeltaPolicy;
pub use check::{ChunkChecker, PackCheck, Stand};
pub use codec::{Compressor, Encoded, Encoding, MAX_CHUNK, decode};
pub use contents::{Contents, PartReferences, Survey};
pub use copy::{CopyPlan, CopyReport, Wanted};
pub use heads::{HeadScan, KnownHead};
pub use keys::KeyStanding;
pub use layout::FORMAT;
pub use lease::Lease;
pub use open::NewKey;
pub use prune::{PruneAction, PruneOptions, PrunePlan, PruneReport, PruneStep};
pub use random::set_id;
pub use repair::RepairReport;
pub use repository::Repository;
pub use settings::{DeltaMode, Settings};
pub use snapshots::SnapshotScan;
pub use statement::StatementSignature;
pub use wal::{PreparedWal, WalEntry, WalHead, WalLog, WalObject, WalPut, WalTally};
pub use write::{SnapshotDraft, SnapshotWriter};

use backup_core::{Error, ErrorKind, Result};

/// Longest chain of bases that a reader follows.
pub(crate) const MAX_DEPTH: u8 = 7;

/// Runs a computation off the async threads.
pub(crate) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T> + Send + 'static,
) -> Result<T> {
    tokio::task::spawn_blocking(work)
        .await
        .map_err(|error| Error::new(ErrorKind::Failed, "compute").because(error))?
}
