//! Sealing an object.

use std::fmt;

use backup_core::{Error, ErrorKind, Result};
use data_encoding::HEXLOWER;

use crate::entropy::Entropy;
use crate::envelope;
use crate::frame::{FrameKey, MAX_FRAME_LEN, Place, TAG_LEN};
use crate::header::{HEADER_LEN, HeaderBytes, ObjectHeader, ObjectKind};
use crate::{KeyBundle, kdf};

/// Seals the frames of one object, in order, under a key that exists only for that object.
pub struct ObjectSealer {
    key: FrameKey,
    kind: ObjectKind,
    object: [u8; 16],
    next: u64,
    finished: bool,
}

impl ObjectSealer {
    /// Starts an object: draws a data secret and a salt, and seals the secret to the
    /// repository's current epoch. Needs no secret half of the repository.
    ///
    /// `hedge` is content of the object (its first chunk ids, say): it keeps keys apart even if
    /// the system's random numbers repeat.
    pub fn new(
        bundle: &KeyBundle,
        kind: ObjectKind,
        object: [u8; 16],
        hedge: &[&[u8]],
    ) -> Result<Self> {
        let repository = bundle.repository();
        let place: [&[u8]; 3] = [repository.as_bytes(), &[kind as u8], &object];
        let mut entropy = Entropy::fresh(&[&place, hedge].concat())?;
        Self::with_entropy(bundle, kind, object, &mut entropy)
    }

    pub(crate) fn with_entropy(
        bundle: &KeyBundle,
        kind: ObjectKind,
        object: [u8; 16],
        entropy: &mut Entropy,
    ) -> Result<Self> {
        let epoch = bundle.newest();
        let prefix =
            ObjectHeader { kind, epoch: epoch.number, repository: bundle.repository(), object }
                .prefix();
        let secret = entropy.secret();
        let salt = entropy.bytes();
        let info = [kdf::OBJECT_ENVELOPE, &prefix].concat();
        let (encapped, sealed) = envelope::seal(&epoch.public, &info, secret.as_slice(), entropy)?;
        let sealed =
            sealed.first_chunk().ok_or_else(|| Error::new(ErrorKind::Failed, "seal object"))?;
        let mut header = HeaderBytes::new(&prefix, &encapped, sealed, &salt);
        let key = FrameKey::commit(secret.as_slice(), &mut header)?;
        Ok(Self { key, kind, object, next: 0, finished: false })
    }

    /// Returns the bytes that go before the first frame.
    #[must_use]
    pub fn header(&self) -> &[u8; HEADER_LEN] {
        self.key.header()
    }

    /// Returns the ordinal of the next frame; the first is 0.
    #[must_use]
    pub fn ordinal(&self) -> u64 {
        self.next
    }

    /// Seals the next frame and appends ciphertext and tag ([`TAG_LEN`] bytes more than
    /// `plaintext`) to `out`; nothing is appended on failure.
    ///
    /// `last` ends the object: it is authenticated, and a frame after it is refused.
    /// `aad_extra` is authenticated, not stored: whoever opens must know it.
    pub fn seal(
        &mut self,
        last: bool,
        aad_extra: &[u8],
        plaintext: &[u8],
        out: &mut Vec<u8>,
    ) -> Result<()> {
        if self.finished {
            return Err(self.refused("the last frame is sealed already"));
        }
        if plaintext.len() > MAX_FRAME_LEN {
            return Err(self.refused("the frame is longer than 1 GiB"));
        }
        // Sized first: growing must not copy, and leave behind, plaintext.
        out.reserve(plaintext.len() + TAG_LEN);
        let start = out.len();
        out.extend_from_slice(plaintext);
        let place = Place { ordinal: self.next, last, extra: aad_extra };
        let Some(tag) = self.key.encrypt(place, &mut out[start..]) else {
            out.truncate(start);
            return Err(self.refused("the cipher refused the frame"));
        };
        out.extend_from_slice(&tag);
        self.next += 1;
        self.finished = last;
        Ok(())
    }

    fn refused(&self, reason: &str) -> Error {
        Error::new(ErrorKind::Failed, "seal frame")
            .with("kind", self.kind.as_str())
            .with("object", HEXLOWER.encode(&self.object))
            .with("frame", self.next)
            .with("reason", reason)
    }
}

impl fmt::Debug for ObjectSealer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ObjectSealer")
            .field("kind", &self.kind)
            .field("object", &HEXLOWER.encode(&self.object))
            .field("next", &self.next)
            .finish_non_exhaustive()
    }
}
