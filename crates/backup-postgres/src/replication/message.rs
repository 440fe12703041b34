//! The messages inside the stream of WAL; pure.

use backup_core::Lsn;
use bytes::Bytes;
use jiff::{Span, Timestamp};

/// Microseconds from 1970 to 2000, where PostgreSQL's clock begins.
const POSTGRES_EPOCH_MICROS: i64 = 946_684_800_000_000;

/// Something the server sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WalMessage {
    /// Bytes of WAL; they may begin and end anywhere, and span segments.
    Data {
        /// Position of the first byte.
        start: Lsn,
        /// Where the server's WAL ended when it sent this.
        end: Lsn,
        /// When it was sent, by the server's clock.
        sent_at: Timestamp,
        /// The bytes.
        bytes: Bytes,
    },
    /// A sign of life.
    Keepalive {
        /// Where the server's WAL ended.
        end: Lsn,
        /// When it was sent, by the server's clock.
        sent_at: Timestamp,
        /// Whether a status is wanted at once; without one the server gives up after
        /// `wal_sender_timeout`.
        reply: bool,
    },
    /// The timeline ended: the server was promoted, or a history was followed to its end.
    EndOfTimeline(super::TimelineEnd),
    /// The server shuts down in an orderly way, having sent everything: connect again later.
    Shutdown,
}

/// Reads a `w` or `k` message; `None` if it is neither or is malformed.
pub(super) fn parse(mut body: Bytes) -> Option<WalMessage> {
    let mut head = body.iter().copied();
    let tag = head.next()?;
    let number = |at: usize| Some(u64::from_be_bytes(body.get(at..at + 8)?.try_into().ok()?));
    match tag {
        b'w' => {
            let (start, end, time) = (number(1)?, number(9)?, number(17)?);
            let bytes = body.split_off(25);
            start.checked_add(bytes.len() as u64)?;
            Some(WalMessage::Data { start: Lsn(start), end: Lsn(end), sent_at: at(time)?, bytes })
        }
        b'k' => {
            let (end, time) = (number(1)?, number(9)?);
            let reply = match body.get(17..)? {
                [flag] => *flag != 0,
                _ => return None,
            };
            Some(WalMessage::Keepalive { end: Lsn(end), sent_at: at(time)?, reply })
        }
        _ => None,
    }
}

/// Writes a standby status update as the payload of a `CopyData` message.
pub(super) fn status(write: Lsn, flush: Lsn, now: Timestamp, reply: bool) -> [u8; 34] {
    let mut message = [0; 34];
    let micros = now.as_microsecond().saturating_sub(POSTGRES_EPOCH_MICROS);
    // The third position, of what was applied, stays zero: nothing is ever applied here.
    let fields = [write.0, flush.0, 0, micros.cast_unsigned()];
    let [tag, body @ .., flag] = &mut message;
    *tag = b'r';
    for (place, field) in body.chunks_exact_mut(8).zip(fields) {
        place.copy_from_slice(&field.to_be_bytes());
    }
    *flag = u8::from(reply);
    message
}

fn at(micros: u64) -> Option<Timestamp> {
    Timestamp::from_microsecond(POSTGRES_EPOCH_MICROS)
        .ok()?
        .checked_add(Span::new().try_microseconds(micros.cast_signed()).ok()?)
        .ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(tag: u8, fields: &[u64], rest: &[u8]) -> Bytes {
        let mut out = vec![tag];
        for field in fields {
            out.extend_from_slice(&field.to_be_bytes());
        }
        out.extend_from_slice(rest);
        out.into()
    }

    #[test]
    fn reads_data_and_keepalives() {
        let at: Timestamp = "2000-01-01T00:00:01Z".parse().unwrap();
        assert_eq!(
            parse(bytes(b'w', &[16, 99, 1_000_000], b"wal")),
            Some(WalMessage::Data {
                start: Lsn(16),
                end: Lsn(99),
                sent_at: at,
                bytes: Bytes::from_static(b"wal")
            })
        );
        assert_eq!(
            parse(bytes(b'k', &[99, 1_000_000], &[1])),
            Some(WalMessage::Keepalive { end: Lsn(99), sent_at: at, reply: true })
        );
    }

    #[test]
    fn refuses_what_is_cut_short_or_overflows() {
        for whole in [bytes(b'w', &[16, 99, 0], b""), bytes(b'k', &[99, 0], &[0])] {
            assert!(parse(whole.clone()).is_some());
            for length in 0..whole.len() {
                assert_eq!(parse(whole.slice(..length)), None, "{length}");
            }
        }
        assert_eq!(parse(bytes(b'w', &[u64::MAX, 0, 0], b"x")), None);
        assert_eq!(parse(bytes(b'k', &[0, 0], &[0, 0])), None);
        assert_eq!(parse(bytes(b'x', &[0, 0, 0], &[0])), None);
        assert_eq!(parse(bytes(b'w', &[0, 0, u64::MAX >> 1], b"")), None);
    }

    #[test]
    fn a_status_says_what_was_written_and_flushed() {
        let now: Timestamp = "2000-01-01T00:00:00.000005Z".parse().unwrap();
        let message = status(Lsn(7), Lsn(5), now, true);
        assert_eq!(message[0], b'r');
        let field =
            |n: usize| u64::from_be_bytes(message[1 + n * 8..9 + n * 8].try_into().unwrap());
        assert_eq!([field(0), field(1), field(2), field(3)], [7, 5, 0, 5]);
        assert_eq!(message[33], 1);
    }
}
