//! A repository in memory, and a backup and a restore in one call each.

use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use backup_core::port::{
    NoObserver, PartSink, PartSource, RestoreOptions, RestoreReport, SegmentInfo, SegmentSink,
    Source, SourceOptions, Target,
};
use backup_core::{
    Error, ErrorKind, Layout, Part, PartName, Result, Snapshot, SnapshotId, SnapshotKind,
    SourceName, WriterId,
};
use backup_postgres::ConnectOptions;
use backup_postgres::logical::{LogicalSource, LogicalTarget};
use backup_postgres::tools::ToolPaths;
use backup_testkit::postgres::Cluster;
use bytes::Bytes;
use futures::StreamExt;
use futures::stream::BoxStream;

/// Parts of one snapshot, in memory. Holds writers to the sink's contract.
#[derive(Default)]
pub(crate) struct MemoryParts {
    state: Arc<Mutex<BTreeMap<PartName, Stored>>>,
    previous: Vec<Part>,
    list: Vec<Part>,
}

#[derive(Default)]
struct Stored {
    layout: Option<Layout>,
    segments: BTreeMap<u64, Option<Vec<u8>>>,
    attributes: Option<BTreeMap<String, String>>,
}

impl MemoryParts {
    pub(crate) fn after(previous: &Snapshot) -> Self {
        Self { previous: previous.parts.clone(), ..Self::default() }
    }

    /// Commits: every part must have been finished.
    pub(crate) fn commit(mut self) -> Result<Self> {
        let mut list = Vec::new();
        for (name, stored) in self.state.lock().unwrap().iter() {
            let attributes = stored.attributes.clone().ok_or_else(|| unfinished(name))?;
            let lengths = stored.segments.values().map(|bytes| bytes.as_ref().map(Vec::len));
            let bytes: Option<usize> = lengths.sum();
            list.push(Part {
                name: name.clone(),
                layout: stored.layout.unwrap(),
                bytes: bytes.ok_or_else(|| unfinished(name))? as u64,
                segments: stored.segments.len() as u64,
                map: Vec::new(),
                attributes,
            });
        }
        self.list = list;
        Ok(self)
    }

    pub(crate) fn list(&self) -> &[Part] {
        &self.list
    }

    /// Falsifies what a part says of itself.
    pub(crate) fn change_attribute(&mut self, part: &str, name: &str, value: &str) {
        let part = self.list.iter_mut().find(|one| one.name.as_str() == part).unwrap();
        part.attributes.insert(name.to_owned(), value.to_owned());
    }

    /// Returns a part's segments by address.
    pub(crate) fn addressed(&self, part: &str) -> BTreeMap<u64, Vec<u8>> {
        let state = self.state.lock().unwrap();
        let stored = &state[&PartName::new(part)];
        stored.segments.iter().map(|(at, bytes)| (*at, bytes.clone().unwrap())).collect()
    }

    pub(crate) fn bytes(&self, part: &str) -> Vec<u8> {
        let state = self.state.lock().unwrap();
        let stored = state.get(&PartName::new(part)).unwrap_or_else(|| panic!("no part {part}"));
        stored.segments.values().flat_map(|bytes| bytes.clone().unwrap()).collect()
    }
}

fn unfinished(name: &PartName) -> Error {
    Error::new(ErrorKind::Failed, "commit").with("unfinished part", name)
}

#[async_trait]
impl PartSink for MemoryParts {
    fn previous(&self, name: &PartName) -> Option<Part> {
        self.previous.iter().find(|part| part.name == *name).cloned()
    }

    async fn begin_part(&self, name: &PartName, layout: Layout) -> Result<()> {
        let mut state = self.state.lock().unwrap();
        let stored = Stored { layout: Some(layout), ..Stored::default() };
        assert!(state.insert(name.clone(), stored).is_none(), "{name} begun twice");
        Ok(())
    }

    async fn segment(&self, part: &PartName, address: u64) -> Result<Box<dyn SegmentSink>> {
        let mut state = self.state.lock().unwrap();
        let stored = state.get_mut(part).unwrap_or_else(|| panic!("{part} was not begun"));
        assert!(stored.attributes.is_none(), "{part} is finished");
        assert!(stored.segments.insert(address, None).is_none(), "{part} has {address} twice");
        let state = Arc::clone(&self.state);
        Ok(Box::new(MemorySegment { state, part: part.clone(), address, bytes: Vec::new() }))
    }

    async fn finish_part(
        &self,
        name: &PartName,
        attributes: BTreeMap<String, String>,
    ) -> Result<()> {
        let mut state = self.state.lock().unwrap();
        let stored = state.get_mut(name).unwrap();
        if stored.segments.values().any(Option::is_none) {
            return Err(unfinished(name));
        }
        stored.attributes = Some(attributes);
        Ok(())
    }
}

struct MemorySegment {
    state: Arc<Mutex<BTreeMap<PartName, Stored>>>,
    part: PartName,
    address: u64,
    bytes: Vec<u8>,
}

#[async_trait]
impl SegmentSink for MemorySegment {
    async fn write(&mut self, bytes: &[u8]) -> Result<()> {
        self.bytes.extend_from_slice(bytes);
        tokio::task::yield_now().await;
        Ok(())
    }

    async fn finish(self: Box<Self>) -> Result<()> {
        let mut state = self.state.lock().unwrap();
        let stored = state.get_mut(&self.part).unwrap();
        stored.segments.insert(self.address, Some(self.bytes));
        Ok(())
    }
}

#[async_trait]
impl PartSource for MemoryParts {
    fn parts(&self) -> &[Part] {
        &self.list
    }

    async fn segments(&self, part: &PartName) -> Result<Vec<SegmentInfo>> {
        let state = self.state.lock().unwrap();
        let stored = state.get(part).ok_or_else(|| unfinished(part))?;
        let segments = stored.segments.iter().map(|(address, bytes)| SegmentInfo {
            address: *address,
            bytes: bytes.as_ref().unwrap().len() as u64,
        });
        Ok(segments.collect())
    }

    async fn read(
        &self,
        part: &PartName,
        position: usize,
    ) -> Result<BoxStream<'static, Result<Bytes>>> {
        let state = self.state.lock().unwrap();
        let bytes = state[part].segments.values().nth(position).unwrap().clone().unwrap();
        // Odd pieces, so that nothing relies on their borders.
        let pieces: Vec<_> = bytes.chunks(70_001).map(|p| Ok(Bytes::copy_from_slice(p))).collect();
        Ok(futures::stream::iter(pieces).boxed())
    }
}

/// A committed snapshot.
pub(crate) struct Taken {
    pub(crate) snapshot: Snapshot,
    pub(crate) parts: Arc<MemoryParts>,
}

impl Taken {
    pub(crate) fn findings(&self) -> String {
        let findings = self.snapshot.evidence.findings.iter();
        findings.map(|f| format!("{:?}: {}\n", f.kind, f.message)).collect()
    }
}

pub(crate) fn connect(url: &str) -> ConnectOptions {
    ConnectOptions::parse(url).unwrap()
}

/// The programs of these servers, and no others.
pub(crate) fn tools(clusters: &[&Cluster]) -> ToolPaths {
    let folders: Vec<PathBuf> =
        clusters.iter().map(|c| c.bin("pg_dump").parent().unwrap().to_path_buf()).collect();
    ToolPaths::only(folders)
}

pub(crate) fn source_options(jobs: usize) -> SourceOptions {
    SourceOptions {
        kind: SnapshotKind::Logical,
        jobs: NonZeroUsize::new(jobs).unwrap(),
        max_rate: None,
        observer: Arc::new(NoObserver),
    }
}

pub(crate) fn restore_options(jobs: usize) -> RestoreOptions {
    RestoreOptions {
        jobs: NonZeroUsize::new(jobs).unwrap(),
        tables: Vec::new(),
        schemas: Vec::new(),
        no_owner: false,
        no_privileges: false,
        create_roles: false,
        role_map: Vec::new(),
        ordered: false,
        observer: Arc::new(NoObserver),
    }
}

pub(crate) async fn back_up(url: &str, tools: &ToolPaths, parts: MemoryParts) -> Result<Taken> {
    let mut source = LogicalSource::open(connect(url), tools, &source_options(3)).await?;
    finish(&mut source, parts).await
}

pub(crate) async fn finish(source: &mut LogicalSource, parts: MemoryParts) -> Result<Taken> {
    let now = "2026-01-02T03:04:05Z".parse().unwrap();
    let evidence = source.copy_to(&parts).await?;
    let parts = parts.commit()?;
    let snapshot = Snapshot {
        id: SnapshotId([7; 16]),
        source: SourceName::from_database("test"),
        identity: source.facts().identity.clone(),
        kind: SnapshotKind::Logical,
        sequence: 1,
        previous: None,
        started_at: now,
        finished_at: now,
        writer: WriterId([0; 16]),
        program: "test".to_owned(),
        read_bytes: 0,
        added_bytes: 0,
        stored_bytes: 0,
        parts: parts.list.clone(),
        evidence,
    };
    Ok(Taken { snapshot, parts: Arc::new(parts) })
}

pub(crate) async fn restore(
    taken: &Taken,
    url: &str,
    tools: &ToolPaths,
    options: RestoreOptions,
) -> Result<RestoreReport> {
    let mut target = LogicalTarget::new(connect(url), tools.clone(), options);
    target.plan(&taken.snapshot).await?;
    let parts: Arc<dyn PartSource> = Arc::clone(&taken.parts) as Arc<dyn PartSource>;
    target.restore(&taken.snapshot, parts).await
}

/// What pg_dump says of a database. Rows are sorted within each table unless `exact`.
pub(crate) fn dump(program: &Cluster, server: &Cluster, database: &str, exact: bool) -> String {
    dump_with(&["--create"], program, server, database, exact)
}

/// The same without the database's own properties.
pub(crate) fn dump_contents(
    program: &Cluster,
    server: &Cluster,
    database: &str,
    exact: bool,
) -> String {
    dump_with(&[], program, server, database, exact)
}

fn dump_with(
    arguments: &[&str],
    program: &Cluster,
    server: &Cluster,
    database: &str,
    exact: bool,
) -> String {
    let mut command = server.command("pg_dump");
    if program.major() != server.major() {
        command = program.command("pg_dump");
        command.env("PGHOST", server.socket_folder()).env("PGPORT", server.port().to_string());
    }
    let output = command
        .args(arguments)
        .args(["-d", database])
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    // Latin-1 keeps every byte of any encoding.
    let text: String = output.stdout.iter().map(|byte| char::from(*byte)).collect();
    normalize(&text, database, exact)
}

/// Rows of partitions by the hash of an enum: the oids of its labels decide in which one they
/// are, and those are new in every database.
const MOVING_ROWS: &str = "COPY app.by_mood (";

/// Takes out what differs by design: the database's own name, the random token of `\restrict`,
/// and the order of rows.
fn normalize(text: &str, database: &str, exact: bool) -> String {
    let mut out = Vec::new();
    let mut rows: Option<Vec<&str>> = None;
    let mut moved = Vec::new();
    let mut moves = false;
    for line in text.lines() {
        if let Some(mut block) = rows.take() {
            if line == "\\." {
                if moves {
                    moved.append(&mut block);
                } else if !exact {
                    block.sort_unstable();
                }
                out.extend(block.into_iter().map(str::to_owned));
                out.push(line.to_owned());
            } else {
                block.push(line);
                rows = Some(block);
            }
            continue;
        }
        if line.starts_with("\\restrict") || line.starts_with("\\unrestrict") {
            continue;
        }
        if line.starts_with("COPY ") && line.ends_with("FROM stdin;") {
            rows = Some(Vec::new());
            moves = line.starts_with(MOVING_ROWS);
        }
        out.push(line.replace(database, "DATABASE"));
    }
    assert!(rows.is_none(), "a dump ends inside rows");
    moved.sort_unstable();
    out.extend(moved.into_iter().map(str::to_owned));
    out.join("\n")
}

/// Panics with the first lines that differ.
#[track_caller]
pub(crate) fn assert_same(before: &str, after: &str) {
    if before == after {
        return;
    }
    let (before, after): (Vec<&str>, Vec<&str>) =
        (before.lines().collect(), after.lines().collect());
    let at = before
        .iter()
        .zip(&after)
        .position(|(a, b)| a != b)
        .unwrap_or(before.len().min(after.len()));
    let around = |lines: &[&str]| -> String {
        let from = at.saturating_sub(8);
        lines
            .iter()
            .skip(from)
            .take(16)
            .map(|line| {
                let short: String = line.chars().take(200).collect();
                short + "\n"
            })
            .collect()
    };
    panic!(
        "dumps differ at line {at} ({} and {} lines)\n--- source\n{}--- restored\n{}",
        before.len(),
        after.len(),
        around(&before),
        around(&after)
    );
}
