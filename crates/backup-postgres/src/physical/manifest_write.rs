//! Writing a backup manifest, as the server would. Pure.

use sha2::{Digest, Sha256};

use super::manifest::{WalRange, hex};

/// Gives the manifest's bytes piece by piece.
#[derive(Debug, Default)]
pub(crate) struct ManifestWriter {
    hash: Sha256,
    files: u64,
}

impl ManifestWriter {
    /// Returns the beginning; version 2 names the system.
    pub(crate) fn head(&mut self, version: u32, system: &str) -> Vec<u8> {
        let text = if version >= 170_000 {
            format!(
                "{{ \"PostgreSQL-Backup-Manifest-Version\": 2,\n\"System-Identifier\": {system},\n\
                 \"Files\": ["
            )
        } else {
            "{ \"PostgreSQL-Backup-Manifest-Version\": 1,\n\"Files\": [".to_owned()
        };
        self.hashed(text)
    }

    /// Returns the entry of a file.
    pub(crate) fn file(&mut self, path: &str, bytes: u64, crc32c: u32) -> Vec<u8> {
        let comma = if self.files == 0 { "" } else { "," };
        self.files += 1;
        let path = serde_json::Value::from(path);
        // Four bytes in the order of this machine's memory, which is the server's.
        let sum = hex(&crc32c.to_ne_bytes());
        self.hashed(format!(
            "{comma}\n{{ \"Path\": {path}, \"Size\": {bytes}, \
             \"Checksum-Algorithm\": \"CRC32C\", \"Checksum\": \"{sum}\" }}"
        ))
    }

    /// Returns the end, with the WAL that a copy needs.
    pub(crate) fn tail(mut self, ranges: &[WalRange]) -> Vec<u8> {
        let lines: Vec<String> = ranges
            .iter()
            .map(|range| {
                let WalRange { timeline, start, end } = range;
                format!(
                    "{{ \"Timeline\": {timeline}, \"Start-LSN\": \"{start}\", \
                     \"End-LSN\": \"{end}\" }}"
                )
            })
            .collect();
        let ranges = lines.join(",\n");
        let mut text = self.hashed(format!("\n],\n\"WAL-Ranges\": [\n{ranges}\n],\n"));
        let sum = hex(&self.hash.finalize());
        text.extend_from_slice(format!("\"Manifest-Checksum\": \"{sum}\"}}\n").as_bytes());
        text
    }

    fn hashed(&mut self, text: String) -> Vec<u8> {
        self.hash.update(text.as_bytes());
        text.into_bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::super::manifest::ManifestReader;
    use super::*;
    use backup_core::Lsn;

    #[test]
    fn the_reader_accepts_what_is_written() {
        for version in [150_000, 170_000] {
            for count in [0, 1, 3] {
                let mut writer = ManifestWriter::default();
                let mut text = writer.head(version, "7042");
                for number in 0..count {
                    text.extend(writer.file(&format!("a\"{number}"), number, 0x0102_0304));
                }
                let range = |timeline| WalRange { timeline, start: Lsn(1), end: Lsn(2) };
                text.extend(writer.tail(&[range(1), range(2)]));
                let (mut reader, mut files) = (ManifestReader::default(), Vec::new());
                reader
                    .feed(&text, |file| {
                        files.push(file);
                        Ok(())
                    })
                    .unwrap();
                let end = reader.finish().unwrap();
                assert_eq!(files.len() as u64, count);
                assert!(files.iter().all(|file| file.crc32c == Some(0x0102_0304)));
                assert_eq!(end.system.is_some(), version >= 170_000);
                assert_eq!(end.ranges.len(), 2);
            }
        }
    }
}
