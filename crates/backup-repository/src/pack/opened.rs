//! Reading a pack as a whole: its footer, and every chunk frame.

use backup_core::{Error, ErrorKind, PackId, Result};
use backup_crypto::{HEADER_LEN, KeyBundle, ObjectKind, ObjectOpener, TAG_LEN};

use super::{PackEntries, TRAILER_LEN, TRAILER_MAGIC, read_entries};
use crate::bytes::Fields;

/// Reads a trailer: returns the sealed footer's length and the number of chunks.
pub(crate) fn footer_of(trailer: &[u8]) -> Result<(u32, u32)> {
    let mut fields = Fields::new(trailer, "pack trailer");
    let (footer, count) = (fields.u32()?, fields.u32()?);
    if fields.array()? != TRAILER_MAGIC {
        return Err(fields.damaged());
    }
    fields.end()?;
    Ok((footer, count))
}

/// A whole pack in memory, its header and footer authenticated.
pub(crate) struct OpenedPack<'a> {
    opener: ObjectOpener,
    bytes: &'a [u8],
    /// Its directory.
    pub(crate) pack: PackEntries,
}

impl<'a> OpenedPack<'a> {
    /// Opens header and footer; `Integrity` when any byte of them is not as written.
    pub(crate) fn open(keys: &KeyBundle, id: PackId, bytes: &'a [u8]) -> Result<Self> {
        let damaged = || Error::new(ErrorKind::Integrity, "open pack").with("pack", id);
        let (header, _) = bytes.split_at_checked(HEADER_LEN).ok_or_else(damaged)?;
        let at = bytes.len().checked_sub(TRAILER_LEN).ok_or_else(damaged)?;
        let (rest, trailer) = bytes.split_at_checked(at).ok_or_else(damaged)?;
        let (length, count) = footer_of(trailer)?;
        let at = rest.len().checked_sub(length as usize).ok_or_else(damaged)?;
        let (_, sealed) = rest.split_at_checked(at).ok_or_else(damaged)?;
        let opener = ObjectOpener::new(keys, ObjectKind::Pack, id.0, header)?;
        let pack = Self::directory(&opener, id, bytes.len() as u64, count, trailer, sealed)?;
        let body: u64 = pack.entries.iter().map(|entry| u64::from(entry.sealed)).sum();
        if body + HEADER_LEN as u64 != at as u64 {
            return Err(damaged().with("chunks", body).with("space", at));
        }
        Ok(Self { opener, bytes, pack })
    }

    /// Opens a sealed footer, read on its own.
    pub(crate) fn directory(
        opener: &ObjectOpener,
        id: PackId,
        size: u64,
        count: u32,
        trailer: &[u8],
        sealed: &[u8],
    ) -> Result<PackEntries> {
        let footer = opener.open(u64::from(count), true, trailer, sealed)?;
        let mut fields = Fields::new(&footer, "pack footer");
        let entries = read_entries(&mut fields)?;
        fields.padding()?;
        if entries.len() != count as usize {
            return Err(Error::new(ErrorKind::Integrity, "open pack").with("pack", id));
        }
        Ok(PackEntries { id, size, marked_at: None, entries })
    }

    /// Opens every chunk frame in order: calls `each` with the entry's position and its encoded
    /// bytes.
    pub(crate) fn frames(&self, mut each: impl FnMut(usize, Vec<u8>) -> Result<()>) -> Result<()> {
        for (ordinal, offset, entry) in self.pack.placed() {
            let range = offset as usize..offset as usize + entry.sealed as usize;
            let sealed =
                self.bytes.get(range).filter(|sealed| sealed.len() >= TAG_LEN).ok_or_else(
                    || Error::new(ErrorKind::Integrity, "open pack").with("pack", self.pack.id),
                )?;
            each(ordinal as usize, self.opener.open(u64::from(ordinal), false, &[], sealed)?)?;
        }
        Ok(())
    }
}
