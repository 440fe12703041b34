//! Where a file's bytes stand in its group's part: at addresses that stay the same from one
//! snapshot to the next. Pure.
//!
//! | bits 63–62 | what | the rest |
//! |---|---|---|
//! | 00 | a MiB of a relation's file of its own | fork (2), number (32), MiB of the relation (25) |
//! | 01 | a bundle of small files | bundle (27), piece (16) |
//! | 1x | a MiB of another file of its own | hash of the path (43), MiB of the file (20) |

use super::name::Relation;

/// Bytes of a piece of a large file: aligned to pages, and to nothing else that could move.
pub(crate) const PIECE: usize = 1 << 20;
/// Smaller files are bundled.
pub(crate) const SMALL: u64 = 256 << 10;
/// A bundle is one chunk.
pub(crate) const MOST_BUNDLE: usize = 8 << 20;

/// So many numbers of relations share a bundle: tables are created with their indexes and
/// TOAST tables, at numbers that lie close together.
const NEIGHBOURS: u32 = 64;
/// Bundles of files that are no relation's.
const OTHER_BUNDLES: u64 = 16;

/// Where a file goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// Its pieces of one MiB stand at this address and the following ones.
    Own(u64),
    /// It is put into this bundle.
    Bundle(u64),
}

/// Returns where a file of `bytes` bytes goes; `segment_bytes` is the size at which the server
/// begins the next file of a relation.
pub(crate) fn place(
    path: &str,
    relation: Option<Relation>,
    bytes: u64,
    segment_bytes: u64,
) -> Place {
    match relation {
        Some(relation) if bytes < SMALL => {
            Place::Bundle(u64::from(relation.node / NEIGHBOURS) << 16 | 1 << 62)
        }
        Some(relation) => {
            let first = u64::from(relation.segment) * (segment_bytes / PIECE as u64);
            let node = u64::from(relation.node) << 25;
            Place::Own((relation.fork as u64) << 57 | node | (first & 0x1FF_FFFF))
        }
        None if bytes < SMALL => {
            let number = hash(path) % OTHER_BUNDLES + u64::from(u32::MAX / NEIGHBOURS) + 1;
            Place::Bundle(number << 16 | 1 << 62)
        }
        None => Place::Own(hash(path) << 20 | 1 << 63),
    }
}

/// Returns the address of a piece of a bundle: a bundle too large for one chunk has several.
pub(crate) fn piece(bundle: u64, number: u16) -> u64 {
    bundle | u64::from(number)
}

/// FNV-1a, 64 bits: fixed for ever, since addresses come of it.
fn hash(path: &str) -> u64 {
    path.bytes().fold(0xCBF2_9CE4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01B3)
    })
}

#[cfg(test)]
mod tests {
    use super::super::name::classify;
    use super::*;

    const GIB: u64 = 1 << 30;

    fn at(path: &str, bytes: u64) -> Place {
        place(path, classify(path).1, bytes, GIB)
    }

    /// Golden: a change here makes every stored cluster look new.
    #[test]
    fn addresses_are_pinned() {
        assert_eq!(at("base/5/16384", GIB), Place::Own(16384 << 25));
        assert_eq!(at("base/5/16384.3", GIB), Place::Own((16384 << 25) | (3 * 1024)));
        assert_eq!(at("base/5/16384_fsm", GIB), Place::Own(1 << 57 | 16384 << 25));
        assert_eq!(at("base/5/16384", 8192), Place::Bundle(1 << 62 | 256 << 16));
        assert_eq!(at("base/5/16447_vm", 8192), Place::Bundle(1 << 62 | 256 << 16));
        assert_eq!(at("base/5/16448", 8192), Place::Bundle(1 << 62 | 257 << 16));
        let Place::Own(own) = at("pg_xact/0000", 256 << 10) else { panic!("a file of its own") };
        assert_eq!((own >> 63, own & 0xF_FFFF), (1, 0));
        let Place::Bundle(other) = at("PG_VERSION", 3) else { panic!("a bundle") };
        assert_eq!(other >> 62, 1);
        assert!(other >> 16 & 0x7FF_FFFF > u64::from(u32::MAX / 64));
    }

    #[test]
    fn pieces_of_neighbours_never_meet() {
        let last_of = |path| match at(path, GIB) {
            Place::Own(first) => first + GIB / PIECE as u64 - 1,
            Place::Bundle(_) => panic!("a file of its own"),
        };
        let first_of = |path| match at(path, GIB) {
            Place::Own(first) => first,
            Place::Bundle(_) => panic!("a file of its own"),
        };
        assert!(last_of("base/5/16384") < first_of("base/5/16384.1"));
        assert!(last_of("base/5/16384.32767") < first_of("base/5/16385"));
        assert!(last_of("base/5/4294967295.32767") < first_of("base/5/1_fsm"));
        assert!(last_of("base/5/4294967295_init.32767") < 1 << 62);
    }
}
