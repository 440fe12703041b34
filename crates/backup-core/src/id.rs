//! Ids: fixed-size values written as lowercase hexadecimal.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::{Error, ErrorKind};

macro_rules! id {
    ($(#[$doc:meta])* $name:ident, $len:literal, $what:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub [u8; $len]);

        impl $name {
            /// Length in bytes.
            pub const LEN: usize = $len;

            /// Returns the raw bytes.
            #[must_use]
            pub fn as_bytes(&self) -> &[u8; $len] {
                &self.0
            }

            /// Returns the first eight hexadecimal digits, the form shown to people.
            #[must_use]
            pub fn short(&self) -> String {
                let mut text = self.to_string();
                text.truncate(8);
                text
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                for byte in self.0 {
                    write!(f, "{byte:02x}")?;
                }
                Ok(())
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}({self})", stringify!($name))
            }
        }

        impl FromStr for $name {
            type Err = Error;

            fn from_str(text: &str) -> Result<Self, Error> {
                parse_hex(text).map(Self).ok_or_else(|| {
                    Error::new(ErrorKind::Usage, concat!("parse ", $what)).with("text", text)
                })
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = String::deserialize(deserializer)?;
                parse_hex(&text)
                    .map(Self)
                    .ok_or_else(|| serde::de::Error::custom(concat!("not a ", $what)))
            }
        }
    };
}

id!(
    /// One committed backup of one source; also the name of its manifest. Random.
    SnapshotId, 16, "snapshot id"
);
id!(
    /// Keyed BLAKE3 of a chunk's plaintext.
    ChunkId, 32, "chunk id"
);
id!(
    /// A pack: an object that holds many sealed chunks. Random.
    PackId, 16, "pack id"
);
id!(
    /// An index object: which chunk is where. Random.
    IndexId, 16, "index id"
);
id!(
    /// A key-encryption key of a repository. Random.
    KeyId, 16, "key id"
);
id!(
    /// A repository. Random, fixed at `init`.
    RepositoryId, 16, "repository id"
);
id!(
    /// A run. Milliseconds since 1970 first, then random: ids of later runs are greater.
    RunId, 16, "run id"
);
id!(
    /// A recovery set: snapshots of several sources that belong together. Random.
    SetId, 16, "set id"
);
id!(
    /// A writer: the first 16 bytes of BLAKE3 of its Ed25519 public key.
    WriterId, 16, "writer id"
);

fn parse_hex<const N: usize>(text: &str) -> Option<[u8; N]> {
    let digits = text.as_bytes();
    if digits.len() != 2 * N {
        return None;
    }
    let mut out = [0; N];
    for (byte, pair) in out.iter_mut().zip(digits.chunks_exact(2)) {
        *byte = nibble(*pair.first()?)? << 4 | nibble(*pair.get(1)?)?;
    }
    Some(out)
}

fn nibble(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn round_trips_and_refuses_other_spellings() {
        let text = "0123456789abcdef0123456789abcdef";
        let id: SnapshotId = text.parse().unwrap();
        assert_eq!(id.to_string(), text);
        for bad in ["", "01", &text.to_uppercase(), &format!("{text}00"), "zz"] {
            assert!(bad.parse::<SnapshotId>().is_err(), "{bad}");
        }
    }
}
