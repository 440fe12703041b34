//! How a restored cluster is to recover, and how far it came.

use async_trait::async_trait;
use jiff::Timestamp;

use crate::{Lsn, Result, WalFile};

/// What a restored data directory is told about its recovery. A planner fills it in; the
/// engine that writes the directory turns it into the server's settings.
///
/// The default recovers with what the snapshot itself holds, to its end, and leaves archiving
/// off.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RecoverySettings {
    /// The command that fetches a WAL file (`%f`, `%p` as PostgreSQL means them); `None`: only
    /// the WAL inside the snapshot is replayed.
    pub restore_command: Option<String>,
    /// Where to stop; `None`: at the end of the WAL.
    pub target: Option<RecoveryTarget>,
    /// Whether to stop just before the target (time, LSN and xid only).
    pub exclusive: bool,
    /// Which timeline to follow; `None`: the server's default, the latest.
    pub timeline: Option<RecoveryTimeline>,
    /// What to do once the target is reached; `None`: the server's default, pause.
    pub action: Option<RecoveryAction>,
    /// Which signal file to write.
    pub signal: RecoverySignal,
    /// Whether the copy archives its WAL as the original did. A copy that does writes a
    /// timeline of its own into the original's archive.
    pub keep_archiving: bool,
    /// Further settings, as name and value.
    pub settings: Vec<(String, String)>,
}

/// Where recovery stops.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RecoveryTarget {
    /// As soon as the cluster is consistent.
    Immediate,
    /// At a time, as PostgreSQL reads it, with its zone.
    Time(String),
    /// At a position.
    Lsn(Lsn),
    /// At a transaction's end.
    Xid(u64),
    /// At a restore point's name.
    Name(String),
}

/// Which timeline recovery follows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RecoveryTimeline {
    /// The newest that descends from the snapshot's.
    Latest,
    /// The snapshot's own.
    Current,
    /// This one.
    Number(u32),
}

/// What a server does at its target.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RecoveryAction {
    /// Wait, readable, for a person to decide.
    Pause,
    /// Become a server of its own, on a new timeline.
    Promote,
    /// Stop.
    Shutdown,
}

/// Which signal file stands in the data directory.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum RecoverySignal {
    /// None: crash recovery over the WAL in the snapshot, then open for business.
    #[default]
    None,
    /// `recovery.signal`: recovery from the archive, to the target.
    Recovery,
    /// `standby.signal`: follow for ever.
    Standby,
}

/// Gives a recovering server the WAL files it asks for.
///
/// Contract: `None` only for a confirmed absence, which ends the recovery there; every doubt is
/// an error.
#[async_trait]
pub trait WalFiles: Send + Sync {
    /// Returns the content of a file, checked to be what its name says.
    async fn fetch(&self, file: WalFile) -> Result<Option<Vec<u8>>>;
}

/// How far a restored cluster was brought.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Replay {
    /// The end of the last record that was replayed.
    pub position: Option<Lsn>,
    /// When the last transaction that was replayed ended; nothing when there was none.
    pub last_commit: Option<Timestamp>,
    /// WAL segments that were fetched for it.
    pub segments: u64,
    /// Their bytes.
    pub wal_bytes: u64,
}
