//! What is remembered of rows and of the schema.
//!
//! Each row's text, without its newline, is hashed with XXH3 (128 bits, seed 0), and the hashes
//! are added up: as for PostgreSQL, so that the two are one construction.

use backup_core::Fingerprint;
use xxhash_rust::xxh3::xxh3_128;

/// Names the construction in the facts of a snapshot; others cannot be compared with it.
pub(crate) const CONSTRUCTION: &str = "xxh3-128 sum";

/// Returns the fingerprint of one row's text, or of one statement.
pub(crate) fn of(bytes: &[u8]) -> Fingerprint {
    Fingerprint(xxh3_128(bytes))
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_hash_is_the_published_one() {
        assert_eq!(super::of(b"").to_string(), "99aa06d3014798d86001c324468d497f");
    }
}
