//! Writing into files: into a new one without the zeros, for pages that were never used take no
//! room on the disk; into one that is there only what differs.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

/// Zeros of so many bytes, where they are together, are left out: a multiple of what file systems
/// give room by.
const STRETCH: usize = 64 << 10;
/// What a server changes at a time.
const PAGE: usize = 8 << 10;
static ZEROS: [u8; STRETCH] = [0; STRETCH];
/// What is written at a time: for more the kernel looks for memory in larger blocks, which on a
/// virtual machine the host may first have to give, ten times as slowly.
const PIECE: usize = 4 * STRETCH;

/// Writes `bytes` at `offset` into a file that has its length already and holds nothing there:
/// stretches of zeros are left out, and read as zeros.
pub(super) fn write(file: &File, bytes: &[u8], offset: u64) -> io::Result<()> {
    let is_zeros = |_, stretch: &[u8]| ZEROS.get(..stretch.len()) == Some(stretch);
    write_but(file, bytes, offset, STRETCH, is_zeros)
}

/// Writes what differs from what is `there` already: what is not written need not be made durable.
pub(super) fn patch(file: &File, bytes: &[u8], there: &[u8], offset: u64) -> io::Result<()> {
    let is_there = |at, page: &[u8]| there.get(at..at + page.len()) == Some(page);
    write_but(file, bytes, offset, PAGE, is_there)
}

/// Writes all stretches of a length but those that `left_out` is true for; it gets their place.
fn write_but(
    file: &File,
    bytes: &[u8],
    offset: u64,
    stretch: usize,
    left_out: impl Fn(usize, &[u8]) -> bool,
) -> io::Result<()> {
    let mut begun: Option<usize> = None;
    let mut at = 0;
    for stretch in bytes.chunks(stretch) {
        if left_out(at, stretch) {
            put(file, bytes, begun.take(), at, offset)?;
        } else {
            begun.get_or_insert(at);
        }
        at += stretch.len();
    }
    put(file, bytes, begun, at, offset)
}

fn put(file: &File, bytes: &[u8], from: Option<usize>, to: usize, offset: u64) -> io::Result<()> {
    let Some(from) = from else { return Ok(()) };
    whole(file, bytes.get(from..to).unwrap_or_default(), offset + from as u64)
}

/// Writes all of `bytes` at `offset`.
pub(super) fn whole(file: &File, bytes: &[u8], offset: u64) -> io::Result<()> {
    let mut at = offset;
    for piece in bytes.chunks(PIECE) {
        file.write_all_at(piece, at)?;
        at += piece.len() as u64;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::MetadataExt;

    use super::*;

    #[test]
    fn zeros_are_left_out_and_read_back() {
        let written = |parts: &[(u8, usize)]| {
            let bytes: Vec<u8> =
                parts.iter().flat_map(|(byte, count)| vec![*byte; *count]).collect();
            let file = tempfile::tempfile().unwrap();
            let offset = 1 << 20;
            file.set_len(offset + bytes.len() as u64).unwrap();
            write(&file, &bytes, offset).unwrap();
            let mut back = vec![1; bytes.len()];
            file.read_exact_at(&mut back, offset).unwrap();
            assert!(back == bytes, "{parts:?}");
            assert_eq!(file.metadata().unwrap().len(), offset + bytes.len() as u64);
            file.metadata().unwrap().blocks() * 512
        };
        assert_eq!(written(&[(0, 1 << 20)]), 0);
        assert_eq!(written(&[]), 0);
        assert_eq!(written(&[(0, 100)]), 0);
        let all = written(&[(7, 1 << 20)]);
        assert!(written(&[(0, 1 << 19), (7, 1 << 19)]) < all);
        assert!(written(&[(7, 1 << 18), (0, 3 << 18)]) < all);
        assert!(written(&[(0, 3 << 18), (7, 10)]) < all);
        // Zeros between others, and such that begin or end inside a stretch.
        written(&[(7, 1), (0, 300_000), (7, 1), (0, 65_535), (7, 70_000), (0, 5)]);
        written(&[(0, 65_535), (7, 2), (0, 65_535)]);
    }

    #[test]
    fn only_what_differs_is_written() {
        let file = tempfile::tempfile().unwrap();
        let old: Vec<u8> = (0..50_000_u32).map(|n| n as u8).collect();
        let offset = 4096;
        file.set_len(offset).unwrap();
        file.write_all_at(&old, offset).unwrap();
        for changed in [vec![], vec![0], vec![9000, 30_000, 49_999], (0..50_000).collect()] {
            let mut new = old.clone();
            changed.iter().for_each(|&at: &usize| new[at] ^= 1);
            patch(&file, &new, &old, offset).unwrap();
            let mut back = vec![0; new.len()];
            file.read_exact_at(&mut back, offset).unwrap();
            assert!(back == new);
            // What is said to be there is not written: a page of it stays as it was.
            patch(&file, &old, &old, offset).unwrap();
            file.read_exact_at(&mut back, offset).unwrap();
            assert!(back == new);
            patch(&file, &old, &new, offset).unwrap();
            file.read_exact_at(&mut back, offset).unwrap();
            assert!(back == old);
        }
        // Less is there, or nothing.
        patch(&file, &old, &old[..10_000], offset).unwrap();
        patch(&file, &old, &[], offset).unwrap();
        assert_eq!(file.metadata().unwrap().len(), offset + old.len() as u64);
    }
}
