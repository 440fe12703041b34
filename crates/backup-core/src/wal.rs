//! Files of write-ahead log: their names, and what is known of their content.

use std::fmt;
use std::str::FromStr;

use jiff::Timestamp;

use crate::{Error, ErrorKind, Lsn};

/// One segment of one timeline, by the three numbers in its name. How many bytes a segment has
/// is the cluster's choice (1 MiB to 1 GiB), so positions need that size.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct WalSegment {
    /// The timeline, from 1.
    pub timeline: u32,
    /// The upper 32 bits of its positions.
    pub high: u32,
    /// Which segment among those with the same upper bits.
    pub low: u32,
}

impl WalSegment {
    /// Returns the segment that holds a position.
    #[must_use]
    pub fn holding(timeline: u32, position: Lsn, size: u64) -> Self {
        let low = (position.0 & 0xFFFF_FFFF) / size.max(1);
        Self { timeline, high: (position.0 >> 32) as u32, low: low as u32 }
    }

    /// Returns the position of its first byte; `None` if no segment of that size has the name.
    #[must_use]
    pub fn start(self, size: u64) -> Option<Lsn> {
        let offset = u64::from(self.low).checked_mul(size).filter(|offset| *offset >> 32 == 0)?;
        Some(Lsn(u64::from(self.high) << 32 | offset))
    }

    /// Returns the segment after it on the same timeline.
    #[must_use]
    pub fn next(self, size: u64) -> Option<Self> {
        let start = self.start(size)?.0.checked_add(size)?;
        Some(Self::holding(self.timeline, Lsn(start), size))
    }
}

impl fmt::Display for WalSegment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:08X}{:08X}{:08X}", self.timeline, self.high, self.low)
    }
}

impl FromStr for WalSegment {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        segment(text).ok_or_else(|| not_a_name(text))
    }
}

/// A file that PostgreSQL archives and asks for, by the name it gives it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum WalFile {
    /// A whole segment: `000000010000000A000000FF`.
    Segment(WalSegment),
    /// The last, unfinished segment of a timeline that was left: `….partial`.
    Partial(WalSegment),
    /// Where a base backup began and ended: `….00000028.backup`.
    Backup(WalSegment, u32),
    /// Where a timeline branched off: `00000002.history`.
    History(u32),
}

impl WalFile {
    /// Returns the timeline it belongs to.
    #[must_use]
    pub fn timeline(self) -> u32 {
        match self {
            Self::Segment(segment) | Self::Partial(segment) | Self::Backup(segment, _) => {
                segment.timeline
            }
            Self::History(timeline) => timeline,
        }
    }

    /// Returns whether it holds WAL itself.
    #[must_use]
    pub fn is_wal(self) -> bool {
        matches!(self, Self::Segment(_) | Self::Partial(_))
    }
}

impl fmt::Display for WalFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Segment(segment) => segment.fmt(f),
            Self::Partial(segment) => write!(f, "{segment}.partial"),
            Self::Backup(segment, offset) => write!(f, "{segment}.{offset:08X}.backup"),
            Self::History(timeline) => write!(f, "{timeline:08X}.history"),
        }
    }
}

impl FromStr for WalFile {
    type Err = Error;

    /// Reads a name as the server writes it: capital hexadecimal digits, nothing else. A path is
    /// no name.
    fn from_str(text: &str) -> Result<Self, Error> {
        let read = || {
            let Some((first, rest)) = text.split_once('.') else {
                return segment(text).map(Self::Segment);
            };
            match rest {
                "history" => number(first).filter(|number| *number > 0).map(Self::History),
                "partial" => segment(first).map(Self::Partial),
                _ => {
                    let offset = number(rest.strip_suffix(".backup")?)?;
                    Some(Self::Backup(segment(first)?, offset))
                }
            }
        };
        read().ok_or_else(|| not_a_name(text))
    }
}

fn segment(text: &str) -> Option<WalSegment> {
    if text.len() != 24 || !text.is_ascii() {
        return None;
    }
    let (timeline, high, low) = (number(&text[..8])?, number(&text[8..16])?, number(&text[16..])?);
    (timeline > 0).then_some(WalSegment { timeline, high, low })
}

/// Exactly eight capital hexadecimal digits.
fn number(text: &str) -> Option<u32> {
    let plain = text.len() == 8 && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'A'..=b'F'));
    plain.then(|| u32::from_str_radix(text, 16).ok()).flatten()
}

fn not_a_name(text: &str) -> Error {
    Error::new(ErrorKind::Usage, "parse name of WAL file")
        .with("name", text.escape_debug())
        .hint("Pass the name that PostgreSQL puts in for %f, such as 00000001000000000000000A.")
}

/// What one WAL segment holds, read from its records before it was stored, so that a recovery
/// can be planned without fetching everything.
///
/// Records that cross a segment's end are not seen by either segment: such facts may lack the
/// first or the last transaction, never invent one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WalFacts {
    /// The cluster's system identifier.
    pub system: u64,
    /// Bytes of a segment in that cluster.
    pub segment_size: u32,
    /// The format of its pages, which names the major version.
    pub magic: u16,
    /// Position of its first byte.
    pub start: Lsn,
    /// Position behind the last whole record that begins in it; `start` if there is none.
    pub end: Lsn,
    /// Transactions that ended in it.
    pub transactions: u32,
    /// The earliest and the latest end of a transaction by time, which is not always their order.
    pub times: Option<(WalInstant, WalInstant)>,
    /// The lowest and the highest id of a transaction that ended in it, counted as PostgreSQL
    /// does: ids wrap around.
    pub xids: Option<(u32, u32)>,
    /// Time of its last checkpoint.
    pub checkpoint: Option<WalInstant>,
    /// Named restore points, in order; the first few.
    pub restore_points: Vec<RestorePoint>,
    /// Whether it has restore points that are not listed.
    pub more_restore_points: bool,
    /// Whether it was left early by a switch: the rest is empty.
    pub switched: bool,
    /// Whether the WAL ends in it without a switch: what follows is no WAL, or damaged. In a whole
    /// segment that is damage: a server replays nothing behind it.
    pub ended: bool,
}

impl WalFacts {
    /// Returns whether a record begins in it and ends in the next one: neither tells of that.
    #[must_use]
    pub fn straddles(&self) -> bool {
        let behind = self.start.0.saturating_add(u64::from(self.segment_size));
        !self.switched && !self.ended && self.end.0 < behind
    }
}

/// A time and where in the WAL its record ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct WalInstant {
    /// The server's clock.
    pub at: Timestamp,
    /// Position behind the record.
    pub end: Lsn,
}

/// A named place to recover to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RestorePoint {
    /// Its name, of 63 bytes at most.
    pub name: String,
    /// When and where.
    pub instant: WalInstant,
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;

    #[test]
    fn names_are_read_as_they_are_written() {
        for text in [
            "00000001000000000000000A",
            "FFFFFFFFFFFFFFFFFFFFFFFF",
            "000000020000001000000007.partial",
            "00000001000000000000000A.00000028.backup",
            "0000000A.history",
        ] {
            assert_eq!(text.parse::<WalFile>().unwrap().to_string(), text);
        }
        assert_eq!("0000000A.history".parse::<WalFile>().unwrap(), WalFile::History(10));
        for text in [
            "",
            "archive_status",
            "00000001000000000000000a",
            "0000000100000000000000",
            "00000001000000000000000A0",
            "00000000000000000000000A",
            "00000000.history",
            "1.history",
            "00000001000000000000000A.gz",
            "00000001000000000000000A.28.backup",
            "pg_wal/00000001000000000000000A",
            "RECOVERYXLOG",
            "0000000100000000000000é",
        ] {
            assert!(text.parse::<WalFile>().is_err(), "{text}");
        }
    }

    #[test]
    fn positions_depend_on_the_segment_size() {
        let segment: WalSegment = "0000000100000002000000FF".parse().unwrap();
        assert_eq!(segment.start(16 * MIB), Some(Lsn(0x2_FF00_0000)));
        assert_eq!(segment.next(16 * MIB).unwrap().to_string(), "000000010000000300000000");
        // With 64 MiB there are 64 segments to a number.
        assert_eq!(segment.start(64 * MIB), None);
        let small = WalSegment::holding(7, Lsn(0x1_0012_3456), MIB);
        assert_eq!(small.to_string(), "000000070000000100000001");
        let large = WalSegment::holding(1, Lsn(0x1_FFFF_FFFF), 1024 * MIB);
        assert_eq!(large.next(1024 * MIB).unwrap().to_string(), "000000010000000200000000");
        let last = WalSegment::holding(1, Lsn(u64::MAX), 16 * MIB);
        assert_eq!(last.next(16 * MIB), None);
    }
}
