//! Names of WAL objects: `wal/<source>/<system id>/<timeline>/<file>-<hash>`.

use backup_core::port::Object;
use backup_core::{Error, ErrorKind, ObjectName, Result, SourceName, WalFile, WalSegment};
use data_encoding::HEXLOWER;
use jiff::Timestamp;

use crate::layout::{self, WAL};

/// Whose log: a source, and the cluster that it is. A name alone is not enough: after
/// `pg_upgrade` or a rebuild the same name means another log.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct WalLog {
    /// The source.
    pub source: SourceName,
    /// PostgreSQL's system identifier.
    pub system: u64,
}

/// What an object of a log is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum WalEntry {
    /// A file, under the name that PostgreSQL gives it.
    File(WalFile),
    /// A statement that WAL from this segment on was lost before it was stored.
    Gap(WalSegment),
    /// A segment as far as it was received, up to so many bytes; zero bytes follow.
    Growing(WalSegment, u32),
}

impl WalEntry {
    /// Returns the timeline it belongs to.
    #[must_use]
    pub fn timeline(self) -> u32 {
        match self {
            Self::File(file) => file.timeline(),
            Self::Gap(segment) | Self::Growing(segment, _) => segment.timeline,
        }
    }
}

/// One stored file of a log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WalObject {
    /// What it is about.
    pub entry: WalEntry,
    /// Bytes of a keyed hash of the content: different contents differ in them.
    pub digest: [u8; 8],
    /// Its name in the store.
    pub name: ObjectName,
    /// Bytes it takes there.
    pub size: u64,
    /// When it was stored, by the store's clock.
    pub stored_at: Timestamp,
}

impl WalObject {
    /// Reads a listed object's name; `None` for what is no file of a log.
    pub(super) fn of(object: &Object) -> Option<Self> {
        let (entry, digest) = parse_file(object.name.file_name())?;
        let (name, size, stored_at) = (object.name.clone(), object.size, object.modified);
        Some(Self { entry, digest, name, size, stored_at })
    }
}

impl WalLog {
    /// Returns the folder of the log, with a `/` at its end.
    pub(crate) fn folder(&self) -> String {
        format!("{}{}/", source_folder(&self.source), self.system)
    }

    /// Returns the folder of one timeline.
    pub(super) fn timeline(&self, timeline: u32) -> String {
        format!("{}{timeline:08x}/", self.folder())
    }

    /// Returns how the names of all that is about a segment begin.
    pub(super) fn segment(&self, segment: WalSegment) -> String {
        format!("{}{}.", self.timeline(segment.timeline), segment.to_string().to_ascii_lowercase())
    }

    /// Returns how the names of all contents of an entry begin.
    pub(super) fn prefix(&self, entry: WalEntry) -> String {
        format!("{}{}-", self.timeline(entry.timeline()), file_name(entry))
    }

    pub(super) fn object(&self, entry: WalEntry, digest: [u8; 8]) -> Result<ObjectName> {
        layout::name(&format!("{}{}", self.prefix(entry), HEXLOWER.encode(&digest)))
    }

    /// Says that this cluster is known to be this source's: its first file was stored.
    pub(super) fn marker(&self) -> Result<ObjectName> {
        layout::name(&format!("{}known", self.folder()))
    }

    /// Reads whose log an object belongs to.
    pub(super) fn of(object: &ObjectName) -> Result<Self> {
        let mut segments = object.as_str().split('/').skip(1);
        let mut read = || {
            let source = read_source(segments.next()?)?;
            let system = segments.next()?.parse().ok()?;
            segments.next().map(|_| Self { source, system })
        };
        read().ok_or_else(|| {
            Error::new(ErrorKind::Integrity, "read name of WAL object").with("object", object).hint(
                "Something that is not part of the repository lies among its WAL; move it away.",
            )
        })
    }
}

/// Returns the folder of a source's logs. Names of objects have no capital letters: a source's
/// that has some is written with `-` in front, each capital `X` as `_x`, and `_` as `__`.
pub(super) fn source_folder(source: &SourceName) -> String {
    let text = source.as_str();
    if !text.bytes().any(|byte| byte.is_ascii_uppercase()) {
        return format!("{WAL}{text}/");
    }
    let mut out = format!("{WAL}-");
    for character in text.chars() {
        match character {
            '_' => out.push_str("__"),
            capital if capital.is_ascii_uppercase() => {
                out.push('_');
                out.push(capital.to_ascii_lowercase());
            }
            other => out.push(other),
        }
    }
    out.push('/');
    out
}

fn read_source(folder: &str) -> Option<SourceName> {
    let Some(escaped) = folder.strip_prefix('-') else { return folder.parse().ok() };
    let mut out = String::with_capacity(escaped.len());
    let mut characters = escaped.chars();
    while let Some(character) = characters.next() {
        out.push(match character {
            '_' => match characters.next()? {
                '_' => '_',
                letter => letter.to_ascii_uppercase(),
            },
            other => other,
        });
    }
    out.parse().ok()
}

/// PostgreSQL's name in small letters; `.gap` and `.growing` are ours.
fn file_name(entry: WalEntry) -> String {
    match entry {
        WalEntry::File(file) => file.to_string().to_ascii_lowercase(),
        WalEntry::Gap(segment) => format!("{segment}.gap").to_ascii_lowercase(),
        WalEntry::Growing(segment, length) => {
            format!("{segment}.{length:08x}.growing").to_ascii_lowercase()
        }
    }
}

fn parse_file(text: &str) -> Option<(WalEntry, [u8; 8])> {
    let (name, digest) = text.rsplit_once('-')?;
    let digest = HEXLOWER.decode(digest.as_bytes()).ok()?.try_into().ok()?;
    if name.bytes().any(|byte| byte.is_ascii_uppercase()) {
        return None;
    }
    let entry = if let Some(segment) = name.strip_suffix(".gap") {
        WalEntry::Gap(segment.to_ascii_uppercase().parse().ok()?)
    } else if let Some(name) = name.strip_suffix(".growing") {
        let (segment, length) = name.split_once('.')?;
        let plain = length.len() == 8 && length.bytes().all(|b| b.is_ascii_hexdigit());
        let length = plain.then(|| u32::from_str_radix(length, 16).ok()).flatten()?;
        WalEntry::Growing(segment.to_ascii_uppercase().parse().ok()?, length)
    } else {
        let (number, word) = match name.rsplit_once('.') {
            Some((number, word)) => (number.to_ascii_uppercase(), format!(".{word}")),
            None => (name.to_ascii_uppercase(), String::new()),
        };
        WalEntry::File(format!("{number}{word}").parse().ok()?)
    };
    Some((entry, digest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_come_back_whatever_the_source_is_called() {
        let sources = ["shop", "a_b-c.d", "Shop", "S_x", "s_X", "_sX", "ÜB"];
        for source in sources.iter().filter_map(|text| text.parse::<SourceName>().ok()) {
            let log = WalLog { source, system: 7_401_234_567_890_123_456 };
            for text in [
                "00000001000000000000000A",
                "00000001000000000000000A.partial",
                "00000001000000000000000A.00000028.backup",
                "0000000A.history",
            ] {
                let entry = WalEntry::File(text.parse().unwrap());
                let name = log.object(entry, [0xAB; 8]).unwrap();
                assert_eq!(parse_file(name.file_name()), Some((entry, [0xAB; 8])));
                assert_eq!(WalLog::of(&name).unwrap(), log);
            }
            let gap = WalEntry::Gap("00000001000000000000000A".parse().unwrap());
            let segment = "00000001000000000000000A".parse().unwrap();
            for entry in [gap, WalEntry::Growing(segment, 0x00AB_0000)] {
                let name = log.object(entry, [1; 8]).unwrap();
                assert_eq!(parse_file(name.file_name()), Some((entry, [1; 8])));
            }
        }
        let folders: std::collections::BTreeSet<_> =
            sources.iter().filter_map(|s| s.parse().ok()).map(|s| source_folder(&s)).collect();
        assert_eq!(folders.len(), 6);
    }

    #[test]
    fn a_plain_name_reads_as_documented() {
        let log = WalLog { source: "shop".parse().unwrap(), system: 42 };
        let entry = WalEntry::File("00000002000000000000000A".parse().unwrap());
        assert_eq!(
            log.object(entry, [0, 1, 2, 3, 4, 5, 6, 7]).unwrap().as_str(),
            "wal/shop/42/00000002/00000002000000000000000a-0001020304050607"
        );
    }

    #[test]
    fn strangers_are_no_files() {
        for text in [
            "known",
            "x-0001020304050607",
            "00000002.history-00",
            "0000000A.history-0001020304050607",
        ] {
            assert_eq!(parse_file(text), None, "{text}");
        }
    }
}
