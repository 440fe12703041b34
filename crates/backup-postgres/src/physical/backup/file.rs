//! One file on its way: pages checked, bytes counted and summed, cut into pieces.

use backup_core::{Error, ErrorKind, Event, Result};
use crc_fast::{CrcAlgorithm, Digest};

use super::group::{GroupWriter, MOST_PIECE};
use crate::physical::files::address::Place;
use crate::physical::files::name::Relation;
use crate::physical::files::row::{Kind, Row};

/// Takes the bytes of one file in order.
pub(crate) struct FileWriter<'g, 'a> {
    group: &'g GroupWriter<'a>,
    relation: Option<Relation>,
    row: Row,
    place: Place,
    crc: Digest,
    /// Bytes that wait for their piece to be full.
    buffer: Vec<u8>,
    pieces: u64,
}

impl<'g, 'a> FileWriter<'g, 'a> {
    pub(super) fn new(
        group: &'g GroupWriter<'a>,
        path: String,
        relation: Option<Relation>,
        mode: u32,
        place: Place,
    ) -> Self {
        let row = Row {
            path,
            kind: Kind::File,
            mode,
            bytes: 0,
            crc32c: None,
            at: None,
            offset: None,
            link: None,
        };
        let crc = Digest::new(CrcAlgorithm::Crc32Iscsi);
        Self { group, relation, row, place, crc, buffer: Vec::new(), pieces: 0 }
    }

    /// Leaves the checking of pages to whoever reads them.
    pub(super) fn unchecked(mut self) -> Self {
        self.relation = None;
        self
    }

    /// Appends bytes, whose pages are checked when their piece is full.
    pub(super) async fn write(&mut self, mut bytes: &[u8]) -> Result<()> {
        self.crc.update(bytes);
        self.row.bytes += bytes.len() as u64;
        self.group.copied.observer.on_event(&Event::Progress { bytes: bytes.len() as u64 });
        while !bytes.is_empty() {
            if self.buffer.is_empty()
                && let Some((piece, rest)) = bytes.split_at_checked(MOST_PIECE)
            {
                self.cut(piece).await?;
                bytes = rest;
                continue;
            }
            let room = MOST_PIECE.saturating_sub(self.buffer.len());
            let (now, rest) = bytes.split_at(room.min(bytes.len()));
            self.buffer.extend_from_slice(now);
            bytes = rest;
            if self.buffer.len() >= MOST_PIECE {
                self.cut_buffer().await?;
            }
        }
        Ok(())
    }

    /// Ends the file and lists it.
    pub(super) async fn finish(mut self) -> Result<()> {
        self.row.crc32c = Some(self.crc.finalize() as u32);
        self.group.copied.saw(&self.row)?;
        match self.place {
            Place::Bundle(bundle) => {
                let buffer = std::mem::take(&mut self.buffer);
                self.check_pages(&buffer)?;
                self.group.bundle(bundle, self.row, &buffer).await
            }
            Place::Own(first) => {
                if !self.buffer.is_empty() {
                    self.cut_buffer().await?;
                }
                self.row.at = Some(first);
                self.group.row(&self.row).await
            }
        }
    }

    async fn cut_buffer(&mut self) -> Result<()> {
        let mut buffer = std::mem::take(&mut self.buffer);
        self.cut(&buffer).await?;
        buffer.clear();
        self.buffer = buffer;
        Ok(())
    }

    async fn cut(&mut self, piece: &[u8]) -> Result<()> {
        self.check_pages(piece)?;
        let Place::Own(first) = self.place else {
            return Err(Error::new(ErrorKind::Failed, "copy file")
                .with("file", &self.row.path)
                .because("it is larger than was announced"));
        };
        self.group.piece(first + self.pieces, piece).await?;
        self.pieces += 1;
        Ok(())
    }

    fn check_pages(&self, piece: &[u8]) -> Result<()> {
        match self.relation {
            Some(relation) => {
                let offset = self.pieces * MOST_PIECE as u64;
                self.group.copied.check(&self.row.path, relation, offset, piece)
            }
            None => Ok(()),
        }
    }
}
