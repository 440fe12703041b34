//! PostgreSQL's backup manifest, read line by line as it arrives. Pure.

use backup_core::{Error, ErrorKind, Lsn, Result};
use serde::Deserialize;
use sha2::{Digest, Sha256};

const LONGEST_LINE: usize = 64 << 10;

/// One file of a manifest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ManifestFile {
    pub(crate) path: String,
    pub(crate) bytes: u64,
    /// The CRC-32C, where the manifest uses that.
    pub(crate) crc32c: Option<u32>,
}

/// WAL that a restored copy needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct WalRange {
    pub(crate) timeline: u32,
    pub(crate) start: Lsn,
    pub(crate) end: Lsn,
}

/// Reads a manifest of version 1 or 2. The server writes one entry a line.
#[derive(Debug, Default)]
pub(crate) struct ManifestReader {
    line: Vec<u8>,
    hash: Sha256,
    version: Option<u64>,
    system: Option<String>,
    ranges: Vec<WalRange>,
    checksum: Option<String>,
}

/// What a manifest says besides its files.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct ManifestEnd {
    /// From version 2 on.
    pub(crate) system: Option<String>,
    pub(crate) ranges: Vec<WalRange>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct FileLine {
    path: Option<String>,
    #[serde(rename = "Encoded-Path")]
    encoded_path: Option<String>,
    size: u64,
    #[serde(rename = "Checksum-Algorithm")]
    algorithm: Option<String>,
    checksum: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct RangeLine {
    timeline: u32,
    #[serde(rename = "Start-LSN")]
    start: Lsn,
    #[serde(rename = "End-LSN")]
    end: Lsn,
}

impl ManifestReader {
    /// Takes the next bytes, and hands on every file they complete.
    pub(crate) fn feed(
        &mut self,
        mut bytes: &[u8],
        mut each: impl FnMut(ManifestFile) -> Result<()>,
    ) -> Result<()> {
        while let Some(end) = bytes.iter().position(|byte| *byte == b'\n') {
            let (now, rest) = bytes.split_at(end + 1);
            self.line.extend_from_slice(now);
            bytes = rest;
            let line = std::mem::take(&mut self.line);
            if let Some(file) = self.take(&line)? {
                each(file)?;
            }
            self.line = line;
            self.line.clear();
        }
        self.line.extend_from_slice(bytes);
        if self.line.len() > LONGEST_LINE { Err(damaged("a line is too long")) } else { Ok(()) }
    }

    /// Ends the manifest: its version must be known, its checksum right.
    pub(crate) fn finish(self) -> Result<ManifestEnd> {
        if !self.line.is_empty() {
            return Err(damaged("it ends in the middle of a line"));
        }
        if !matches!(self.version, Some(1 | 2)) {
            return Err(damaged("its version is not known"));
        }
        let computed = hex(&self.hash.finalize());
        match self.checksum {
            Some(stated) if stated == computed => {
                Ok(ManifestEnd { system: self.system, ranges: self.ranges })
            }
            Some(_) => Err(damaged("its checksum is wrong")),
            None => Err(damaged("its end is missing")),
        }
    }

    fn take(&mut self, line: &[u8]) -> Result<Option<ManifestFile>> {
        if self.checksum.is_some() {
            return Err(damaged("something follows its checksum"));
        }
        let text = std::str::from_utf8(line).map_err(|_| damaged("a line is not UTF-8"))?.trim();
        if let Some(rest) = text.strip_prefix("\"Manifest-Checksum\":") {
            let value = rest.trim().trim_end_matches('}').trim().trim_matches('"');
            self.checksum = Some(value.to_ascii_lowercase());
            return Ok(None);
        }
        self.hash.update(line);
        let value = |rest: &str| rest.trim().trim_end_matches(',').to_owned();
        if let Some(rest) = text.strip_prefix("{ \"PostgreSQL-Backup-Manifest-Version\":") {
            self.version = value(rest).parse().ok();
        } else if let Some(rest) = text.strip_prefix("\"System-Identifier\":") {
            self.system = Some(value(rest));
        } else if text.starts_with("{ \"Path\"") || text.starts_with("{ \"Encoded-Path\"") {
            return file(text.trim_end_matches(',')).map(Some);
        } else if text.starts_with("{ \"Timeline\"") {
            let range: RangeLine = serde_json::from_str(text.trim_end_matches(','))
                .map_err(|error| damaged("a range of WAL cannot be read").because(error))?;
            let RangeLine { timeline, start, end } = range;
            self.ranges.push(WalRange { timeline, start, end });
        } else if !matches!(text, "\"Files\": [" | "\"WAL-Ranges\": [" | "],") {
            return Err(damaged("a line cannot be read").with("line", text));
        }
        Ok(None)
    }
}

fn file(text: &str) -> Result<ManifestFile> {
    let line: FileLine = serde_json::from_str(text)
        .map_err(|error| damaged("a file's entry cannot be read").because(error))?;
    let path = match (line.path, line.encoded_path) {
        (Some(path), None) => path,
        (None, Some(_)) => {
            return Err(damaged("a file's name is not UTF-8")
                .hint("Rename or remove files in the data directory that are not PostgreSQL's."));
        }
        _ => return Err(damaged("a file has no name")),
    };
    let is_crc = line.algorithm.as_deref() == Some("CRC32C");
    let crc32c = match line.checksum.filter(|_| is_crc) {
        // Four bytes in the order of the server's memory.
        Some(text) => Some(
            u32::from_str_radix(&text, 16)
                .map(u32::swap_bytes)
                .map_err(|error| damaged("a checksum cannot be read").because(error))?,
        ),
        None => None,
    };
    Ok(ManifestFile { path, bytes: line.size, crc32c })
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write;
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

fn damaged(what: &'static str) -> Error {
    Error::new(ErrorKind::Integrity, "read backup manifest").because(what)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn manifest() -> String {
        let head = "{ \"PostgreSQL-Backup-Manifest-Version\": 2,\n\"System-Identifier\": 7042,\n\
            \"Files\": [\n\
            { \"Path\": \"backup_label\", \"Size\": 225, \"Last-Modified\": \"2026-01-01 00:00:00 GMT\", \
            \"Checksum-Algorithm\": \"CRC32C\", \"Checksum\": \"01020304\" },\n\
            { \"Path\": \"a\\\"b\", \"Size\": 0, \"Last-Modified\": \"2026-01-01 00:00:00 GMT\" }\n\
            ],\n\"WAL-Ranges\": [\n\
            { \"Timeline\": 1, \"Start-LSN\": \"0/2000028\", \"End-LSN\": \"0/2000100\" }\n\
            ],\n";
        let sum = hex(&Sha256::digest(head.as_bytes()));
        format!("{head}\"Manifest-Checksum\": \"{sum}\"}}\n")
    }

    fn read(text: &[u8], piece: usize) -> Result<(Vec<ManifestFile>, ManifestEnd)> {
        let mut reader = ManifestReader::default();
        let mut files = Vec::new();
        for piece in text.chunks(piece) {
            reader.feed(piece, |file| {
                files.push(file);
                Ok(())
            })?;
        }
        Ok((files, reader.finish()?))
    }

    #[test]
    fn reads_files_and_ranges_in_any_pieces() {
        for piece in [1, 7, 100, 10_000] {
            let (files, end) = read(manifest().as_bytes(), piece).unwrap();
            assert_eq!(files.len(), 2);
            assert_eq!(files[0].crc32c, Some(0x0403_0201));
            assert_eq!((files[1].path.as_str(), files[1].bytes), ("a\"b", 0));
            assert_eq!(end.system.as_deref(), Some("7042"));
            assert_eq!(end.ranges[0].start, Lsn(0x200_0028));
        }
    }

    #[test]
    fn any_change_or_cut_is_an_error() {
        let text = manifest();
        for length in 0..text.len() - 1 {
            assert!(read(&text.as_bytes()[..length], 64).is_err(), "{length}");
        }
        for at in 0..text.len() {
            let mut bytes = text.clone().into_bytes();
            bytes[at] = if bytes[at] == b'9' { b'8' } else { b'9' };
            if bytes != text.as_bytes() {
                assert!(read(&bytes, 64).is_err(), "{at}");
            }
        }
        assert!(read(format!("{text}\n").as_bytes(), 64).is_err());
    }
}
