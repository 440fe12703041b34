//! Positions in the write-ahead log.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::{Error, ErrorKind};

/// A position in PostgreSQL's write-ahead log, in bytes from its beginning; written as the
/// server does: `16/B374D848`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Lsn(pub u64);

impl Lsn {
    /// Returns the start of the segment that holds this position; `segment_size` in bytes.
    #[must_use]
    pub fn segment_start(self, segment_size: u64) -> Self {
        Self(self.0 - self.0 % segment_size.max(1))
    }
}

impl fmt::Display for Lsn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:X}/{:X}", self.0 >> 32, self.0 & 0xFFFF_FFFF)
    }
}

impl FromStr for Lsn {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        parse(text).map(Self).ok_or_else(|| {
            Error::new(ErrorKind::Usage, "parse WAL position")
                .with("text", text)
                .hint("Write it as PostgreSQL does: two hexadecimal numbers, such as 16/B374D848.")
        })
    }
}

/// Signs, spaces and more than eight digits are not what the server writes.
fn parse(text: &str) -> Option<u64> {
    let (high, low) = text.split_once('/')?;
    let half = |digits: &str| {
        let plain =
            (1..=8).contains(&digits.len()) && digits.bytes().all(|b| b.is_ascii_hexdigit());
        u64::from_str_radix(digits, 16).ok().filter(|_| plain)
    };
    Some(half(high)? << 32 | half(low)?)
}

impl Serialize for Lsn {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Lsn {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        parse(&text).map(Self).ok_or_else(|| serde::de::Error::custom("not a WAL position"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_it_writes() {
        for (text, value) in [
            ("0/0", 0),
            ("0/1000028", 0x100_0028),
            ("16/B374D848", 0x16_B374_D848),
            ("FFFFFFFF/FFFFFFFF", u64::MAX),
        ] {
            assert_eq!(text.parse::<Lsn>().unwrap(), Lsn(value));
            assert_eq!(Lsn(value).to_string(), text);
        }
        for text in ["", "/", "1", "1/", "/1", "+1/2", "1/ 2", "1/123456789", "x/1", "1/2/3"] {
            assert!(text.parse::<Lsn>().is_err(), "{text}");
        }
    }

    #[test]
    fn rounds_down_to_its_segment() {
        let mib = 1 << 20;
        assert_eq!(Lsn(0x16_B374_D848).segment_start(16 * mib), Lsn(0x16_B300_0000));
        assert_eq!(Lsn(64 * mib).segment_start(64 * mib), Lsn(64 * mib));
        assert_eq!(Lsn(64 * mib - 1).segment_start(64 * mib), Lsn(0));
    }
}
