//! Bytes of WAL as they arrive, to segments; pure.

use backup_core::{Error, ErrorKind, Lsn, Result, WalSegment};
use bytes::Bytes;

/// The segment that is being received.
#[derive(Debug)]
pub(super) struct Assembler {
    timeline: u32,
    size: u64,
    start: Lsn,
    received: Vec<u8>,
    /// Bytes of it that were handed out as a growing segment.
    handed: usize,
}

/// What is to be stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Piece {
    pub(super) segment: WalSegment,
    /// A whole segment, zero bytes behind what was received.
    pub(super) content: Bytes,
    /// Position up to which it was received.
    pub(super) end: Lsn,
    /// Whether all of it was.
    pub(super) whole: bool,
}

impl Assembler {
    /// Begins at the start of a segment.
    pub(super) fn new(timeline: u32, size: u64, position: Lsn) -> Self {
        let start = position.segment_start(size);
        Self { timeline, size, start, received: Vec::new(), handed: 0 }
    }

    pub(super) fn timeline(&self) -> u32 {
        self.timeline
    }

    /// Returns where the next byte belongs.
    pub(super) fn next(&self) -> Lsn {
        Lsn(self.start.0 + self.received.len() as u64)
    }

    /// Takes bytes in and returns the segments that they complete.
    pub(super) fn push(&mut self, start: Lsn, mut bytes: Bytes) -> Result<Vec<Piece>> {
        if start != self.next() {
            return Err(Error::new(ErrorKind::SourceUnavailable, "stream WAL")
                .with("expected", self.next())
                .with("received", start)
                .because("the server left bytes out"));
        }
        let mut whole = Vec::new();
        while !bytes.is_empty() {
            let room = self.size as usize - self.received.len();
            self.received.reserve_exact(if self.received.is_empty() {
                self.size as usize
            } else {
                0
            });
            self.received.extend_from_slice(&bytes.split_to(room.min(bytes.len())));
            if self.received.len() as u64 == self.size {
                let content = std::mem::take(&mut self.received).into();
                let end = Lsn(self.start.0 + self.size);
                whole.push(Piece { segment: self.segment(), content, end, whole: true });
                (self.start, self.handed) = (end, 0);
            }
        }
        Ok(whole)
    }

    /// Returns the segment as far as it was received, if there is more than last time.
    pub(super) fn growing(&mut self) -> Option<Piece> {
        if self.received.len() == self.handed {
            return None;
        }
        self.handed = self.received.len();
        let mut content = Vec::with_capacity(self.size as usize);
        content.extend_from_slice(&self.received);
        content.resize(self.size as usize, 0);
        let (segment, end) = (self.segment(), self.next());
        Some(Piece { segment, content: content.into(), end, whole: false })
    }

    fn segment(&self) -> WalSegment {
        WalSegment::holding(self.timeline, self.start, self.size)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SIZE: u64 = 1 << 20;

    #[test]
    fn bytes_become_whole_segments_and_growing_ones() {
        let mut assembler = Assembler::new(2, SIZE, Lsn(3 * SIZE + 77));
        assert_eq!(assembler.next(), Lsn(3 * SIZE));
        assert!(assembler.growing().is_none());
        let data: Bytes = (0..2 * SIZE + 10).map(|n| n as u8 | 1).collect::<Vec<_>>().into();
        assert!(assembler.push(Lsn(3 * SIZE), data.slice(..100)).unwrap().is_empty());
        let growing = assembler.growing().unwrap();
        assert_eq!((growing.end, growing.whole), (Lsn(3 * SIZE + 100), false));
        assert_eq!(&growing.content[..100], &data[..100]);
        assert_eq!(growing.content.len() as u64, SIZE);
        assert!(growing.content[100..].iter().all(|byte| *byte == 0));
        assert!(assembler.growing().is_none(), "nothing came since");
        let whole = assembler.push(Lsn(3 * SIZE + 100), data.slice(100..)).unwrap();
        assert_eq!(whole.len(), 2);
        assert!(whole[0].content == data[..SIZE as usize] && whole[0].whole);
        assert_eq!(whole[1].segment.to_string(), "000000020000000000000004");
        assert_eq!((whole[1].end, assembler.next()), (Lsn(5 * SIZE), Lsn(5 * SIZE + 10)));
        assert!(assembler.push(Lsn(5 * SIZE), data.slice(..1)).is_err(), "bytes twice");
        assert!(assembler.push(Lsn(6 * SIZE), data.slice(..1)).is_err(), "a hole");
    }
}
