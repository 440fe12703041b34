//! A copy over the replication protocol, with no access to the server's host.

use std::collections::BTreeSet;

use backup_core::port::{PartSink, SourceOptions};
use backup_core::{ByteSize, Error, ErrorKind, Event, Finding, Lsn, Result};
use crc_fast::{CrcAlgorithm, Digest};

use super::cluster::ClusterWriter;
use super::copied::Copied;
use super::file::FileWriter;
use super::manifest_part::ManifestPart;
use super::merge::Merging;
use crate::ConnectOptions;
use crate::physical::changes::{Base, NoBase, real_path, whole_label};
use crate::physical::facts::{ClusterFacts, Incremental};
use crate::physical::files::name::classify;
use crate::physical::files::row::{Kind, Row, is_safe};
use crate::physical::label::Label;
use crate::physical::manifest::ManifestReader;
use crate::physical::manifest_write::ManifestWriter;
use crate::physical::page::PageRules;
use crate::physical::tar::{Found, Member, MemberKind, TarReader};
use crate::physical::wal::{self, WalRules};
use crate::replication::{BackupPiece, BaseBackup, BaseBackupOptions, Replication};

const COPY: &str = "copy cluster";
/// Of small files, and of the beginning of others, so much is kept to look at.
const LOOKED_AT: usize = 16 << 10;

/// What a copy brought besides its parts.
pub(super) struct Outcome {
    pub(super) facts: ClusterFacts,
    pub(super) findings: Vec<Finding>,
    /// Whether the data directory was read.
    pub(super) local: bool,
}

/// Copies a cluster into `sink`; only what changed since the base, where there is one and the
/// server can tell.
pub(super) async fn copy(
    connect: &ConnectOptions,
    mut session: Replication,
    facts: ClusterFacts,
    options: &SourceOptions,
    base: std::result::Result<Base, NoBase>,
    sink: &dyn PartSink,
) -> Result<Outcome> {
    let mut findings = Vec::new();
    let keeper = keep_wal(connect, &mut findings).await;
    let mut base = noted(base, &mut findings);
    if let Some(chosen) = &base
        && let Err(error) = hand_over(&mut session, chosen).await
    {
        findings.push(read_whole(&error.to_string()));
        base = None;
    }
    phase(options, "checkpoint");
    let mut wanted = BaseBackupOptions::new("backupctl");
    wanted.max_rate_kib =
        options.max_rate.map(|rate| u32::try_from(rate / 1024).unwrap_or(u32::MAX));
    wanted.incremental = base.is_some();
    let copied = match session.base_backup(&wanted).await {
        Ok(backup) => Some(receive(backup, facts.clone(), options, base.as_ref(), sink).await?),
        // Whatever it lacks, it is asked for everything; a broken connection fails again.
        Err(error) if base.is_some() => {
            findings.push(read_whole(&error.to_string()));
            None
        }
        Err(error) => return Err(error),
    };
    let (facts, found) = match copied {
        Some(copied) => copied,
        None => {
            session.close().await;
            session = Replication::connect(connect).await?;
            if session.identify().await?.system != facts.system {
                return Err(other_cluster("server"));
            }
            wanted.incremental = false;
            let backup = session.base_backup(&wanted).await?;
            receive(backup, facts, options, None, sink).await?
        }
    };
    findings.extend(found);
    findings.extend(no_checksums(&facts));
    // The temporary slot ends with its session.
    if let Some(keeper) = keeper {
        keeper.close().await;
    }
    session.close().await;
    Ok(Outcome { facts, findings, local: false })
}

/// Tells the server which backup the next one is compared with.
async fn hand_over(session: &mut Replication, base: &Base) -> Result<()> {
    if session.show("summarize_wal").await? != "on" {
        return Err(
            Error::new(ErrorKind::Unsupported, "read by changes").because("summarize_wal is off")
        );
    }
    session.upload_manifest(&base.manifest().await?).await
}

/// Receives a backup to its end; returns its facts and what was found.
async fn receive(
    mut backup: BaseBackup<'_>,
    mut facts: ClusterFacts,
    options: &SourceOptions,
    base: Option<&Base>,
    sink: &dyn PartSink,
) -> Result<(ClusterFacts, Vec<Finding>)> {
    (facts.start, facts.timeline) = backup.start();
    for space in backup.tablespaces() {
        if let Some(oid) = space.oid {
            facts.tablespaces.insert(oid, space.location.clone());
        }
    }
    phase(options, "copy files");
    let size = usize::try_from(facts.block_bytes).unwrap_or(usize::MAX);
    let rules = facts.checksums.then_some(PageRules { size, start: facts.start });
    let segment = facts.relation_segment_bytes;
    let copied = Copied::new(options.observer.clone(), segment, rules, true, base.is_some());
    let mut reader = Reader {
        facts: &facts,
        wal: WalRules { system: system(&facts)?, segment: facts.wal_segment_bytes },
        segments: BTreeSet::new(),
        has_control: false,
        has_label: false,
        base,
        received: 0,
    };
    read(&mut backup, &copied, &mut reader, sink).await?;
    let (stop, timeline) = backup
        .stop()
        .ok_or_else(|| Error::new(ErrorKind::SourceUnavailable, COPY).because("it has no end"))?;
    reader.finish(stop, timeline)?;
    let received = reader.received;
    drop(backup);
    facts.stop = stop;
    let mut findings = Vec::new();
    if let Some(base) = base {
        let bytes = (received, copied.kept_bytes()?);
        findings.push(read_by_changes(&mut facts, base, bytes));
    }
    findings.extend(copied.findings()?);
    Ok((facts, findings))
}

/// Says why there is no base, where that is worth saying.
pub(super) fn noted(
    base: std::result::Result<Base, NoBase>,
    findings: &mut Vec<Finding>,
) -> Option<Base> {
    match base {
        Ok(base) => Some(base),
        Err(NoBase::Expected) => None,
        Err(NoBase::Because(reason)) => {
            findings.push(read_whole(&reason));
            None
        }
    }
}

/// Says that everything was read, and why.
pub(super) fn read_whole(reason: &str) -> Finding {
    Finding::note(format!("Everything was read: {reason}."))
}

/// Notes that only what changed was read: bytes that were read, and bytes that were not.
pub(super) fn read_by_changes(
    facts: &mut ClusterFacts,
    base: &Base,
    (read_bytes, kept_bytes): (u64, u64),
) -> Finding {
    let in_a_row = 1 + base.facts.incremental.as_ref().map_or(0, |before| before.in_a_row);
    facts.incremental =
        Some(Incremental { base: base.id.clone(), in_a_row, read_bytes, kept_bytes });
    Finding::note(format!(
        "{} were read; {} were not, because nothing changed there since snapshot {} by the \
         server's WAL summaries.",
        ByteSize(read_bytes),
        ByteSize(kept_bytes),
        base.name
    ))
}

pub(super) fn no_checksums(facts: &ClusterFacts) -> Option<Finding> {
    (!facts.checksums).then(|| {
        Finding::note(
            "The cluster has no page checksums: damage on its disk cannot be noticed. Turn them \
             on with pg_checksums --enable while the server is stopped.",
        )
    })
}

/// Keeps the server from recycling WAL while the copy runs. Without a free slot or walsender
/// the copy may still succeed: then every segment is still there at its end.
pub(super) async fn keep_wal(
    connect: &ConnectOptions,
    findings: &mut Vec<Finding>,
) -> Option<Replication> {
    let slot = async {
        let mut keeper = Replication::connect(connect).await?;
        let process = keeper.client().process_id();
        keeper.create_slot(&format!("backupctl_{process}"), true).await?;
        Ok::<_, Error>(keeper)
    };
    match slot.await {
        Ok(keeper) => Some(keeper),
        Err(error) => {
            findings.push(Finding::note(format!(
                "No temporary replication slot could be had ({error}); the copy relied on the \
                 server to keep its WAL meanwhile."
            )));
            None
        }
    }
}

/// Reads every archive and the manifest to the end.
async fn read(
    backup: &mut BaseBackup<'_>,
    copied: &Copied,
    reader: &mut Reader<'_>,
    sink: &dyn PartSink,
) -> Result<()> {
    let mut writer = ClusterWriter::begin(sink, copied, reader.base).await?;
    let mut part = ManifestPart::begin(sink).await?;
    // That of an increment lists what was sent; ours lists what is kept.
    let mut own = reader.base.is_some().then(ManifestWriter::default);
    if let Some(own) = &mut own {
        part.write(&own.head(reader.facts.version, &reader.facts.system)).await?;
    }
    let mut buffer = Vec::new();
    let mut piece = backup.read(&mut buffer).await?;
    while let BackupPiece::Archive(number) = piece {
        let space = backup.tablespaces().get(number).and_then(|space| space.oid);
        let prefix = space.map(|oid| format!("pg_tblspc/{oid}/")).unwrap_or_default();
        let mut archive = Archive { prefix, tar: TarReader::default(), feed: Feed::default() };
        piece = loop {
            let next = archive.member(backup, reader, copied, &mut writer).await?;
            if let Some(own) = &mut own {
                list(own, copied, &mut part, LISTED_AT_ONCE).await?;
            }
            if let Some(piece) = next {
                break piece;
            }
        };
    }
    if piece != BackupPiece::Manifest {
        return Err(Error::new(ErrorKind::SourceUnavailable, COPY).because("no manifest came"));
    }
    // Bundles are listed when they are full.
    writer.finish().await?;
    let mut manifest = ManifestReader::default();
    loop {
        buffer.clear();
        match backup.read(&mut buffer).await? {
            BackupPiece::Data => {
                let compare = |file: crate::physical::manifest::ManifestFile| {
                    copied.compare(&file.path, file.bytes, file.crc32c)
                };
                manifest.feed(&buffer, compare)?;
                if own.is_none() {
                    part.write(&buffer).await?;
                }
            }
            BackupPiece::End => break,
            _ => return Err(Error::new(ErrorKind::SourceUnavailable, COPY)),
        }
    }
    let end = manifest.finish()?;
    if end.system.as_ref().is_some_and(|system| *system != reader.facts.system) {
        return Err(other_cluster("backup manifest"));
    }
    copied.compared()?;
    if let Some(mut own) = own {
        list(&mut own, copied, &mut part, 0).await?;
        part.write(&own.tail(&end.ranges)).await?;
    }
    part.finish().await
}

/// Files after which our own manifest is written on.
const LISTED_AT_ONCE: usize = 256;

async fn list(
    own: &mut ManifestWriter,
    copied: &Copied,
    part: &mut ManifestPart<'_>,
    least: usize,
) -> Result<()> {
    for (path, bytes, crc) in copied.take_listed(least)? {
        part.write(&own.file(&path, bytes, crc)).await?;
    }
    Ok(())
}

/// One archive, on its way.
struct Archive {
    prefix: String,
    tar: TarReader,
    feed: Feed,
}

/// What becomes of the bytes of a member.
enum Taker<'g, 'a> {
    /// Nothing: it has none.
    Nobody,
    File(Box<FileWriter<'g, 'a>>),
    /// It brings only what changed.
    Merging(Box<Merging<'g, 'a>>),
    /// The label of an increment: it is changed, and written at its end.
    Label,
}

impl Archive {
    /// Reads one member; returns what comes after the archive at its end.
    async fn member(
        &mut self,
        backup: &mut BaseBackup<'_>,
        reader: &mut Reader<'_>,
        copied: &Copied,
        writer: &mut ClusterWriter<'_>,
    ) -> Result<Option<BackupPiece>> {
        // Whatever comes between members begins one, or ends the archive.
        let member = loop {
            match self.feed.step(&mut self.tar)? {
                Step::Begin(member) => break member,
                Step::Starved => match self.feed.fill(backup).await? {
                    BackupPiece::Data => {}
                    piece => {
                        self.tar.finish()?;
                        return Ok(Some(piece));
                    }
                },
                Step::Bytes(_) | Step::End => return Err(Error::new(ErrorKind::Failed, COPY)),
            }
        };
        let sent = format!("{}{}", self.prefix, member.path);
        if !is_safe(&sent) {
            return Err(Error::new(ErrorKind::SourceUnavailable, COPY).with("path", sent));
        }
        let increment = reader.base.and_then(|_| real_path(&sent));
        let path = increment.clone().unwrap_or_else(|| sent.clone());
        let (group, relation) = classify(&path);
        let group = writer.group(group).await?;
        let mut taker = match member.kind {
            MemberKind::Directory | MemberKind::Link(_) => Taker::Nobody,
            MemberKind::File if increment.is_some() => {
                let block = reader.facts.block_bytes;
                let merging = Merging::begin(group, path.clone(), relation, member.mode, block)?;
                Taker::Merging(Box::new(merging))
            }
            MemberKind::File if reader.base.is_some() && path == "backup_label" => Taker::Label,
            MemberKind::File => {
                let file = group.file(path.clone(), relation, member.mode, member.bytes)?;
                Taker::File(Box::new(file))
            }
        };
        let mut head = Vec::new();
        let mut crc = Digest::new(CrcAlgorithm::Crc32Iscsi);
        loop {
            match self.feed.step(&mut self.tar)? {
                Step::Bytes(bytes) => {
                    let room = LOOKED_AT - head.len().min(LOOKED_AT);
                    head.extend_from_slice(bytes.get(..room).unwrap_or(bytes));
                    match &mut taker {
                        Taker::File(file) => file.write(bytes).await?,
                        Taker::Merging(merging) => {
                            crc.update(bytes);
                            merging.write(bytes).await?;
                        }
                        Taker::Label => crc.update(bytes),
                        Taker::Nobody => {}
                    }
                }
                Step::End => break,
                Step::Begin(_) => return Err(Error::new(ErrorKind::Failed, COPY)),
                Step::Starved => {
                    if self.feed.fill(backup).await? != BackupPiece::Data {
                        return Err(Error::new(ErrorKind::SourceUnavailable, COPY)
                            .with("file", path)
                            .because("the archive ends inside a file"));
                    }
                }
            }
        }
        reader.received += member.bytes;
        match taker {
            Taker::Nobody => group.row(&listed(path, &member)).await?,
            Taker::File(file) => {
                file.finish().await?;
                reader.look(&path, member.bytes, &head)?;
            }
            Taker::Merging(merging) => {
                merging.finish().await?;
                copied.came(&sent, member.bytes, crc.finalize() as u32)?;
            }
            Taker::Label => {
                copied.came(&sent, member.bytes, crc.finalize() as u32)?;
                let from = reader.base.map_or(Lsn(0), |base| base.facts.start);
                let label = whole_label(&head, from)?;
                let bytes = label.len() as u64;
                let mut file = group.file(path.clone(), None, member.mode, bytes)?.merged();
                file.write(&label).await?;
                file.finish().await?;
                reader.look(&path, bytes, &label)?;
            }
        }
        Ok(None)
    }
}

/// Bytes of an archive that have arrived, and how many of them were used.
#[derive(Default)]
struct Feed {
    buffer: Vec<u8>,
    used: usize,
}

/// What the archive holds next.
enum Step<'a> {
    Begin(Member),
    Bytes(&'a [u8]),
    End,
    /// More bytes are needed.
    Starved,
}

impl Feed {
    fn step(&mut self, tar: &mut TarReader) -> Result<Step<'_>> {
        let mut input = self.buffer.get(self.used..).unwrap_or_default();
        let found = tar.next(&mut input)?;
        self.used = self.buffer.len() - input.len();
        Ok(match found {
            Some(Found::Begin(member)) => Step::Begin(member),
            Some(Found::Bytes(bytes)) => Step::Bytes(bytes),
            Some(Found::End) => Step::End,
            None => Step::Starved,
        })
    }

    /// Reads on; everything before was used.
    async fn fill(&mut self, backup: &mut BaseBackup<'_>) -> Result<BackupPiece> {
        self.buffer.clear();
        self.used = 0;
        backup.read(&mut self.buffer).await
    }
}

fn listed(path: String, member: &Member) -> Row {
    let (kind, link) = match &member.kind {
        MemberKind::Link(target) => (Kind::Link, Some(target.clone())),
        MemberKind::Directory | MemberKind::File => (Kind::Directory, None),
    };
    Row { link, ..Row::new(path, kind, member.mode) }
}

/// Looks at the files that say whether the copy is what it should be.
struct Reader<'a> {
    facts: &'a ClusterFacts,
    wal: WalRules,
    segments: BTreeSet<String>,
    has_control: bool,
    has_label: bool,
    /// What unchanged blocks are taken over from.
    base: Option<&'a Base>,
    /// Bytes of files that came.
    received: u64,
}

impl Reader<'_> {
    fn look(&mut self, path: &str, bytes: u64, head: &[u8]) -> Result<()> {
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

    fn finish(&self, stop: Lsn, timeline: u32) -> Result<()> {
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

pub(super) fn phase(options: &SourceOptions, phase: &str) {
    options.observer.on_event(&Event::PhaseStarted { phase: phase.to_owned() });
}
