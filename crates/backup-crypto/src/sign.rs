//! Ed25519 signatures with domain separation.
//!
//! What is signed is `label ‖ 0x00 ‖ domain length (u16) ‖ domain ‖ message`; the label tells
//! apart what callers sign from what this crate signs itself, the domain tells callers' uses
//! apart.

use backup_core::{Error, ErrorKind, RepositoryId, Result};
use ed25519_dalek::{Signature, Signer, SigningKey, VerifyingKey};

/// Label of signatures that callers ask for.
const MESSAGE: &str = "backup.v1.signature";
/// Label of the root's signature over a key record.
pub(crate) const KEY_RECORD: &str = "backup.v1.key-record";
/// Label of the root's certificate for a writer.
pub(crate) const WRITER: &str = "backup.v1.writer";

/// Checks a signature made by [`KeyBundle::sign_as_writer`](crate::KeyBundle::sign_as_writer) or
/// [`KeyBundle::sign_as_root`](crate::KeyBundle::sign_as_root) in the same domain; `Integrity`
/// if it is not by that key, over that message, in that domain. Says nothing about who the key
/// belongs to: see [`verify_writer`].
pub fn verify_signature(
    public: &[u8; 32],
    domain: &str,
    message: &[u8],
    signature: &[u8; 64],
) -> Result<()> {
    verify(public, MESSAGE, domain, message, signature)
}

/// Checks a writer's certificate (see
/// [`KeyBundle::writer_certificate`](crate::KeyBundle::writer_certificate)): that the owner of
/// `root_public` admitted this writer key to this repository; `Integrity` if not.
pub fn verify_writer(
    root_public: &[u8; 32],
    repository: RepositoryId,
    writer_public: &[u8; 32],
    certificate: &[u8; 64],
) -> Result<()> {
    verify(root_public, WRITER, "", &certified(repository, writer_public), certificate)
        .map_err(|error| error.with("repository", repository))
}

/// What a writer's certificate signs.
pub(crate) fn certified(repository: RepositoryId, writer_public: &[u8; 32]) -> [u8; 48] {
    let mut out = [0; 48];
    out[..16].copy_from_slice(repository.as_bytes());
    out[16..].copy_from_slice(writer_public);
    out
}

/// Signs what the caller passes in.
pub(crate) fn sign_message(seed: &[u8; 32], domain: &str, message: &[u8]) -> [u8; 64] {
    sign(seed, MESSAGE, domain, message)
}

/// Signs under a label of this crate.
pub(crate) fn sign(seed: &[u8; 32], label: &str, domain: &str, message: &[u8]) -> [u8; 64] {
    SigningKey::from_bytes(seed).sign(&framed(label, domain, message)).to_bytes()
}

/// Checks a signature; strict: no weak keys, one encoding per signature.
pub(crate) fn verify(
    public: &[u8; 32],
    label: &str,
    domain: &str,
    message: &[u8],
    signature: &[u8; 64],
) -> Result<()> {
    VerifyingKey::from_bytes(public)
        .and_then(|key| {
            key.verify_strict(&framed(label, domain, message), &Signature::from_bytes(signature))
        })
        .map_err(|cause| {
            Error::new(ErrorKind::Integrity, "verify signature")
                .with("purpose", if domain.is_empty() { label } else { domain })
                .because(cause)
        })
}

/// Returns the public half of a seed.
pub(crate) fn public_key(seed: &[u8; 32]) -> [u8; 32] {
    SigningKey::from_bytes(seed).verifying_key().to_bytes()
}

fn framed(label: &str, domain: &str, message: &[u8]) -> Vec<u8> {
    // A domain is a literal of a few characters; a longer one than u16 is cut, and its length
    // with it, which at worst makes two absurd domains equal.
    let domain = &domain.as_bytes()[..domain.len().min(usize::from(u16::MAX))];
    let mut out = Vec::with_capacity(label.len() + 3 + domain.len() + message.len());
    out.extend_from_slice(label.as_bytes());
    out.push(0);
    out.extend_from_slice(&(domain.len() as u16).to_be_bytes());
    out.extend_from_slice(domain);
    out.extend_from_slice(message);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signatures_fit_one_key_domain_and_message() {
        let seed = [5; 32];
        let public = public_key(&seed);
        let signature = sign_message(&seed, "manifest", b"message");
        verify_signature(&public, "manifest", b"message", &signature).unwrap();
        let refused = [
            verify_signature(&public_key(&[6; 32]), "manifest", b"message", &signature),
            verify_signature(&public, "index", b"message", &signature),
            verify_signature(&public, "manifes", b"tmessage", &signature),
            verify_signature(&public, "manifest", b"massage", &signature),
            verify_signature(&[0; 32], "manifest", b"message", &signature),
            verify(&public, KEY_RECORD, "manifest", b"message", &signature),
        ];
        for result in refused {
            assert_eq!(result.unwrap_err().kind(), ErrorKind::Integrity);
        }
    }

    #[test]
    fn every_flipped_bit_of_a_signature_is_refused() {
        let seed = [5; 32];
        let public = public_key(&seed);
        let signature = sign_message(&seed, "d", b"m");
        for bit in 0..512 {
            let mut flipped = signature;
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert!(verify_signature(&public, "d", b"m", &flipped).is_err(), "bit {bit}");
        }
    }
}
