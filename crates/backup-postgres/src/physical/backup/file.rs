//! One file on its way: pages checked, bytes counted and summed, cut into pieces.

use backup_core::{Error, ErrorKind, Event, Result};
use crc_fast::{CrcAlgorithm, checksum, checksum_combine};

use super::group::{GroupWriter, MOST_PIECE};
use crate::physical::changes::BaseFile;
use crate::physical::files::address::Place;
use crate::physical::files::name::Relation;
use crate::physical::files::row::{Kind, Row};

/// Takes the bytes of one file in order.
pub(crate) struct FileWriter<'g, 'a> {
    group: &'g GroupWriter<'a>,
    relation: Option<Relation>,
    row: Row,
    place: Place,
    /// Of the pieces before this one.
    crc: u32,
    /// Of each piece, for a relation's file.
    sums: Option<Vec<u32>>,
    /// Bytes that wait for their piece to be full.
    buffer: Vec<u8>,
    pieces: u64,
    /// Whether the server sent other bytes than these, which are compared on their own.
    is_merged: bool,
}

impl<'g, 'a> FileWriter<'g, 'a> {
    pub(super) fn new(
        group: &'g GroupWriter<'a>,
        path: String,
        relation: Option<Relation>,
        mode: u32,
        place: Place,
    ) -> Self {
        Self {
            group,
            relation,
            row: Row::new(path, Kind::File, mode),
            place,
            crc: 0,
            sums: relation.map(|_| Vec::new()),
            buffer: Vec::new(),
            pieces: 0,
            is_merged: false,
        }
    }

    /// Leaves the checking of pages to whoever reads them.
    pub(super) fn unchecked(mut self) -> Self {
        self.relation = None;
        self
    }

    /// Says that these bytes are not those that the server's manifest lists.
    pub(super) fn merged(mut self) -> Self {
        self.is_merged = true;
        self
    }

    /// Appends bytes, whose pages are checked when their piece is full.
    pub(super) async fn write(&mut self, mut bytes: &[u8]) -> Result<()> {
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

    /// Takes the next piece over from the base, unread. `false`: it has to be written.
    pub(super) async fn keep(&mut self, base: &BaseFile) -> Result<bool> {
        let Place::Own(first) = self.place else { return Ok(false) };
        let sum = usize::try_from(self.pieces).ok().and_then(|at| base.sums.get(at)).copied();
        let Some(sum) = sum else { return Ok(false) };
        let bytes = base.piece_bytes(self.pieces);
        let is_own = base.offset.is_none() && base.at == first;
        if !is_own || bytes == 0 || !self.buffer.is_empty() {
            return Ok(false);
        }
        if !self.group.keep(first + self.pieces).await? {
            return Ok(false);
        }
        self.row.bytes += bytes;
        self.group.copied.observer.on_event(&Event::Progress { bytes });
        self.group.copied.kept(bytes)?;
        self.sum(sum, bytes);
        Ok(true)
    }

    /// Ends the file and lists it.
    pub(super) async fn finish(mut self) -> Result<()> {
        match self.place {
            Place::Bundle(bundle) => {
                let buffer = std::mem::take(&mut self.buffer);
                self.check_pages(&buffer)?;
                self.row.crc32c = Some(checksum(CrcAlgorithm::Crc32Iscsi, &buffer) as u32);
                self.saw()?;
                self.group.bundle(bundle, self.row, &buffer).await
            }
            Place::Own(first) => {
                if !self.buffer.is_empty() {
                    self.cut_buffer().await?;
                }
                self.row.crc32c = Some(self.crc);
                if let Some(sums) = &self.sums {
                    self.row.set_sums(sums);
                }
                self.saw()?;
                self.row.at = Some(first);
                self.group.row(&self.row).await
            }
        }
    }

    fn saw(&self) -> Result<()> {
        if self.is_merged {
            self.group.copied.list(&self.row)
        } else {
            self.group.copied.saw(&self.row)
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
        self.sum(checksum(CrcAlgorithm::Crc32Iscsi, piece) as u32, piece.len() as u64);
        Ok(())
    }

    /// Notes a piece's sum and adds it to the file's.
    fn sum(&mut self, sum: u32, bytes: u64) {
        let (before, now) = (u64::from(self.crc), u64::from(sum));
        self.crc = checksum_combine(CrcAlgorithm::Crc32Iscsi, before, now, bytes) as u32;
        if let Some(sums) = &mut self.sums {
            sums.push(sum);
        }
        self.pieces += 1;
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
