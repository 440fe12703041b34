//! The records that recovery can stop at.

use jiff::Timestamp;

use super::page::{u32_at, u64_at};

/// Bytes of a record's header.
pub(super) const HEADER: usize = 24;
/// Bytes from the front of a record that are kept: what is looked at is at the front.
pub(super) const PREFIX: usize = 512;

/// Microseconds from 1970 to 2000, where PostgreSQL's clock begins.
const POSTGRES_EPOCH_MICROS: i64 = 946_684_800_000_000;

const XLOG: u8 = 0;
const XACT: u8 = 1;

/// How a transaction ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// By commit.
    Committed,
    /// By rollback.
    Aborted,
}

/// Something in the WAL that a recovery can aim at, or learn the time from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WalEvent {
    /// A transaction ended.
    Transaction {
        /// How.
        ended: Ended,
        /// Its id; `None` where a prepared transaction's could not be read.
        xid: Option<u32>,
        /// When, by the server's clock.
        at: Timestamp,
    },
    /// A named restore point.
    RestorePoint {
        /// Its name.
        name: String,
        /// When.
        at: Timestamp,
    },
    /// A checkpoint.
    Checkpoint {
        /// When it began, in whole seconds.
        at: Timestamp,
    },
    /// The rest of the segment is empty.
    Switch,
}

/// Returns what a record means for recovery; `None` for all others, and for what cannot be
/// read. `front` is the record's first bytes, at most [`PREFIX`]; `total` its length.
pub(super) fn event(front: &[u8], total: u32, major: u32) -> Option<WalEvent> {
    let (info, manager) = (*front.get(16)?, *front.get(17)?);
    let kind = info & 0xF0;
    match manager {
        XACT => transaction(front, total, info, major),
        XLOG => match kind {
            0x00 | 0x10 => {
                let seconds =
                    i64::from_le_bytes(*main_data(front, total)?.get(64..)?.first_chunk()?);
                Timestamp::from_second(seconds).ok().map(|at| WalEvent::Checkpoint { at })
            }
            0x40 => Some(WalEvent::Switch),
            0x70 => {
                let data = main_data(front, total)?;
                let at = time(u64_at(data, 0)?)?;
                let name = data.get(8..72)?;
                let end = name.iter().position(|byte| *byte == 0).unwrap_or(name.len());
                let name = String::from_utf8_lossy(name.get(..end)?).into_owned();
                Some(WalEvent::RestorePoint { name, at })
            }
            _ => None,
        },
        _ => None,
    }
}

fn transaction(front: &[u8], total: u32, info: u8, major: u32) -> Option<WalEvent> {
    const HAS_INFO: u8 = 0x80;
    let (ended, prepared) = match info & 0x70 {
        0x00 => (Ended::Committed, false),
        0x20 => (Ended::Aborted, false),
        0x30 => (Ended::Committed, true),
        0x40 => (Ended::Aborted, true),
        _ => return None,
    };
    let data = main_data(front, total)?;
    let at = time(u64_at(data, 0)?)?;
    let xid = if prepared {
        (info & HAS_INFO != 0).then(|| prepared_xid(data, ended, major)).flatten()
    } else {
        u32_at(front, 4)
    };
    Some(WalEvent::Transaction { ended, xid, at })
}

/// Finds the id of a prepared transaction behind the lists that come before it.
fn prepared_xid(data: &[u8], ended: Ended, major: u32) -> Option<u32> {
    let flags = u32_at(data, 8)?;
    let has = |bit: u32| flags & (1 << bit) != 0;
    let mut at = 12usize;
    if has(0) {
        at += 8;
    }
    // Bit, bytes of an item: subtransactions, files, dropped statistics, invalidations.
    let statistics = if major >= 18 { 16 } else { 12 };
    for (bit, item) in [(1, 4), (2, 12), (8, statistics), (3, 16)] {
        if has(bit) && !(bit == 3 && ended == Ended::Aborted) {
            let count = usize::try_from(u32_at(data, at)?).ok()?;
            at = at.checked_add(4)?.checked_add(count.checked_mul(item)?)?;
        }
    }
    if has(4) { u32_at(data, at) } else { None }
}

/// Returns the main data of a record without blocks, as those looked at here have none. It may
/// be cut to what was kept.
fn main_data(front: &[u8], total: u32) -> Option<&[u8]> {
    let mut at = HEADER;
    loop {
        match *front.get(at)? {
            // Origin, and the id of the top-level transaction.
            253 => at += 3,
            252 => at += 5,
            255 => {
                let length = usize::from(*front.get(at + 1)?);
                return cut(front, at + 2, length, total);
            }
            254 => {
                let length = usize::try_from(u32_at(front, at + 1)?).ok()?;
                return cut(front, at + 5, length, total);
            }
            _ => return None,
        }
    }
}

fn cut(front: &[u8], at: usize, length: usize, total: u32) -> Option<&[u8]> {
    let end = at.checked_add(length).filter(|end| *end <= total as usize)?;
    front.get(at..end.min(front.len()))
}

fn time(micros: u64) -> Option<Timestamp> {
    let micros = i64::from_le_bytes(micros.to_le_bytes()).checked_add(POSTGRES_EPOCH_MICROS)?;
    Timestamp::from_microsecond(micros).ok()
}
