//! The trees that are copied: made of a seed, so that every run has the same.

use std::fs;
use std::io::Write as _;
use std::path::Path;

use anyhow::Result;

/// A kind of tree.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Tree {
    /// Many small files of text, as a mail store or a source tree has.
    Small,
    /// Pictures and documents that people uploaded, with a few logs.
    Uploads,
    /// Ten times as many small files.
    Million,
}

impl Tree {
    pub(super) const ALL: [Self; 3] = [Self::Small, Self::Uploads, Self::Million];

    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Small => "small",
            Self::Uploads => "uploads",
            Self::Million => "million",
        }
    }

    pub(super) fn title(self, files: u64) -> String {
        match self {
            Self::Small => format!("{files} small files"),
            Self::Uploads => "Uploads: 3,000 files of 20 KB to 1.5 MB, and 4 logs of 40 MB".into(),
            Self::Million => format!("{} small files", files * 10),
        }
    }

    /// Makes it below a folder that is not there yet.
    pub(super) fn make(self, root: &Path, files: u64) -> Result<()> {
        match self {
            Self::Small => small(root, files, 4096),
            Self::Million => small(root, files * 10, 1024),
            Self::Uploads => uploads(root),
        }
    }

    /// What happens to it from one day to the next: one file in a hundred changes, as many are new.
    pub(super) fn change(self, root: &Path, files: u64, day: u64) -> Result<()> {
        match self {
            Self::Small | Self::Million => {
                let all = if self == Self::Million { files * 10 } else { files };
                for n in (day..all).step_by(100) {
                    fs::write(place(root, n), text(n + day * 1_000_003, 3000))?;
                    fs::write(place(root, n).with_extension("new"), text(n * 7 + day, 2000))?;
                }
            }
            Self::Uploads => {
                for n in 0..60 {
                    let path = root.join(format!("2026/11/day-{day}-{n}.jpg"));
                    fs::create_dir_all(root.join("2026/11"))?;
                    fs::write(path, noise(n + day * 99, 20_000 + n * 9_000))?;
                }
                for log in 0..4 {
                    let mut file = fs::OpenOptions::new()
                        .append(true)
                        .open(root.join(format!("log-{log}")))?;
                    file.write_all(&text(log + day, 400_000))?;
                }
            }
        }
        Ok(())
    }
}

fn place(root: &Path, n: u64) -> std::path::PathBuf {
    root.join(format!("{:02x}/{:02x}/file-{n}.txt", n % 61, n / 61 % 97))
}

fn small(root: &Path, files: u64, most: u64) -> Result<()> {
    for a in 0..61 {
        for b in 0..97 {
            fs::create_dir_all(root.join(format!("{a:02x}/{b:02x}")))?;
        }
    }
    for n in 0..files {
        fs::write(place(root, n), text(n, 64 + n * 2_654_435_761 % (2 * most)))?;
    }
    Ok(())
}

fn uploads(root: &Path) -> Result<()> {
    for n in 0..3000_u64 {
        let folder = root.join(format!("2026/{:02}", n % 10 + 1));
        fs::create_dir_all(&folder)?;
        let size = 20_000 + n * 2_654_435_761 % 700_000 + if n % 20 == 0 { 800_000 } else { 0 };
        fs::write(folder.join(format!("photo-{n}.jpg")), noise(n, size))?;
    }
    for log in 0..4 {
        fs::write(root.join(format!("log-{log}")), text(log, 40_000_000))?;
    }
    Ok(())
}

fn random(seed: u64) -> impl FnMut() -> u64 {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ 0x5851_f42d_4c95_7f2d;
    move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    }
}

/// Bytes that do not compress.
fn noise(seed: u64, length: u64) -> Vec<u8> {
    let mut next = random(seed);
    let mut bytes: Vec<u8> = (0..length.div_ceil(8)).flat_map(|_| next().to_le_bytes()).collect();
    bytes.truncate(length as usize);
    bytes
}

/// Lines of words and numbers, which compress about as text does.
fn text(seed: u64, length: u64) -> Vec<u8> {
    const WORDS: [&str; 16] = [
        "order", "customer", "shipped", "invoice", "error", "warning", "the", "and", "payment",
        "received", "item", "returned", "at", "from", "total", "status",
    ];
    let mut next = random(seed + 1);
    let mut bytes = Vec::with_capacity(length as usize + 32);
    while (bytes.len() as u64) < length {
        let value = next();
        bytes.extend_from_slice(WORDS[value as usize % 16].as_bytes());
        bytes.push(b' ');
        if value.is_multiple_of(5) {
            bytes.extend_from_slice(format!("{:x}", value >> 40).as_bytes());
            bytes.push(if value.is_multiple_of(3) { b'\n' } else { b' ' });
        }
    }
    bytes.truncate(length as usize);
    bytes
}
