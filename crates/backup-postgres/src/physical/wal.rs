//! Is the WAL of a backup complete? Pure.

use std::collections::BTreeSet;

use backup_core::{Error, ErrorKind, Lsn, Result};

/// Bytes of a segment's first header that are looked at.
pub(crate) const HEADER: usize = 40;

/// What a segment of WAL must be.
#[derive(Clone, Debug)]
pub(crate) struct WalRules {
    /// The cluster's system identifier.
    pub(crate) system: u64,
    /// Bytes of a segment.
    pub(crate) segment: u64,
}

/// Returns a segment's file name.
pub(crate) fn segment_name(timeline: u32, number: u64, segment: u64) -> String {
    let each = (1 << 32) / segment.max(1);
    format!("{timeline:08X}{:08X}{:08X}", number / each, number % each)
}

/// Reads a segment's file name: its timeline and number; `None` for other files.
pub(crate) fn parse_name(name: &str, segment: u64) -> Option<(u32, u64)> {
    if name.len() != 24 || !name.bytes().all(|b| b.is_ascii_digit() || (b'A'..=b'F').contains(&b)) {
        return None;
    }
    let part = |range: std::ops::Range<usize>| u32::from_str_radix(name.get(range)?, 16).ok();
    let each = (1 << 32) / segment.max(1);
    let low = u64::from(part(16..24)?);
    (low < each).then_some(())?;
    Some((part(0..8)?, u64::from(part(8..16)?) * each + low))
}

impl WalRules {
    /// Checks the size and the first header of a segment.
    pub(crate) fn check(&self, name: &str, bytes: u64, header: &[u8]) -> Result<()> {
        let Some((timeline, number)) = parse_name(name, self.segment) else { return Ok(()) };
        let wrong = |what: &'static str| {
            Error::new(ErrorKind::SourceUnavailable, "check WAL of base backup")
                .with("segment", name)
                .because(what)
                .hint("Run the backup again.")
        };
        if bytes != self.segment {
            return Err(wrong("it is not of a segment's size"));
        }
        let word = |at: usize| Some(u32::from_ne_bytes(header.get(at..at + 4)?.try_into().ok()?));
        let long = |at: usize| Some(u64::from_ne_bytes(header.get(at..at + 8)?.try_into().ok()?));
        // The timeline in a header may be older: the first segment after a switch begins with
        // a copy of what its parent wrote.
        if word(4).is_none_or(|found| found == 0 || found > timeline) {
            return Err(wrong("its header is of another timeline"));
        }
        if long(8) != Some(number * self.segment) {
            return Err(wrong("its header is of another position"));
        }
        if long(24) != Some(self.system) {
            return Err(wrong("it is of another cluster"));
        }
        if word(32).map(u64::from) != Some(self.segment) {
            return Err(wrong("its header states another size"));
        }
        Ok(())
    }

    /// Fails unless every segment from `start` to `stop` is among `names`.
    pub(crate) fn check_complete(
        &self,
        names: &BTreeSet<String>,
        start: Lsn,
        stop: Lsn,
        timeline: u32,
    ) -> Result<()> {
        if stop <= start {
            return Err(Error::new(ErrorKind::SourceUnavailable, "check WAL of base backup")
                .with("start", start)
                .with("stop", stop)
                .because("the backup ends before it begins"));
        }
        for number in start.0 / self.segment..=(stop.0 - 1) / self.segment {
            // A standby may have changed timelines; an older name holds the same bytes.
            let found = (1..=timeline)
                .rev()
                .any(|timeline| names.contains(&segment_name(timeline, number, self.segment)));
            if !found {
                return Err(Error::new(ErrorKind::SourceUnavailable, "check WAL of base backup")
                    .with("missing", segment_name(timeline, number, self.segment))
                    .because("WAL that the copy needs did not come with it")
                    .hint("Run the backup again; raise wal_keep_size if this happens twice."));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;

    fn header(timeline: u32, position: u64, system: u64, segment: u32) -> Vec<u8> {
        let mut header = vec![0; HEADER];
        header[4..8].copy_from_slice(&timeline.to_ne_bytes());
        header[8..16].copy_from_slice(&position.to_ne_bytes());
        header[24..32].copy_from_slice(&system.to_ne_bytes());
        header[32..36].copy_from_slice(&segment.to_ne_bytes());
        header
    }

    #[test]
    fn names_depend_on_the_size_of_segments() {
        for (name, size, number) in [
            ("000000010000000000000002", 16 * MIB, 2),
            ("00000001000000010000000A", 16 * MIB, 266),
            ("00000001000000010000000A", 64 * MIB, 74),
            ("0000000A00000001000000FF", 16 * MIB, 511),
        ] {
            let timeline = u32::from_str_radix(&name[..8], 16).unwrap();
            assert_eq!(parse_name(name, size), Some((timeline, number)));
            assert_eq!(segment_name(timeline, number, size), name);
        }
        assert_eq!(parse_name("00000001000000010000000A", 1024 * MIB), None);
        for name in ["00000002.history", "000000010000000000000002.partial", "archive_status"] {
            assert_eq!(parse_name(name, 16 * MIB), None);
        }
    }

    #[test]
    fn a_segment_of_another_cluster_place_or_size_is_refused() {
        let rules = WalRules { system: 77, segment: 16 * MIB };
        let name = "000000020000000000000003";
        let good = header(2, 48 * MIB, 77, 16 << 20);
        rules.check(name, 16 * MIB, &good).unwrap();
        rules.check(name, 16 * MIB, &header(1, 48 * MIB, 77, 16 << 20)).unwrap();
        rules.check("00000002.history", 7, b"anything").unwrap();
        for (bytes, header) in [
            (8 * MIB, good.clone()),
            (16 * MIB, header(3, 48 * MIB, 77, 16 << 20)),
            (16 * MIB, header(2, 32 * MIB, 77, 16 << 20)),
            (16 * MIB, header(2, 48 * MIB, 78, 16 << 20)),
            (16 * MIB, header(2, 48 * MIB, 77, 64 << 20)),
            (16 * MIB, vec![0; HEADER]),
            (16 * MIB, good[..20].to_vec()),
        ] {
            assert!(rules.check(name, bytes, &header).is_err());
        }
    }

    #[test]
    fn every_segment_from_start_to_stop_must_be_there() {
        let rules = WalRules { system: 77, segment: 16 * MIB };
        let names = |numbers: &[u64]| -> BTreeSet<String> {
            numbers.iter().map(|number| segment_name(1, *number, 16 * MIB)).collect()
        };
        let at = |number: u64, offset: u64| Lsn(number * 16 * MIB + offset);
        let check = |found: &[u64], start, stop| {
            rules.check_complete(&names(found), start, stop, 1).is_ok()
        };
        assert!(check(&[2], at(2, 40), at(2, 300)));
        assert!(check(&[2], at(2, 40), at(3, 0)), "the stop is the first byte not needed");
        assert!(!check(&[2], at(2, 40), at(3, 1)));
        assert!(!check(&[2, 4], at(2, 40), at(4, 9)));
        assert!(check(&[2, 3, 4], at(2, 40), at(4, 9)));
        assert!(!check(&[2], at(2, 40), at(2, 40)));
    }
}
