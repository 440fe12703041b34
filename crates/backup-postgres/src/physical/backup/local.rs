//! A copy that reads the data directory itself: many files at once, nothing sent through the
//! server but the start and the stop.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

use backup_core::port::{PartSink, SourceOptions};
use backup_core::{Error, ErrorKind, Finding, Result};
use futures::stream::{self, TryStreamExt};

use super::bounds::{start, stop};
use super::cluster::ClusterWriter;
use super::copied::Copied;
use super::manifest_part::ManifestPart;
use super::proof::{COPY, system};
use super::reading::{Reading, file};
use super::segment::segment;
use super::served::{CONTROL, check_is_served, same_cluster, tablespaces};
use super::source::{Outcome, phase};
use super::{notes, read, walk};
use crate::logical::rate::RateLimit;
use crate::physical::changes::{self, Base, NoBase};
use crate::physical::facts::ClusterFacts;
use crate::physical::files::name::{Group, classify};
use crate::physical::files::row::{Kind, Row};
use crate::physical::label::Label;
use crate::physical::manifest::WalRange;
use crate::physical::manifest_write::ManifestWriter;
use crate::physical::page::PageRules;
use crate::physical::wal::{self, WalRules};
use crate::{Client, ConnectOptions};

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
    let keeper = notes::keep_wal(connect, &mut findings).await;
    phase(options, "checkpoint");
    // Its end would end the backup: it stays open to the stop.
    let mut session = Client::connect(connect).await?;
    facts.start = start(&mut session, facts.version).await?;
    check_is_served(root, facts.start, facts.standby)?;
    facts.tablespaces = tablespaces(root)?;
    let base = notes::noted(base, &mut findings);
    let base = match base {
        Some(base) => match changes::read(connect, &base.facts, &facts).await? {
            Ok(changed) => Some((base, changed)),
            Err(reason) => {
                findings.push(notes::read_whole(&reason));
                None
            }
        },
        None => None,
    };
    phase(options, "copy files");
    let size = usize::try_from(facts.block_bytes).unwrap_or(usize::MAX);
    let rules = facts.checksums.then_some(PageRules { size, start: facts.start });
    let segment = facts.relation_segment_bytes;
    let copied = Copied::new(options.observer.clone(), segment, rules, false, true);
    let read = AtomicU64::new(0);
    let rate = RateLimit::new(options.max_rate);
    let reading = Reading {
        root,
        copied: &copied,
        rate: &rate,
        changed: base.as_ref().map(|(_, changed)| changed),
        block_bytes: facts.block_bytes,
        read: &read,
    };
    let mut local = Local {
        reading,
        jobs: options.jobs.get(),
        writer: ClusterWriter::begin(sink, &copied, base.as_ref().map(|(base, _)| base)).await?,
        manifest: ManifestWriter::default(),
        part: ManifestPart::begin(sink).await?,
        skipped: Vec::new(),
    };
    let head = local.manifest.head(facts.version, &facts.system);
    local.part.write(&head).await?;
    local.tree(&facts).await?;
    local.files(&[CONTROL.to_owned()]).await?;
    phase(options, "stop backup");
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
    phase(options, "copy WAL");
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
        findings.push(notes::read_by_changes(&mut facts, base, bytes));
    }
    findings.extend(copied.findings()?);
    findings.extend(notes::no_checksums(&facts));
    findings.extend(skipped.iter().map(|path| {
        Finding::warning(format!(
            "{path} is neither a file nor a directory, or a link out of the cluster; it is not in \
             the snapshot."
        ))
    }));
    Ok(Outcome { facts, findings, local: true })
}

struct Local<'a> {
    reading: Reading<'a>,
    jobs: usize,
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
            let listing = walk::list(self.reading.root, &directory)
                .map_err(|error| read::failed(&self.reading.root.join(&directory), error))?;
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
        let Ok(metadata) = fs::metadata(self.reading.root.join(path)) else { return Ok(()) };
        let mode = metadata.permissions().mode() & 0o7777;
        let row = Row::new(path.to_owned(), Kind::Directory, mode);
        self.writer.group(classify(path).0).await?.row(&row).await
    }

    /// Copies files of one directory, several at once, and lists them in the manifest.
    async fn files(&mut self, paths: &[String]) -> Result<()> {
        let Some(first) = paths.first() else { return Ok(()) };
        let group = self.writer.group(classify(first).0).await?;
        let reading = &self.reading;
        stream::iter(paths.iter().map(Ok))
            .try_for_each_concurrent(self.jobs, |path| file(reading, group, path))
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
        for (path, bytes, crc) in self.reading.copied.take_listed(0)? {
            let line = self.manifest.file(&path, bytes, crc);
            self.part.write(&line).await?;
        }
        Ok(())
    }

    /// Copies the WAL from start to stop.
    async fn wal(&mut self, facts: &ClusterFacts, now: u32) -> Result<()> {
        let system = system(facts)?;
        let rules = WalRules { system, segment: facts.wal_segment_bytes };
        let mut names = BTreeSet::new();
        let newest = now.max(facts.timeline);
        for timeline in facts.timeline.max(2)..=newest {
            let history = format!("{timeline:08X}.history");
            if self.reading.root.join("pg_wal").join(&history).exists() {
                self.files(&[format!("pg_wal/{history}")]).await?;
            }
        }
        let last = facts.stop.0.saturating_sub(1) / rules.segment;
        for number in facts.start.0 / rules.segment..=last {
            for timeline in facts.timeline..=newest {
                let name = wal::segment_name(timeline, number, rules.segment);
                let path = self.reading.root.join("pg_wal").join(&name);
                let Some(opened) = read::open(&path)? else { continue };
                let group = self.writer.group(Group::Wal).await?;
                segment(&self.reading, group, &rules, &name, &opened).await?;
                self.note().await?;
                names.insert(name);
            }
        }
        rules.check_complete(&names, facts.start, facts.stop, newest)
    }
}
