//! A file of which the server sent only what changed, made whole with the earlier snapshot.

use backup_core::{Error, ErrorKind, Result};

use super::file::FileWriter;
use super::group::{GroupWriter, MOST_PIECE};
use crate::physical::changes::{BaseFile, BaseGroup, Increment};
use crate::physical::files::name::{Fork, Relation};

/// Takes the bytes of an increment, and writes the whole file.
pub(super) struct Merging<'g, 'a> {
    group: &'g GroupWriter<'a>,
    path: String,
    relation: Relation,
    mode: u32,
    block_bytes: usize,
    increment: Increment,
    before: (&'g BaseGroup, &'g BaseFile),
    /// Begun when its length is known.
    writer: Option<FileWriter<'g, 'a>>,
    /// The number of the next piece to be written.
    piece: u64,
    /// The piece that changed blocks are being put into.
    open: Option<Vec<u8>>,
}

impl<'g, 'a> Merging<'g, 'a> {
    /// Begins a file; fails if the earlier snapshot does not have it.
    pub(super) fn begin(
        group: &'g GroupWriter<'a>,
        path: String,
        relation: Option<Relation>,
        mode: u32,
        block_bytes: u64,
    ) -> Result<Self> {
        let before = group.before(relation).zip(relation);
        let (before, relation) = before.ok_or_else(|| {
            Error::new(ErrorKind::SourceUnavailable, "complete incremental file")
                .with("file", &path)
                .because("the earlier snapshot does not have it")
                .hint("Run the backup again with --full-read.")
        })?;
        let block_bytes = usize::try_from(block_bytes).unwrap_or_default().max(1);
        let increment = Increment::new(block_bytes);
        let (writer, piece, open) = (None, 0, None);
        Ok(Self {
            group,
            path,
            relation,
            mode,
            block_bytes,
            increment,
            before,
            writer,
            piece,
            open,
        })
    }

    /// Takes the next bytes.
    pub(super) async fn write(&mut self, bytes: &[u8]) -> Result<()> {
        let found = self.increment.feed(bytes)?;
        self.begin_writer()?;
        for (number, block) in found {
            let at = u64::from(number) * self.block_bytes as u64;
            let piece = at / MOST_PIECE as u64;
            self.advance(piece).await?;
            // Below the size of a piece.
            let offset = (at % MOST_PIECE as u64) as usize;
            let mut open = match self.open.take() {
                Some(open) => open,
                None => self.read(piece).await?,
            };
            if let Some(room) = open.get_mut(offset..offset + self.block_bytes) {
                room.copy_from_slice(&block);
            }
            self.open = Some(open);
        }
        Ok(())
    }

    /// Ends the file.
    pub(super) async fn finish(mut self) -> Result<()> {
        self.increment.finish()?;
        self.begin_writer()?;
        let pieces = self.bytes().div_ceil(MOST_PIECE as u64);
        self.advance(pieces).await?;
        match self.writer {
            Some(writer) => writer.finish().await,
            None => Err(Error::new(ErrorKind::Failed, "complete incremental file")),
        }
    }

    fn bytes(&self) -> u64 {
        self.increment.length() * self.block_bytes as u64
    }

    fn begin_writer(&mut self) -> Result<()> {
        if self.writer.is_none() && self.increment.blocks().is_some() {
            let (path, relation) = (self.path.clone(), Some(self.relation));
            let file = self.group.file(path, relation, self.mode, self.bytes())?;
            self.writer = Some(file.merged());
        }
        Ok(())
    }

    /// Writes all pieces before `piece`: the open one, and those that are as they were.
    async fn advance(&mut self, piece: u64) -> Result<()> {
        while self.piece < piece {
            let number = self.piece;
            let kept = match self.open.take() {
                Some(open) => {
                    self.put(&open).await?;
                    true
                }
                None => self.keep(number).await?,
            };
            if !kept {
                let bytes = self.read(number).await?;
                self.put(&bytes).await?;
            }
            self.piece += 1;
        }
        Ok(())
    }

    async fn keep(&mut self, piece: u64) -> Result<bool> {
        if self.is_map() {
            return Ok(false);
        }
        let same = self.before.1.piece_bytes(piece) == self.piece_bytes(piece);
        match &mut self.writer {
            Some(writer) if same => writer.keep(self.before.1).await,
            _ => Ok(false),
        }
    }

    async fn put(&mut self, bytes: &[u8]) -> Result<()> {
        match &mut self.writer {
            Some(writer) => writer.write(bytes).await,
            None => Ok(()),
        }
    }

    /// Whether it is a visibility map. Servers clear bits there without writing so into the WAL, and
    /// so do not send all pages that changed: those that are not sent are cleared, which only means
    /// that rows are looked at until the next vacuum.
    fn is_map(&self) -> bool {
        self.relation.fork == Fork::Visibility
    }

    /// Returns a piece as it was, as long as it is now: behind its former end are zeros.
    async fn read(&self, piece: u64) -> Result<Vec<u8>> {
        let mut bytes = match self.is_map() {
            true => Vec::new(),
            false => self.before.0.read(self.before.1, piece).await?,
        };
        bytes.resize(usize::try_from(self.piece_bytes(piece)).unwrap_or_default(), 0);
        Ok(bytes)
    }

    fn piece_bytes(&self, piece: u64) -> u64 {
        self.bytes().saturating_sub(piece.saturating_mul(MOST_PIECE as u64)).min(MOST_PIECE as u64)
    }
}
