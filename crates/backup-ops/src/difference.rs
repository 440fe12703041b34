//! What changed from one snapshot to another, and where something was last seen. Pure: manifests
//! tell it all, nothing is read back.

use std::collections::{BTreeMap, BTreeSet};

use backup_core::{Fingerprint, Part, Snapshot, SnapshotRecord, SourceName, TableEvidence};

/// The stream whose contents [`Evidence::schema`](backup_core::Evidence) tells.
const SCHEMA: &str = "schema";

/// How one stream of a snapshot stands to the same of another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// Only the later snapshot has it.
    Added,
    /// Only the earlier snapshot has it.
    Removed,
    /// Both have it, with other contents.
    Changed,
}

impl Change {
    /// Returns the word for it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Added => "added",
            Self::Removed => "removed",
            Self::Changed => "changed",
        }
    }
}

/// One stream in one snapshot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sight {
    /// Its bytes.
    pub bytes: u64,
    /// Its rows, where it is a table.
    pub rows: Option<u64>,
}

/// One stream that is not the same in both.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// Its name.
    pub part: String,
    /// How it differs.
    pub change: Change,
    /// As it was.
    pub before: Option<Sight>,
    /// As it became.
    pub after: Option<Sight>,
}

/// Returns what differs, by name, and how many streams are the same.
///
/// A table is the same when it has the same rows in any order, a schema when it has the same
/// statements, anything else, or what has no fingerprint, when it has the same bytes at the same
/// addresses.
#[must_use]
pub fn compare(before: &Snapshot, after: &Snapshot) -> (Vec<Difference>, u64) {
    let (old, new) = (Streams::of(before), Streams::of(after));
    let names: BTreeSet<&str> = old.parts.keys().chain(new.parts.keys()).copied().collect();
    let mut differences = Vec::new();
    let mut same = 0;
    for name in names {
        let change = match (old.parts.get(name), new.parts.get(name)) {
            (None, _) => Change::Added,
            (_, None) => Change::Removed,
            (Some(a), Some(b)) if is_same((a, old.contents(name)), (b, new.contents(name))) => {
                same += 1;
                continue;
            }
            _ => Change::Changed,
        };
        let (before, after) = (old.sight(name), new.sight(name));
        differences.push(Difference { part: name.to_owned(), change, before, after });
    }
    (differences, same)
}

fn is_same(
    (a, before): (&Part, Option<Fingerprint>),
    (b, after): (&Part, Option<Fingerprint>),
) -> bool {
    match before.zip(after) {
        Some((before, after)) => before == after,
        None => a.bytes == b.bytes && a.map == b.map,
    }
}

/// The streams of one snapshot by name, and its tables by schema and name.
struct Streams<'a> {
    snapshot: &'a Snapshot,
    parts: BTreeMap<&'a str, &'a Part>,
    tables: BTreeMap<(&'a str, &'a str), &'a TableEvidence>,
}

impl<'a> Streams<'a> {
    fn of(snapshot: &'a Snapshot) -> Self {
        let tables = snapshot.evidence.tables.iter();
        Self {
            snapshot,
            parts: snapshot.parts.iter().map(|part| (part.name.as_str(), part)).collect(),
            tables: tables
                .map(|table| ((table.schema.as_str(), table.name.as_str()), table))
                .collect(),
        }
    }

    /// Returns what was counted of the table that a stream holds.
    fn table(&self, name: &str) -> Option<&'a TableEvidence> {
        let attributes = &self.parts.get(name)?.attributes;
        let (schema, table) = (attributes.get("schema")?, attributes.get("table")?);
        self.tables.get(&(schema.as_str(), table.as_str())).copied()
    }

    /// Returns what tells a stream's contents whatever their order, where that was recorded.
    fn contents(&self, name: &str) -> Option<Fingerprint> {
        if let Some(table) = self.table(name) {
            return table.fingerprint;
        }
        // pg_dump writes the time into it: the bytes never are the same.
        if name == SCHEMA { self.snapshot.evidence.schema } else { None }
    }

    fn sight(&self, name: &str) -> Option<Sight> {
        let part = self.parts.get(name)?;
        Some(Sight { bytes: part.bytes, rows: self.table(name).map(|table| table.rows) })
    }
}

/// Where a stream was seen: in how many snapshots of a source, first and last.
#[derive(Clone, Debug)]
pub struct Found<'a> {
    /// The source.
    pub source: &'a SourceName,
    /// The stream's name.
    pub part: String,
    /// Snapshots that have it.
    pub snapshots: u64,
    /// The first of them.
    pub oldest: &'a SnapshotRecord,
    /// The last of them.
    pub newest: &'a SnapshotRecord,
    /// As the last of them has it.
    pub sight: Sight,
    /// Whether the source's newest snapshot of that kind has it.
    pub is_current: bool,
}

/// Returns every stream of a name that `wanted` accepts, by source and name.
pub fn find(records: &[SnapshotRecord], wanted: impl Fn(&str) -> bool) -> Vec<Found<'_>> {
    let mut ordered: Vec<&SnapshotRecord> = records.iter().collect();
    ordered.sort_by_key(|record| (record.snapshot.sequence, record.stored_at));
    let mut newest = BTreeMap::new();
    let mut found: BTreeMap<(&SourceName, &str), Found<'_>> = BTreeMap::new();
    for record in ordered {
        let snapshot = &record.snapshot;
        newest.insert((&snapshot.source, snapshot.kind.as_str()), snapshot.id);
        let streams = Streams::of(snapshot);
        for name in streams.parts.keys().copied().filter(|name| wanted(name)) {
            let Some(sight) = streams.sight(name) else { continue };
            let entry = found.entry((&snapshot.source, name)).or_insert_with(|| Found {
                source: &snapshot.source,
                part: name.to_owned(),
                snapshots: 0,
                oldest: record,
                newest: record,
                sight,
                is_current: false,
            });
            entry.snapshots += 1;
            (entry.newest, entry.sight) = (record, sight);
        }
    }
    let mut found: Vec<Found<'_>> = found.into_values().collect();
    for entry in &mut found {
        let snapshot = &entry.newest.snapshot;
        let last = newest.get(&(&snapshot.source, snapshot.kind.as_str()));
        entry.is_current = last == Some(&snapshot.id);
    }
    found
}

#[cfg(test)]
mod tests {
    use backup_core::{
        ChunkId, Evidence, Fingerprint, Layout, PartName, SnapshotId, SnapshotKind, SourceIdentity,
        Verified,
    };

    use super::*;

    /// A snapshot of tables: name, rows, what tells its rows, what tells its bytes.
    fn snapshot(number: u8, tables: &[(&str, u64, u128, u8)]) -> Snapshot {
        let part = |(name, rows, _, bytes): &(&str, u64, u128, u8)| Part {
            name: PartName::new(format!("table/public.{name}")),
            layout: Layout::Segments,
            bytes: rows * 10,
            segments: 1,
            map: vec![ChunkId([*bytes; 32])],
            attributes: [("schema", "public"), ("table", *name)]
                .map(|(key, value)| (key.to_owned(), value.to_owned()))
                .into(),
        };
        let table = |(name, rows, fingerprint, _): &(&str, u64, u128, u8)| TableEvidence {
            schema: "public".into(),
            name: (*name).into(),
            rows: *rows,
            bytes: rows * 10,
            fingerprint: (*fingerprint > 0).then_some(Fingerprint(*fingerprint)),
            root: None,
        };
        let at = format!("2026-01-{:02}T00:00:00Z", number + 1).parse().unwrap();
        Snapshot {
            id: SnapshotId([number; 16]),
            source: "shop".parse().unwrap(),
            identity: SourceIdentity {
                engine: "x".into(),
                system: "1".into(),
                database: "1".into(),
            },
            kind: SnapshotKind::Logical,
            sequence: u64::from(number),
            previous: None,
            set: None,
            started_at: at,
            finished_at: at,
            writer: backup_core::WriterId([0; 16]),
            program: "test".into(),
            read_bytes: 0,
            added_bytes: 0,
            stored_bytes: 0,
            parts: tables.iter().map(part).collect(),
            evidence: Evidence { tables: tables.iter().map(table).collect(), ..<_>::default() },
        }
    }

    #[test]
    fn a_table_is_the_same_when_its_rows_are() {
        let before = snapshot(1, &[("moved", 5, 9, 1), ("old", 1, 1, 1), ("plain", 2, 0, 1)]);
        let after = snapshot(2, &[("moved", 5, 9, 2), ("new", 3, 1, 1), ("plain", 2, 0, 2)]);
        let (differences, same) = compare(&before, &after);
        let names: Vec<(&str, &str)> =
            differences.iter().map(|d| (d.change.as_str(), d.part.as_str())).collect();
        let expected = [
            ("added", "table/public.new"),
            ("removed", "table/public.old"),
            ("changed", "table/public.plain"),
        ];
        assert_eq!((names.as_slice(), same), (expected.as_slice(), 1));
        assert_eq!(differences[0].after, Some(Sight { bytes: 30, rows: Some(3) }));
        assert_eq!(compare(&before, &before), (Vec::new(), 3));
    }

    #[test]
    fn what_is_gone_is_found_where_it_was_last() {
        let record = |snapshot: Snapshot| SnapshotRecord {
            stored_at: snapshot.finished_at,
            snapshot,
            verified: Verified::default(),
            pinned: false,
        };
        let records = [
            record(snapshot(3, &[("kept", 7, 1, 1)])),
            record(snapshot(1, &[("kept", 5, 1, 1), ("gone", 1, 1, 1)])),
            record(snapshot(2, &[("kept", 6, 1, 1), ("gone", 2, 1, 1)])),
        ];
        let found = find(&records, |name| name.starts_with("table/"));
        let seen: Vec<_> = found
            .iter()
            .map(|f| (f.part.as_str(), f.snapshots, f.newest.snapshot.sequence, f.is_current))
            .collect();
        assert_eq!(seen, [("table/public.gone", 2, 2, false), ("table/public.kept", 3, 3, true)]);
        assert_eq!(found[0].sight.rows, Some(2));
        assert_eq!(found[0].oldest.snapshot.sequence, 1);
        assert!(find(&records, |_| false).is_empty());
    }
}
