//! HKDF-SHA256 with the contexts of format 1, all in one place.

use backup_core::{Error, ErrorKind, Result};
use hkdf::Hkdf;
use sha2::Sha256;
use zeroize::Zeroizing;

/// HPKE info prefix of the data secret in an object header.
pub(crate) const OBJECT_ENVELOPE: &[u8] = b"backup.v1.object-envelope";
/// HKDF info prefix of an object's AES key and key commitment.
pub(crate) const OBJECT_KEY: &[u8] = b"backup.v1.object-key";
/// HPKE info prefix of the bundle in a key record.
pub(crate) const BUNDLE_ENVELOPE: &[u8] = b"backup.v1.bundle-envelope";
/// HKDF info from a passphrase or key file to an X25519 secret and a binding key.
pub(crate) const KEY_ENCRYPTION: &[u8] = b"backup.v1.key-encryption";
/// HKDF-Expand info prefix of a key record's binding.
pub(crate) const BINDING: &[u8] = b"backup.v1.binding";
/// HKDF info prefix from the root seed to a writer's seed.
pub(crate) const WRITER_KEY: &[u8] = b"backup.v1.writer-key";

/// Extract-and-expand; `info` is the concatenation of `context` and `binds`.
pub(crate) fn derive<const N: usize>(
    salt: &[u8],
    secret: &[u8],
    context: &[u8],
    binds: &[&[u8]],
) -> Result<Zeroizing<[u8; N]>> {
    let mut out = Zeroizing::new([0; N]);
    Hkdf::<Sha256>::new(Some(salt), secret)
        .expand_multi_info(&[&[context], binds].concat(), out.as_mut_slice())
        .map_err(|_| Error::new(ErrorKind::Failed, "derive key"))?;
    Ok(out)
}

/// Expand only: a pseudo-random function under a uniformly random key.
pub(crate) fn expand(key: &[u8; 32], context: &[u8], binds: &[&[u8]]) -> Result<[u8; 32]> {
    let mut out = [0; 32];
    Hkdf::<Sha256>::from_prk(key)
        .map_err(|_| Error::new(ErrorKind::Failed, "derive key"))?
        .expand_multi_info(&[&[context], binds].concat(), &mut out)
        .map_err(|_| Error::new(ErrorKind::Failed, "derive key"))?;
    Ok(out)
}
