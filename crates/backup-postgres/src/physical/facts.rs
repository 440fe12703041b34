//! What is known of a cluster: read from the server, kept with the snapshot, read back.

use std::collections::BTreeMap;

use backup_core::{Error, ErrorKind, Lsn, Result, Snapshot, SnapshotKind};
use serde::{Deserialize, Serialize};

use crate::replication::Replication;

/// What stands for the database in the identity of a physical source.
pub const WHOLE_CLUSTER: &str = "cluster";

/// The name under which the facts are kept in the snapshot's evidence.
const FACT: &str = "cluster";

/// Settings that a copy needs at least as high, or the same, to recover.
const NEEDED: &[&str] = &[
    "max_connections",
    "max_worker_processes",
    "max_wal_senders",
    "max_prepared_transactions",
    "max_locks_per_transaction",
    "shared_preload_libraries",
];

/// Facts of a cluster and of one backup of it, in the snapshot's evidence as JSON.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ClusterFacts {
    /// The system identifier, decimal.
    pub system: String,
    /// The server's version, `150004`.
    pub version: u32,
    /// Where recovery begins.
    pub start: Lsn,
    /// Where a copy is consistent.
    pub stop: Lsn,
    /// The timeline at the start.
    pub timeline: u32,
    /// Bytes of a WAL segment.
    pub wal_segment_bytes: u64,
    /// Bytes of a page.
    pub block_bytes: u64,
    /// Bytes at which the next file of a relation begins.
    pub relation_segment_bytes: u64,
    /// Whether pages have checksums.
    pub checksums: bool,
    /// Whether it was taken from a standby.
    pub standby: bool,
    /// Where tablespaces are on the server, by oid.
    pub tablespaces: BTreeMap<u32, String>,
    /// Settings that a copy needs, by name.
    pub settings: BTreeMap<String, String>,
    /// The database that was named when the backup was taken; empty in snapshots of before it
    /// was recorded.
    pub database: String,
    /// The role the cluster was made with, which may do everything; empty where it could not be
    /// asked for, and in snapshots of before it was recorded.
    pub superuser: String,
    /// How it was read by what had changed; absent when everything was read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub incremental: Option<Incremental>,
}

/// How a cluster was read by what had changed since an earlier snapshot.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Incremental {
    /// The earlier snapshot.
    pub base: String,
    /// How many in a row were read so, with this one.
    pub in_a_row: u32,
    /// Bytes that were read from the server.
    pub read_bytes: u64,
    /// Bytes that were taken over unread.
    pub kept_bytes: u64,
}

impl ClusterFacts {
    /// Reads a snapshot's facts.
    ///
    /// # Errors
    /// `Unsupported` for a snapshot that is not physical, `Integrity` if the facts are missing.
    pub fn of(snapshot: &Snapshot) -> Result<Self> {
        if snapshot.kind != SnapshotKind::Physical {
            return Err(Error::new(ErrorKind::Unsupported, "read facts of cluster")
                .with("snapshot", snapshot.id.short())
                .because("the snapshot is not physical"));
        }
        let text = snapshot.evidence.facts.get(FACT);
        let facts = text.and_then(|text| serde_json::from_str(text).ok());
        facts.ok_or_else(|| {
            Error::new(ErrorKind::Integrity, "read facts of cluster")
                .with("snapshot", snapshot.id.short())
        })
    }

    /// Returns the facts as evidence keeps them.
    pub(crate) fn to_evidence(&self) -> Result<BTreeMap<String, String>> {
        let text = serde_json::to_string(self)
            .map_err(|error| Error::new(ErrorKind::Failed, "write facts").because(error))?;
        Ok(BTreeMap::from([(FACT.to_owned(), text)]))
    }

    /// Asks a server, over the replication protocol alone.
    pub(crate) async fn ask(session: &mut Replication) -> Result<Self> {
        let identity = session.identify().await?;
        let version = session.server_version_num();
        if version < 120_000 {
            return Err(Error::new(ErrorKind::Unsupported, "back up cluster")
                .with("server", session.server_version())
                .hint("Physical backups need PostgreSQL 12 or newer; take logical ones."));
        }
        let mut facts = Self {
            system: identity.system,
            version,
            timeline: identity.timeline,
            wal_segment_bytes: session.wal_segment_size().await?,
            block_bytes: number(&session.show("block_size").await?)?,
            checksums: session.show("data_checksums").await? == "on",
            ..Self::default()
        };
        let segment = session.show("segment_size").await?;
        facts.relation_segment_bytes = size(&segment, facts.block_bytes)
            .ok_or_else(|| unreadable("segment_size", &segment))?;
        if version >= 140_000 {
            facts.standby = session.show("in_hot_standby").await? == "on";
        }
        for name in NEEDED {
            // Some may only be read by privileged roles; a copy then starts with its own.
            if let Ok(value) = session.show(name).await {
                facts.settings.insert((*name).to_owned(), value);
            }
        }
        Ok(facts)
    }
}

fn number(text: &str) -> Result<u64> {
    text.parse().map_err(|_| unreadable("block_size", text))
}

/// `1GB`, `131072` (blocks).
fn size(text: &str, block: u64) -> Option<u64> {
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let unit = match text.get(digits.len()..)? {
        "" => block,
        "kB" => 1 << 10,
        "MB" => 1 << 20,
        "GB" => 1 << 30,
        _ => return None,
    };
    let size = digits.parse::<u64>().ok()?.checked_mul(unit)?;
    // Pieces of one MiB must not straddle two files.
    (size > 0 && size.is_multiple_of(1 << 20)).then_some(size)
}

fn unreadable(setting: &'static str, value: &str) -> Error {
    Error::new(ErrorKind::Unsupported, "read server setting").with(setting, value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_of_relation_files_are_multiples_of_pieces() {
        assert_eq!(size("1GB", 8192), Some(1 << 30));
        assert_eq!(size("131072", 8192), Some(1 << 30));
        assert_eq!(size("512kB", 8192), None);
        assert_eq!(size("", 8192), None);
    }
}
