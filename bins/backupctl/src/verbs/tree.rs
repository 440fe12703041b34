//! `ls`, `diff`, `find` and `dump` of snapshots of files: entries, one after the other.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Arc;

use backup::files::difference::{Change, Comparison};
use backup::files::entry::{Kind, show};
use backup::files::list::ListReader;
use backup::files::restore::Chosen;
use backup::files::{Entry, Wanted};
use backup::ops::document::{EntryChangeDocument, EntryDocument, EntryFacts, EntryFoundDocument};
use backup_core::port::PartSource;
use backup_core::{ByteSize, Error, ErrorKind, Result, Snapshot, SnapshotRecord, SourceName};
use bytes::Bytes;
use futures::stream::BoxStream;
use jiff::Timestamp;
use serde::Serialize;

use crate::exit::Ending;
use crate::render;
use crate::session::Session;

/// Lines that are printed at once.
const TOGETHER: usize = 64 << 10;

/// `ls`.
pub(super) async fn ls(session: &Session, snapshot: &Snapshot, paths: &[String]) -> Result<Ending> {
    let parts = parts(session, snapshot).await?;
    let mut chosen = Chosen::open(&parts, Wanted::new(paths)?).await?;
    let mut lines = Lines::new(session);
    let mut count = 0_u64;
    while let Some(entry) = session.interrupt.unless(chosen.next()).await? {
        count += 1;
        if session.screen.json() {
            lines.document(&EntryDocument {
                schema: "backupctl.entry.v1".into(),
                snapshot: snapshot.id.to_string(),
                entry: facts(&entry),
            })?;
        } else {
            lines.text(&line(&entry));
        }
    }
    lines.end();
    if count == 0 {
        return Err(absent(snapshot, &paths.join(", ")));
    }
    // What others of them named is printed all the same.
    chosen.check_fulfilled()?;
    Ok(Ending::Ok)
}

/// `diff`.
pub(super) async fn diff(session: &Session, before: &Snapshot, after: &Snapshot) -> Result<Ending> {
    let old = ListReader::open(parts(session, before).await?).await?;
    let new = ListReader::open(parts(session, after).await?).await?;
    let mut comparison = Comparison::new(old, new);
    let mut lines = Lines::new(session);
    let mut differ = 0;
    while let Some(change) = session.interrupt.unless(comparison.next()).await? {
        differ += 1;
        let (word, old, new) = match &change {
            Change::Added(entry) => ("added", None, Some(entry)),
            Change::Removed(entry) => ("removed", Some(entry), None),
            Change::Changed(old, new) => ("changed", Some(old), Some(new)),
            Change::Metadata(old, new) => ("metadata", Some(old), Some(new)),
        };
        let path = new.or(old).map(|entry| entry.shown()).unwrap_or_default();
        if session.screen.json() {
            lines.document(&EntryChangeDocument {
                schema: "backupctl.entry_change.v1".into(),
                path,
                change: word.into(),
                before: old.map(|entry| facts(entry)),
                after: new.map(|entry| facts(entry)),
            })?;
        } else {
            let size = |entry: Option<&Box<Entry>>| {
                entry
                    .and_then(|entry| entry.file())
                    .map_or_else(|| "-".to_owned(), |data| ByteSize(data.size).to_string())
            };
            lines.text(&format!("{word:<8} {:>10} {:>10}  {path}\n", size(old), size(new)));
        }
    }
    lines.end();
    session.screen.say(&format!(
        "{} differ, {} are the same",
        render::count(differ),
        render::count(comparison.same)
    ));
    Ok(Ending::Ok)
}

/// A file that was found.
struct Found<'a> {
    snapshots: u64,
    oldest: &'a SnapshotRecord,
    newest: &'a SnapshotRecord,
    entry: Entry,
}

/// `find`, in snapshots of files; returns how many were found.
pub(super) async fn find(
    session: &Session,
    records: &[SnapshotRecord],
    matches: impl Fn(&str) -> bool,
) -> Result<u64> {
    let mut ordered: Vec<&SnapshotRecord> = records.iter().collect();
    ordered.sort_by_key(|record| (record.snapshot.sequence, record.stored_at));
    let mut newest: BTreeMap<&SourceName, _> = BTreeMap::new();
    let mut found: BTreeMap<(&SourceName, Vec<u8>), Found<'_>> = BTreeMap::new();
    for record in ordered {
        let snapshot = &record.snapshot;
        newest.insert(&snapshot.source, snapshot.id);
        let mut list = ListReader::open(parts(session, snapshot).await?).await?;
        while let Some(entry) = session.interrupt.unless(list.next()).await? {
            if !matches(&show(&entry.path)) {
                continue;
            }
            let known = found.entry((&snapshot.source, entry.path.clone()));
            let known = known.or_insert_with(|| Found {
                snapshots: 0,
                oldest: record,
                newest: record,
                entry: entry.clone(),
            });
            known.snapshots += 1;
            (known.newest, known.entry) = (record, entry);
        }
    }
    let mut lines = Lines::new(session);
    for ((source, _), found) in &found {
        let (first, last) = (&found.oldest.snapshot, &found.newest.snapshot);
        let current = newest.get(source) == Some(&last.id);
        if session.screen.json() {
            lines.document(&EntryFoundDocument {
                schema: "backupctl.entry_found.v1".into(),
                source: source.to_string(),
                snapshots: found.snapshots,
                oldest: first.id.to_string(),
                oldest_at: first.finished_at,
                newest: last.id.to_string(),
                newest_at: last.finished_at,
                current,
                entry: facts(&found.entry),
            })?;
        } else {
            lines.text(&format!(
                "{source}  {} snapshots, {} to {}  {}  {:<5}  {}  {}\n",
                render::count(found.snapshots),
                render::time(first.finished_at),
                render::time(last.finished_at),
                last.id.short(),
                if current { "there" } else { "gone" },
                ByteSize(found.entry.file().map_or(0, |data| data.size)),
                found.entry.shown(),
            ));
        }
    }
    lines.end();
    Ok(found.len() as u64)
}

/// The contents of a file, for `dump`.
pub(super) async fn contents(
    session: &Session,
    snapshot: &Snapshot,
    path: &str,
) -> Result<BoxStream<'static, Result<Bytes>>> {
    let parts = parts(session, snapshot).await?;
    let mut list = ListReader::open(Arc::clone(&parts)).await?;
    let wanted = path.trim_start_matches("./").trim_matches('/');
    while let Some(entry) = session.interrupt.unless(list.next()).await? {
        if entry.path != wanted.as_bytes() && entry.shown() != wanted {
            continue;
        }
        return match &entry.kind {
            Kind::File(data) => backup::files::contents::contents(&parts, data).await,
            kind => Err(Error::new(ErrorKind::Usage, "dump file")
                .with("path", path)
                .because(format!("it is a {}", word(kind)))),
        };
    }
    Err(absent(snapshot, path))
}

async fn parts(session: &Session, snapshot: &Snapshot) -> Result<Arc<dyn PartSource>> {
    let repository = session.repository().await?;
    session.interrupt.unless(repository.reader(snapshot)).await
}

fn absent(snapshot: &Snapshot, path: &str) -> Error {
    Error::new(ErrorKind::NotFound, "find in snapshot")
        .with("snapshot", snapshot.id.short())
        .with("path", path)
        .hint(format!(
            "`backupctl ls {}` lists its files; paths begin below the root.",
            snapshot.id.short()
        ))
}

/// Gathers lines: there may be millions.
struct Lines<'a> {
    session: &'a Session,
    text: String,
}

impl<'a> Lines<'a> {
    fn new(session: &'a Session) -> Self {
        Self { session, text: String::new() }
    }

    fn text(&mut self, line: &str) {
        self.text.push_str(line);
        if self.text.len() >= TOGETHER {
            self.end();
        }
    }

    fn document<T: Serialize>(&mut self, document: &T) -> Result<()> {
        let mut line = serde_json::to_string(document)
            .map_err(|error| Error::new(ErrorKind::Failed, "write document").because(error))?;
        line.push('\n');
        self.text(&line);
        Ok(())
    }

    fn end(&mut self) {
        if !self.text.is_empty() {
            self.session.screen.data(&std::mem::take(&mut self.text));
        }
    }
}

fn word(kind: &Kind) -> &'static str {
    match kind {
        Kind::Directory => "directory",
        Kind::File(_) => "file",
        Kind::Link(_) => "link",
        Kind::Pipe => "pipe",
        Kind::Character(..) => "character device",
        Kind::Block(..) => "block device",
    }
}

fn facts(entry: &Entry) -> EntryFacts {
    let nanos = i32::try_from(entry.modified.nanos).unwrap_or(0);
    let data = entry.file();
    EntryFacts {
        path: entry.shown(),
        kind: word(&entry.kind).into(),
        bytes: data.map_or(0, |data| data.size),
        mode: format!("{:04o}", entry.mode),
        owner: entry.owner,
        group: entry.group,
        modified: Timestamp::new(entry.modified.seconds, nanos).ok(),
        target: match &entry.kind {
            Kind::Link(target) => Some(show(target)),
            _ => None,
        },
        hash: data.filter(|data| data.size > 0).map(|data| format!("{:016x}", data.hash)),
        torn: data.is_some_and(|data| data.torn),
    }
}

/// As `ls -l` writes it: kind and mode, owners, size, time, path.
fn line(entry: &Entry) -> String {
    let sign = match &entry.kind {
        Kind::Directory => 'd',
        Kind::File(_) => '-',
        Kind::Link(_) => 'l',
        Kind::Pipe => 'p',
        Kind::Character(..) => 'c',
        Kind::Block(..) => 'b',
    };
    let facts = facts(entry);
    let time = facts.modified.map_or_else(|| "-".to_owned(), render::time);
    let mut line = format!(
        "{sign}{} {:>5}:{:<5} {:>10} {time} {}",
        facts.mode,
        facts.owner,
        facts.group,
        ByteSize(facts.bytes),
        facts.path
    );
    if let Some(target) = facts.target {
        // Writing into a String cannot fail.
        let _ = write!(line, " -> {target}");
    }
    line.push('\n');
    line
}
