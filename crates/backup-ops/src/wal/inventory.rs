//! What WAL is stored of one cluster, and whether it is without holes. Pure but for gathering.

use std::collections::BTreeMap;

use backup_core::{Lsn, Result, WalFacts, WalFile, WalSegment};
use backup_repository::{Repository, WalEntry, WalLog, WalObject};
use jiff::Timestamp;

use super::history::{self, Branch};

/// The stored WAL of one cluster.
#[derive(Clone, Debug, Default)]
pub struct Inventory {
    /// Bytes of a segment; 0 while no segment is stored.
    pub segment_size: u64,
    /// By timeline.
    pub timelines: BTreeMap<u32, TimelineWal>,
    /// Files of which contents are stored that contradict each other.
    pub conflicts: Vec<WalFile>,
    /// Segments from which on WAL is recorded as lost.
    pub lost: Vec<WalSegment>,
    /// Bytes that all of it takes in the store.
    pub stored_bytes: u64,
    /// Files.
    pub files: u64,
}

/// What is stored of one timeline.
#[derive(Clone, Debug, Default)]
pub struct TimelineWal {
    /// Whole segments by position.
    pub segments: BTreeMap<Lsn, WalObject>,
    /// Unfinished ones by position, where no whole one is.
    pub partials: BTreeMap<Lsn, WalObject>,
    /// The timelines it came from, oldest first; `None` while its history is not stored.
    pub history: Option<Vec<Branch>>,
}

/// A row of segments without a hole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Run {
    /// Position of its first byte.
    pub start: Lsn,
    /// Position behind its last segment.
    pub end: Lsn,
    /// How many segments.
    pub segments: u64,
    /// When its last segment was stored.
    pub stored_at: Timestamp,
}

impl TimelineWal {
    /// Returns its rows of whole segments, in order; between two of them WAL is missing.
    #[must_use]
    pub fn runs(&self, segment_size: u64) -> Vec<Run> {
        let mut runs: Vec<Run> = Vec::new();
        for (start, object) in &self.segments {
            let end = Lsn(start.0.saturating_add(segment_size));
            match runs.last_mut() {
                Some(run) if run.end == *start => {
                    run.end = end;
                    run.segments += 1;
                    run.stored_at = run.stored_at.max(object.stored_at);
                }
                _ => {
                    runs.push(Run { start: *start, end, segments: 1, stored_at: object.stored_at });
                }
            }
        }
        runs
    }
}

impl Inventory {
    /// Sorts listed objects. `segment_size` is the cluster's; `histories` what is in the history
    /// files.
    #[must_use]
    pub fn sort(
        objects: &[WalObject],
        segment_size: u64,
        histories: BTreeMap<u32, Vec<Branch>>,
    ) -> Self {
        let mut inventory = Self { segment_size, ..Self::default() };
        for object in objects {
            inventory.files += 1;
            inventory.stored_bytes += object.size;
            let file = match object.entry {
                WalEntry::Gap(segment) => {
                    inventory.lost.push(segment);
                    continue;
                }
                // In order: the longest state comes last. What the server archived is final.
                WalEntry::Growing(segment, _) => {
                    let Some(start) = segment.start(segment_size) else { continue };
                    let timeline = inventory.timelines.entry(segment.timeline).or_default();
                    let final_one = timeline
                        .partials
                        .get(&start)
                        .is_some_and(|partial| matches!(partial.entry, WalEntry::File(_)));
                    if !final_one {
                        timeline.partials.insert(start, object.clone());
                    }
                    continue;
                }
                WalEntry::File(file) => file,
            };
            let timeline = inventory.timelines.entry(file.timeline()).or_default();
            let before = match file {
                WalFile::Segment(segment) => {
                    let Some(start) = segment.start(segment_size) else { continue };
                    timeline.segments.insert(start, object.clone())
                }
                WalFile::Partial(segment) => {
                    let Some(start) = segment.start(segment_size) else { continue };
                    timeline.partials.insert(start, object.clone())
                }
                WalFile::History(_) | WalFile::Backup(..) => None,
            };
            if before.is_some() && inventory.conflicts.last() != Some(&file) {
                inventory.conflicts.push(file);
            }
        }
        for (timeline, branches) in histories {
            inventory.timelines.entry(timeline).or_default().history = Some(branches);
        }
        if let Some(first) = inventory.timelines.get_mut(&1) {
            first.history.get_or_insert_default();
        }
        inventory
    }

    /// Returns the way from the beginning to a timeline: each with where it is left, itself last
    /// without an end. `None` while its history is not stored.
    #[must_use]
    pub fn path_to(&self, timeline: u32) -> Option<Vec<(u32, Option<Lsn>)>> {
        let history = self.timelines.get(&timeline)?.history.as_ref()?;
        let mut path: Vec<_> = history.iter().map(|b| (b.timeline, Some(b.end))).collect();
        path.push((timeline, None));
        Some(path)
    }

    /// Returns the stored segment that recovery along a path reads at a position: of the youngest
    /// timeline that has one there, as PostgreSQL does.
    #[must_use]
    pub fn segment_on(&self, path: &[(u32, Option<Lsn>)], start: Lsn) -> Option<(u32, &WalObject)> {
        let end = Lsn(start.0.saturating_add(self.segment_size));
        let mut begin = Lsn(0);
        let mut candidates = Vec::new();
        for (timeline, left) in path {
            // A timeline has WAL of its own from where it began.
            if begin < end && left.is_none_or(|left| left > start) {
                candidates.push(*timeline);
            }
            begin = left.unwrap_or(begin);
        }
        candidates.into_iter().rev().find_map(|timeline| {
            let wal = self.timelines.get(&timeline)?;
            let found = wal.segments.get(&start).or_else(|| wal.partials.get(&start))?;
            Some((timeline, found))
        })
    }

    /// Returns the segments along a path from `from` on, up to the first that is missing.
    #[must_use]
    pub fn walk(&self, path: &[(u32, Option<Lsn>)], from: Lsn) -> Vec<(Lsn, &WalObject)> {
        let mut found = Vec::new();
        if self.segment_size == 0 {
            return found;
        }
        let mut at = from.segment_start(self.segment_size);
        while let Some((timeline, object)) = self.segment_on(path, at) {
            found.push((at, object));
            let Some(next) = at.0.checked_add(self.segment_size) else { break };
            // Behind an unfinished one nothing follows, unless its timeline was left inside it.
            let whole = matches!(object.entry, WalEntry::File(WalFile::Segment(_)));
            let left = |(of, end): &(u32, Option<Lsn>)| {
                *of == timeline && end.is_some_and(|end| end.0 <= next)
            };
            if !whole && !path.iter().any(left) {
                break;
            }
            at = Lsn(next);
        }
        found
    }
}

/// Lists what is stored of a cluster; reads history files and, for the size of segments, one
/// head.
pub async fn take_inventory(repository: &Repository, log: &WalLog) -> Result<Inventory> {
    let objects = repository.wal_objects(log).await?;
    let mut size = 0;
    let mut histories = BTreeMap::new();
    for object in &objects {
        match object.entry {
            WalEntry::File(WalFile::History(timeline)) => {
                let (content, _) = repository.read_wal(object).await?;
                if let Some(branches) = history::parse(&content) {
                    histories.insert(timeline, branches);
                }
            }
            WalEntry::File(WalFile::Segment(_) | WalFile::Partial(_)) | WalEntry::Growing(..)
                if size == 0 =>
            {
                let facts = repository.wal_head(object).await?.facts;
                size = facts.map_or(0, |facts| u64::from(facts.segment_size));
            }
            _ => {}
        }
    }
    Ok(Inventory::sort(&objects, size, histories))
}

/// Reads the heads of these segments, several at a time, in their order.
pub async fn read_heads(
    repository: &Repository,
    segments: &[(Lsn, &WalObject)],
) -> Result<Vec<WalFacts>> {
    use futures::{StreamExt, TryStreamExt};
    const AT_ONCE: usize = 8;
    let heads = segments.iter().map(|(start, object)| async move {
        let facts = repository.wal_head(object).await?.facts;
        Ok(facts.unwrap_or(WalFacts { start: *start, end: *start, ..WalFacts::default() }))
    });
    futures::stream::iter(heads.collect::<Vec<_>>()).buffered(AT_ONCE).try_collect().await
}

#[cfg(test)]
mod tests {
    use super::*;

    pub(crate) const SIZE: u64 = 16 << 20;

    pub(crate) fn object(text: &str) -> WalObject {
        let name = format!(
            "wal/shop/1/{}/{}-0000000000000001",
            text[..8].to_ascii_lowercase(),
            text.to_ascii_lowercase()
        );
        WalObject {
            entry: WalEntry::File(text.parse().unwrap()),
            digest: [0, 0, 0, 0, 0, 0, 0, 1],
            name: name.parse().unwrap(),
            size: 1000,
            stored_at: "2026-11-01T00:00:00Z".parse().unwrap(),
        }
    }

    fn at(number: u64) -> Lsn {
        Lsn(number * SIZE)
    }

    #[test]
    fn behind_an_unfinished_segment_nothing_follows() {
        let names = ["000000010000000000000004", "000000010000000000000005.partial"];
        let objects: Vec<_> =
            names.into_iter().chain(["000000010000000000000006"]).map(object).collect();
        let inventory = Inventory::sort(&objects, SIZE, BTreeMap::new());
        let walked = inventory.walk(&[(1, None)], at(4));
        assert_eq!(walked.iter().map(|(start, _)| *start).collect::<Vec<_>>(), [at(4), at(5)]);
    }

    /// Timeline 1 has 2..6 without 5; timeline 2 left it inside 4 and has 4..5.
    fn forked() -> Inventory {
        let objects: Vec<_> = [
            "000000010000000000000002",
            "000000010000000000000003",
            "000000010000000000000004",
            "000000010000000000000006",
            "000000020000000000000004",
            "000000020000000000000005.partial",
        ]
        .into_iter()
        .map(object)
        .collect();
        let left = Branch { timeline: 1, end: Lsn(at(4).0 + 100) };
        Inventory::sort(&objects, SIZE, [(2, vec![left])].into())
    }

    #[test]
    fn holes_are_seen() {
        let inventory = forked();
        let runs = inventory.timelines[&1].runs(SIZE);
        let ranges: Vec<_> = runs.iter().map(|run| (run.start, run.end, run.segments)).collect();
        assert_eq!(ranges, [(at(2), at(5), 3), (at(6), at(7), 1)]);
        assert!(inventory.conflicts.is_empty());
    }

    #[test]
    fn a_path_takes_the_youngest_timeline_at_each_position() {
        let inventory = forked();
        let two = inventory.path_to(2).unwrap();
        let names = |path: &[(u32, Option<Lsn>)], from| {
            inventory
                .walk(path, from)
                .iter()
                .map(|(_, object)| object.name.file_name()[..24].to_owned())
                .collect::<Vec<_>>()
        };
        assert_eq!(
            names(&two, at(3)),
            ["000000010000000000000003", "000000020000000000000004", "000000020000000000000005"]
        );
        let one = inventory.path_to(1).unwrap();
        assert_eq!(names(&one, at(4)), ["000000010000000000000004"]);
        assert!(inventory.path_to(3).is_none());
        assert!(names(&one, at(5)).is_empty());
    }

    #[test]
    fn two_contents_of_one_segment_are_a_conflict() {
        let one = object("000000010000000000000002");
        let other = WalObject { digest: [9; 8], ..one.clone() };
        let inventory = Inventory::sort(&[one, other], SIZE, BTreeMap::new());
        assert_eq!(inventory.conflicts, ["000000010000000000000002".parse().unwrap()]);
    }
}
