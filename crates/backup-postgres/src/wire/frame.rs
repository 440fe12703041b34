//! Pure parsers of the byte stream; no input makes them panic or reserve what has not arrived.

use std::fmt;

use postgres_protocol::message::backend::{COPY_DATA_TAG, DATA_ROW_TAG, Header};

/// Bytes of a message before its body: the tag and the length.
pub const HEADER: usize = 5;
/// The largest row or piece of COPY data that PostgreSQL can send.
pub const MAX_DATA: usize = 1 << 30;
/// The largest other message that is believed (errors quote queries).
pub const MAX_OTHER: usize = 4 << 20;
/// The largest message that is believed before the server has let us in.
pub const MAX_STARTUP: usize = 64 << 10;

/// Why bytes cannot be a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FrameError {
    tag: u8,
    length: i64,
}

impl fmt::Display for FrameError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let tag = char::from(self.tag).escape_default();
        write!(f, "the server sent message '{tag}' with an impossible length of {}", self.length)
    }
}

impl std::error::Error for FrameError {}

/// What stands at the front of the bytes read so far.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Peek {
    /// Not a whole message yet: this many bytes are needed from the front to learn more.
    Partial(usize),
    /// A whole message of `total` bytes, header included.
    Whole {
        /// Its tag.
        tag: u8,
        /// Its length with tag and length field.
        total: usize,
    },
}

/// Looks at the message at the front of `input`.
///
/// # Errors
/// A length that is impossible: below 4, or above what `limit` allows for messages other than
/// data.
pub fn peek(input: &[u8], limit: usize) -> Result<Peek, FrameError> {
    let Some((tag, body)) = header(input, limit)? else { return Ok(Peek::Partial(HEADER)) };
    let total = HEADER + body;
    Ok(if input.len() < total { Peek::Partial(total) } else { Peek::Whole { tag, total } })
}

/// Where a scan of COPY data stopped.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Scan {
    /// Bytes of the input that were used up.
    pub consumed: usize,
    /// Bytes of the current `CopyData` message that have yet to arrive.
    pub pending: usize,
    /// Whether another message than `CopyData` begins at `consumed`.
    pub other: bool,
}

/// Appends the payloads of the `CopyData` messages in `input` to `out`, where `pending` bytes at
/// the front still belong to a message whose header was seen before.
///
/// This runs once per row of every table, so lengths are read by hand.
///
/// # Errors
/// An impossible length, as in [`peek`].
pub fn scan_copy_data(input: &[u8], pending: usize, out: &mut Vec<u8>) -> Result<Scan, FrameError> {
    out.reserve(input.len());
    let (carried, mut rest) = input.split_at(pending.min(input.len()));
    out.extend_from_slice(carried);
    let mut pending = pending - carried.len();
    let mut other = false;
    while let [tag, a, b, c, d, body @ ..] = rest {
        if *tag != COPY_DATA_TAG {
            other = true;
            break;
        }
        let length = i32::from_be_bytes([*a, *b, *c, *d]);
        let wanted = usize::try_from(i64::from(length) - 4).unwrap_or(usize::MAX);
        if wanted > MAX_DATA {
            return Err(FrameError { tag: *tag, length: i64::from(length) });
        }
        if body.len() < wanted {
            out.extend_from_slice(body);
            pending = wanted - body.len();
            rest = &[];
            break;
        }
        let (payload, next) = body.split_at(wanted);
        out.extend_from_slice(payload);
        rest = next;
    }
    // A lone byte is enough to know that the data has ended.
    other |= rest.first().is_some_and(|tag| *tag != COPY_DATA_TAG);
    Ok(Scan { consumed: input.len() - rest.len(), pending, other })
}

/// Returns tag and body length, once the header is there.
fn header(input: &[u8], limit: usize) -> Result<Option<(u8, usize)>, FrameError> {
    let bad = |length: i64| FrameError { tag: input.first().copied().unwrap_or(0), length };
    let Some(header) = Header::parse(input).map_err(|_| {
        let length: [u8; 4] =
            input.get(1..HEADER).and_then(|l| l.try_into().ok()).unwrap_or([0; 4]);
        bad(i64::from(i32::from_be_bytes(length)))
    })?
    else {
        return Ok(None);
    };
    let length = i64::from(header.len());
    let data = matches!(header.tag(), COPY_DATA_TAG | DATA_ROW_TAG) && limit > MAX_STARTUP;
    let most = if data { MAX_DATA } else { limit };
    let body = usize::try_from(length - 4).map_err(|_| bad(length))?;
    if body > most { Err(bad(length)) } else { Ok(Some((header.tag(), body))) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(tag: u8, body: &[u8]) -> Vec<u8> {
        let mut out = vec![tag];
        out.extend_from_slice(&u32::try_from(body.len() + 4).unwrap().to_be_bytes());
        out.extend_from_slice(body);
        out
    }

    #[test]
    fn any_split_of_the_stream_gives_the_same_rows() {
        let mut stream = Vec::new();
        for row in [&b"one\n"[..], b"", b"a longer row\tof two\n"] {
            stream.extend(frame(b'd', row));
        }
        stream.extend(frame(b'c', b""));
        for cut in 0..=stream.len() {
            let (mut out, mut pending, mut kept) = (Vec::new(), 0, Vec::new());
            let mut ended = false;
            for piece in [&stream[..cut], &stream[cut..]] {
                kept.extend_from_slice(piece);
                let scan = scan_copy_data(&kept, pending, &mut out).unwrap();
                kept.drain(..scan.consumed);
                pending = scan.pending;
                ended = scan.other;
            }
            assert_eq!(out, b"one\na longer row\tof two\n", "cut at {cut}");
            assert!(ended);
            assert_eq!(kept, frame(b'c', b""));
        }
    }

    #[test]
    fn impossible_lengths_are_refused_before_anything_is_reserved() {
        for length in [i32::MIN, -1, 0, 3, i32::MAX] {
            let mut bytes = vec![b'd'];
            bytes.extend_from_slice(&length.to_be_bytes());
            let mut out = Vec::new();
            assert!(scan_copy_data(&bytes, 0, &mut out).is_err(), "{length}");
            assert!(out.capacity() < 1024);
            assert!(peek(&bytes, MAX_OTHER).is_err(), "{length}");
        }
        let mut error = vec![b'E'];
        error.extend_from_slice(&i32::try_from(MAX_OTHER + 5).unwrap().to_be_bytes());
        assert!(peek(&error, MAX_OTHER).is_err());
    }

    #[test]
    fn before_login_even_data_is_bounded() {
        let mut data = vec![b'D'];
        data.extend_from_slice(&i32::try_from(MAX_STARTUP + 5).unwrap().to_be_bytes());
        assert!(peek(&data, MAX_STARTUP).is_err());
        assert_eq!(peek(&data, MAX_OTHER), Ok(Peek::Partial(HEADER + MAX_STARTUP + 1)));
    }
}
