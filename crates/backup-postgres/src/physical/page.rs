//! Data pages: the checksum in their header, computed and compared. Pure.

use backup_core::Lsn;

/// Lanes that are computed side by side; the compiler turns them into vector instructions.
const LANES: usize = 32;
const ROW: usize = LANES * 4;
const PRIME: u32 = 16_777_619;

/// Where each lane begins.
const OFFSETS: [u32; LANES] = [
    0x5B1F_36E9,
    0xB852_5960,
    0x02AB_50AA,
    0x1DE6_6D2A,
    0x79FF_467A,
    0x9BB9_F8A3,
    0x217E_7CD2,
    0x83E1_3D2C,
    0xF8D4_474F,
    0xE39E_B970,
    0x42C6_AE16,
    0x9932_16FA,
    0x7B09_3B5D,
    0x98DA_FF3C,
    0xF718_902A,
    0x0B1C_9CDB,
    0xE58F_764B,
    0x1876_36BC,
    0x5D7B_3BB1,
    0xE73D_E7DE,
    0x92BE_C979,
    0xCCA6_C0B2,
    0x304A_0979,
    0x85AA_43D4,
    0x7831_25BB,
    0x6CA8_EAA2,
    0xE407_EAC6,
    0x4B5C_FC3E,
    0x9FBF_8C76,
    0x15CA_20BE,
    0xF2CA_9FD3,
    0x959B_D756,
];

/// What is wrong with a page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct BadPage {
    /// Its block in the relation.
    pub(crate) block: u32,
    /// The checksum in its header.
    pub(crate) stored: u16,
    /// The checksum of its bytes.
    pub(crate) computed: u16,
}

/// What decides whether a page must match its checksum.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PageRules {
    /// Bytes of a page.
    pub(crate) size: usize,
    /// Pages written since are repaired by replaying WAL, torn or not.
    pub(crate) start: Lsn,
}

/// Checks every whole page of `bytes`, the first of which is `block` of its relation; calls
/// `bad` for each that is damaged. New pages (never initialised) have no checksum.
pub(crate) fn check(bytes: &[u8], block: u32, rules: PageRules, mut bad: impl FnMut(BadPage)) {
    for (page, block) in bytes.chunks_exact(rules.size).zip(block..) {
        if let Some(found) = check_one(page, block, rules) {
            bad(found);
        }
    }
}

fn check_one(page: &[u8], block: u32, rules: PageRules) -> Option<BadPage> {
    let half = |at: usize| Some(u16::from_ne_bytes(page.get(at..at + 2)?.try_into().ok()?));
    let word = |at: usize| Some(u32::from_ne_bytes(page.get(at..at + 4)?.try_into().ok()?));
    // The upper end of free space is zero in pages that were never initialised.
    if half(14)? == 0 {
        return None;
    }
    let lsn = u64::from(word(0)?) << 32 | u64::from(word(4)?);
    if lsn >= rules.start.0 {
        return None;
    }
    let (stored, computed) = (half(8)?, checksum(page, block));
    (stored != computed).then_some(BadPage { block, stored, computed })
}

/// Returns a page's checksum, as though the field that holds it were zero.
pub(crate) fn checksum(page: &[u8], block: u32) -> u16 {
    let mut sums = OFFSETS;
    let mut first = [0; ROW];
    if let Some(row) = page.get(..ROW) {
        first.copy_from_slice(row);
    }
    if let Some(field) = first.get_mut(8..10) {
        field.fill(0);
    }
    mix(&mut sums, &first);
    for row in page.get(ROW..).unwrap_or_default().chunks_exact(ROW) {
        if let Ok(row) = row.try_into() {
            mix(&mut sums, row);
        }
    }
    // Two rounds of zeros, so that the last row is spread as well as the first.
    mix(&mut sums, &[0; ROW]);
    mix(&mut sums, &[0; ROW]);
    let folded = sums.iter().fold(0, |folded, sum| folded ^ sum) ^ block;
    // In range by the remainder.
    (folded % 65_535 + 1) as u16
}

fn mix(sums: &mut [u32; LANES], row: &[u8; ROW]) {
    for (lane, sum) in sums.iter_mut().enumerate() {
        let at = lane * 4;
        let value = u32::from_ne_bytes([row[at], row[at + 1], row[at + 2], row[at + 3]]);
        let mixed = *sum ^ value;
        *sum = mixed.wrapping_mul(PRIME) ^ (mixed >> 17);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SIZE: usize = 8192;

    fn page(fill: u8, lsn: u64, block: u32) -> Vec<u8> {
        let mut page = vec![fill; SIZE];
        page[0..4].copy_from_slice(&u32::try_from(lsn >> 32).unwrap().to_ne_bytes());
        page[4..8].copy_from_slice(&u32::try_from(lsn & 0xFFFF_FFFF).unwrap().to_ne_bytes());
        page[14..16].copy_from_slice(&8000_u16.to_ne_bytes());
        let sum = checksum(&page, block);
        page[8..10].copy_from_slice(&sum.to_ne_bytes());
        page
    }

    fn found(bytes: &[u8], block: u32, start: u64) -> Vec<u32> {
        let mut bad = Vec::new();
        let rules = PageRules { size: SIZE, start: Lsn(start) };
        check(bytes, block, rules, |page| bad.push(page.block));
        bad
    }

    #[test]
    fn any_flipped_bit_of_an_old_page_is_found() {
        let good = page(7, 100, 41);
        assert!(found(&good, 41, 1000).is_empty());
        for at in (16..SIZE).step_by(97) {
            let mut bad = good.clone();
            bad[at] ^= 1;
            assert_eq!(found(&bad, 41, 1000), [41], "{at}");
        }
        assert_eq!(found(&good, 42, 1000), [42], "a page in another's place");
    }

    #[test]
    fn new_pages_and_pages_written_since_are_not_judged() {
        assert!(found(&vec![0; SIZE], 0, 1000).is_empty());
        let mut torn = page(7, 2000, 0);
        torn[5000] ^= 1;
        assert!(found(&torn, 0, 1000).is_empty());
        assert_eq!(found(&torn, 0, 2001), [0]);
    }

    #[test]
    fn blocks_are_counted_and_partial_pages_are_left() {
        let mut pages = [page(1, 1, 10), page(2, 1, 11), page(3, 1, 12)].concat();
        pages[SIZE + 100] ^= 1;
        pages[2 * SIZE + 100] ^= 1;
        assert_eq!(found(&pages, 10, 1000), [11, 12]);
        assert_eq!(found(&pages[..2 * SIZE + 500], 10, 1000), [11]);
    }
}
