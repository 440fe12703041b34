//! `BASE_BACKUP`: a cluster as tar archives, one for each tablespace, then a manifest.

use backup_core::{Error, Lsn, Result};
use postgres_protocol::message::backend::{CopyDataBody, Message};

use super::{BaseBackupOptions, Replication};
use crate::wire::{Client, Incoming, Row, column_names};

const BACKUP: &str = "read base backup";

/// Data is handed on once it has this many bytes.
const BATCH: usize = 256 << 10;

/// A tablespace of the cluster, one archive of the backup.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tablespace {
    /// Its oid; `None` for the data directory itself.
    pub oid: Option<u32>,
    /// Where it is on the server; empty for the data directory.
    pub location: String,
    /// Its size in bytes, roughly.
    pub bytes: u64,
}

/// What [`BaseBackup::read`] brought.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BackupPiece {
    /// An archive begins: that of the tablespace at this place of [`BaseBackup::tablespaces`].
    /// The one before it is complete.
    Archive(usize),
    /// The manifest begins; all archives are complete.
    Manifest,
    /// Bytes of what began last were appended.
    Data,
    /// All was sent and confirmed.
    End,
}

/// A running base backup. Dropped before its end, it gives the connection up, and the server
/// ends its backup.
#[derive(Debug)]
pub struct BaseBackup<'a> {
    client: &'a mut Client,
    start: Lsn,
    timeline: u32,
    tablespaces: Vec<Tablespace>,
    /// Before 15, every archive is a COPY of its own.
    separate: bool,
    with_manifest: bool,
    stage: Stage,
    /// What was read and has its turn after the data before it.
    ahead: Option<BackupPiece>,
    begun: usize,
    stop: Option<(Lsn, u32)>,
}

#[derive(Debug, PartialEq, Eq)]
enum Stage {
    /// A COPY is to begin, or (once all were seen) the closing answer.
    Between,
    Copying,
    Closing,
    Ended,
    Failed,
}

impl Replication {
    /// Starts a base backup. On return the checkpoint is done and the start is known.
    ///
    /// # Errors
    /// The server's error, with its [`DbError`](crate::DbError) as the cause.
    pub async fn base_backup(&mut self, options: &BaseBackupOptions) -> Result<BaseBackup<'_>> {
        let version = self.server_version_num();
        let client = &mut self.client;
        client.begin(BACKUP, &options.command(version)).await?;
        let begin = result_set(client).await?;
        let (start, timeline) = begin
            .first()
            .and_then(position)
            .ok_or_else(|| client.violated(BACKUP, "a start that cannot be read"))?;
        let listed = result_set(client).await?;
        let tablespaces: Option<Vec<Tablespace>> = listed.iter().map(tablespace).collect();
        let tablespaces = tablespaces.filter(|list| !list.is_empty());
        let tablespaces = tablespaces
            .ok_or_else(|| client.violated(BACKUP, "tablespaces that cannot be read"))?;
        client.link.watch(client.stall_timeout);
        Ok(BaseBackup {
            client,
            start,
            timeline,
            tablespaces,
            separate: version < 150_000,
            with_manifest: options.manifest,
            stage: Stage::Between,
            ahead: None,
            begun: 0,
            stop: None,
        })
    }
}

impl BaseBackup<'_> {
    /// Returns where recovery begins, and on which timeline.
    #[must_use]
    pub fn start(&self) -> (Lsn, u32) {
        (self.start, self.timeline)
    }

    /// Returns the tablespaces in the order of their archives; the data directory comes last.
    #[must_use]
    pub fn tablespaces(&self) -> &[Tablespace] {
        &self.tablespaces
    }

    /// Returns where recovery must at least arrive, and on which timeline, once
    /// [`BackupPiece::End`] was returned.
    #[must_use]
    pub fn stop(&self) -> Option<(Lsn, u32)> {
        self.stop
    }

    /// Returns the next piece, appending its bytes to `buf`. After the end it keeps returning
    /// the end.
    ///
    /// # Errors
    /// The server's error, a lost connection, or data that ends without the confirmation. What
    /// was read must not be taken for a backup then.
    pub async fn read(&mut self, buf: &mut Vec<u8>) -> Result<BackupPiece> {
        if let Some(piece) = self.ahead.take() {
            return Ok(piece);
        }
        let piece = self.advance(buf).await;
        if piece.is_err() {
            self.stage = Stage::Failed;
        }
        piece
    }

    async fn advance(&mut self, buf: &mut Vec<u8>) -> Result<BackupPiece> {
        let before = buf.len();
        loop {
            let piece = match self.stage {
                Stage::Between => self.between().await?,
                Stage::Copying => self.copying(buf).await?,
                Stage::Closing => self.closing().await?,
                Stage::Ended => Some(BackupPiece::End),
                Stage::Failed => {
                    return Err(Error::new(backup_core::ErrorKind::Failed, BACKUP)
                        .because("this base backup failed before"));
                }
            };
            match piece {
                Some(piece) if buf.len() > before => {
                    self.ahead = Some(piece);
                    return Ok(BackupPiece::Data);
                }
                Some(piece) => return Ok(piece),
                None if buf.len() - before >= BATCH => return Ok(BackupPiece::Data),
                None => {}
            }
        }
    }

    /// A COPY begins.
    async fn between(&mut self) -> Result<Option<BackupPiece>> {
        match self.known().await? {
            Message::CopyOutResponse(_) => {
                self.stage = Stage::Copying;
                Ok(if self.separate { self.begin_next() } else { None })
            }
            Message::ErrorResponse(body) => Err(self.client.failed(BACKUP, &body).await),
            _ => Err(self.client.violated(BACKUP, "a message that begins no archive")),
        }
    }

    /// What comes next in the old form, where nothing names it.
    fn begin_next(&mut self) -> Option<BackupPiece> {
        let piece = if self.begun < self.tablespaces.len() {
            BackupPiece::Archive(self.begun)
        } else {
            BackupPiece::Manifest
        };
        self.begun += 1;
        Some(piece)
    }

    async fn copying(&mut self, buf: &mut Vec<u8>) -> Result<Option<BackupPiece>> {
        match self.known().await? {
            Message::CopyData(body) => self.data(&body, buf),
            Message::CopyDone => {
                let all = self.tablespaces.len() + usize::from(self.with_manifest);
                if !self.separate && self.begun != all {
                    return Err(self
                        .client
                        .violated(BACKUP, "an archive or the manifest is missing"));
                }
                self.stage = if self.begun < all { Stage::Between } else { Stage::Closing };
                Ok(None)
            }
            Message::ErrorResponse(body) => Err(self.client.failed(BACKUP, &body).await),
            _ => Err(self.client.violated(BACKUP, "a message that belongs into no archive")),
        }
    }

    fn data(&mut self, body: &CopyDataBody, buf: &mut Vec<u8>) -> Result<Option<BackupPiece>> {
        let data = body.data();
        if self.separate {
            buf.extend_from_slice(data);
            return Ok(None);
        }
        match data.split_first() {
            Some((b'd', data)) if self.begun > 0 => {
                buf.extend_from_slice(data);
                Ok(None)
            }
            Some((b'p', _)) => Ok(None),
            Some((b'n', names)) if self.begun < self.tablespaces.len() => {
                // Archives come in the order announced; the names must agree.
                let expected = self.tablespaces.get(self.begun).map(archive_name);
                let name = names.split(|byte| *byte == 0).next();
                if expected.as_deref().map(str::as_bytes) != name {
                    return Err(self.client.violated(BACKUP, "an archive out of order"));
                }
                Ok(self.begin_next())
            }
            Some((b'm', _)) if self.begun == self.tablespaces.len() && self.with_manifest => {
                Ok(self.begin_next())
            }
            _ => Err(self.client.violated(BACKUP, "a piece that belongs into no archive")),
        }
    }

    /// The stop position, then readiness, nothing else.
    async fn closing(&mut self) -> Result<Option<BackupPiece>> {
        self.client.link.watch(None);
        let end = result_set(self.client).await?;
        let Some(stop) = end.first().and_then(position) else {
            return Err(self.client.violated(BACKUP, "an end that cannot be read"));
        };
        let mut confirmed = false;
        loop {
            match self.known().await? {
                Message::CommandComplete(_) if !confirmed => confirmed = true,
                Message::ReadyForQuery(body) if confirmed => {
                    self.client.ready(BACKUP, &body)?;
                    self.stop = Some(stop);
                    self.stage = Stage::Ended;
                    return Ok(Some(BackupPiece::End));
                }
                Message::ErrorResponse(body) => {
                    return Err(self.client.failed(BACKUP, &body).await);
                }
                _ => return Err(self.client.violated(BACKUP, "a message after the backup")),
            }
        }
    }

    async fn known(&mut self) -> Result<Message> {
        match self.client.receive(BACKUP).await? {
            Incoming::Known(message) => Ok(message),
            Incoming::CopyBoth => {
                Err(self.client.violated(BACKUP, "a stream of WAL began unasked"))
            }
        }
    }
}

impl Drop for BaseBackup<'_> {
    fn drop(&mut self) {
        if self.client.is_busy() {
            self.client.abandon("a base backup was dropped before its end".to_owned());
        }
    }
}

/// Reads one answer of rows, to its confirmation.
async fn result_set(client: &mut Client) -> Result<Vec<Row>> {
    let mut columns = None;
    let mut rows = Vec::new();
    loop {
        let message = match client.receive(BACKUP).await? {
            Incoming::Known(message) => message,
            Incoming::CopyBoth => {
                return Err(client.violated(BACKUP, "a stream of WAL began unasked"));
            }
        };
        match message {
            Message::RowDescription(body) if columns.is_none() => {
                columns = Some(column_names(&body).map_err(|e| client.violated(BACKUP, e))?);
            }
            Message::DataRow(body) => {
                let row = match &columns {
                    Some(columns) => Row::read(columns, &body),
                    None => Err("a row came before its description".to_owned()),
                };
                rows.push(row.map_err(|error| client.violated(BACKUP, error))?);
            }
            Message::CommandComplete(_) if columns.is_some() => return Ok(rows),
            Message::ErrorResponse(body) => return Err(client.failed(BACKUP, &body).await),
            _ => return Err(client.violated(BACKUP, "a message that answers no base backup")),
        }
    }
}

fn position(row: &Row) -> Option<(Lsn, u32)> {
    Some((row.by_name("recptr")?.parse().ok()?, row.by_name("tli")?.parse().ok()?))
}

fn tablespace(row: &Row) -> Option<Tablespace> {
    // Sizes are in KiB, where progress is asked for.
    let kib: u64 = row.by_name("size").map_or(Some(0), |size| size.parse().ok())?;
    Some(Tablespace {
        oid: row.by_name("spcoid").map(str::parse).transpose().ok()?,
        location: row.by_name("spclocation").unwrap_or_default().to_owned(),
        bytes: kib.saturating_mul(1024),
    })
}

fn archive_name(tablespace: &Tablespace) -> String {
    tablespace.oid.map_or_else(|| "base.tar".to_owned(), |oid| format!("{oid}.tar"))
}
