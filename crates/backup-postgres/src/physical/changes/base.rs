//! The earlier snapshot: whether it may serve, and its files.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use backup_core::port::{BaseSnapshot, PartSink, PartSource, SegmentInfo};
use backup_core::{Error, ErrorKind, PartName, Result};
use futures::TryStreamExt;

use crate::physical::MANIFEST;
use crate::physical::facts::ClusterFacts;
use crate::physical::files::address::PIECE;
use crate::physical::files::name::{Group, Relation, classify};
use crate::physical::files::row::{Kind, Row};

/// So many snapshots in a row may be read by changes; the next one is read whole, which looks at
/// every page of the disk again.
const MOST_IN_A_ROW: u32 = 6;

/// An earlier snapshot that unchanged blocks are taken over from.
pub(crate) struct Base {
    pub(crate) facts: ClusterFacts,
    /// Its id, for people.
    pub(crate) name: String,
    /// The whole id.
    pub(crate) id: String,
    parts: Arc<dyn PartSource>,
}

/// Why everything is read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum NoBase {
    /// As it should be: a first snapshot, an older server, asked for.
    Expected,
    /// A person may want to know.
    Because(String),
}

impl Base {
    /// Looks for a snapshot that may serve for a cluster.
    pub(crate) async fn find(
        sink: &dyn PartSink,
        cluster: &ClusterFacts,
    ) -> Result<std::result::Result<Self, NoBase>> {
        let Some(BaseSnapshot { snapshot, parts }) = sink.base().await? else {
            return Ok(Err(NoBase::Expected));
        };
        let Ok(facts) = ClusterFacts::of(&snapshot) else { return Ok(Err(NoBase::Expected)) };
        if let Some(reason) = refuse(&facts, cluster, snapshot.is_suspect()) {
            return Ok(Err(reason));
        }
        let (name, id) = (snapshot.id.short(), snapshot.id.to_string());
        Ok(Ok(Self { facts, name, id, parts }))
    }

    /// Returns PostgreSQL's manifest of it.
    pub(crate) async fn manifest(&self) -> Result<Vec<u8>> {
        let name = PartName::new(MANIFEST);
        let mut bytes = Vec::new();
        for position in 0..self.parts.segments(&name).await?.len() {
            bytes.extend(read_segment(&*self.parts, &name, position).await?);
        }
        Ok(bytes)
    }

    /// Returns the relation files of a group; none where it has no such group.
    pub(crate) async fn group(&self, group: Group) -> Result<BaseGroup> {
        let list = PartName::new(format!("files/{group}"));
        let data = PartName::new(format!("data/{group}"));
        let parts = Arc::clone(&self.parts);
        let is_there = |name: &PartName| parts.parts().iter().any(|part| part.name == *name);
        if !is_there(&list) || !is_there(&data) {
            return Ok(BaseGroup { parts, data, ..BaseGroup::none(&self.parts) });
        }
        let mut files = HashMap::new();
        for position in 0..parts.segments(&list).await?.len() {
            let lines = read_segment(&*parts, &list, position).await?;
            for row in Row::read_all(&lines)? {
                if let (Some(relation), Kind::File, Some(at)) =
                    (classify(&row.path).1, row.kind, row.at)
                {
                    let sums = row.sums().unwrap_or_default();
                    let file = BaseFile { bytes: row.bytes, at, offset: row.offset, sums };
                    files.insert(relation, file);
                }
            }
        }
        let segments = parts.segments(&data).await?;
        Ok(BaseGroup { parts, data, segments, files, last: Mutex::default() })
    }
}

/// Returns why a snapshot may not serve; nothing if it may.
fn refuse(base: &ClusterFacts, now: &ClusterFacts, is_suspect: bool) -> Option<NoBase> {
    let because = |text: String| Some(NoBase::Because(text));
    if base.system != now.system || base.version / 10_000 != now.version / 10_000 {
        return Some(NoBase::Expected);
    }
    if is_suspect {
        return because("the last snapshot is suspect".to_owned());
    }
    let sizes = |facts: &ClusterFacts| {
        (facts.block_bytes, facts.relation_segment_bytes, facts.wal_segment_bytes)
    };
    // Turning checksums on writes every page, and no WAL.
    if sizes(base) != sizes(now) || base.checksums != now.checksums {
        return because("page checksums were turned on or off, or sizes changed".to_owned());
    }
    let row = base.incremental.as_ref().map_or(0, |incremental| incremental.in_a_row);
    if row >= MOST_IN_A_ROW {
        return because(format!("the last {row} snapshots were read by changes alone"));
    }
    None
}

/// The relation files of one group.
pub(crate) struct BaseGroup {
    parts: Arc<dyn PartSource>,
    data: PartName,
    segments: Vec<SegmentInfo>,
    files: HashMap<Relation, BaseFile>,
    /// The bundle that was read last: its files are asked for one after the other.
    last: Mutex<Option<(usize, Arc<Vec<u8>>)>>,
}

/// One file of the base.
#[derive(Clone, Debug)]
pub(crate) struct BaseFile {
    pub(crate) bytes: u64,
    pub(crate) at: u64,
    /// Where it begins in its bundle; `None` for a file of its own.
    pub(crate) offset: Option<u64>,
    /// CRC-32C of each MiB of a file of its own.
    pub(crate) sums: Vec<u32>,
}

impl BaseFile {
    /// Returns how many bytes its piece of that number has.
    pub(crate) fn piece_bytes(&self, piece: u64) -> u64 {
        self.bytes.saturating_sub(piece.saturating_mul(PIECE as u64)).min(PIECE as u64)
    }
}

impl BaseGroup {
    fn none(parts: &Arc<dyn PartSource>) -> Self {
        Self {
            parts: Arc::clone(parts),
            data: PartName::new(""),
            segments: Vec::new(),
            files: HashMap::new(),
            last: Mutex::default(),
        }
    }

    /// Returns a file, if the base has it.
    pub(crate) fn file(&self, relation: Relation) -> Option<&BaseFile> {
        self.files.get(&relation)
    }

    /// Reads a piece of a file; empty behind its end.
    pub(crate) async fn read(&self, file: &BaseFile, piece: u64) -> Result<Vec<u8>> {
        let length = file.piece_bytes(piece);
        if length == 0 {
            return Ok(Vec::new());
        }
        let (address, begin) = match file.offset {
            Some(offset) => (file.at, offset + piece * PIECE as u64),
            None => (file.at + piece, 0),
        };
        let found = self.segments.binary_search_by_key(&address, |segment| segment.address);
        let position = found.map_err(|_| lacks(address))?;
        let bytes = match file.offset {
            Some(_) => self.bundle(position).await?,
            None => Arc::new(read_segment(&*self.parts, &self.data, position).await?),
        };
        let range = usize::try_from(begin).ok().zip(usize::try_from(begin + length).ok());
        let piece = range.and_then(|(begin, end)| bytes.get(begin..end));
        piece.map(<[u8]>::to_vec).ok_or_else(|| lacks(address))
    }

    async fn bundle(&self, position: usize) -> Result<Arc<Vec<u8>>> {
        let last = self.last.lock().map_err(|_| lacks(0))?.clone();
        if let Some((_, bytes)) = last.filter(|(known, _)| *known == position) {
            return Ok(bytes);
        }
        let bytes = Arc::new(read_segment(&*self.parts, &self.data, position).await?);
        *self.last.lock().map_err(|_| lacks(0))? = Some((position, Arc::clone(&bytes)));
        Ok(bytes)
    }
}

fn lacks(address: u64) -> Error {
    Error::new(ErrorKind::Integrity, "read file of earlier snapshot")
        .with("address", address)
        .because("its bytes are not where its list says")
        .hint("Take this snapshot with --full-read, and verify the one before with --read-data.")
}

async fn read_segment(parts: &dyn PartSource, part: &PartName, position: usize) -> Result<Vec<u8>> {
    let mut stream = parts.read(part, position).await?;
    let mut bytes = Vec::new();
    while let Some(piece) = stream.try_next().await? {
        bytes.extend_from_slice(&piece);
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::physical::facts::Incremental;

    #[test]
    fn what_cannot_be_relied_on_is_no_base() {
        let facts = ClusterFacts {
            system: "1".into(),
            version: 180_000,
            checksums: true,
            ..ClusterFacts::default()
        };
        let refused = |change: fn(&mut ClusterFacts)| {
            let mut base = facts.clone();
            change(&mut base);
            refuse(&base, &facts, false)
        };
        assert_eq!(refused(|_| {}), None);
        assert_eq!(refused(|base| base.system = "2".into()), Some(NoBase::Expected));
        assert_eq!(refused(|base| base.version = 170_009), Some(NoBase::Expected));
        assert!(matches!(refused(|base| base.checksums = false), Some(NoBase::Because(_))));
        assert!(matches!(refused(|base| base.block_bytes = 1), Some(NoBase::Because(_))));
        let often = |row| Some(Incremental { in_a_row: row, ..Incremental::default() });
        let mut base = ClusterFacts { incremental: often(MOST_IN_A_ROW - 1), ..facts.clone() };
        assert_eq!(refuse(&base, &facts, false), None);
        assert!(refuse(&base, &facts, true).is_some());
        base.incremental = often(MOST_IN_A_ROW);
        assert!(matches!(refuse(&base, &facts, false), Some(NoBase::Because(_))));
    }
}
