//! The archives of a base backup, file by file, and the manifest at their end.

use backup_core::port::PartSink;
use backup_core::{Error, ErrorKind, Lsn, Result};
use crc_fast::{CrcAlgorithm, Digest};

use super::cluster::ClusterWriter;
use super::copied::Copied;
use super::file::FileWriter;
use super::manifest_part::ManifestPart;
use super::merge::Merging;
use super::proof::{COPY, Reader, other_cluster};
use crate::physical::changes::{real_path, whole_label};
use crate::physical::files::name::classify;
use crate::physical::files::row::{Kind, Row, is_safe};
use crate::physical::manifest::{ManifestFile, ManifestReader};
use crate::physical::manifest_write::ManifestWriter;
use crate::physical::tar::{Found, Member, MemberKind, TarReader};
use crate::replication::{BackupPiece, BaseBackup};

/// Of small files, and of the beginning of others, so much is kept to look at.
const LOOKED_AT: usize = 16 << 10;

/// Reads every archive and the manifest to the end.
pub(super) async fn read(
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
                let compare =
                    |file: ManifestFile| copied.compare(&file.path, file.bytes, file.crc32c);
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
