//! Arbitrary bytes as pages of WAL, and as a segment: no panic, and positions only ever grow.
#![no_main]

use backup_core::{Lsn, WalFile, WalSegment};
use backup_postgres::wal::{Scanner, inspect};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    // The address of the seed's first page, so that it is read to its end.
    let start = data.get(8..16).map_or(0, |field| u64::from_le_bytes(field.try_into().unwrap()));
    let start = Lsn(start & 0xFFFF_FFFF_E000);
    let mut scanner = Scanner::new(start, 8192, 1 << 24);
    let mut last = start;
    scanner.feed(data, &mut |found| {
        assert!(found.start >= last && found.end > found.start);
        last = found.start;
    });
    assert!(scanner.end().0 <= start.0 + data.len() as u64 + 8192);
    let segment = WalSegment { timeline: 1, high: 0, low: 0 };
    let _ = inspect(WalFile::Segment(segment), data);
});
