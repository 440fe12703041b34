//! HPKE, base mode: DHKEM(X25519, HKDF-SHA256), HKDF-SHA256, AES-256-GCM (RFC 9180 ids
//! 0x0020, 0x0001, 0x0002), one message per encapsulation, empty associated data.

use backup_core::{Error, ErrorKind, Result};
use hpke::aead::AesGcm256;
use hpke::kdf::HkdfSha256;
use hpke::kem::X25519HkdfSha256;
use hpke::{Deserializable, Kem, OpModeR, OpModeS, Serializable};
use x25519_dalek::{PublicKey, StaticSecret};
use zeroize::Zeroizing;

use crate::entropy::Entropy;

type RecipientKey = <X25519HkdfSha256 as Kem>::PublicKey;
type PrivateKey = <X25519HkdfSha256 as Kem>::PrivateKey;
type Encapped = <X25519HkdfSha256 as Kem>::EncappedKey;

/// Returns the public half of an X25519 secret.
pub(crate) fn public_key(secret: &[u8; 32]) -> [u8; 32] {
    PublicKey::from(&StaticSecret::from(*secret)).to_bytes()
}

/// Seals to a public key; returns the encapsulated key and the ciphertext. Fails if the public
/// key is not usable (a low-order point).
pub(crate) fn seal(
    recipient: &[u8; 32],
    info: &[u8],
    plaintext: &[u8],
    entropy: &mut Entropy,
) -> Result<([u8; 32], Vec<u8>)> {
    let unusable = |_| Error::new(ErrorKind::Failed, "seal to public key");
    let recipient = RecipientKey::from_bytes(recipient).map_err(unusable)?;
    let (encapped, sealed) = hpke::single_shot_seal_with_rng::<
        AesGcm256,
        HkdfSha256,
        X25519HkdfSha256,
    >(&OpModeS::Base, &recipient, info, plaintext, b"", entropy)
    .map_err(unusable)?;
    Ok((encapped.to_bytes().into(), sealed))
}

/// Opens with the secret key; `None` when the envelope was not sealed to it with this `info`, or
/// was changed since.
pub(crate) fn open(
    secret: &[u8; 32],
    encapped: &[u8; 32],
    info: &[u8],
    sealed: &[u8],
) -> Option<Zeroizing<Vec<u8>>> {
    let secret = PrivateKey::from_bytes(secret).ok()?;
    let encapped = Encapped::from_bytes(encapped).ok()?;
    hpke::single_shot_open::<AesGcm256, HkdfSha256, X25519HkdfSha256>(
        &OpModeR::Base,
        &secret,
        &encapped,
        info,
        sealed,
        b"",
    )
    .ok()
    .map(Zeroizing::new)
}
