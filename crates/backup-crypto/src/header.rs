//! The header of an object, format 1.
//!
//! | offset | bytes | field |
//! |---|---|---|
//! | 0 | 4 | magic `BKOB` |
//! | 4 | 2 | version, u16: 1 |
//! | 6 | 1 | kind, see [`ObjectKind`] |
//! | 7 | 1 | KEM: 1 = DHKEM(X25519, HKDF-SHA256) |
//! | 8 | 1 | suite: 1 = HKDF-SHA256, AES-256-GCM |
//! | 9 | 3 | check: first 3 bytes of SHA-256 over bytes 0..9 and 12..48; tells damage from foreign |
//! | 12 | 4 | epoch, u32: which key pair of the repository |
//! | 16 | 16 | repository id |
//! | 32 | 16 | object id |
//! | 48 | 32 | HPKE encapsulated key |
//! | 80 | 48 | the 32-byte data secret, sealed by HPKE |
//! | 128 | 32 | salt |
//! | 160 | 32 | key commitment |
//!
//! The first 48 bytes (the *prefix*) keep their place in every version.

use backup_core::{Error, ErrorKind, RepositoryId, Result};
use data_encoding::HEXLOWER;
use sha2::{Digest, Sha256};

/// Length of an object's header in bytes.
pub const HEADER_LEN: usize = 192;

const MAGIC: [u8; 4] = *b"BKOB";
const VERSION: u16 = 1;
const KEM_X25519: u8 = 1;
const SUITE_AES_256_GCM: u8 = 1;
const PREFIX_LEN: usize = 48;
/// Everything before the key commitment, which derives from it.
const COMMITTED_LEN: usize = 160;

/// What an object holds; part of its header, so that one kind never passes for another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
#[repr(u8)]
pub enum ObjectKind {
    /// Chunks.
    Pack = 1,
    /// Which chunk is where.
    Index = 2,
    /// A snapshot.
    Manifest = 3,
    /// A WAL segment or history file.
    Wal = 4,
    /// What a verification found.
    Verification = 5,
    /// A segment map.
    Map = 6,
}

impl ObjectKind {
    /// Returns the stable word used in messages.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pack => "pack",
            Self::Index => "index",
            Self::Manifest => "manifest",
            Self::Wal => "wal",
            Self::Verification => "verification",
            Self::Map => "map",
        }
    }

    fn from_byte(byte: u8) -> Option<Self> {
        [Self::Pack, Self::Index, Self::Manifest, Self::Wal, Self::Verification, Self::Map]
            .into_iter()
            .find(|kind| *kind as u8 == byte)
    }
}

/// What anybody can read in an object's header, without a key.
///
/// Parsing finds damage of these fields; only [`ObjectOpener::new`](crate::ObjectOpener::new)
/// proves that they are genuine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ObjectHeader {
    /// What the object holds.
    pub kind: ObjectKind,
    /// Which key pair of the repository it is sealed to.
    pub epoch: u32,
    /// The repository it belongs to.
    pub repository: RepositoryId,
    /// Its own id.
    pub object: [u8; 16],
}

impl ObjectHeader {
    /// Reads a header from an object's first bytes. `Integrity` if they are too few, damaged or
    /// not a header at all; `Unsupported` if a newer program wrote them.
    pub fn parse(bytes: &[u8]) -> Result<Self> {
        let Some(prefix) = bytes.first_chunk::<PREFIX_LEN>() else {
            return Err(damaged("the object is shorter than its header"));
        };
        if prefix[..4] != MAGIC {
            return Err(damaged("the object does not start with the magic bytes"));
        }
        if prefix[9..12] != check(prefix) {
            return Err(damaged("the header's check bytes do not match"));
        }
        let version = u16::from_be_bytes(array(prefix, 4));
        if version == 0 {
            return Err(damaged("version 0 was never written"));
        }
        if version > VERSION {
            return Err(newer("format", version));
        }
        if prefix[7] != KEM_X25519 {
            return Err(newer("key encapsulation", prefix[7]));
        }
        if prefix[8] != SUITE_AES_256_GCM {
            return Err(newer("cipher suite", prefix[8]));
        }
        let kind =
            ObjectKind::from_byte(prefix[6]).ok_or_else(|| newer("object kind", prefix[6]))?;
        if bytes.len() < HEADER_LEN {
            return Err(damaged("the object is shorter than its header"));
        }
        Ok(Self {
            kind,
            epoch: u32::from_be_bytes(array(prefix, 12)),
            repository: RepositoryId(array(prefix, 16)),
            object: array(prefix, 32),
        })
    }

    /// Checks that this is the object one asked for; `Integrity` if it is another one.
    pub(crate) fn expect(&self, expected: &Self) -> Result<()> {
        let wrong = |what: &str| {
            damaged(what)
                .with("kind", expected.kind.as_str())
                .with("object", HEXLOWER.encode(&expected.object))
                .hint(
                    "An object was moved, renamed or replaced in the store; verify the repository.",
                )
        };
        if self.repository != expected.repository {
            return Err(wrong("the object belongs to another repository"));
        }
        if self.kind != expected.kind {
            return Err(wrong("the object is of another kind"));
        }
        if self.object != expected.object {
            return Err(wrong("the object has another id"));
        }
        Ok(())
    }

    /// Returns the prefix: what the envelope's info binds.
    pub(crate) fn prefix(&self) -> [u8; PREFIX_LEN] {
        let mut out = [0; PREFIX_LEN];
        out[..4].copy_from_slice(&MAGIC);
        out[4..6].copy_from_slice(&VERSION.to_be_bytes());
        out[6] = self.kind as u8;
        out[7] = KEM_X25519;
        out[8] = SUITE_AES_256_GCM;
        out[12..16].copy_from_slice(&self.epoch.to_be_bytes());
        out[16..32].copy_from_slice(self.repository.as_bytes());
        out[32..48].copy_from_slice(&self.object);
        let check = check(&out);
        out[9..12].copy_from_slice(&check);
        out
    }
}

/// The bytes of a header, by field.
#[derive(Clone)]
pub(crate) struct HeaderBytes(pub(crate) [u8; HEADER_LEN]);

impl HeaderBytes {
    /// Puts everything but the commitment together.
    pub(crate) fn new(
        prefix: &[u8; PREFIX_LEN],
        encapped: &[u8; 32],
        sealed: &[u8; 48],
        salt: &[u8; 32],
    ) -> Self {
        let mut out = [0; HEADER_LEN];
        out[..48].copy_from_slice(prefix);
        out[48..80].copy_from_slice(encapped);
        out[80..128].copy_from_slice(sealed);
        out[128..160].copy_from_slice(salt);
        Self(out)
    }

    pub(crate) fn set_commitment(&mut self, commitment: &[u8]) {
        self.0[COMMITTED_LEN..].copy_from_slice(commitment);
    }

    pub(crate) fn prefix(&self) -> &[u8] {
        &self.0[..PREFIX_LEN]
    }

    pub(crate) fn encapped(&self) -> [u8; 32] {
        array(&self.0, 48)
    }

    pub(crate) fn sealed(&self) -> &[u8] {
        &self.0[80..128]
    }

    pub(crate) fn salt(&self) -> &[u8] {
        &self.0[128..160]
    }

    /// What the key derivation binds.
    pub(crate) fn committed(&self) -> &[u8] {
        &self.0[..COMMITTED_LEN]
    }

    pub(crate) fn commitment(&self) -> &[u8] {
        &self.0[COMMITTED_LEN..]
    }
}

fn check(prefix: &[u8; PREFIX_LEN]) -> [u8; 3] {
    let digest = Sha256::new().chain_update(&prefix[..9]).chain_update(&prefix[12..]).finalize();
    [digest[0], digest[1], digest[2]]
}

/// Copies a field out; the callers' offsets are constants inside the slice.
fn array<const N: usize>(bytes: &[u8], offset: usize) -> [u8; N] {
    let mut out = [0; N];
    out.copy_from_slice(&bytes[offset..offset + N]);
    out
}

pub(crate) fn damaged(reason: &str) -> Error {
    Error::new(ErrorKind::Integrity, "open object").with("reason", reason)
}

fn newer(what: &'static str, value: impl std::fmt::Display) -> Error {
    Error::new(ErrorKind::Unsupported, "open object")
        .with("unknown", what)
        .with("value", value)
        .hint("A newer version of this program wrote it; use that version.")
}
