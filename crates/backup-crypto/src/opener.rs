//! Opening an object.

use std::fmt;

use backup_core::{Error, ErrorKind, Result};
use data_encoding::HEXLOWER;

use crate::frame::{FrameKey, Place, TAG_LEN};
use crate::header::{HEADER_LEN, HeaderBytes, ObjectHeader, ObjectKind, damaged};
use crate::{KeyBundle, envelope, kdf};

/// Opens the frames of one object, in any order; share it freely between threads.
pub struct ObjectOpener {
    key: FrameKey,
    header: ObjectHeader,
}

impl ObjectOpener {
    /// Opens the header of the object one expects; `header` may be longer, only its first
    /// [`HEADER_LEN`] bytes are used.
    ///
    /// `Integrity` if the header is damaged or belongs to another repository, kind or object;
    /// `Unsupported` if a newer program wrote it; `WrongKey` if the bundle may only write, or
    /// does not hold the epoch. The key commitment is checked before anything is decrypted with
    /// the object's key.
    pub fn new(
        bundle: &KeyBundle,
        kind: ObjectKind,
        object: [u8; 16],
        header: &[u8],
    ) -> Result<Self> {
        let found = ObjectHeader::parse(header)?;
        let repository = bundle.repository();
        found.expect(&ObjectHeader { kind, epoch: found.epoch, repository, object })?;
        let secret = epoch_secret(bundle, &found)?;
        let bytes = header
            .first_chunk::<HEADER_LEN>()
            .map(|bytes| HeaderBytes(*bytes))
            .ok_or_else(|| damaged("the object is shorter than its header"))?;
        let changed = |reason| {
            damaged(reason)
                .with("kind", kind.as_str())
                .with("object", HEXLOWER.encode(&object))
                .hint("The object was damaged or replaced in the store; verify the repository.")
        };
        let info = [kdf::OBJECT_ENVELOPE, bytes.prefix()].concat();
        let data_secret = envelope::open(secret, &bytes.encapped(), &info, bytes.sealed())
            .ok_or_else(|| changed("the sealed key does not open"))?;
        let key = FrameKey::check(&data_secret, &bytes)?
            .ok_or_else(|| changed("the key commitment does not match"))?;
        Ok(Self { key, header: found })
    }

    /// Returns what the header says; proved genuine.
    #[must_use]
    pub fn header(&self) -> &ObjectHeader {
        &self.header
    }

    /// Opens one frame: ciphertext and tag in, plaintext out. `Integrity` unless every byte,
    /// the ordinal, the last flag and `aad_extra` are what was sealed; no byte of a frame that
    /// is not is ever returned.
    pub fn open(
        &self,
        ordinal: u64,
        last: bool,
        aad_extra: &[u8],
        sealed: &[u8],
    ) -> Result<Vec<u8>> {
        let mut out = Vec::new();
        self.open_into(ordinal, last, aad_extra, sealed, &mut out)?;
        Ok(out)
    }

    /// Like [`open`](Self::open), but appends the plaintext to `out`, which allocates nothing
    /// if there is room; nothing is appended on failure.
    pub fn open_into(
        &self,
        ordinal: u64,
        last: bool,
        aad_extra: &[u8],
        sealed: &[u8],
        out: &mut Vec<u8>,
    ) -> Result<()> {
        let (body, tag) = sealed
            .split_last_chunk::<TAG_LEN>()
            .ok_or_else(|| self.refused(ordinal, "the frame is shorter than its tag"))?;
        let start = out.len();
        out.extend_from_slice(body);
        let place = Place { ordinal, last, extra: aad_extra };
        self.key.decrypt(place, &mut out[start..], tag).ok_or_else(|| {
            out.truncate(start);
            self.refused(ordinal, "the frame is not what was sealed here")
        })
    }

    fn refused(&self, ordinal: u64, reason: &str) -> Error {
        Error::new(ErrorKind::Integrity, "open frame")
            .with("kind", self.header.kind.as_str())
            .with("object", HEXLOWER.encode(&self.header.object))
            .with("frame", ordinal)
            .with("reason", reason)
    }
}

impl fmt::Debug for ObjectOpener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ObjectOpener").field("header", &self.header).finish_non_exhaustive()
    }
}

fn epoch_secret<'a>(bundle: &'a KeyBundle, header: &ObjectHeader) -> Result<&'a [u8; 32]> {
    let refused = || Error::new(ErrorKind::WrongKey, "open object").with("epoch", header.epoch);
    if !bundle.can_read() {
        return Err(refused().hint(
            "The key of this host can write but not read; use an owner's passphrase or key file.",
        ));
    }
    bundle.epoch_secret(header.epoch).ok_or_else(|| {
        refused().hint("The repository's keys were rotated since it was opened; open it again.")
    })
}
