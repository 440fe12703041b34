//! Writing a schema archive.

use super::entry::Entry;
use super::read::Archive;

/// pg_dump's mark for "this entry has no row data".
const NO_DATA: u8 = 3;

impl Archive {
    /// Returns the archive as pg_restore reads it.
    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        let mut writer = Writer { out: self.header.clone(), int_bytes: self.int_bytes };
        writer.int(i64::try_from(self.entries.len()).unwrap_or(i64::MAX));
        for entry in &self.entries {
            self.entry(&mut writer, entry);
        }
        writer.out
    }

    fn entry(&self, writer: &mut Writer, entry: &Entry) {
        writer.int(entry.id);
        writer.int(i64::from(entry.has_data));
        writer.text(entry.table_oid.as_deref());
        writer.text(entry.oid.as_deref());
        writer.text(entry.tag.as_deref());
        writer.text(entry.kind.as_deref());
        writer.int(entry.section.code());
        writer.text(entry.definition.as_deref());
        writer.text(entry.drop.as_deref());
        writer.text(entry.copy.as_deref());
        writer.text(entry.schema.as_deref());
        writer.text(entry.tablespace.as_deref());
        writer.text(entry.access_method.as_deref());
        if self.version >= (1, 16) {
            writer.int(entry.relation_kind);
        }
        writer.text(entry.owner.as_deref());
        writer.text(entry.with_oids.as_deref());
        for id in &entry.depends_on {
            writer.text(Some(id.to_string().as_bytes()));
        }
        writer.text(None);
        writer.out.push(NO_DATA);
        writer.out.extend(std::iter::repeat_n(0, self.offset_bytes));
    }
}

struct Writer {
    out: Vec<u8>,
    int_bytes: usize,
}

impl Writer {
    fn int(&mut self, value: i64) {
        self.out.push(u8::from(value < 0));
        let digits = value.unsigned_abs().to_le_bytes();
        self.out.extend(digits.iter().take(self.int_bytes));
    }

    fn text(&mut self, text: Option<&[u8]>) {
        let length = text.map_or(-1, |text| i64::try_from(text.len()).unwrap_or(i64::MAX));
        self.int(length);
        self.out.extend_from_slice(text.unwrap_or_default());
    }
}

#[cfg(test)]
mod tests {
    use super::super::read::tests::sample;
    use super::*;

    #[test]
    fn writes_what_it_read() {
        let bytes = sample();
        assert_eq!(Archive::parse(&bytes).unwrap().to_bytes(), bytes);
    }
}
