//! A file of which the server sent only the blocks that changed, as its incremental backups hold
//! it. Pure.

use backup_core::{Error, ErrorKind, Lsn, Result};

const PREFIX: &str = "INCREMENTAL.";
const MAGIC: u32 = 0xD3AE_1F0D;
/// Bytes before the numbers of the blocks.
const FIXED: usize = 12;

/// Returns the path of the file that an increment is of; nothing for a file that is whole.
pub(crate) fn real_path(path: &str) -> Option<String> {
    let (folder, name) = path.rsplit_once('/')?;
    name.strip_prefix(PREFIX).map(|name| format!("{folder}/{name}"))
}

/// Reads an increment from any sequence of slices.
#[derive(Debug)]
pub(crate) struct Increment {
    block_bytes: usize,
    head: Vec<u8>,
    /// Blocks of the file as it is now, at least.
    cut_to: u64,
    blocks: Option<Vec<u32>>,
    padding: usize,
    next: usize,
    buffer: Vec<u8>,
}

impl Increment {
    /// Begins with pages of that size.
    pub(crate) fn new(block_bytes: usize) -> Self {
        Self {
            block_bytes,
            head: Vec::new(),
            cut_to: 0,
            blocks: None,
            padding: 0,
            next: 0,
            buffer: Vec::new(),
        }
    }

    /// Takes bytes; hands on every block that they complete, with its number.
    pub(crate) fn feed(&mut self, mut bytes: &[u8]) -> Result<Vec<(u32, Vec<u8>)>> {
        while self.blocks.is_none() && !bytes.is_empty() {
            let wanted = self.head_bytes() - self.head.len();
            let (now, rest) = bytes.split_at(wanted.min(bytes.len()));
            self.head.extend_from_slice(now);
            bytes = rest;
            if self.head.len() == self.head_bytes() {
                self.read_head()?;
            }
        }
        let (skipped, rest) = bytes.split_at(self.padding.min(bytes.len()));
        self.padding -= skipped.len();
        self.buffer.extend_from_slice(rest);
        let mut found = Vec::new();
        while self.buffer.len() >= self.block_bytes && self.block_bytes > 0 {
            let number = self.blocks.as_ref().and_then(|blocks| blocks.get(self.next)).copied();
            let number = number.ok_or_else(|| damaged("it holds more blocks than it names"))?;
            let rest = self.buffer.split_off(self.block_bytes);
            found.push((number, std::mem::replace(&mut self.buffer, rest)));
            self.next += 1;
        }
        Ok(found)
    }

    /// Returns the numbers of the blocks it brings, ascending, once they are known.
    pub(crate) fn blocks(&self) -> Option<&[u32]> {
        self.blocks.as_deref()
    }

    /// Returns how many blocks the file has now.
    pub(crate) fn length(&self) -> u64 {
        let last = self.blocks.as_ref().and_then(|blocks| blocks.last());
        self.cut_to.max(last.map_or(0, |last| u64::from(*last) + 1))
    }

    /// Says whether it is complete.
    pub(crate) fn finish(&self) -> Result<()> {
        let blocks = self.blocks.as_ref().ok_or_else(|| damaged("it ends in its head"))?;
        if self.next != blocks.len() || !self.buffer.is_empty() || self.padding > 0 {
            return Err(damaged("it lacks blocks that it names"));
        }
        Ok(())
    }

    fn head_bytes(&self) -> usize {
        if self.head.len() < FIXED {
            return FIXED;
        }
        let count = usize::try_from(self.word(1)).unwrap_or_default();
        FIXED + 4 * count
    }

    fn word(&self, number: usize) -> u32 {
        let bytes = self.head.get(number * 4..).and_then(|bytes| bytes.first_chunk());
        bytes.copied().map(u32::from_ne_bytes).unwrap_or_default()
    }

    fn read_head(&mut self) -> Result<()> {
        if self.word(0) != MAGIC {
            return Err(damaged("it does not begin as one"));
        }
        // No file has more blocks than a GiB has pages of one KiB.
        let count = self.word(1);
        if count > 1 << 20 {
            return Err(damaged("it names impossibly many blocks"));
        }
        if self.head.len() < self.head_bytes() {
            return Ok(());
        }
        self.cut_to = u64::from(self.word(2));
        let blocks: Vec<u32> = (0..count as usize).map(|at| self.word(3 + at)).collect();
        if blocks.windows(2).any(|pair| pair.first() >= pair.last()) {
            return Err(damaged("its blocks are not in order"));
        }
        if !blocks.is_empty() {
            let head = self.head.len();
            self.padding = head.next_multiple_of(self.block_bytes.max(1)) - head;
        }
        self.head = Vec::new();
        self.blocks = Some(blocks);
        Ok(())
    }
}

/// Takes out of a `backup_label` that it is of an increment: the snapshot is whole. Fails unless
/// the increment is to the backup that began there.
pub(crate) fn whole_label(label: &[u8], from: Lsn) -> Result<Vec<u8>> {
    let text = std::str::from_utf8(label).map_err(|_| damaged("its label is not UTF-8"))?;
    let said = text.lines().find_map(|line| line.strip_prefix("INCREMENTAL FROM LSN:"));
    if said.and_then(|said| said.trim().parse::<Lsn>().ok()) != Some(from) {
        return Err(damaged("it is to another backup than was asked for"));
    }
    let lines = text.split_inclusive('\n').filter(|line| !line.starts_with("INCREMENTAL FROM"));
    Ok(lines.collect::<String>().into_bytes())
}

fn damaged(what: &'static str) -> Error {
    Error::new(ErrorKind::SourceUnavailable, "read incremental file")
        .because(what)
        .hint("Run the backup again with --full-read.")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn increment(cut_to: u32, blocks: &[u32]) -> Vec<u8> {
        let words = [MAGIC, blocks.len() as u32, cut_to];
        let mut bytes: Vec<u8> =
            words.iter().chain(blocks).flat_map(|word| word.to_ne_bytes()).collect();
        if !blocks.is_empty() {
            bytes.resize(bytes.len().next_multiple_of(64), 0);
        }
        for block in blocks {
            bytes.extend([*block as u8; 64]);
        }
        bytes
    }

    fn read(bytes: &[u8], piece: usize) -> Result<(Vec<u32>, u64)> {
        let mut increment = Increment::new(64);
        let mut numbers = Vec::new();
        for piece in bytes.chunks(piece) {
            for (number, block) in increment.feed(piece)? {
                assert_eq!(block, [number as u8; 64]);
                numbers.push(number);
            }
        }
        increment.finish()?;
        Ok((numbers, increment.length()))
    }

    #[test]
    fn blocks_come_back_from_any_pieces() {
        for piece in [1, 7, 64, 100, 10_000] {
            assert_eq!(read(&increment(9, &[0, 3, 4]), piece).unwrap(), (vec![0, 3, 4], 9));
            assert_eq!(read(&increment(2, &[1, 20]), piece).unwrap(), (vec![1, 20], 21));
            assert_eq!(read(&increment(5, &[]), piece).unwrap(), (vec![], 5));
        }
    }

    #[test]
    fn what_is_cut_or_out_of_order_is_an_error() {
        let whole = increment(9, &[0, 3, 4]);
        for length in 0..whole.len() {
            assert!(read(&whole[..length], 50).is_err(), "{length}");
        }
        assert!(read(&[&whole[..], &[0; 64]].concat(), 50).is_err());
        assert!(read(&increment(9, &[3, 3]), 50).is_err());
        let mut other = whole.clone();
        other[0] ^= 1;
        assert!(read(&other, 50).is_err());
        let many = [MAGIC, u32::MAX, 0].map(u32::to_ne_bytes).concat();
        assert!(read(&many, 50).is_err());
    }

    #[test]
    fn names_and_labels_become_those_of_a_whole_backup() {
        assert_eq!(real_path("base/5/INCREMENTAL.16384.1").as_deref(), Some("base/5/16384.1"));
        assert_eq!(real_path("base/5/16384"), None);
        let label = b"START WAL LOCATION: 0/5\nINCREMENTAL FROM LSN: 0/2000028\n\
            INCREMENTAL FROM TLI: 1\n";
        let whole = whole_label(label, Lsn(0x200_0028)).unwrap();
        assert_eq!(whole, b"START WAL LOCATION: 0/5\n");
        assert!(whole_label(label, Lsn(7)).is_err());
        assert!(whole_label(&whole, Lsn(7)).is_err());
    }
}
