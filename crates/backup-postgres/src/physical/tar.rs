//! Tar archives as the server sends them, read as they arrive. Pure.

use backup_core::{Error, ErrorKind, Result};

const BLOCK: usize = 512;

/// One member's header.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Member {
    pub(crate) path: String,
    pub(crate) kind: MemberKind,
    pub(crate) mode: u32,
    /// Bytes that follow.
    pub(crate) bytes: u64,
}

/// What a member is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum MemberKind {
    File,
    Directory,
    Link(String),
}

/// What was found in the bytes given.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Found<'a> {
    /// A member begins.
    Begin(Member),
    /// Bytes of the file that began last.
    Bytes(&'a [u8]),
    /// The member is complete.
    End,
}

/// Reads an archive from any sequence of slices.
#[derive(Debug, Default)]
pub(crate) struct TarReader {
    header: Vec<u8>,
    stage: Stage,
}

#[derive(Debug, Default, PartialEq, Eq)]
enum Stage {
    #[default]
    Header,
    Body {
        left: u64,
        padding: usize,
    },
    Padding(usize),
    /// Zeros to the end.
    Trailer,
}

impl TarReader {
    /// Takes what it can from the front of `input`; `None` when all of it is used up.
    pub(crate) fn next<'a>(&mut self, input: &mut &'a [u8]) -> Result<Option<Found<'a>>> {
        loop {
            match &mut self.stage {
                Stage::Header => {
                    let wanted = BLOCK - self.header.len();
                    self.header.extend_from_slice(take(input, wanted));
                    if self.header.len() < BLOCK {
                        return Ok(None);
                    }
                    let header = std::mem::take(&mut self.header);
                    if header.iter().all(|byte| *byte == 0) {
                        self.stage = Stage::Trailer;
                        continue;
                    }
                    let member = parse(&header)?;
                    let padding = member.bytes.next_multiple_of(BLOCK as u64) - member.bytes;
                    // Below the size of a block.
                    let padding = padding as usize;
                    self.stage = Stage::Body { left: member.bytes, padding };
                    return Ok(Some(Found::Begin(member)));
                }
                Stage::Body { left: 0, padding } => {
                    self.stage = Stage::Padding(*padding);
                    return Ok(Some(Found::End));
                }
                Stage::Body { left, .. } => {
                    if input.is_empty() {
                        return Ok(None);
                    }
                    let most = usize::try_from(*left).unwrap_or(usize::MAX);
                    let bytes = take(input, most);
                    *left -= bytes.len() as u64;
                    return Ok(Some(Found::Bytes(bytes)));
                }
                Stage::Padding(0) => self.stage = Stage::Header,
                Stage::Padding(left) => {
                    if input.is_empty() {
                        return Ok(None);
                    }
                    *left -= take(input, *left).len();
                }
                Stage::Trailer => {
                    if input.iter().any(|byte| *byte != 0) {
                        return Err(damaged("a member follows the end"));
                    }
                    *input = &[];
                    return Ok(None);
                }
            }
        }
    }

    /// Says whether the archive may end here. Servers before 15 send no end mark.
    pub(crate) fn finish(&self) -> Result<()> {
        match self.stage {
            Stage::Trailer | Stage::Padding(0) => Ok(()),
            Stage::Header if self.header.is_empty() => Ok(()),
            _ => Err(damaged("it ends inside a member")),
        }
    }
}

fn take<'a>(input: &mut &'a [u8], most: usize) -> &'a [u8] {
    let (taken, rest) = input.split_at(most.min(input.len()));
    *input = rest;
    taken
}

fn parse(header: &[u8]) -> Result<Member> {
    let field = |at: usize, length: usize| header.get(at..at + length).unwrap_or_default();
    let sum: u64 = header
        .iter()
        .enumerate()
        .map(|(at, byte)| if (148..156).contains(&at) { 32 } else { u64::from(*byte) })
        .sum();
    if number(field(148, 8)) != Some(sum) {
        return Err(damaged("a header's checksum is wrong"));
    }
    let (name, prefix) = (text(field(0, 100))?, text(field(345, 155))?);
    let path = if prefix.is_empty() { name } else { format!("{prefix}/{name}") };
    let path = path.trim_end_matches('/').trim_start_matches("./").to_owned();
    let bytes = number(field(124, 12)).ok_or_else(|| damaged("a size cannot be read"))?;
    let mode = number(field(100, 8)).ok_or_else(|| damaged("a mode cannot be read"))?;
    let kind = match field(156, 1) {
        b"0" | b"\0" => MemberKind::File,
        b"5" => MemberKind::Directory,
        b"2" => MemberKind::Link(text(field(157, 100))?),
        _ => return Err(damaged("a member is neither file, directory nor link").with("path", path)),
    };
    let bytes = if kind == MemberKind::File { bytes } else { 0 };
    Ok(Member { path, kind, mode: (mode & 0o7777) as u32, bytes })
}

fn text(field: &[u8]) -> Result<String> {
    let end = field.iter().position(|byte| *byte == 0).unwrap_or(field.len());
    let text = std::str::from_utf8(field.get(..end).unwrap_or_default());
    text.map(ToOwned::to_owned).map_err(|_| damaged("a name is not UTF-8"))
}

/// Octal text, or (first bit set) a binary number for files above 8 GiB.
fn number(field: &[u8]) -> Option<u64> {
    if let [first, rest @ ..] = field
        && first & 0x80 != 0
    {
        let start = u64::from(first & 0x7F);
        return rest
            .iter()
            .try_fold(start, |value, byte| value.checked_mul(256)?.checked_add(u64::from(*byte)));
    }
    let digits = std::str::from_utf8(field).ok()?.trim_matches(['\0', ' ']);
    if digits.is_empty() { Some(0) } else { u64::from_str_radix(digits, 8).ok() }
}

fn damaged(what: &'static str) -> Error {
    Error::new(ErrorKind::SourceUnavailable, "read base backup")
        .because(format!("the archive is damaged: {what}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header(path: &str, kind: u8, bytes: u64, link: &str) -> Vec<u8> {
        let mut header = vec![0; BLOCK];
        header[..path.len()].copy_from_slice(path.as_bytes());
        header[100..107].copy_from_slice(b"0000600");
        if bytes < 1 << 33 {
            header[124..135].copy_from_slice(format!("{bytes:011o}").as_bytes());
        } else {
            header[124] = 0x80;
            header[128..136].copy_from_slice(&bytes.to_be_bytes());
        }
        header[156] = kind;
        header[157..157 + link.len()].copy_from_slice(link.as_bytes());
        header[257..263].copy_from_slice(b"ustar\0");
        header[148..156].fill(b' ');
        let sum: u64 = header.iter().map(|byte| u64::from(*byte)).sum();
        header[148..155].copy_from_slice(format!("{sum:06o}\0").as_bytes());
        header
    }

    fn archive() -> Vec<u8> {
        let mut bytes = header("base/5/", b'5', 0, "");
        bytes.extend(header("base/5/1259", b'0', 600, ""));
        bytes.extend([7; 600]);
        bytes.extend([0; 424]);
        bytes.extend(header("empty", b'0', 0, ""));
        bytes.extend(header("pg_tblspc/9", b'2', 0, "/space"));
        bytes
    }

    fn read(pieces: &[&[u8]]) -> Result<(Vec<Member>, Vec<u8>)> {
        let mut reader = TarReader::default();
        let (mut members, mut content, mut ends) = (Vec::new(), Vec::new(), 0);
        for piece in pieces {
            let mut input = *piece;
            while let Some(found) = reader.next(&mut input)? {
                match found {
                    Found::Begin(member) => members.push(member),
                    Found::Bytes(bytes) => content.extend_from_slice(bytes),
                    Found::End => ends += 1,
                }
            }
        }
        reader.finish()?;
        assert_eq!(ends, members.len());
        Ok((members, content))
    }

    #[test]
    fn any_split_gives_the_same_members() {
        let mut archives = vec![archive(), archive()];
        archives[1].extend([0; 2 * BLOCK]);
        for bytes in archives {
            for cut in 0..bytes.len() {
                let (members, content) = read(&[&bytes[..cut], &bytes[cut..]]).unwrap();
                let paths: Vec<&str> = members.iter().map(|m| m.path.as_str()).collect();
                assert_eq!(paths, ["base/5", "base/5/1259", "empty", "pg_tblspc/9"]);
                assert_eq!(members[3].kind, MemberKind::Link("/space".into()));
                assert_eq!((members[1].mode, members[1].bytes), (0o600, 600));
                assert_eq!(content, [7; 600]);
            }
        }
    }

    #[test]
    fn what_is_cut_short_or_damaged_is_an_error() {
        let bytes = archive();
        for length in [1, 511, 513, 1024, 1500, 2047] {
            assert!(read(&[&bytes[..length]]).is_err(), "{length}");
        }
        let mut wrong = bytes.clone();
        wrong[3] ^= 1;
        assert!(read(&[&wrong]).is_err());
        let mut trailing = bytes.clone();
        trailing.extend([0; 2 * BLOCK]);
        trailing.extend(archive());
        assert!(read(&[&trailing]).is_err());
        assert!(read(&[&header("x", b'7', 0, "")]).is_err());
    }

    #[test]
    fn sizes_above_eight_gibibytes_are_binary() {
        let mut reader = TarReader::default();
        let bytes = header("huge", b'0', 1 << 34, "");
        let mut input = bytes.as_slice();
        let Some(Found::Begin(member)) = reader.next(&mut input).unwrap() else { panic!() };
        assert_eq!(member.bytes, 1 << 34);
        assert!(reader.finish().is_err());
    }
}
