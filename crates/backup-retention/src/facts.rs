//! What a plan is made from.

use backup_core::{HeadRecord, SnapshotId, SnapshotRecord, SourceName, VerifyLevel};
use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde::Serialize;

/// What retention needs to know about one snapshot.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct SnapshotFacts {
    /// Which snapshot.
    pub id: SnapshotId,
    /// Of which source.
    pub source: SourceName,
    /// Its place in the source's history; no clock changes it.
    pub sequence: u64,
    /// When its manifest appeared, by the store's clock; decides its hour, day, week …
    pub stored_at: Timestamp,
    /// When it was finished, by the writer's clock; only compared with `stored_at`, to notice
    /// wrong clocks and copied repositories.
    pub finished_at: Timestamp,
    /// How far it was proved.
    pub level: VerifyLevel,
    /// Whether it cannot be trusted.
    pub suspect: bool,
    /// Whether it is pinned.
    pub pinned: bool,
}

impl From<&SnapshotRecord> for SnapshotFacts {
    fn from(record: &SnapshotRecord) -> Self {
        Self::from(&HeadRecord::from(record))
    }
}

impl From<&HeadRecord> for SnapshotFacts {
    fn from(record: &HeadRecord) -> Self {
        Self {
            id: record.snapshot.id,
            source: record.snapshot.source.clone(),
            sequence: record.snapshot.sequence,
            stored_at: record.stored_at,
            finished_at: record.snapshot.finished_at,
            level: record.verified.level,
            suspect: record.snapshot.is_suspect(),
            pinned: record.pinned,
        }
    }
}

/// The circumstances under which a plan is made.
#[derive(Clone, Debug)]
pub struct Conditions {
    /// The time. It only tells which snapshots claim to be from the future; how old a snapshot
    /// is follows from the other snapshots, so that no clock can make all of them old.
    pub now: Timestamp,
    /// Where days begin.
    pub zone: TimeZone,
    /// The level from which a snapshot counts as verified (`none` counts as `exists`).
    pub required: VerifyLevel,
    /// How the source's last run ended.
    pub last_run: LastRun,
}

impl Conditions {
    /// Creates the usual conditions: UTC, verified from level `read`, nothing known about the
    /// last run beyond the snapshots themselves.
    #[must_use]
    pub fn at(now: Timestamp) -> Self {
        Self { now, zone: TimeZone::UTC, required: VerifyLevel::Read, last_run: LastRun::Unknown }
    }
}

/// How the last run of a source ended, as far as the caller knows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LastRun {
    /// Nothing is known; the newest snapshot speaks for itself.
    #[default]
    Unknown,
    /// It ended well.
    Succeeded,
    /// It failed: nothing may be forgotten.
    Failed,
}
