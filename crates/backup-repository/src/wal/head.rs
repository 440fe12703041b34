//! The first frame of a WAL object: what can be known without reading the rest.
//!
//! Plaintext, always 1024 bytes: version 1 (u8) ‖ bytes of the file (u64) ‖ content id (32) ‖
//! number of frames (u8) ‖ frames: encoding (u8), length (u32) ‖ facts ‖ zero bytes ‖
//! authenticator (32). Facts: 0 (u8) for none, or 1 (u8) ‖ system id (u64) ‖ segment size (u32) ‖
//! page format (u16) ‖ start (u64) ‖ end (u64) ‖ transactions (u32) ‖ flags (u8) ‖ earliest and
//! latest instant ‖ lowest and highest transaction id (u32 each) ‖ checkpoint's instant ‖ number
//! of restore points (u8) ‖ restore points: instant, length (u8), name. An instant is
//! microseconds since 1970 (i64) and a position (u64); what its flag says is absent is zero.

use backup_core::{ChunkId, Error, ErrorKind, Lsn, RestorePoint, Result, WalFacts, WalInstant};
use backup_crypto::ChunkIdKey;
use jiff::Timestamp;

use crate::bytes::Fields;
use crate::codec::Encoding;

/// Bytes of the head's plaintext.
pub(super) const HEAD: usize = 1024;
const AUTHENTICATOR: usize = 32;
const VERSION: u8 = 1;
/// A segment is at most 1 GiB; frames grow with it.
pub(super) const MOST_FRAMES: usize = 64;
/// The longest file: a segment of 1 GiB.
pub(super) const LONGEST: u64 = 1 << 30;

const HAS_TIMES: u8 = 1;
const HAS_XIDS: u8 = 2;
const HAS_CHECKPOINT: u8 = 4;
const HAS_MORE_POINTS: u8 = 8;
const SWITCHED: u8 = 16;
const ENDED: u8 = 32;

/// What an object says about its content.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WalHead {
    /// Bytes of the file.
    pub length: u64,
    /// What its records say; files that are no WAL have none.
    pub facts: Option<WalFacts>,
    pub(super) content: ChunkId,
    pub(super) frames: Vec<(Encoding, u32)>,
}

/// Returns the head's plaintext, authenticated for the object of that name.
pub(super) fn write_head(head: &WalHead, ids: ChunkIdKey, object: &str) -> Vec<u8> {
    let mut out = Vec::with_capacity(HEAD);
    out.push(VERSION);
    out.extend_from_slice(&head.length.to_be_bytes());
    out.extend_from_slice(&head.content.0);
    out.push(head.frames.len() as u8);
    for (encoding, length) in &head.frames {
        out.push(*encoding as u8);
        out.extend_from_slice(&length.to_be_bytes());
    }
    write_facts(&mut out, head.facts.as_ref());
    out.resize(HEAD - AUTHENTICATOR, 0);
    let authenticator = authenticate(ids, object, &out);
    out.extend_from_slice(&authenticator.0);
    out
}

/// Reads a head and checks who wrote it: someone who holds the repository's chunk-id key.
pub(super) fn open_head(plain: &[u8], ids: ChunkIdKey, object: &str) -> Result<WalHead> {
    let head = read_head(plain)?;
    let (body, stated) =
        plain.split_last_chunk::<AUTHENTICATOR>().ok_or_else(|| damaged("it is cut short"))?;
    // Compared as ids are; what is compared is public to whoever reads it.
    if authenticate(ids, object, body).0 != *stated {
        return Err(damaged("no writer of this repository wrote it"));
    }
    Ok(head)
}

/// Reads a head; its authenticator is not looked at.
pub(crate) fn read_head(plain: &[u8]) -> Result<WalHead> {
    if plain.len() != HEAD {
        return Err(damaged("it has another length"));
    }
    let mut fields = Fields::new(&plain[..HEAD - AUTHENTICATOR], "head of WAL object");
    let version = fields.u8()?;
    if version > VERSION {
        return Err(Error::new(ErrorKind::Unsupported, "read head of WAL object")
            .with("version", version)
            .hint("A newer version of this program wrote it; use that version."));
    }
    let length = fields.u64()?;
    if version == 0 || length > LONGEST {
        return Err(damaged("its version or length is impossible"));
    }
    let content = ChunkId(fields.array()?);
    let count = usize::from(fields.u8()?);
    if count > MOST_FRAMES {
        return Err(damaged("it has too many frames"));
    }
    let mut frames = Vec::with_capacity(count);
    for _ in 0..count {
        let encoding = Encoding::try_from(fields.u8()?)?;
        if encoding == Encoding::Delta {
            return Err(damaged("a frame needs a base"));
        }
        frames.push((encoding, fields.u32()?));
    }
    let facts = read_facts(&mut fields)?;
    fields.padding()?;
    Ok(WalHead { length, facts, content, frames })
}

fn authenticate(ids: ChunkIdKey, object: &str, body: &[u8]) -> ChunkId {
    let mut message = b"backup.v1.wal-head\0".to_vec();
    message.extend_from_slice(object.as_bytes());
    message.push(0);
    message.extend_from_slice(body);
    ids.id(&message)
}

fn write_facts(out: &mut Vec<u8>, facts: Option<&WalFacts>) {
    let Some(facts) = facts else {
        out.push(0);
        return;
    };
    let room = HEAD - AUTHENTICATOR;
    out.push(1);
    out.extend_from_slice(&facts.system.to_be_bytes());
    out.extend_from_slice(&facts.segment_size.to_be_bytes());
    out.extend_from_slice(&facts.magic.to_be_bytes());
    out.extend_from_slice(&facts.start.0.to_be_bytes());
    out.extend_from_slice(&facts.end.0.to_be_bytes());
    out.extend_from_slice(&facts.transactions.to_be_bytes());
    let flags = out.len();
    out.push(0);
    let mut set = 0;
    let none = WalInstant { at: Timestamp::UNIX_EPOCH, end: Lsn(0) };
    set |= if facts.times.is_some() { HAS_TIMES } else { 0 };
    let (earliest, latest) = facts.times.unwrap_or((none, none));
    write_instant(out, earliest);
    write_instant(out, latest);
    set |= if facts.xids.is_some() { HAS_XIDS } else { 0 };
    let (lowest, highest) = facts.xids.unwrap_or_default();
    out.extend_from_slice(&lowest.to_be_bytes());
    out.extend_from_slice(&highest.to_be_bytes());
    set |= if facts.checkpoint.is_some() { HAS_CHECKPOINT } else { 0 };
    write_instant(out, facts.checkpoint.unwrap_or(none));
    set |= if facts.switched { SWITCHED } else { 0 };
    set |= if facts.ended { ENDED } else { 0 };
    let count = out.len();
    out.push(0);
    let mut more = facts.more_restore_points;
    let mut listed = 0u8;
    for point in &facts.restore_points {
        let name = point.name.as_bytes();
        if name.len() > 255 || out.len() + 17 + name.len() > room || more {
            more = true;
            break;
        }
        write_instant(out, point.instant);
        out.push(name.len() as u8);
        out.extend_from_slice(name);
        listed += 1;
    }
    set |= if more { HAS_MORE_POINTS } else { 0 };
    out[flags] = set;
    out[count] = listed;
}

fn read_facts(fields: &mut Fields<'_>) -> Result<Option<WalFacts>> {
    match fields.u8()? {
        0 => return Ok(None),
        1 => {}
        _ => return Err(damaged("its facts are of an unknown kind")),
    }
    let (system, segment_size) = (fields.u64()?, fields.u32()?);
    let magic = u16::from_be_bytes(fields.array()?);
    let (start, end) = (Lsn(fields.u64()?), Lsn(fields.u64()?));
    let transactions = fields.u32()?;
    let flags = fields.u8()?;
    let times = (read_instant(fields)?, read_instant(fields)?);
    let xids = (fields.u32()?, fields.u32()?);
    let checkpoint = read_instant(fields)?;
    let mut restore_points = Vec::new();
    for _ in 0..fields.u8()? {
        let instant = read_instant(fields)?;
        let length = usize::from(fields.u8()?);
        let name = fields.bytes(length)?.to_vec();
        let name = String::from_utf8(name).map_err(|_| damaged("a name is no text"))?;
        restore_points.push(RestorePoint { name, instant });
    }
    let has = |flag: u8| flags & flag != 0;
    Ok(Some(WalFacts {
        system,
        segment_size,
        magic,
        start,
        end,
        transactions,
        times: has(HAS_TIMES).then_some(times),
        xids: has(HAS_XIDS).then_some(xids),
        checkpoint: has(HAS_CHECKPOINT).then_some(checkpoint),
        restore_points,
        more_restore_points: has(HAS_MORE_POINTS),
        switched: has(SWITCHED),
        ended: has(ENDED),
    }))
}

fn write_instant(out: &mut Vec<u8>, instant: WalInstant) {
    out.extend_from_slice(&instant.at.as_microsecond().to_be_bytes());
    out.extend_from_slice(&instant.end.0.to_be_bytes());
}

fn read_instant(fields: &mut Fields<'_>) -> Result<WalInstant> {
    let at =
        Timestamp::from_microsecond(fields.i64()?).map_err(|_| damaged("a time is impossible"))?;
    Ok(WalInstant { at, end: Lsn(fields.u64()?) })
}

pub(super) fn damaged(reason: &str) -> Error {
    Error::new(ErrorKind::Integrity, "read WAL object")
        .with("reason", reason)
        .hint("The object was damaged or replaced in the store; verify the repository.")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn instant(second: i64) -> WalInstant {
        WalInstant { at: Timestamp::from_second(second).unwrap(), end: Lsn(second as u64) }
    }

    fn head(points: usize) -> WalHead {
        let point = |n: usize| RestorePoint {
            name: format!("{n:063}"),
            instant: instant(1_700_000_000 + n as i64),
        };
        WalHead {
            length: 16 << 20,
            content: ChunkId([7; 32]),
            frames: vec![(Encoding::Zstd, 1234), (Encoding::Raw, 4 << 20)],
            facts: Some(WalFacts {
                system: 7_400_000_000_000_000_000,
                segment_size: 16 << 20,
                magic: 0xD118,
                start: Lsn(16 << 20),
                end: Lsn((32 << 20) - 8),
                transactions: 9,
                times: Some((instant(1_700_000_000), instant(1_700_000_900))),
                xids: Some((u32::MAX - 3, 5)),
                checkpoint: Some(instant(1_700_000_300)),
                restore_points: (0..points).map(point).collect(),
                more_restore_points: false,
                switched: points == 1,
                ended: points == 7,
            }),
        }
    }

    #[test]
    fn heads_come_back_and_lists_that_do_not_fit_say_so() {
        for points in [0, 1, 7] {
            let head = head(points);
            let plain = write_head(&head, ids(), "wal/x");
            assert_eq!(plain.len(), HEAD);
            assert_eq!(open_head(&plain, ids(), "wal/x").unwrap(), head);
            assert!(open_head(&plain, ids(), "wal/y").is_err(), "another object's head");
        }
        let many = open_head(&write_head(&head(30), ids(), "n"), ids(), "n").unwrap();
        let facts = many.facts.unwrap();
        assert!(facts.more_restore_points && (7..30).contains(&facts.restore_points.len()));
        let none = WalHead { facts: None, frames: Vec::new(), length: 0, ..head(0) };
        assert_eq!(open_head(&write_head(&none, ids(), "n"), ids(), "n").unwrap(), none);
    }

    #[test]
    fn every_flipped_byte_of_a_head_is_found() {
        let plain = write_head(&head(2), ids(), "wal/x");
        for byte in 0..plain.len() {
            let mut flipped = plain.clone();
            flipped[byte] ^= 1 << (byte % 8);
            assert!(open_head(&flipped, ids(), "wal/x").is_err(), "byte {byte}");
        }
    }

    fn ids() -> ChunkIdKey {
        let bundle = backup_crypto::KeyBundle::generate(backup_core::RepositoryId([1; 16]));
        // One key for the whole test: it is drawn once.
        static KEY: std::sync::OnceLock<ChunkIdKey> = std::sync::OnceLock::new();
        *KEY.get_or_init(|| bundle.unwrap().chunk_ids())
    }
}
