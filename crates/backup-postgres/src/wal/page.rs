//! The header of a WAL page.

use backup_core::Lsn;

/// Bytes of the header on every page, and of the one on a segment's first.
const SHORT: usize = 24;
const LONG: usize = 40;

const FIRST_IS_CONTINUED: u16 = 1;
const HAS_LONG_HEADER: u16 = 2;
const FIRST_IS_OVERWRITTEN: u16 = 8;

/// One format a major version.
const MAGICS: [(u16, u32); 6] =
    [(0xD106, 13), (0xD10D, 14), (0xD110, 15), (0xD113, 16), (0xD116, 17), (0xD118, 18)];

pub(super) fn major_of(magic: u16) -> Option<u32> {
    MAGICS.iter().find(|(known, _)| *known == magic).map(|(_, major)| *major)
}

/// What a page says of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct PageHeader {
    pub(super) magic: u16,
    pub(super) timeline: u32,
    pub(super) address: Lsn,
    /// Bytes of a record that began on an earlier page; `None`: the page begins with a record.
    pub(super) continued: Option<u32>,
    /// The record that was cut off before this page never ends.
    pub(super) overwritten: bool,
    pub(super) segment: Option<SegmentHeader>,
    /// Bytes of the header itself.
    pub(super) length: usize,
}

/// What the first page of a segment says besides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct SegmentHeader {
    pub(super) system: u64,
    pub(super) segment_size: u32,
    pub(super) page_size: u32,
}

impl PageHeader {
    /// Reads a header from a page's first bytes; `None` for what is none.
    pub(super) fn read(page: &[u8]) -> Option<Self> {
        let magic = u16_at(page, 0)?;
        if !(0xD000..=0xDFFF).contains(&magic) || page.len() < SHORT {
            return None;
        }
        let info = u16_at(page, 2)?;
        let long = info & HAS_LONG_HEADER != 0;
        let segment = if long {
            Some(SegmentHeader {
                system: u64_at(page, 24)?,
                segment_size: u32_at(page, 32)?,
                page_size: u32_at(page, 36)?,
            })
        } else {
            None
        };
        let remaining = u32_at(page, 16)?;
        Some(Self {
            magic,
            timeline: u32_at(page, 4)?,
            address: Lsn(u64_at(page, 8)?),
            continued: (info & FIRST_IS_CONTINUED != 0).then_some(remaining),
            overwritten: info & FIRST_IS_OVERWRITTEN != 0,
            segment,
            length: if long { LONG } else { SHORT },
        })
    }
}

pub(super) fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    bytes.get(at..)?.first_chunk().map(|field| u16::from_le_bytes(*field))
}

pub(super) fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..)?.first_chunk().map(|field| u32::from_le_bytes(*field))
}

pub(super) fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    bytes.get(at..)?.first_chunk().map(|field| u64::from_le_bytes(*field))
}
