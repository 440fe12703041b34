//! The vocabulary and the ports of the backup system.
//!
//! **What it is.** The words every other crate speaks (ids, sizes, snapshots, evidence,
//! events, errors) and the traits through which they meet: [`port::Store`] (where bytes rest),
//! [`port::Provider`] (what is backed up and restored), [`port::Observer`] (who watches),
//! [`port::Notifier`] (who is told), [`port::AlertLedger`] (what is remembered of that) and
//! [`port::Notifier`] (who is told), [`port::Catalog`] (what is remembered of runs) and
//! [`port::Clock`] (what time it is).
//!
//! **What it is not.** It does no IO, reads no clock or environment, and knows no vendor,
//! protocol, storage service or terminal.
//!
//! ```
//! use backup_core::{ByteSize, SnapshotId};
//!
//! let id: SnapshotId = "00112233445566778899aabbccddeeff".parse()?;
//! assert_eq!(id.short(), "00112233");
//! assert_eq!(ByteSize(32 << 20).to_string(), "32.0 MiB");
//! # Ok::<(), backup_core::Error>(())
//! ```

mod error;
mod event;
mod evidence;
mod fingerprint;
mod head;
mod id;
mod lsn;
mod name;
mod owned;
pub mod port;
mod protection;
mod run;
mod secret;
mod set;
mod size;
mod snapshot;
mod wal;

pub use error::{Error, ErrorKind, ErrorStatus, Result};
pub use event::{Event, Severity};
pub use evidence::{
    Evidence, Finding, FindingKind, RowSet, SequenceEvidence, TableEvidence, TreeEvidence,
};
pub use fingerprint::Fingerprint;
pub use head::{HeadRecord, Listed, SnapshotHead};
pub use id::{ChunkId, IndexId, KeyId, PackId, RepositoryId, RunId, SetId, SnapshotId, WriterId};
pub use lsn::Lsn;
pub use name::{ObjectName, PartName, SourceName};
pub use owned::{OwnedName, Purpose};
pub use protection::{Verified, VerifyLevel};
pub use run::{JobKey, JobKind, Run, RunError, RunPhase, RunState, Trigger};
pub use secret::Secret;
pub use set::SetPlace;
pub use size::ByteSize;
pub use snapshot::{Layout, Part, Snapshot, SnapshotKind, SnapshotRecord, SourceIdentity};
pub use wal::{RestorePoint, WalFacts, WalFile, WalInstant, WalSegment};
