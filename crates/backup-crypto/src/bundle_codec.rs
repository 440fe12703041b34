//! The bundle as bytes, version 1: what a key record seals.
//!
//! | bytes | field |
//! |---|---|
//! | 4 | magic `BKKB` |
//! | 1 | version: 1 |
//! | 1 | role: 1 = owner, 2 = writer |
//! | 16 | repository id |
//! | 32 | root public key, Ed25519 |
//! | 32 | chunk-id key |
//! | 32 | gear key |
//! | 16 | writer nonce |
//! | 32 | writer seed, Ed25519 |
//! | 64 | writer certificate |
//! | 32 | root seed, Ed25519; owner only |
//! | 2 | number of epochs, u16, at least 1 |
//! | n × 36 or 68 | epochs, ascending: number (u32), X25519 public (32), X25519 secret (32; owner only) |
//!
//! Nothing follows.

use backup_core::{Error, ErrorKind, RepositoryId, Result};
use zeroize::Zeroizing;

use crate::bundle::{Epoch, Epochs, KeyBundle, MAX_EPOCHS, Role};
use crate::{envelope, sign};

const MAGIC: &[u8; 4] = b"BKKB";
const VERSION: u8 = 1;
const OWNER: u8 = 1;
const WRITER: u8 = 2;
const FIXED_LEN: usize = 4 + 2 + 16 + 32 * 3 + 16 + 32 + 64 + 32 + 2;

/// Writes a bundle.
pub(crate) fn encode(bundle: &KeyBundle) -> Zeroizing<Vec<u8>> {
    let count = bundle.epochs.iter().count();
    // Sized first: growing would leave unwiped copies behind.
    let mut out = Zeroizing::new(Vec::with_capacity(FIXED_LEN + count * 68));
    out.extend_from_slice(MAGIC);
    out.push(VERSION);
    out.push(if bundle.is_owner() { OWNER } else { WRITER });
    out.extend_from_slice(bundle.repository.as_bytes());
    out.extend_from_slice(&bundle.root_public);
    out.extend_from_slice(bundle.chunk_id_key.as_slice());
    out.extend_from_slice(bundle.gear_key.as_slice());
    out.extend_from_slice(&bundle.writer_nonce);
    out.extend_from_slice(bundle.writer_seed.as_slice());
    out.extend_from_slice(&bundle.writer_certificate);
    if let Some(seed) = &bundle.root_seed {
        out.extend_from_slice(seed.as_slice());
    }
    out.extend_from_slice(&(count as u16).to_be_bytes());
    for epoch in bundle.epochs.iter() {
        out.extend_from_slice(&epoch.number.to_be_bytes());
        out.extend_from_slice(&epoch.public);
        if let Some(secret) = &epoch.secret {
            out.extend_from_slice(secret.as_slice());
        }
    }
    out
}

/// Reads a bundle and checks that its parts belong together; `Integrity` if not, `Unsupported`
/// if a newer program wrote it.
pub(crate) fn decode(bytes: &[u8]) -> Result<KeyBundle> {
    let mut input = Input(bytes);
    if input.take(4)? != MAGIC {
        return Err(damaged("no magic bytes"));
    }
    let version = input.byte()?;
    if version > VERSION {
        return Err(Error::new(ErrorKind::Unsupported, "read key bundle")
            .with("version", version)
            .hint("A newer version of this program wrote it; use that version."));
    }
    let role = match (version, input.byte()?) {
        (VERSION, OWNER) => Role::Owner,
        (VERSION, WRITER) => Role::Writer,
        _ => return Err(damaged("unknown version or role")),
    };
    let owner = role == Role::Owner;
    let bundle = KeyBundle {
        repository: RepositoryId(input.array()?),
        root_public: input.array()?,
        chunk_id_key: input.secret()?,
        gear_key: input.secret()?,
        writer_nonce: input.array()?,
        writer_seed: input.secret()?,
        writer_certificate: input.array()?,
        root_seed: owner.then(|| input.secret()).transpose()?,
        epochs: epochs(&mut input, owner)?,
    };
    if !input.0.is_empty() {
        return Err(damaged("bytes after the end"));
    }
    check(&bundle)?;
    Ok(bundle)
}

fn epochs(input: &mut Input<'_>, owner: bool) -> Result<Epochs> {
    let count = usize::from(u16::from_be_bytes(input.array()?));
    if count > MAX_EPOCHS {
        return Err(damaged("too many epochs"));
    }
    let mut older = Vec::with_capacity(count);
    for _ in 0..count {
        older.push(Epoch {
            number: u32::from_be_bytes(input.array()?),
            public: input.array()?,
            secret: owner.then(|| input.secret()).transpose()?,
        });
    }
    let newest = older.pop().ok_or_else(|| damaged("no epoch"))?;
    Ok(Epochs { older, newest })
}

fn check(bundle: &KeyBundle) -> Result<()> {
    let numbers: Vec<u32> = bundle.epochs.iter().map(|epoch| epoch.number).collect();
    if !numbers.is_sorted_by(|one, next| one < next) {
        return Err(damaged("epochs are not ascending"));
    }
    let halves = bundle.epochs.iter().all(|epoch| {
        epoch.secret.as_deref().is_none_or(|secret| envelope::public_key(secret) == epoch.public)
    });
    let root =
        bundle.root_seed.as_deref().is_none_or(|seed| sign::public_key(seed) == bundle.root_public);
    if !halves || !root {
        return Err(damaged("a public half does not fit its secret half"));
    }
    sign::verify_writer(
        &bundle.root_public,
        bundle.repository,
        &bundle.writer_public(),
        &bundle.writer_certificate,
    )
}

fn damaged(reason: &str) -> Error {
    Error::new(ErrorKind::Integrity, "read key bundle").with("reason", reason)
}

struct Input<'a>(&'a [u8]);

impl<'a> Input<'a> {
    fn take(&mut self, len: usize) -> Result<&'a [u8]> {
        let (head, rest) = self.0.split_at_checked(len).ok_or_else(|| damaged("cut short"))?;
        self.0 = rest;
        Ok(head)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N]> {
        let mut out = [0; N];
        out.copy_from_slice(self.take(N)?);
        Ok(out)
    }

    fn secret(&mut self) -> Result<Zeroizing<[u8; 32]>> {
        let mut out = Zeroizing::new([0; 32]);
        out.copy_from_slice(self.take(32)?);
        Ok(out)
    }

    fn byte(&mut self) -> Result<u8> {
        Ok(self.array::<1>()?[0])
    }
}
