//! What is remembered of rows as they pass: their number is the server's word, their
//! fingerprint is ours.
//!
//! Each row's COPY text, without its newline, is hashed with XXH3 (128 bits, seed 0), and the
//! hashes are added up. `docs/decisions/0009-row-fingerprints.md` says why.

use backup_core::{Error, ErrorKind, Fingerprint, Result};
use xxhash_rust::xxh3::xxh3_128;

use super::archive::Archive;

/// Names the construction in the facts of a snapshot; others cannot be compared with it.
pub(crate) const CONSTRUCTION: &str = "xxh3-128 sum";

/// Adds up the rows of one COPY stream, cut anywhere.
#[derive(Debug, Default)]
pub(crate) struct RowHasher {
    sum: Fingerprint,
    /// The beginning of a row whose end has yet to come.
    rest: Vec<u8>,
}

impl RowHasher {
    /// Takes the next bytes. In COPY text a newline always ends a row: those in values are
    /// escaped, and no encoding of a server has it inside another character.
    pub(crate) fn feed(&mut self, bytes: &[u8]) {
        let mut at = 0;
        for end in memchr::memchr_iter(b'\n', bytes) {
            let row = bytes.get(at..end).unwrap_or_default();
            if self.rest.is_empty() {
                self.sum += of(row);
            } else {
                self.rest.extend_from_slice(row);
                self.sum += of(&self.rest);
                self.rest.clear();
            }
            at = end + 1;
        }
        self.rest.extend_from_slice(bytes.get(at..).unwrap_or_default());
    }

    /// Returns the sum; a stream that ended inside a row is an error.
    pub(crate) fn finish(self) -> Result<Fingerprint> {
        if self.rest.is_empty() {
            return Ok(self.sum);
        }
        Err(Error::new(ErrorKind::Integrity, "add up rows")
            .because("the stream ended inside a row"))
    }
}

/// Returns the fingerprint of a schema: of every statement with its kind, name and owner.
pub(crate) fn of_schema(archive: &Archive) -> Fingerprint {
    let mut sum = Fingerprint::default();
    for (name, statement) in super::schema_text::statements(archive, true, true) {
        let mut text = name.into_bytes();
        text.push(0);
        text.extend_from_slice(statement.as_bytes());
        sum += of(&text);
    }
    sum
}

fn of(bytes: &[u8]) -> Fingerprint {
    Fingerprint(xxh3_128(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sum(pieces: &[&[u8]]) -> Fingerprint {
        let mut hasher = RowHasher::default();
        for piece in pieces {
            hasher.feed(piece);
        }
        hasher.finish().unwrap()
    }

    #[test]
    fn cuts_and_order_do_not_matter_repetitions_and_borders_do() {
        let whole = sum(&[b"1\ta\n2\tb\n\n"]);
        assert_eq!(whole, sum(&[b"2\t", b"b\n1", b"\ta\n", b"\n"]));
        assert_eq!(whole, sum(&[b"1\ta\n"]) + sum(&[b"\n2\tb\n"]));
        for other in
            [&b"1\ta\n2\tb\n"[..], b"1\tb\n2\ta\n\n", b"1\ta\n2\tb\n\n\n", b"1\ta2\tb\n\n\n"]
        {
            assert_ne!(whole, sum(&[other]), "{other:?}");
        }
        // What cancels under exclusive or does not under addition.
        assert_ne!(sum(&[b"x\nx\n"]), Fingerprint::default());
        assert_eq!(sum(&[b""]), Fingerprint::default());
    }

    #[test]
    fn the_hash_is_the_published_one() {
        // XXH3, 128 bits, seed 0, of nothing: the value of the reference implementation.
        assert_eq!(sum(&[b"\n"]).to_string(), "99aa06d3014798d86001c324468d497f");
    }

    #[test]
    fn half_a_row_is_an_error() {
        let mut hasher = RowHasher::default();
        hasher.feed(b"1\n2");
        assert_eq!(hasher.finish().unwrap_err().kind(), ErrorKind::Integrity);
    }
}
