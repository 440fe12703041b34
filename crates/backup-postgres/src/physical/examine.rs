//! Is a stored cluster what its manifest says? Asked of the repository, without restoring.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

use backup_core::port::{Observer, PartSource, SegmentInfo};
use backup_core::{ErrorKind, Event, PartName, Result, Snapshot};
use crc_fast::{CrcAlgorithm, Digest};
use futures::TryStreamExt;

use super::MANIFEST;
use super::backup::is_listed;
use super::facts::ClusterFacts;
use super::files::address::PIECE;
use super::files::row::{Kind, Row};
use super::manifest::{ManifestFile, ManifestReader, WalRange};
use super::wal::segment_name;

/// Problems that are told one by one; more are counted.
const TOLD: usize = 20;

/// What a look at a stored cluster found.
#[derive(Debug, Default)]
pub struct ClusterCheck {
    /// Files that were compared with the manifest.
    pub files: u64,
    /// Bytes whose checksums were computed.
    pub bytes: u64,
    /// What is wrong, by the part it is in.
    pub problems: Vec<(PartName, String)>,
}

/// Compares what is stored of a cluster with its manifest: every file that it lists is there, with
/// its size and checksum, and none that it does not list; the bytes of each are stored where the
/// list says; and the WAL that a copy needs is complete. With `contents` the checksums are computed
/// from the stored bytes, else they are those that were noted when the files came.
///
/// Damage is in the result; an error means that the looking itself failed. `Unsupported` for a
/// snapshot that is not physical.
pub async fn check_cluster(
    snapshot: &Snapshot,
    parts: &Arc<dyn PartSource>,
    contents: bool,
    observer: &dyn Observer,
) -> Result<ClusterCheck> {
    let facts = ClusterFacts::of(snapshot)?;
    let mut look = Look {
        parts: &**parts,
        contents,
        observer,
        files: HashMap::new(),
        wal: BTreeSet::new(),
        check: ClusterCheck::default(),
    };
    let lists = parts
        .parts()
        .iter()
        .filter_map(|part| part.name.as_str().strip_prefix("files/").map(ToOwned::to_owned));
    for group in lists.collect::<Vec<_>>() {
        look.group(&group).await.or_else(|error| look.damaged(&format!("files/{group}"), error))?;
    }
    let ranges = look.manifest(&facts.system).await;
    match ranges {
        Ok(ranges) => look.needed(&ranges, &facts),
        Err(error) => look.damaged(MANIFEST, error)?,
    }
    Ok(look.finish())
}

struct Look<'a> {
    parts: &'a dyn PartSource,
    contents: bool,
    observer: &'a dyn Observer,
    /// Size and CRC-32C of the files that the manifest must list, by a hash of the path.
    files: HashMap<u64, (u64, Option<u32>)>,
    wal: BTreeSet<String>,
    check: ClusterCheck,
}

impl Look<'_> {
    /// Looks at the files of one group.
    async fn group(&mut self, group: &str) -> Result<()> {
        let (list, data) = (format!("files/{group}"), PartName::new(format!("data/{group}")));
        let segments = self.parts.segments(&data).await?;
        // Those of one bundle together, so that it is read once.
        let mut places: BTreeMap<u64, Vec<Row>> = BTreeMap::new();
        let name = PartName::new(list.as_str());
        for position in 0..self.parts.segments(&name).await?.len() {
            let lines = read(self.parts, &name, position).await?;
            for row in Row::read_all(&lines)? {
                if row.kind != Kind::File {
                    continue;
                }
                self.listed(&list, &row);
                if let Some(at) = row.at.filter(|_| row.bytes > 0) {
                    places.entry(at).or_default().push(row);
                } else if row.bytes > 0 {
                    self.wrong(&list, format!("{}: nothing says where its bytes are", row.path));
                }
            }
        }
        for (at, rows) in places {
            self.stored(&data, &segments, at, &rows).await?;
        }
        Ok(())
    }

    fn listed(&mut self, list: &str, row: &Row) {
        if let Some(name) = row.path.strip_prefix("pg_wal/") {
            self.wal.insert(name.to_owned());
        }
        let twice = is_listed(&row.path)
            && self.files.insert(key(&row.path), (row.bytes, row.crc32c)).is_some();
        if twice {
            self.wrong(list, format!("{}: it is listed twice", row.path));
        }
    }

    /// Looks at the bytes of a file of its own, or of all files in one bundle.
    async fn stored(
        &mut self,
        data: &PartName,
        segments: &[SegmentInfo],
        at: u64,
        rows: &[Row],
    ) -> Result<()> {
        let find =
            |address: u64| segments.binary_search_by_key(&address, |segment| segment.address).ok();
        let part = data.as_str();
        if let [row] = rows
            && row.offset.is_none()
        {
            let mut crc = Digest::new(CrcAlgorithm::Crc32Iscsi);
            for piece in 0..row.bytes.div_ceil(PIECE as u64) {
                let length = (row.bytes - piece * PIECE as u64).min(PIECE as u64);
                let position = find(at + piece);
                let there = position.and_then(|at| segments.get(at)).map(|found| found.bytes);
                let Some(position) = position.filter(|_| there == Some(length)) else {
                    self.wrong(part, format!("{}: MiB {piece} is missing", row.path));
                    return Ok(());
                };
                if self.contents {
                    let bytes = read(self.parts, data, position).await?;
                    self.seen(bytes.len());
                    crc.update(&bytes);
                }
            }
            self.compare(part, row, crc.finalize() as u32);
            return Ok(());
        }
        let Some((position, segment)) = find(at).and_then(|at| Some((at, segments.get(at)?)))
        else {
            for row in rows {
                self.wrong(part, format!("{}: its bytes are missing", row.path));
            }
            return Ok(());
        };
        let bytes =
            if self.contents { read(self.parts, data, position).await? } else { Vec::new() };
        self.seen(bytes.len());
        for row in rows {
            let begin = row.offset.unwrap_or(u64::MAX);
            let end = begin.saturating_add(row.bytes);
            if end > segment.bytes {
                self.wrong(part, format!("{}: its bytes are missing", row.path));
                continue;
            }
            let range = usize::try_from(begin).ok().zip(usize::try_from(end).ok());
            let own = range.and_then(|(begin, end)| bytes.get(begin..end)).unwrap_or_default();
            let mut crc = Digest::new(CrcAlgorithm::Crc32Iscsi);
            crc.update(own);
            self.compare(part, row, crc.finalize() as u32);
        }
        Ok(())
    }

    fn compare(&mut self, part: &str, row: &Row, crc: u32) {
        if self.contents && row.crc32c.is_some_and(|noted| noted != crc) {
            self.wrong(part, format!("{}: its checksum is another", row.path));
        }
    }

    /// Reads the manifest, comparing each file; returns the WAL that it says is needed.
    async fn manifest(&mut self, system: &str) -> Result<Vec<WalRange>> {
        let name = PartName::new(MANIFEST);
        let mut reader = ManifestReader::default();
        for position in 0..self.parts.segments(&name).await?.len() {
            let bytes = read(self.parts, &name, position).await?;
            reader.feed(&bytes, |file| {
                self.in_manifest(&file);
                Ok(())
            })?;
        }
        let end = reader.finish()?;
        if end.system.is_some_and(|of| of != system) {
            self.wrong(MANIFEST, "it is of another cluster".to_owned());
        }
        if !self.files.is_empty() {
            let left = self.files.len();
            self.wrong(MANIFEST, format!("it does not list {left} files that are stored"));
        }
        Ok(end.ranges)
    }

    fn in_manifest(&mut self, file: &ManifestFile) {
        if !is_listed(&file.path) {
            return;
        }
        self.check.files += 1;
        match self.files.remove(&key(&file.path)) {
            None => self.wrong(MANIFEST, format!("{}: it is not stored", file.path)),
            Some((bytes, _)) if bytes != file.bytes => self.wrong(
                MANIFEST,
                format!("{}: {bytes} bytes are stored, not {}", file.path, file.bytes),
            ),
            Some((_, crc)) if file.crc32c.is_some() && crc != file.crc32c => {
                self.wrong(MANIFEST, format!("{}: its checksum is another", file.path));
            }
            Some(_) => {}
        }
    }

    /// Looks for the WAL from start to stop.
    fn needed(&mut self, ranges: &[WalRange], facts: &ClusterFacts) {
        let size = facts.wal_segment_bytes.max(1);
        let timelines: BTreeSet<u32> = ranges.iter().map(|range| range.timeline).collect();
        let last = facts.stop.0.saturating_sub(1) / size;
        for number in facts.start.0 / size..=last {
            let mut names = timelines.iter().map(|timeline| segment_name(*timeline, number, size));
            if !names.any(|name| self.wal.contains(&name)) {
                self.wrong("files/wal", format!("WAL segment {number} is missing"));
            }
        }
        let covers = ranges.iter().any(|range| range.start <= facts.start)
            && ranges.iter().any(|range| range.end >= facts.stop);
        if !covers {
            self.wrong(MANIFEST, "it names other WAL than from start to stop".to_owned());
        }
    }

    fn seen(&mut self, bytes: usize) {
        self.check.bytes += bytes as u64;
        self.observer.on_event(&Event::Progress { bytes: bytes as u64 });
    }

    fn wrong(&mut self, part: &str, what: String) {
        self.check.problems.push((PartName::new(part), what));
    }

    /// Damage that keeps from looking further is a problem of that part; anything else is an error.
    fn damaged(&mut self, part: &str, error: backup_core::Error) -> Result<()> {
        if error.kind() != ErrorKind::Integrity {
            return Err(error);
        }
        self.wrong(part, error.to_string());
        Ok(())
    }

    fn finish(mut self) -> ClusterCheck {
        let more = self.check.problems.len().saturating_sub(TOLD);
        if more > 0 {
            self.check.problems.truncate(TOLD);
            self.wrong(MANIFEST, format!("{more} more problems"));
        }
        self.check
    }
}

fn key(path: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    path.hash(&mut hasher);
    hasher.finish()
}

async fn read(parts: &dyn PartSource, part: &PartName, position: usize) -> Result<Vec<u8>> {
    let mut stream = parts.read(part, position).await?;
    let mut bytes = Vec::new();
    while let Some(piece) = stream.try_next().await? {
        bytes.extend_from_slice(&piece);
    }
    Ok(bytes)
}
