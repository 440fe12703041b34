//! How a table is cut into segments: a pure planner.
//!
//! A segment is a range of heap blocks, addressed by its first block. The range is a power of
//! two and stays the same from one snapshot to the next as long as segments do not grow too
//! long, so that an address means the same rows.

use std::collections::BTreeMap;

/// Blocks per segment where rows are not unusually wide: 4 MiB of heap. Differences to the
/// previous day were measured to be as small as with 16 MiB (4.5 % against 4.4 % of a whole
/// snapshot), for a quarter of the memory.
const DEFAULT_RANGE: u64 = 512;
/// The longest segment wanted, in bytes of text.
const LONGEST_SEGMENT: u64 = 8 << 20;
/// A recorded range is kept up to this many bytes of text: halving it moves the addresses of half
/// of the segments away from their bases, which costs more than long segments do (they are cut
/// into chunks anyway).
const LONGEST_KEPT: u64 = 4 * LONGEST_SEGMENT;

/// What is known about a table's size before it is read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Extent {
    /// Heap blocks now.
    pub(crate) blocks: u64,
    /// Bytes of heap and out-of-line values.
    pub(crate) bytes: u64,
    /// Whether ranges of row addresses can be read (heap, PostgreSQL 14 and later).
    pub(crate) by_range: bool,
}

/// What the previous snapshot recorded about the same table.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Before {
    /// Its blocks per segment.
    pub(crate) range: Option<u64>,
    /// Its longest segment in bytes.
    pub(crate) longest: u64,
    /// Its rows.
    pub(crate) rows: u64,
}

impl Before {
    /// Reads a part's attributes.
    pub(crate) fn from_attributes(attributes: &BTreeMap<String, String>) -> Self {
        let number = |name: &str| attributes.get(name).and_then(|text| text.parse().ok());
        Self {
            range: number("range").filter(|range: &u64| range.is_power_of_two()),
            longest: number("longest_segment").unwrap_or(0),
            rows: number("rows").unwrap_or(0),
        }
    }
}

/// Returns the blocks per segment: the previous range, halved while its longest segment was
/// too long; else the default, halved while rows are estimated to be too wide for it.
pub(crate) fn choose_range(extent: Extent, before: Before) -> u64 {
    let (mut range, measured, most) = match before.range {
        Some(range) => (range, Some(before.longest), LONGEST_KEPT),
        None => (DEFAULT_RANGE, None, LONGEST_SEGMENT),
    };
    let per_block = extent.bytes / extent.blocks.max(1);
    let mut halvings = 0;
    loop {
        let longest = match measured {
            Some(bytes) => bytes >> halvings,
            None => per_block.saturating_mul(range.min(extent.blocks)),
        };
        if longest <= most || range == 1 {
            return range;
        }
        range /= 2;
        halvings += 1;
    }
}

/// One segment: blocks from `start` up to, not including, `end` (none: to the end of the
/// table, however long it has become).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Segment {
    /// First block; the segment's address.
    pub(crate) start: u64,
    /// First block after it.
    pub(crate) end: Option<u64>,
}

impl Segment {
    /// Returns whether it is the whole table.
    pub(crate) fn is_whole(self) -> bool {
        self.start == 0 && self.end.is_none()
    }

    /// Returns the condition that selects its rows.
    pub(crate) fn condition(self) -> Option<String> {
        match (self.start, self.end) {
            (0, None) => None,
            (start, None) => Some(format!("ctid >= '({start},0)'::pg_catalog.tid")),
            (0, Some(end)) => Some(format!("ctid < '({end},0)'::pg_catalog.tid")),
            (start, Some(end)) => Some(format!(
                "ctid >= '({start},0)'::pg_catalog.tid AND ctid < '({end},0)'::pg_catalog.tid"
            )),
        }
    }
}

/// Returns how many segments the table has: at least one.
pub(crate) fn count(extent: Extent, range: u64) -> u64 {
    if extent.by_range { extent.blocks.div_ceil(range).max(1) } else { 1 }
}

/// Returns the segment at a position below [`count`].
pub(crate) fn segment(extent: Extent, range: u64, position: u64) -> Segment {
    let start = position * range;
    let last = position + 1 >= count(extent, range);
    Segment { start, end: (!last).then_some(start + range) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn heap(blocks: u64, bytes: u64) -> Extent {
        Extent { blocks, bytes, by_range: true }
    }

    #[test]
    fn ordinary_tables_use_the_default_range() {
        let plain = heap(10_000, 10_000 * 8192 + 40_000);
        assert_eq!(choose_range(plain, Before::default()), 512);
        assert_eq!(count(plain, 512), 20);
        assert_eq!(choose_range(heap(0, 0), Before::default()), 512);
    }

    #[test]
    fn wide_rows_get_shorter_ranges() {
        // 1000 blocks that point to 2 GiB of out-of-line values.
        let wide = heap(1000, 2 << 30);
        let range = choose_range(wide, Before::default());
        assert!(range.is_power_of_two() && range * (2 << 30) / 1000 <= (8 << 20), "{range}");
        // A huge value in one block cannot be cut further.
        assert_eq!(choose_range(heap(1, 1 << 40), Before::default()), 1);
    }

    #[test]
    fn the_previous_range_is_kept_until_segments_are_too_long() {
        let extent = heap(100_000, 1 << 40);
        let before = |longest| Before { range: Some(512), longest, rows: 0 };
        assert_eq!(choose_range(extent, before(6 << 20)), 512);
        assert_eq!(choose_range(extent, before(30 << 20)), 512);
        assert_eq!(choose_range(extent, before(50 << 20)), 256);
        assert_eq!(choose_range(extent, before(1 << 40)), 1);
    }

    #[test]
    fn segments_cover_every_block_once_and_the_last_is_open() {
        for blocks in [0, 1, 2047, 2048, 2049, 4096, 5000] {
            let extent = heap(blocks, blocks * 8192);
            let total = count(extent, 2048);
            let mut expected = 0;
            for position in 0..total {
                let segment = segment(extent, 2048, position);
                assert_eq!(segment.start, expected);
                assert_eq!(segment.end.is_none(), position + 1 == total);
                expected = segment.end.unwrap_or(expected);
            }
            assert!(expected <= blocks);
        }
    }

    #[test]
    fn conditions_name_their_blocks() {
        assert_eq!(Segment { start: 0, end: None }.condition(), None);
        let middle = Segment { start: 2048, end: Some(4096) }.condition().unwrap();
        assert!(middle.contains("'(2048,0)'") && middle.contains("'(4096,0)'"), "{middle}");
        assert!(!Extent { by_range: false, ..heap(99_999, 1) }.by_range);
        assert_eq!(count(Extent { by_range: false, ..heap(99_999, 1) }, 2048), 1);
    }

    #[test]
    fn attributes_are_read_with_care() {
        let mut attributes = BTreeMap::new();
        attributes.insert("range".to_owned(), "3".to_owned());
        attributes.insert("rows".to_owned(), "12".to_owned());
        let before = Before::from_attributes(&attributes);
        assert_eq!((before.range, before.rows), (None, 12));
    }
}
