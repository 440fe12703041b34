//! Timelines: where each one left its parent.

use backup_core::{Error, ErrorKind, Lsn, Result};

use super::{Replication, unreadable};

const HISTORY: &str = "read timeline history";

/// A history file, byte for byte.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HistoryFile {
    /// Its name, `00000003.history`.
    pub name: String,
    /// Its content; comments may be in any encoding.
    pub content: Vec<u8>,
}

/// One line of a history: a timeline, and where its child began.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TimelineSwitch {
    /// The timeline that ended (for this descent).
    pub timeline: u32,
    /// Where it ended.
    pub end: Lsn,
}

impl Replication {
    /// Returns the history file of a timeline above 1 (timeline 1 has none).
    ///
    /// # Errors
    /// `Usage` for timelines 0 and 1; the server's error if it does not have the file.
    pub async fn timeline_history(&mut self, timeline: u32) -> Result<HistoryFile> {
        if timeline < 2 {
            return Err(Error::new(ErrorKind::Usage, HISTORY)
                .with("timeline", timeline)
                .because("the first timeline has no history"));
        }
        let row = self.one_row(HISTORY, &format!("TIMELINE_HISTORY {timeline}")).await?;
        let name = row.by_name("filename").ok_or_else(|| unreadable(HISTORY))?.to_owned();
        if name != format!("{timeline:08X}.history") {
            return Err(unreadable(HISTORY).with("file", name));
        }
        let content = row.bytes(1).ok_or_else(|| unreadable(HISTORY))?.to_vec();
        Ok(HistoryFile { name, content })
    }
}

/// Reads a history file: parents in order, oldest first. Numbers are decimal there, though file
/// names are hexadecimal.
///
/// # Errors
/// `Integrity` for lines that are neither comments nor switches, or are out of order.
pub fn parse_history(content: &[u8]) -> Result<Vec<TimelineSwitch>> {
    let text = String::from_utf8_lossy(content);
    let mut switches: Vec<TimelineSwitch> = Vec::new();
    for line in text.lines().map(str::trim).filter(|l| !l.is_empty() && !l.starts_with('#')) {
        let mut fields = line.split_whitespace();
        let timeline = fields.next().and_then(|field| field.parse().ok());
        let end = fields.next().and_then(|field| field.parse().ok());
        let (Some(timeline), Some(end)) = (timeline, end) else { return Err(bad(line)) };
        if switches.last().is_some_and(|last| last.timeline >= timeline) {
            return Err(bad(line));
        }
        switches.push(TimelineSwitch { timeline, end });
    }
    Ok(switches)
}

fn bad(line: &str) -> Error {
    Error::new(ErrorKind::Integrity, HISTORY).with("line", line)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn histories_are_decimal_and_ascending() {
        let text = b"1\t0/3000000\tno recovery target specified\n\n# comment\n10 1/A0 at \xff\n";
        let switches = parse_history(text).unwrap();
        assert_eq!(
            switches,
            [
                TimelineSwitch { timeline: 1, end: Lsn(0x300_0000) },
                TimelineSwitch { timeline: 10, end: Lsn(0x1_0000_00A0) },
            ]
        );
        assert!(parse_history(b"").unwrap().is_empty());
        for text in ["1", "x 0/1", "2 0/2\n1 0/1", "1 0/1\n1 0/2", "1 nowhere"] {
            assert!(parse_history(text.as_bytes()).is_err(), "{text}");
        }
    }
}
