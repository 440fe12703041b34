//! A copy over the replication protocol, with no access to the server's host.

use std::collections::BTreeSet;

use backup_core::port::{PartSink, SourceOptions};
use backup_core::{Error, ErrorKind, Event, Finding, Lsn, Result};

use super::cluster::ClusterWriter;
use super::copied::Copied;
use super::file::FileWriter;
use super::manifest_part::ManifestPart;
use crate::ConnectOptions;
use crate::physical::facts::ClusterFacts;
use crate::physical::files::name::classify;
use crate::physical::files::row::{Kind, Row, is_safe};
use crate::physical::label::Label;
use crate::physical::manifest::ManifestReader;
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

/// Copies a cluster into `sink`.
pub(super) async fn copy(
    connect: &ConnectOptions,
    mut session: Replication,
    mut facts: ClusterFacts,
    options: &SourceOptions,
    sink: &dyn PartSink,
) -> Result<Outcome> {
    let mut findings = Vec::new();
    let keeper = keep_wal(connect, &mut findings).await;
    phase(options, "checkpoint");
    let mut wanted = BaseBackupOptions::new("backupctl");
    wanted.max_rate_kib =
        options.max_rate.map(|rate| u32::try_from(rate / 1024).unwrap_or(u32::MAX));
    let mut backup = session.base_backup(&wanted).await?;
    (facts.start, facts.timeline) = backup.start();
    for space in backup.tablespaces() {
        if let Some(oid) = space.oid {
            facts.tablespaces.insert(oid, space.location.clone());
        }
    }
    phase(options, "copy files");
    let size = usize::try_from(facts.block_bytes).unwrap_or(usize::MAX);
    let rules = facts.checksums.then_some(PageRules { size, start: facts.start });
    let copied = Copied::new(options.observer.clone(), facts.relation_segment_bytes, rules);
    let mut reader = Reader {
        facts: &facts,
        wal: WalRules { system: system(&facts)?, segment: facts.wal_segment_bytes },
        segments: BTreeSet::new(),
        has_control: false,
        has_label: false,
    };
    read(&mut backup, &copied, &mut reader, sink).await?;
    let (stop, timeline) = backup
        .stop()
        .ok_or_else(|| Error::new(ErrorKind::SourceUnavailable, COPY).because("it has no end"))?;
    reader.finish(stop, timeline)?;
    drop(backup);
    facts.stop = stop;
    findings.extend(copied.findings()?);
    findings.extend(no_checksums(&facts));
    // The temporary slot ends with its session.
    if let Some(keeper) = keeper {
        keeper.close().await;
    }
    session.close().await;
    Ok(Outcome { facts, findings, local: false })
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
    let mut writer = ClusterWriter::begin(sink, copied).await?;
    let mut buffer = Vec::new();
    let mut piece = backup.read(&mut buffer).await?;
    while let BackupPiece::Archive(number) = piece {
        let space = backup.tablespaces().get(number).and_then(|space| space.oid);
        let prefix = space.map(|oid| format!("pg_tblspc/{oid}/")).unwrap_or_default();
        piece = archive(backup, &prefix, reader, &mut writer).await?;
    }
    if piece != BackupPiece::Manifest {
        return Err(Error::new(ErrorKind::SourceUnavailable, COPY).because("no manifest came"));
    }
    let mut manifest = ManifestReader::default();
    let mut part = ManifestPart::begin(sink).await?;
    loop {
        buffer.clear();
        match backup.read(&mut buffer).await? {
            BackupPiece::Data => {
                let compare = |file: crate::physical::manifest::ManifestFile| {
                    copied.compare(&file.path, file.bytes, file.crc32c)
                };
                manifest.feed(&buffer, compare)?;
                part.write(&buffer).await?;
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
    part.finish().await?;
    writer.finish().await
}

/// Reads one archive; returns what comes after it.
async fn archive(
    backup: &mut BaseBackup<'_>,
    prefix: &str,
    reader: &mut Reader<'_>,
    writer: &mut ClusterWriter<'_>,
) -> Result<BackupPiece> {
    let mut tar = TarReader::default();
    let mut feed = Feed::default();
    loop {
        // Whatever comes between members begins one, or ends the archive.
        let member = match feed.step(&mut tar)? {
            Step::Begin(member) => member,
            Step::Starved => match feed.fill(backup).await? {
                BackupPiece::Data => continue,
                piece => {
                    tar.finish()?;
                    return Ok(piece);
                }
            },
            Step::Bytes(_) | Step::End => return Err(Error::new(ErrorKind::Failed, COPY)),
        };
        let path = format!("{prefix}{}", member.path);
        if !is_safe(&path) {
            return Err(Error::new(ErrorKind::SourceUnavailable, COPY).with("path", path));
        }
        let (group, relation) = classify(&path);
        let group = writer.group(group).await?;
        let mut file = match member.kind {
            MemberKind::File => {
                Some(group.file(path.clone(), relation, member.mode, member.bytes)?)
            }
            MemberKind::Directory | MemberKind::Link(_) => None,
        };
        let mut head = Vec::new();
        loop {
            match feed.step(&mut tar)? {
                Step::Bytes(bytes) => {
                    if let Some(file) = &mut file {
                        keep(file, &mut head, bytes).await?;
                    }
                }
                Step::End => break,
                Step::Begin(_) => return Err(Error::new(ErrorKind::Failed, COPY)),
                Step::Starved => {
                    if feed.fill(backup).await? != BackupPiece::Data {
                        return Err(Error::new(ErrorKind::SourceUnavailable, COPY)
                            .with("file", path)
                            .because("the archive ends inside a file"));
                    }
                }
            }
        }
        match file {
            Some(file) => {
                file.finish().await?;
                reader.look(&path, member.bytes, &head)?;
            }
            None => group.row(&listed(path, &member)).await?,
        }
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

async fn keep(file: &mut FileWriter<'_, '_>, looked_at: &mut Vec<u8>, bytes: &[u8]) -> Result<()> {
    let room = LOOKED_AT - looked_at.len().min(LOOKED_AT);
    looked_at.extend_from_slice(bytes.get(..room).unwrap_or(bytes));
    file.write(bytes).await
}

fn listed(path: String, member: &Member) -> Row {
    let (kind, link) = match &member.kind {
        MemberKind::Link(target) => (Kind::Link, Some(target.clone())),
        MemberKind::Directory | MemberKind::File => (Kind::Directory, None),
    };
    Row { path, kind, mode: member.mode, bytes: 0, crc32c: None, at: None, offset: None, link }
}

/// Looks at the files that say whether the copy is what it should be.
struct Reader<'a> {
    facts: &'a ClusterFacts,
    wal: WalRules,
    segments: BTreeSet<String>,
    has_control: bool,
    has_label: bool,
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
