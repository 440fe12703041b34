//! Walks records over pages and segments.

use backup_core::Lsn;

use super::page::{PageHeader, major_of, u32_at, u64_at};
use super::record::{HEADER, PREFIX, WalEvent, event};

/// No record is longer: PostgreSQL refuses to write more than 1020 MiB.
const LONGEST: u32 = 1 << 30;

/// An event, and where its record is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// Position of the record's first byte.
    pub start: Lsn,
    /// Position behind the record: recovery up to here includes it.
    pub end: Lsn,
    /// What it is.
    pub event: WalEvent,
}

/// Reads WAL from the beginning of some page on, page by page.
///
/// It stops for good at the first bytes that are no continuation of what came before: that is
/// where the WAL ends, or is damaged. What was recycled from earlier use is never taken for WAL:
/// pages state their address, records that of the one before.
#[derive(Debug)]
pub struct Scanner {
    page_size: usize,
    segment_size: u64,
    next: Lsn,
    state: State,
    previous: Option<Lsn>,
    end: Lsn,
}

#[derive(Debug)]
enum State {
    /// A record begins at the next aligned byte.
    Between,
    /// The rest of a record whose beginning was not seen.
    Skipping(u32),
    /// Inside a record.
    Building { start: Lsn, total: u32, have: u32, front: Vec<u8> },
    /// The rest of the segment is empty.
    Switched,
    /// The WAL ended.
    Ended,
}

impl Scanner {
    /// Begins at the start of a segment (or of any page); sizes are the cluster's.
    #[must_use]
    pub fn new(start: Lsn, page_size: u32, segment_size: u32) -> Self {
        let page_size = (page_size as usize).max(512);
        let segment_size = u64::from(segment_size).max(page_size as u64);
        Self {
            page_size,
            segment_size,
            next: start,
            state: State::Between,
            previous: None,
            end: start,
        }
    }

    /// Returns the position behind the last whole record.
    #[must_use]
    pub fn end(&self) -> Lsn {
        self.end
    }

    /// Returns where the last whole record begins, if one was seen whole.
    #[must_use]
    pub fn last_start(&self) -> Option<Lsn> {
        self.previous
    }

    /// Returns whether the WAL went on to the end of what was fed.
    #[must_use]
    pub fn is_running(&self) -> bool {
        !matches!(self.state, State::Ended)
    }

    /// Returns whether the last segment was left early by a switch.
    #[must_use]
    pub fn is_switched(&self) -> bool {
        matches!(self.state, State::Switched)
    }

    /// Reads whole pages that follow those before, and hands out what is found.
    pub fn feed(&mut self, pages: &[u8], found: &mut dyn FnMut(Found)) {
        for page in pages.chunks(self.page_size) {
            if !self.is_running() {
                return;
            }
            if self.page(page, found).is_none() {
                self.state = State::Ended;
            }
            self.next = Lsn(self.next.0.saturating_add(self.page_size as u64));
        }
    }

    /// `None`: the WAL ends on this page.
    fn page(&mut self, page: &[u8], found: &mut dyn FnMut(Found)) -> Option<()> {
        let begins_segment = self.next.0.is_multiple_of(self.segment_size);
        if matches!(self.state, State::Switched) {
            if !begins_segment {
                return Some(());
            }
            self.state = State::Between;
        }
        let header = PageHeader::read(page).filter(|header| header.address == self.next)?;
        let major = major_of(header.magic)?;
        let mut at = header.length;
        self.resume(&header);
        while at < page.len() {
            match &mut self.state {
                State::Between => {
                    // Records are aligned, so that a record's length is never torn.
                    at = at.next_multiple_of(8);
                    let Some(total) = u32_at(page, at) else { break };
                    if !(HEADER as u32..=LONGEST).contains(&total) {
                        return None;
                    }
                    let rest = page.get(at..)?;
                    let start = Lsn(self.next.0 + at as u64);
                    if let Some(record) = rest.get(..total as usize) {
                        at += total as usize;
                        self.finish(start, total, record, at, major, found)?;
                    } else {
                        let front = rest.get(..rest.len().min(PREFIX))?.to_vec();
                        self.state =
                            State::Building { start, total, have: rest.len() as u32, front };
                        return Some(());
                    }
                    if matches!(self.state, State::Switched) {
                        return Some(());
                    }
                }
                State::Skipping(left) => {
                    let here = (page.len() - at).min(*left as usize);
                    at += here;
                    *left -= here as u32;
                    if *left == 0 {
                        self.state = State::Between;
                    }
                }
                State::Building { start, total, have, front } => {
                    let here = (page.len() - at).min((*total - *have) as usize);
                    let room = PREFIX.saturating_sub(front.len()).min(here);
                    front.extend_from_slice(page.get(at..at + room)?);
                    at += here;
                    *have += here as u32;
                    if have < total {
                        break;
                    }
                    let (start, total, front) = (*start, *total, std::mem::take(front));
                    self.state = State::Between;
                    self.finish(start, total, &front, at, major, found)?;
                    if matches!(self.state, State::Switched) {
                        return Some(());
                    }
                }
                State::Switched | State::Ended => return Some(()),
            }
        }
        Some(())
    }

    /// Brings the state in line with how a page says it begins.
    fn resume(&mut self, header: &PageHeader) {
        match (&self.state, header.continued) {
            (State::Building { total, have, .. }, Some(left)) if total - have == left => {}
            (State::Skipping(expected), Some(left)) if *expected == left => {}
            // A record that was being written when the server crashed is given up here.
            (_, None) => self.state = State::Between,
            (_, Some(_)) if header.overwritten => self.state = State::Between,
            (_, Some(left)) => self.state = State::Skipping(left),
        }
    }

    fn finish(
        &mut self,
        start: Lsn,
        total: u32,
        record: &[u8],
        at: usize,
        major: u32,
        found: &mut dyn FnMut(Found),
    ) -> Option<()> {
        let before = Lsn(u64_at(record, 8)?);
        if self.previous.is_some_and(|previous| previous != before) || before >= start {
            return None;
        }
        self.previous = Some(start);
        let aligned = at.next_multiple_of(8).min(self.page_size);
        self.end = Lsn(self.next.0 + aligned as u64);
        // Only the managers of transactions and of the log itself matter here.
        if record.get(17).is_some_and(|manager| *manager <= 1)
            && let Some(event) = event(record.get(..record.len().min(PREFIX))?, total, major)
        {
            if event == WalEvent::Switch {
                self.state = State::Switched;
            }
            found(Found { start, end: self.end, event });
        }
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The first pages of a segment of PostgreSQL 15 and of 18.
    const GOLDEN: [(&[u8], u32, u64); 2] = [
        (include_bytes!("../../tests/golden/wal-pages-15"), 726, 0x0200_0368),
        (include_bytes!("../../tests/golden/wal-pages-18"), 754, 0x0200_0388),
    ];

    fn scan(pages: &[u8]) -> (Vec<Found>, Scanner) {
        let mut scanner = Scanner::new(Lsn(0x0200_0000), 8192, 16 << 20);
        let mut found = Vec::new();
        scanner.feed(pages, &mut |one| found.push(one));
        (found, scanner)
    }

    #[test]
    fn golden_pages_say_what_the_server_said() {
        for (pages, xid, switch) in GOLDEN {
            let (found, scanner) = scan(pages);
            assert!(scanner.is_switched());
            let xids: Vec<_> = found
                .iter()
                .filter_map(|found| match &found.event {
                    WalEvent::Transaction { xid, .. } => *xid,
                    _ => None,
                })
                .collect();
            assert_eq!(xids, [xid, xid + 1], "the second was prepared before");
            assert!(found.iter().any(|found| matches!(
                &found.event, WalEvent::RestorePoint { name, .. } if name == "seed"
            )));
            assert_eq!(found.last().map(|found| found.start), Some(Lsn(switch)));
        }
    }

    #[test]
    fn what_is_left_of_earlier_use_is_not_read() {
        let (pages, _, _) = GOLDEN[1];
        // Another place in the log, as in a recycled file.
        let mut scanner = Scanner::new(Lsn(0x0300_0000), 8192, 16 << 20);
        scanner.feed(pages, &mut |found| panic!("{found:?}"));
        assert!(!scanner.is_running() && scanner.end() == Lsn(0x0300_0000));
        // A record that names another as the one before it.
        let mut broken = pages.to_vec();
        broken[0xE8 + 8] ^= 0x40;
        let (found, scanner) = scan(&broken);
        assert_eq!((found.len(), scanner.end()), (1, Lsn(0x0200_00E8)));
    }
}
