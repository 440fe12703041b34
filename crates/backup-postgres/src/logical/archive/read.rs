//! Reading a schema archive.

use backup_core::{Error, ErrorKind, Result};

use super::entry::{Entry, Section};

/// Archive versions understood: PostgreSQL 12 to 18 write 1.14 to 1.16.
const OLDEST: (u8, u8) = (1, 14);
const NEWEST: (u8, u8) = (1, 16);
/// Longest text accepted, so that a damaged length cannot ask for all memory.
const LONGEST_TEXT: i64 = 1 << 30;

/// A parsed schema archive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Archive {
    /// Bytes before the table of contents, unchanged.
    pub(super) header: Vec<u8>,
    pub(super) version: (u8, u8),
    pub(super) int_bytes: usize,
    pub(super) offset_bytes: usize,
    /// Version of the server that was dumped, as it prints it.
    pub(crate) server_version: String,
    /// Version of the pg_dump that wrote it.
    pub(crate) tool_version: String,
    /// Its entries in restore order.
    pub(crate) entries: Vec<Entry>,
}

impl Archive {
    /// Parses a whole archive.
    ///
    /// Fails with `Integrity` when it is cut short, goes on after its table of contents, or is
    /// no archive; with `Unsupported` when a newer pg_dump changed the format.
    pub(crate) fn parse(bytes: &[u8]) -> Result<Self> {
        let mut reader = Reader { bytes, at: 0, int_bytes: 4, offset_bytes: 8 };
        if reader.take(5)? != b"PGDMP" {
            return Err(damaged("no archive signature"));
        }
        let version = (reader.byte()?, reader.byte()?);
        let _revision = reader.byte()?;
        if version < OLDEST || version > NEWEST {
            return Err(Error::new(ErrorKind::Unsupported, "read schema archive")
                .with("archive version", format!("{}.{}", version.0, version.1))
                .hint("Use PostgreSQL client programs of major version 12 to 18."));
        }
        reader.int_bytes = usize::from(reader.byte()?);
        reader.offset_bytes = usize::from(reader.byte()?);
        if !(1..=8).contains(&reader.int_bytes) || reader.byte()? != 1 {
            return Err(damaged("not a custom-format archive"));
        }
        if version >= (1, 15) {
            reader.byte()?;
        } else {
            reader.int()?;
        }
        for _ in 0..7 {
            reader.int()?;
        }
        let _database = reader.text()?;
        let server_version = lossy(reader.text()?);
        let tool_version = lossy(reader.text()?);
        let header = bytes.get(..reader.at).unwrap_or_default().to_vec();
        let count = reader.int()?;
        let mut entries = Vec::new();
        for _ in 0..count {
            entries.push(reader.entry(version)?);
        }
        if reader.at != bytes.len() {
            return Err(damaged("bytes after the table of contents"));
        }
        Ok(Self {
            header,
            version,
            int_bytes: reader.int_bytes,
            offset_bytes: reader.offset_bytes,
            server_version,
            tool_version,
            entries,
        })
    }

    /// Has entries of one kind restored one after another, in the order they have here.
    ///
    /// pg_restore with several jobs runs whatever waits for nothing. Each entry is made to wait
    /// for the one before it, which pg_dump's order (what is needed first comes first) allows.
    pub(crate) fn one_after_another(&mut self, kind: &str) {
        let mut before = None;
        for entry in self.entries.iter_mut().filter(|entry| entry.kind() == kind) {
            entry.depends_on.extend(before.filter(|id| !entry.depends_on.contains(id)));
            before = Some(entry.id);
        }
    }
}

impl Archive {
    /// Takes an extension out, with its comment.
    pub(crate) fn leave_out_extension(&mut self, name: &str) {
        let (plain, quoted) = (format!("EXTENSION {name}"), format!("EXTENSION \"{name}\""));
        self.entries.retain(|entry| match entry.kind() {
            "EXTENSION" => entry.tag() != name,
            "COMMENT" => entry.tag() != plain && entry.tag() != quoted,
            _ => true,
        });
    }
}

#[cfg(test)]
impl Archive {
    /// An archive of these entries, as pg_dump 15 would head it.
    pub(crate) fn for_test(entries: Vec<Entry>) -> Self {
        let mut archive = Self::parse(&tests::sample()).unwrap();
        archive.entries = entries;
        archive
    }
}

struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
    int_bytes: usize,
    offset_bytes: usize,
}

impl<'a> Reader<'a> {
    fn take(&mut self, count: usize) -> Result<&'a [u8]> {
        let end = self.at.checked_add(count).ok_or_else(|| damaged("absurd length"))?;
        let taken = self.bytes.get(self.at..end).ok_or_else(|| damaged("cut short"))?;
        self.at = end;
        Ok(taken)
    }

    fn byte(&mut self) -> Result<u8> {
        self.take(1)?.first().copied().ok_or_else(|| damaged("cut short"))
    }

    /// A sign byte, then the magnitude, least significant byte first.
    fn int(&mut self) -> Result<i64> {
        let negative = self.byte()? != 0;
        let digits = self.take(self.int_bytes)?;
        let magnitude = digits
            .iter()
            .rev()
            .try_fold(0_i64, |value, digit| value.checked_mul(256)?.checked_add(i64::from(*digit)));
        let magnitude = magnitude.ok_or_else(|| damaged("absurd number"))?;
        Ok(if negative { -magnitude } else { magnitude })
    }

    fn text(&mut self) -> Result<Option<Vec<u8>>> {
        match self.int()? {
            -1 => Ok(None),
            length @ 0..=LONGEST_TEXT => {
                let length = usize::try_from(length).map_err(|_| damaged("absurd length"))?;
                Ok(Some(self.take(length)?.to_vec()))
            }
            _ => Err(damaged("absurd length")),
        }
    }

    fn entry(&mut self, version: (u8, u8)) -> Result<Entry> {
        let id = self.int()?;
        let has_data = self.int()? != 0;
        let table_oid = self.text()?;
        let oid = self.text()?;
        let tag = self.text()?;
        let kind = self.text()?;
        let section = Section::from_code(self.int()?).ok_or_else(|| damaged("unknown section"))?;
        let definition = self.text()?;
        let drop = self.text()?;
        let copy = self.text()?;
        let schema = self.text()?;
        let tablespace = self.text()?;
        let access_method = self.text()?;
        let relation_kind = if version >= (1, 16) { self.int()? } else { 0 };
        let owner = self.text()?;
        let with_oids = self.text()?;
        let mut depends_on = Vec::new();
        while let Some(number) = self.text()? {
            let number = std::str::from_utf8(&number).ok().and_then(|text| text.parse().ok());
            depends_on.push(number.ok_or_else(|| damaged("unreadable dependency"))?);
        }
        // Position of its row data: a state byte and an offset, unused here.
        self.take(1 + self.offset_bytes)?;
        Ok(Entry {
            id,
            has_data,
            table_oid,
            oid,
            tag,
            kind,
            section,
            definition,
            drop,
            copy,
            schema,
            tablespace,
            access_method,
            relation_kind,
            owner,
            with_oids,
            depends_on,
        })
    }
}

fn lossy(text: Option<Vec<u8>>) -> String {
    String::from_utf8_lossy(&text.unwrap_or_default()).into_owned()
}

fn damaged(why: &'static str) -> Error {
    Error::new(ErrorKind::Integrity, "read schema archive").because(why)
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    fn int(out: &mut Vec<u8>, value: i64) {
        out.push(u8::from(value < 0));
        let magnitude = u32::try_from(value.unsigned_abs()).unwrap();
        out.extend_from_slice(&magnitude.to_le_bytes());
    }

    fn text(out: &mut Vec<u8>, value: Option<&str>) {
        int(out, value.map_or(-1, |text| i64::try_from(text.len()).unwrap()));
        out.extend_from_slice(value.unwrap_or_default().as_bytes());
    }

    /// An archive with one table, laid out by hand after pg_dump 15's output.
    pub(in super::super) fn sample() -> Vec<u8> {
        let mut out = b"PGDMP\x01\x0e\x00\x04\x08\x01".to_vec();
        int(&mut out, 0);
        for value in [1, 2, 3, 4, 5, 126, 0] {
            int(&mut out, value);
        }
        text(&mut out, Some("shop"));
        text(&mut out, Some("15.4"));
        text(&mut out, Some("15.4"));
        int(&mut out, 1);
        int(&mut out, 214);
        int(&mut out, 0);
        text(&mut out, Some("1259"));
        text(&mut out, Some("16385"));
        text(&mut out, Some("t"));
        text(&mut out, Some("TABLE"));
        int(&mut out, 2);
        text(&mut out, Some("CREATE TABLE public.t (a integer);\n"));
        text(&mut out, Some("DROP TABLE public.t;\n"));
        text(&mut out, None);
        text(&mut out, Some("public"));
        text(&mut out, Some(""));
        text(&mut out, Some("heap"));
        text(&mut out, Some("alice"));
        text(&mut out, Some("false"));
        text(&mut out, Some("7"));
        text(&mut out, None);
        out.push(3);
        out.extend_from_slice(&[0; 8]);
        out
    }

    #[test]
    fn reads_the_table_of_contents() {
        let archive = Archive::parse(&sample()).unwrap();
        assert_eq!(archive.server_version, "15.4");
        assert_eq!(archive.entries.len(), 1);
        let entry = &archive.entries[0];
        assert_eq!((entry.kind(), entry.schema(), entry.tag()), ("TABLE", "public", "t"));
        assert_eq!(entry.owner(), Some("alice"));
        assert_eq!(entry.depends_on, [7]);
        assert_eq!(entry.section, Section::PreData);
    }

    #[test]
    fn every_cut_is_an_error_and_so_is_a_tail() {
        let whole = sample();
        for length in 0..whole.len() {
            assert!(Archive::parse(&whole[..length]).is_err(), "{length}");
        }
        let longer = [whole, vec![0]].concat();
        assert_eq!(Archive::parse(&longer).unwrap_err().kind(), ErrorKind::Integrity);
    }

    #[test]
    fn entries_of_one_kind_wait_for_one_another() {
        let entry = |id, kind, needs: &[i64]| Entry::for_test(id, kind, "s", "t", "", needs);
        let mut archive = Archive::for_test(vec![
            entry(1, "INDEX", &[]),
            entry(2, "INDEX ATTACH", &[1]),
            entry(3, "INDEX", &[]),
            entry(4, "INDEX ATTACH", &[3, 2]),
            entry(5, "INDEX ATTACH", &[3]),
        ]);
        archive.one_after_another("INDEX ATTACH");
        let needs: Vec<&[i64]> = archive.entries.iter().map(|e| e.depends_on.as_slice()).collect();
        assert_eq!(needs, [&[] as &[i64], &[1], &[], &[3, 2], &[3, 4]]);
    }

    #[test]
    fn a_newer_format_is_refused_by_name() {
        let mut bytes = sample();
        bytes[6] = 17;
        assert_eq!(Archive::parse(&bytes).unwrap_err().kind(), ErrorKind::Unsupported);
    }
}
