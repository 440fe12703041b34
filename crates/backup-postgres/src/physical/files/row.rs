//! The list of files: one JSON object a line.

use backup_core::{Error, ErrorKind, Result};
use serde::{Deserialize, Serialize};

/// One file, directory or link of a cluster.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Row {
    /// Relative to the data directory.
    pub(crate) path: String,
    /// What it is.
    pub(crate) kind: Kind,
    /// Permission bits.
    pub(crate) mode: u32,
    /// Bytes of a file.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub(crate) bytes: u64,
    /// CRC-32C of a file's bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) crc32c: Option<u32>,
    /// The segment that holds its bytes, or the first of those that do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) at: Option<u64>,
    /// Where they begin in that segment, if the segment is a bundle.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) offset: Option<u64>,
    /// CRC-32C of each MiB of a relation's file of its own, eight hexadecimal digits each.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) sums: Option<String>,
    /// What a link points to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) link: Option<String>,
}

/// What a row stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Kind {
    File,
    Directory,
    Link,
}

fn is_zero(bytes: &u64) -> bool {
    *bytes == 0
}

impl Row {
    /// Returns a row that says no more than that something is there.
    pub(crate) fn new(path: String, kind: Kind, mode: u32) -> Self {
        Self {
            path,
            kind,
            mode,
            bytes: 0,
            crc32c: None,
            at: None,
            offset: None,
            sums: None,
            link: None,
        }
    }

    /// Notes the sums of its pieces.
    pub(crate) fn set_sums(&mut self, sums: &[u32]) {
        self.sums = Some(sums.iter().map(|sum| format!("{sum:08x}")).collect());
    }

    /// Returns the sums of its pieces, where they were noted.
    pub(crate) fn sums(&self) -> Option<Vec<u32>> {
        let text = self.sums.as_deref()?;
        let sum = |at: usize| u32::from_str_radix(text.get(at..at + 8)?, 16).ok();
        (0..text.len()).step_by(8).map(sum).collect()
    }

    /// Appends the row as a line.
    pub(crate) fn write(&self, out: &mut Vec<u8>) -> Result<()> {
        serde_json::to_writer(&mut *out, self)
            .map_err(|error| Error::new(ErrorKind::Failed, "list file").because(error))?;
        out.push(b'\n');
        Ok(())
    }

    /// Reads the lines of a segment of the list.
    pub(crate) fn read_all(lines: &[u8]) -> Result<Vec<Self>> {
        lines
            .split(|byte| *byte == b'\n')
            .filter(|line| !line.is_empty())
            .map(|line| {
                let row: Self =
                    serde_json::from_slice(line).map_err(|error| damaged().because(error))?;
                if is_safe(&row.path) { Ok(row) } else { Err(damaged().with("path", row.path)) }
            })
            .collect()
    }
}

fn damaged() -> Error {
    Error::new(ErrorKind::Integrity, "read list of files")
}

/// A path that stays inside the directory it is joined to.
pub(crate) fn is_safe(path: &str) -> bool {
    !path.is_empty()
        && !path.contains('\0')
        && path.split('/').all(|step| !matches!(step, "" | "." | ".."))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_it_writes_and_refuses_paths_that_escape() {
        let row = Row {
            path: "base/5/1259".into(),
            kind: Kind::File,
            mode: 0o600,
            bytes: 8192,
            crc32c: Some(7),
            at: Some(1 << 63),
            offset: None,
            sums: None,
            link: None,
        };
        let mut lines = Vec::new();
        row.write(&mut lines).unwrap();
        row.write(&mut lines).unwrap();
        assert_eq!(Row::read_all(&lines).unwrap(), [row.clone(), row.clone()]);
        for path in ["", "/etc/passwd", "../x", "a/../../x", "a//b", "a/.", "x\0"] {
            let mut lines = Vec::new();
            Row { path: path.into(), ..row.clone() }.write(&mut lines).unwrap();
            assert_eq!(Row::read_all(&lines).unwrap_err().kind(), ErrorKind::Integrity, "{path}");
        }
        assert!(Row::read_all(b"{}").is_err());
    }

    #[test]
    fn sums_come_back_or_are_not_there() {
        let mut row = Row::new("x".into(), Kind::File, 0o600);
        assert_eq!(row.sums(), None);
        row.set_sums(&[0, 0xDEAD_BEEF, 7]);
        assert_eq!(row.sums(), Some(vec![0, 0xDEAD_BEEF, 7]));
        for wrong in ["0000000", "zzzzzzzz", "00000000é"] {
            row.sums = Some(wrong.into());
            assert_eq!(row.sums(), None, "{wrong}");
        }
    }
}
