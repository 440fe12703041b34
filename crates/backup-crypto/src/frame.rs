//! One frame: AES-256-GCM with a counter as nonce.
//!
//! Nonce: four zero bytes ‖ ordinal (u64). Associated data: header (192 bytes) ‖ ordinal (u64) ‖
//! plaintext length (u64) ‖ last flag (u8, 0 or 1) ‖ the caller's own. The frame on disk is the
//! ciphertext and its 16-byte tag.

use aes_gcm::aead::inout::InOutBuf;
use aes_gcm::{AeadInOut, Aes256Gcm, KeyInit};
use backup_core::Result;
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use crate::header::{HEADER_LEN, HeaderBytes};
use crate::kdf;

/// What sealing adds to a frame, in bytes.
pub const TAG_LEN: usize = 16;

/// The longest plaintext of one frame, in bytes: 1 GiB, far below AES-GCM's 64 GiB.
pub const MAX_FRAME_LEN: usize = 1 << 30;

/// Bytes of associated data that need no allocation; callers add a few dozen.
const INLINE_AAD: usize = 512;
const FIXED_AAD: usize = HEADER_LEN + 17;

/// The key of one object, with the header it is bound to.
pub(crate) struct FrameKey {
    cipher: Aes256Gcm,
    header: [u8; HEADER_LEN],
}

impl FrameKey {
    /// Derives the key for a new header and writes its commitment into it.
    pub(crate) fn commit(secret: &[u8], header: &mut HeaderBytes) -> Result<Self> {
        let okm = derive(secret, header)?;
        header.set_commitment(&okm[32..]);
        Ok(Self::new(&okm, header))
    }

    /// Derives the key for a stored header; `None`, before anything is decrypted, if the header
    /// commits to another key.
    pub(crate) fn check(secret: &[u8], header: &HeaderBytes) -> Result<Option<Self>> {
        let okm = derive(secret, header)?;
        let same: bool = okm[32..].ct_eq(header.commitment()).into();
        Ok(same.then(|| Self::new(&okm, header)))
    }

    fn new(okm: &[u8; 64], header: &HeaderBytes) -> Self {
        let mut key = aes_gcm::Key::<Aes256Gcm>::default();
        key.copy_from_slice(&okm[..32]);
        let cipher = Aes256Gcm::new(&key);
        zeroize::Zeroize::zeroize(key.as_mut_slice());
        Self { cipher, header: header.0 }
    }

    pub(crate) fn header(&self) -> &[u8; HEADER_LEN] {
        &self.header
    }

    /// Encrypts in place; returns the tag, or `None` if the frame is too long for the cipher.
    pub(crate) fn encrypt(&self, place: Place<'_>, buffer: &mut [u8]) -> Option<[u8; TAG_LEN]> {
        place.with_aad(&self.header, buffer.len(), |aad| {
            self.cipher
                .encrypt_inout_detached(&place.nonce().into(), aad, InOutBuf::from(buffer))
                .ok()
                .map(Into::into)
        })
    }

    /// Decrypts in place after the tag was found right; `None`, with the buffer unchanged, if it
    /// is not.
    pub(crate) fn decrypt(
        &self,
        place: Place<'_>,
        buffer: &mut [u8],
        tag: &[u8; TAG_LEN],
    ) -> Option<()> {
        place.with_aad(&self.header, buffer.len(), |aad| {
            self.cipher
                .decrypt_inout_detached(
                    &place.nonce().into(),
                    aad,
                    InOutBuf::from(buffer),
                    &(*tag).into(),
                )
                .ok()
        })
    }
}

fn derive(secret: &[u8], header: &HeaderBytes) -> Result<Zeroizing<[u8; 64]>> {
    kdf::derive(header.salt(), secret, kdf::OBJECT_KEY, &[header.committed()])
}

/// Where in its object a frame is.
#[derive(Clone, Copy)]
pub(crate) struct Place<'a> {
    pub(crate) ordinal: u64,
    pub(crate) last: bool,
    pub(crate) extra: &'a [u8],
}

impl Place<'_> {
    fn nonce(self) -> [u8; 12] {
        let mut out = [0; 12];
        out[4..].copy_from_slice(&self.ordinal.to_be_bytes());
        out
    }

    /// Calls with the associated data, on the stack unless the caller's part is long.
    fn with_aad<T>(
        self,
        header: &[u8; HEADER_LEN],
        len: usize,
        call: impl FnOnce(&[u8]) -> T,
    ) -> T {
        let mut inline = [0; INLINE_AAD];
        let mut long = Vec::new();
        let total = FIXED_AAD + self.extra.len();
        let aad = if total <= INLINE_AAD {
            &mut inline[..total]
        } else {
            long.resize(total, 0);
            long.as_mut_slice()
        };
        aad[..HEADER_LEN].copy_from_slice(header);
        aad[HEADER_LEN..HEADER_LEN + 8].copy_from_slice(&self.ordinal.to_be_bytes());
        aad[HEADER_LEN + 8..HEADER_LEN + 16].copy_from_slice(&(len as u64).to_be_bytes());
        aad[HEADER_LEN + 16] = u8::from(self.last);
        aad[FIXED_AAD..].copy_from_slice(self.extra);
        call(aad)
    }
}
