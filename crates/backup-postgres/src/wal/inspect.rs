//! Is this file what its name says, and what is in it?

use backup_core::{
    Error, ErrorKind, RestorePoint, Result, WalFacts, WalFile, WalInstant, WalSegment,
};

use super::page::{PageHeader, SegmentHeader, major_of};
use super::record::WalEvent;
use super::scan::{Found, Scanner};

const CHECK: &str = "check WAL file";

/// Checks that the bytes of a segment are those of a segment of that name and returns what is in
/// it; other files have no facts.
///
/// # Errors
/// `Integrity` when the bytes are no WAL, or WAL of another position, timeline or length;
/// `Unsupported` for the format of a server that this version does not know.
pub fn inspect(file: WalFile, bytes: &[u8]) -> Result<Option<WalFacts>> {
    let (WalFile::Segment(segment) | WalFile::Partial(segment)) = file else { return Ok(None) };
    let (header, first) = check(segment, bytes).map_err(|error| error.with("file", file))?;
    let mut scanner = Scanner::new(header.address, first.page_size, first.segment_size);
    let mut facts = WalFacts {
        system: first.system,
        segment_size: first.segment_size,
        magic: header.magic,
        start: header.address,
        end: header.address,
        ..WalFacts::default()
    };
    scanner.feed(bytes, &mut |found| note(&mut facts, found));
    facts.end = scanner.end();
    facts.switched = scanner.is_switched();
    facts.ended = !scanner.is_running();
    Ok(Some(facts))
}

/// Returns a scanner that stands at the first byte of a segment, whose bytes are checked as
/// [`inspect`] does and not read yet.
///
/// # Errors
/// As [`inspect`].
pub fn scanner(segment: WalSegment, bytes: &[u8]) -> Result<Scanner> {
    let checked = check(segment, bytes).map_err(|error| error.with("file", segment));
    checked.map(|(header, first)| Scanner::new(header.address, first.page_size, first.segment_size))
}

fn check(segment: WalSegment, bytes: &[u8]) -> Result<(PageHeader, SegmentHeader)> {
    let wrong = |reason: &str| {
        Error::new(ErrorKind::Integrity, CHECK).because(reason.to_owned()).hint(
            "This is not the file that its name says; nothing was stored. Look at the server's \
             disk, and at what else writes to pg_wal.",
        )
    };
    if bytes.first_chunk::<2>().is_some_and(|first| first[0] == 0xD1 && first[1] != 0xD1) {
        return Err(Error::new(ErrorKind::Unsupported, CHECK)
            .because("it was written by a big-endian machine"));
    }
    let header =
        PageHeader::read(bytes).ok_or_else(|| wrong("it does not begin with a page of WAL"))?;
    let Some(first) = header.segment else {
        return Err(wrong("its first page is not the first of a segment"));
    };
    if major_of(header.magic).is_none() {
        return Err(Error::new(ErrorKind::Unsupported, CHECK)
            .with("page format", format!("{:#06X}", header.magic))
            .hint("This version knows the WAL of PostgreSQL 13 to 18; use a newer version."));
    }
    let size = u64::from(first.segment_size);
    let sound = size.is_power_of_two() && ((1 << 20)..=(1 << 30)).contains(&size);
    let pages = first.page_size.is_power_of_two() && (1024..=65536).contains(&first.page_size);
    if !sound || !pages {
        return Err(wrong("its first page states impossible sizes"));
    }
    if bytes.len() as u64 != size {
        return Err(wrong("it has another length than its first page states")
            .with("bytes", bytes.len())
            .with("segment size", size));
    }
    if segment.start(size) != Some(header.address) {
        return Err(wrong("its first page is of another position").with("position", header.address));
    }
    // The first segment of a timeline begins with pages of the one it came from.
    if header.timeline == 0 || header.timeline > segment.timeline {
        return Err(wrong("its first page is of a later timeline")
            .with("timeline of the page", header.timeline));
    }
    Ok((header, first))
}

fn note(facts: &mut WalFacts, found: Found) {
    let end = found.end;
    match found.event {
        WalEvent::Transaction { xid, at, .. } => {
            let instant = WalInstant { at, end };
            facts.transactions += 1;
            facts.times = Some(match facts.times {
                None => (instant, instant),
                Some((earliest, latest)) => (
                    if at < earliest.at { instant } else { earliest },
                    if at >= latest.at { instant } else { latest },
                ),
            });
            if let Some(xid) = xid {
                facts.xids = Some(match facts.xids {
                    None => (xid, xid),
                    Some((lowest, highest)) => (
                        if precedes(xid, lowest) { xid } else { lowest },
                        if precedes(highest, xid) { xid } else { highest },
                    ),
                });
            }
        }
        WalEvent::RestorePoint { name, at } => {
            facts.restore_points.push(RestorePoint { name, instant: WalInstant { at, end } });
        }
        WalEvent::Checkpoint { at } => facts.checkpoint = Some(WalInstant { at, end }),
        WalEvent::Switch => {}
    }
}

/// Transaction ids are on a circle.
fn precedes(one: u32, other: u32) -> bool {
    one.wrapping_sub(other) > u32::MAX / 2
}

#[cfg(test)]
mod tests {
    use super::*;
    use backup_core::Lsn;

    #[test]
    fn wal_that_ends_inside_a_segment_is_told_from_a_switch() {
        let mut bytes = include_bytes!("../../tests/golden/wal-pages-18").to_vec();
        bytes.resize(16 << 20, 0);
        let file = WalFile::Segment(WalSegment { timeline: 1, high: 0, low: 2 });
        let facts = inspect(file, &bytes).unwrap().unwrap();
        assert!(facts.switched && !facts.ended && !facts.straddles());
        // A record that names another as the one before it: a server reads nothing behind that.
        bytes[0xE8 + 8] ^= 0x40;
        let facts = inspect(file, &bytes).unwrap().unwrap();
        assert!(facts.ended && !facts.switched && !facts.straddles());
        assert_eq!(facts.end, Lsn(0x0200_00E8));
    }
}
