//! A copy that reads the data directory itself: many files at once, nothing sent through the
//! server but the start and the stop.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use backup_core::port::{PartSink, SourceOptions};
use backup_core::{Error, ErrorKind, Finding, Lsn, Result};
use futures::stream::{self, TryStreamExt};

use super::cluster::ClusterWriter;
use super::copied::Copied;
use super::group::{GroupWriter, MOST_PIECE};
use super::manifest_part::ManifestPart;
use super::read;
use super::remote::{self, Outcome};
use super::walk;
use crate::logical::rate::RateLimit;
use crate::physical::changes::{self, Base, ChangedBlocks, NoBase};
use crate::physical::facts::ClusterFacts;
use crate::physical::files::name::{Group, classify};
use crate::physical::files::row::{Kind, Row};
use crate::physical::label::Label;
use crate::physical::manifest::WalRange;
use crate::physical::manifest_write::ManifestWriter;
use crate::physical::page::PageRules;
use crate::physical::wal::{self, WalRules};
use crate::replication::Replication;
use crate::{Client, ConnectOptions};

const COPY: &str = "copy cluster";
const CONTROL: &str = "global/pg_control";
/// Files after which the manifest is written on.
const BATCH: usize = 256;

/// Copies the cluster in `root` into `sink`.
pub(super) async fn copy(
    connect: &ConnectOptions,
    mut facts: ClusterFacts,
    options: &SourceOptions,
    root: &Path,
    base: std::result::Result<Base, NoBase>,
    sink: &dyn PartSink,
) -> Result<Outcome> {
    let mut findings = Vec::new();
    let keeper = remote::keep_wal(connect, &mut findings).await;
    remote::phase(options, "checkpoint");
    // Its end would end the backup: it stays open to the stop.
    let mut session = Client::connect(connect).await?;
    facts.start = start(&mut session, facts.version).await?;
    check_is_served(root, facts.start, facts.standby)?;
    facts.tablespaces = tablespaces(root)?;
    let base = remote::noted(base, &mut findings);
    let base = match base {
        Some(base) => match changes::read(connect, &base.facts, &facts).await? {
            Ok(changed) => Some((base, changed)),
            Err(reason) => {
                findings.push(remote::read_whole(&reason));
                None
            }
        },
        None => None,
    };
    remote::phase(options, "copy files");
    let size = usize::try_from(facts.block_bytes).unwrap_or(usize::MAX);
    let rules = facts.checksums.then_some(PageRules { size, start: facts.start });
    let segment = facts.relation_segment_bytes;
    let copied = Copied::new(options.observer.clone(), segment, rules, false, true);
    let read = AtomicU64::new(0);
    let mut local = Local {
        root,
        copied: &copied,
        jobs: options.jobs.get(),
        rate: RateLimit::new(options.max_rate),
        block_bytes: facts.block_bytes,
        changed: base.as_ref().map(|(_, changed)| changed),
        read: &read,
        writer: ClusterWriter::begin(sink, &copied, base.as_ref().map(|(base, _)| base)).await?,
        manifest: ManifestWriter::default(),
        part: ManifestPart::begin(sink).await?,
        skipped: Vec::new(),
    };
    let head = local.manifest.head(facts.version, &facts.system);
    local.part.write(&head).await?;
    local.tree(&facts).await?;
    local.files(&[CONTROL.to_owned()]).await?;
    let stopped = stop(&mut session, facts.version).await?;
    session.close().await;
    let label = Label::parse(stopped.label.as_bytes())?;
    if label.start != facts.start {
        return Err(Error::new(ErrorKind::SourceUnavailable, COPY)
            .with("label", label.start)
            .with("start", facts.start)
            .because("the backup label is of another backup"));
    }
    facts.stop = stopped.lsn;
    facts.timeline = label.timeline.unwrap_or(facts.timeline);
    local.text("backup_label", &stopped.label).await?;
    if !stopped.map.is_empty() {
        local.text("tablespace_map", &stopped.map).await?;
    }
    let now = same_cluster(connect, &facts).await?;
    local.wal(&facts, now).await?;
    let Local { writer, manifest, mut part, skipped, .. } = local;
    let range = WalRange { timeline: facts.timeline, start: facts.start, end: facts.stop };
    part.write(&manifest.tail(&[range])).await?;
    part.finish().await?;
    writer.finish().await?;
    if let Some(keeper) = keeper {
        keeper.close().await;
    }
    if let Some((base, _)) = &base {
        let bytes = (read.load(Ordering::Relaxed), copied.kept_bytes()?);
        findings.push(remote::read_by_changes(&mut facts, base, bytes));
    }
    findings.extend(copied.findings()?);
    findings.extend(remote::no_checksums(&facts));
    findings.extend(skipped.iter().map(|path| {
        Finding::warning(format!(
            "{path} is neither a file nor a directory, or a link out of the cluster; it is not in \
             the snapshot."
        ))
    }));
    Ok(Outcome { facts, findings, local: true })
}

/// Looks whether the server's data directory can be read here; the reason if not.
pub(super) async fn directory(
    connect: &ConnectOptions,
    session: &mut Replication,
    facts: &ClusterFacts,
) -> std::result::Result<PathBuf, String> {
    if !connect.is_local() {
        return Err("the server is on another machine".to_owned());
    }
    let root = session.show("data_directory").await;
    let root = root.map_err(|_| "the role may not ask for data_directory".to_owned())?;
    let root = PathBuf::from(root);
    let control = fs::read(root.join(CONTROL));
    let control = control.map_err(|error| format!("{} cannot be read: {error}", root.display()))?;
    let system = control.get(..8).and_then(|bytes| bytes.try_into().ok()).map(u64::from_ne_bytes);
    if system.map(|system| system.to_string()).as_ref() != Some(&facts.system) {
        return Err(format!("{} holds another cluster", root.display()));
    }
    let mut client = Client::connect(connect).await.map_err(|error| error.to_string())?;
    let function = if facts.version >= 150_000 {
        "pg_catalog.pg_backup_start(text, boolean)"
    } else {
        "pg_catalog.pg_start_backup(text, boolean, boolean)"
    };
    let sql = format!(
        "SELECT pg_catalog.has_function_privilege('{function}', 'EXECUTE') AS may, \
         floor(extract(epoch FROM pg_catalog.pg_postmaster_start_time()))::bigint AS began"
    );
    let rows = client.query(&sql).await.map_err(|error| error.to_string())?;
    client.close().await;
    let row = rows.first().ok_or("the server does not answer")?;
    if row.by_name("may") != Some("t") {
        return Err(format!("the role may not call {function}"));
    }
    // A restored copy has the same system identifier: the server itself must run there.
    let pid = fs::read_to_string(root.join("postmaster.pid")).unwrap_or_default();
    let there: Option<i64> = pid.lines().nth(2).and_then(|line| line.trim().parse().ok());
    let began: Option<i64> = row.by_name("began").and_then(|text| text.parse().ok());
    match (there, began) {
        (Some(there), Some(began)) if there.abs_diff(began) <= 10 => Ok(root),
        _ => Err(format!("another server runs in {}", root.display())),
    }
}

async fn start(session: &mut Client, version: u32) -> Result<Lsn> {
    session.execute("SET statement_timeout = 0; SET lock_timeout = 0").await?;
    let sql = if version >= 150_000 {
        "SELECT pg_catalog.pg_backup_start('backupctl', true)"
    } else {
        "SELECT pg_catalog.pg_start_backup('backupctl', true, false)"
    };
    let rows = session.query(sql).await?;
    let start = rows.first().and_then(|row| row.get(0)).and_then(|text| text.parse().ok());
    start.ok_or_else(|| Error::new(ErrorKind::SourceUnavailable, "start backup"))
}

/// What the server says at the stop.
struct Stopped {
    lsn: Lsn,
    label: String,
    map: String,
}

async fn stop(session: &mut Client, version: u32) -> Result<Stopped> {
    // The WAL is taken along: nothing is waited for.
    let call =
        if version >= 150_000 { "pg_backup_stop(false)" } else { "pg_stop_backup(false, false)" };
    let sql = format!("SELECT lsn, labelfile, spcmapfile FROM pg_catalog.{call}");
    let rows = session.query(&sql).await?;
    let read = || {
        let row = rows.first()?;
        Some(Stopped {
            lsn: row.by_name("lsn")?.parse().ok()?,
            label: row.by_name("labelfile")?.to_owned(),
            map: row.by_name("spcmapfile").unwrap_or_default().to_owned(),
        })
    };
    read().ok_or_else(|| Error::new(ErrorKind::SourceUnavailable, "stop backup"))
}

/// The checkpoint of the start must have reached the directory that is about to be read.
fn check_is_served(root: &Path, start: Lsn, standby: bool) -> Result<()> {
    let path = root.join(CONTROL);
    let control = fs::read(&path).map_err(|error| read::failed(&path, error))?;
    let redo = control.get(40..48).and_then(|b| b.try_into().ok()).map(u64::from_ne_bytes);
    // A standby cannot make a checkpoint: its start is one that it had already.
    if redo.is_some_and(|redo| redo >= start.0 || (standby && redo > 0)) {
        return Ok(());
    }
    Err(Error::new(ErrorKind::SourceUnavailable, COPY)
        .with("directory", root.display())
        .because("the server that answered does not write there")
        .hint("Name the server by its own address; another one answers where it is looked for."))
}

/// Returns the timeline now, of the same cluster as before.
async fn same_cluster(connect: &ConnectOptions, facts: &ClusterFacts) -> Result<u32> {
    let mut session = Replication::connect(connect).await?;
    let identity = session.identify().await?;
    session.close().await;
    if identity.system == facts.system {
        Ok(identity.timeline)
    } else {
        Err(remote::other_cluster("server"))
    }
}

fn tablespaces(root: &Path) -> Result<BTreeMap<u32, String>> {
    let links = root.join("pg_tblspc");
    let mut found = BTreeMap::new();
    for entry in fs::read_dir(&links).map_err(|error| read::failed(&links, error))? {
        let entry = entry.map_err(|error| read::failed(&links, error))?;
        let oid = entry.file_name().to_string_lossy().parse();
        // One that is a directory in place comes along like any other.
        if let (Ok(oid), Ok(place)) = (oid, fs::read_link(entry.path())) {
            found.insert(oid, place.to_string_lossy().into_owned());
        }
    }
    Ok(found)
}

struct Local<'a> {
    root: &'a Path,
    copied: &'a Copied,
    jobs: usize,
    rate: RateLimit,
    block_bytes: u64,
    /// What changed since the base, where there is one.
    changed: Option<&'a ChangedBlocks>,
    /// Bytes that were read.
    read: &'a AtomicU64,
    writer: ClusterWriter<'a>,
    manifest: ManifestWriter,
    part: ManifestPart<'a>,
    skipped: Vec<String>,
}

impl Local<'_> {
    /// Copies everything but the control file and the log.
    async fn tree(&mut self, facts: &ClusterFacts) -> Result<()> {
        let mut directories = vec![String::new()];
        while let Some(directory) = directories.pop() {
            let listing = walk::list(self.root, &directory)
                .map_err(|error| read::failed(&self.root.join(&directory), error))?;
            for path in listing.directories.into_iter().rev() {
                let oid = path.strip_prefix("pg_tblspc/").and_then(|oid| oid.parse().ok());
                if !oid.is_some_and(|oid: u32| facts.tablespaces.contains_key(&oid)) {
                    self.directory(&path).await?;
                }
                directories.push(path);
            }
            self.skipped.extend(listing.skipped);
            let files: Vec<String> =
                listing.files.into_iter().filter(|path| path != CONTROL).collect();
            for batch in files.chunks(BATCH) {
                self.files(batch).await?;
            }
        }
        Ok(())
    }

    async fn directory(&mut self, path: &str) -> Result<()> {
        let Ok(metadata) = fs::metadata(self.root.join(path)) else { return Ok(()) };
        let mode = metadata.permissions().mode() & 0o7777;
        let row = Row::new(path.to_owned(), Kind::Directory, mode);
        self.writer.group(classify(path).0).await?.row(&row).await
    }

    /// Copies files of one directory, several at once, and lists them in the manifest.
    async fn files(&mut self, paths: &[String]) -> Result<()> {
        let Some(first) = paths.first() else { return Ok(()) };
        let group = self.writer.group(classify(first).0).await?;
        let reading = Reading {
            root: self.root,
            copied: self.copied,
            rate: &self.rate,
            changed: self.changed,
            block_bytes: self.block_bytes,
            read: self.read,
        };
        stream::iter(paths.iter().map(Ok))
            .try_for_each_concurrent(self.jobs, |path| file(&reading, group, path))
            .await?;
        self.note().await
    }

    /// Stores a file that only exists in the backup.
    async fn text(&mut self, path: &str, text: &str) -> Result<()> {
        let group = self.writer.group(Group::Other).await?;
        let mut file = group.file(path.to_owned(), None, 0o600, text.len() as u64)?;
        file.write(text.as_bytes()).await?;
        file.finish().await?;
        self.note().await
    }

    async fn note(&mut self) -> Result<()> {
        for (path, bytes, crc) in self.copied.take_listed(0)? {
            let line = self.manifest.file(&path, bytes, crc);
            self.part.write(&line).await?;
        }
        Ok(())
    }

    /// Copies the WAL from start to stop.
    async fn wal(&mut self, facts: &ClusterFacts, now: u32) -> Result<()> {
        let system = remote::system(facts)?;
        let rules = WalRules { system, segment: facts.wal_segment_bytes };
        let mut names = BTreeSet::new();
        let newest = now.max(facts.timeline);
        for timeline in facts.timeline.max(2)..=newest {
            let history = format!("{timeline:08X}.history");
            if self.root.join("pg_wal").join(&history).exists() {
                self.files(&[format!("pg_wal/{history}")]).await?;
            }
        }
        let last = facts.stop.0.saturating_sub(1) / rules.segment;
        for number in facts.start.0 / rules.segment..=last {
            for timeline in facts.timeline..=newest {
                let name = wal::segment_name(timeline, number, rules.segment);
                let path = self.root.join("pg_wal").join(&name);
                let Some(opened) = read::open(&path)? else { continue };
                let mut head = Vec::new();
                read::piece(&opened.file, &path, 0, wal::HEADER as u64, &mut head)?;
                rules.check(&name, opened.bytes, &head)?;
                self.files(&[format!("pg_wal/{name}")]).await?;
                names.insert(name);
            }
        }
        rules.check_complete(&names, facts.start, facts.stop, newest)
    }
}

/// What is needed to read a file.
struct Reading<'a> {
    root: &'a Path,
    copied: &'a Copied,
    rate: &'a RateLimit,
    changed: Option<&'a ChangedBlocks>,
    block_bytes: u64,
    read: &'a AtomicU64,
}

/// Copies one file, but for what is as it was.
async fn file(reading: &Reading<'_>, group: &GroupWriter<'_>, path: &str) -> Result<()> {
    let place = reading.root.join(path);
    let shown = place.clone();
    let Some(opened) = blocking(move || read::open(&shown)).await? else { return Ok(()) };
    let (_, relation) = classify(path);
    let mut writer = group.file(path.to_owned(), relation, opened.mode, opened.bytes)?.unchecked();
    let before = reading.changed.zip(group.before(relation)).zip(relation);
    let (mut offset, mut bytes) = (0, Vec::new());
    while offset < opened.bytes {
        let left = opened.bytes - offset;
        if let Some(((changed, (_, base)), relation)) = before {
            let piece = offset / MOST_PIECE as u64;
            let kept = base.piece_bytes(piece);
            let segment = reading.copied.segment_bytes;
            let same = kept == left.min(MOST_PIECE as u64)
                && changed.is_unchanged(group.group, relation, piece, segment, reading.block_bytes);
            if same && writer.keep(base).await? {
                offset += kept;
                continue;
            }
        }
        let (file, shown) = (opened.file.clone(), place.clone());
        // Read into the same memory again: fresh pages cost time.
        bytes = blocking(move || {
            read::piece(&file, &shown, offset, left, &mut bytes)?;
            Ok(bytes)
        })
        .await?;
        if bytes.is_empty() {
            // It was cut meanwhile; the WAL says so.
            break;
        }
        if let (Some(relation), Some(rules)) = (relation, reading.copied.rules) {
            let copied = reading.copied;
            let bad = read::check(copied, relation, &opened.file, offset, &mut bytes, rules);
            copied.damaged(path, &bad)?;
        }
        reading.rate.take(bytes.len()).await;
        reading.read.fetch_add(bytes.len() as u64, Ordering::Relaxed);
        offset += bytes.len() as u64;
        writer.write(&bytes).await?;
    }
    writer.finish().await
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T> + Send + 'static,
) -> Result<T> {
    let done = tokio::task::spawn_blocking(work).await;
    done.map_err(|error| Error::new(ErrorKind::Failed, COPY).because(error))?
}
