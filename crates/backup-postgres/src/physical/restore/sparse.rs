//! Writing into a new file without the zeros: pages that were never used take no room on the disk.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

/// Zeros of so many bytes, where they are together, are left out: a multiple of what file systems
/// give room by.
const STRETCH: usize = 64 << 10;
static ZEROS: [u8; STRETCH] = [0; STRETCH];

/// Writes `bytes` at `offset` into a file that has its length already and holds nothing there:
/// stretches of zeros are left out, and read as zeros.
pub(super) fn write(file: &File, bytes: &[u8], offset: u64) -> io::Result<()> {
    let mut begun: Option<usize> = None;
    let mut at = 0;
    for stretch in bytes.chunks(STRETCH) {
        if ZEROS.get(..stretch.len()) == Some(stretch) {
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
    file.write_all_at(bytes.get(from..to).unwrap_or_default(), offset + from as u64)
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
}
