//! Which timeline came from which; pure.

use backup_core::Lsn;

/// A timeline that was left, and where.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Branch {
    /// The timeline that was left.
    pub timeline: u32,
    /// Where its child goes on.
    pub end: Lsn,
}

/// Reads a history file: the timelines before this one, oldest first. `None` for what is none.
pub(super) fn parse(content: &[u8]) -> Option<Vec<Branch>> {
    let text = String::from_utf8_lossy(content);
    let mut branches: Vec<Branch> = Vec::new();
    for line in
        text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'))
    {
        // Decimal here, hexadecimal in file names.
        let mut fields = line.split_whitespace();
        let branch =
            Branch { timeline: fields.next()?.parse().ok()?, end: fields.next()?.parse().ok()? };
        if branches.last().is_some_and(|last| last.timeline >= branch.timeline) {
            return None;
        }
        branches.push(branch);
    }
    Some(branches)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn histories_ascend() {
        let read = parse(b"1\t0/3000000\tno recovery target\n\n# x\n10 1/A0\n").unwrap();
        assert_eq!(read[1], Branch { timeline: 10, end: Lsn(0x1_0000_00A0) });
        assert_eq!(parse(b""), Some(Vec::new()));
        for bad in ["1", "x 0/1", "2 0/2\n1 0/1", "1 nowhere"] {
            assert_eq!(parse(bad.as_bytes()), None, "{bad}");
        }
    }
}
