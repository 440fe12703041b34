//! Proof that a copy is what it should be: of this cluster, of this backup, with all of its WAL.

use std::collections::BTreeSet;

use backup_core::{Error, ErrorKind, Lsn, Result};

use crate::physical::changes::Base;
use crate::physical::facts::ClusterFacts;
use crate::physical::label::Label;
use crate::physical::wal::{self, WalRules};

pub(super) const COPY: &str = "copy cluster";

/// Looks at the files that say whether the copy is what it should be.
pub(super) struct Reader<'a> {
    pub(super) facts: &'a ClusterFacts,
    wal: WalRules,
    segments: BTreeSet<String>,
    has_control: bool,
    has_label: bool,
    /// What unchanged blocks are taken over from.
    pub(super) base: Option<&'a Base>,
    /// Bytes of files that came.
    pub(super) received: u64,
}

impl<'a> Reader<'a> {
    pub(super) fn new(facts: &'a ClusterFacts, base: Option<&'a Base>) -> Result<Self> {
        Ok(Self {
            facts,
            wal: WalRules { system: system(facts)?, segment: facts.wal_segment_bytes },
            segments: BTreeSet::new(),
            has_control: false,
            has_label: false,
            base,
            received: 0,
        })
    }

    /// Looks at a file: its size and its beginning.
    pub(super) fn look(&mut self, path: &str, bytes: u64, head: &[u8]) -> Result<()> {
        match path {
            "backup_label" => {
                let label = Label::parse(head)?;
                let expected = (self.facts.start, Some(self.facts.timeline));
                if (label.start, label.timeline.or(expected.1)) != expected {
                    return Err(Error::new(ErrorKind::SourceUnavailable, COPY)
                        .with("label", label.start)
                        .with("start", self.facts.start)
                        .because("the backup label is of another backup"));
                }
                self.has_label = true;
            }
            "global/pg_control" => {
                let system = head.get(..8).and_then(|bytes| bytes.try_into().ok());
                if system.map(u64::from_ne_bytes) != Some(self.wal.system) {
                    return Err(other_cluster("pg_control"));
                }
                self.has_control = true;
            }
            _ => {
                if let Some(name) = path.strip_prefix("pg_wal/")
                    && wal::parse_name(name, self.wal.segment).is_some()
                {
                    self.wal.check(name, bytes, head.get(..wal::HEADER).unwrap_or(head))?;
                    self.segments.insert(name.to_owned());
                }
            }
        }
        Ok(())
    }

    /// Says whether everything was there, once all files were seen.
    pub(super) fn finish(&self, stop: Lsn, timeline: u32) -> Result<()> {
        if !self.has_control || !self.has_label {
            return Err(Error::new(ErrorKind::SourceUnavailable, COPY)
                .because("the copy lacks its control file or its backup label"));
        }
        self.wal.check_complete(&self.segments, self.facts.start, stop, timeline)
    }
}

pub(super) fn system(facts: &ClusterFacts) -> Result<u64> {
    facts.system.parse().map_err(|_| {
        Error::new(ErrorKind::SourceUnavailable, COPY).with("system identifier", &facts.system)
    })
}

pub(super) fn other_cluster(place: &'static str) -> Error {
    Error::new(ErrorKind::SourceUnavailable, COPY)
        .with("place", place)
        .because("it is of another cluster than the one that answered first")
        .hint("Name the server's own address, not one that several servers share.")
}
