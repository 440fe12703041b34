//! Fingerprints of sets of rows, whatever their order.

use std::fmt;
use std::ops::{Add, AddAssign};
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::{Error, ErrorKind};

/// The sum, modulo 2^128, of a 128-bit hash of each member of a multiset.
///
/// Order does not matter, repetitions do, and fingerprints of two parts add up to that of the
/// whole. It is a guard against loss and error, not against somebody who chooses the rows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Fingerprint(pub u128);

impl Add for Fingerprint {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self(self.0.wrapping_add(other.0))
    }
}

impl AddAssign for Fingerprint {
    fn add_assign(&mut self, other: Self) {
        *self = *self + other;
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

impl FromStr for Fingerprint {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let digits = text.len() == 32 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
        let parsed = digits.then(|| u128::from_str_radix(text, 16).ok()).flatten();
        parsed.map(Self).ok_or_else(|| {
            Error::new(ErrorKind::Integrity, "parse fingerprint").with("text", text.escape_debug())
        })
    }
}

impl Serialize for Fingerprint {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Fingerprint {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn adds_around_the_end_and_reads_itself_back() {
        let most = Fingerprint(u128::MAX);
        assert_eq!(most + Fingerprint(2), Fingerprint(1));
        assert_eq!(most.to_string().parse::<Fingerprint>().unwrap(), most);
        assert_eq!(Fingerprint(1).to_string(), "00000000000000000000000000000001");
        for bad in ["", "+0000000000000000000000000000001", "zz"] {
            assert!(bad.parse::<Fingerprint>().is_err(), "{bad}");
        }
    }
}
