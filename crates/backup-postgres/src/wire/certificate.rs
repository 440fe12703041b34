//! The one thing that channel binding asks of a certificate: its hash, by its own algorithm.

use sha2::{Digest, Sha224, Sha256, Sha384, Sha512};

const SEQUENCE: u8 = 0x30;
const OBJECT_IDENTIFIER: u8 = 0x06;
/// `[0]` of RSASSA-PSS parameters: the hash algorithm.
const PSS_HASH: u8 = 0xa0;

/// Object identifiers, as DER writes them, without their last number.
const RSA: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01];
const ECDSA_SHA1: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04];
const ECDSA_SHA2: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03];
const SHA2: &[u8] = &[0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02];

/// Returns the `tls-server-end-point` binding (RFC 5929) of a DER certificate: its hash by the
/// algorithm of its signature, with MD5 and SHA-1 replaced by SHA-256. `None` where the signature
/// uses no such hash (Ed25519) or the bytes are no certificate: no binding is possible then.
#[must_use]
pub fn end_point(certificate: &[u8]) -> Option<Vec<u8>> {
    Some(match signature_hash(certificate)? {
        Hash::Sha224 => Sha224::digest(certificate).to_vec(),
        Hash::Sha256 => Sha256::digest(certificate).to_vec(),
        Hash::Sha384 => Sha384::digest(certificate).to_vec(),
        Hash::Sha512 => Sha512::digest(certificate).to_vec(),
    })
}

enum Hash {
    Sha224,
    Sha256,
    Sha384,
    Sha512,
}

/// Certificate ::= SEQUENCE { tbsCertificate SEQUENCE, signatureAlgorithm SEQUENCE { OBJECT
/// IDENTIFIER, parameters }, signature }.
fn signature_hash(certificate: &[u8]) -> Option<Hash> {
    let (body, _) = element(certificate, SEQUENCE)?;
    let (_, rest) = element(body, SEQUENCE)?;
    let (algorithm, _) = element(rest, SEQUENCE)?;
    let (name, parameters) = element(algorithm, OBJECT_IDENTIFIER)?;
    let (last, family) = name.split_last()?;
    match (family, last) {
        // md5, sha1; the rest by name.
        (RSA, 0x04 | 0x05) | (ECDSA_SHA1, 0x01) => Some(Hash::Sha256),
        (RSA, 0x0e) | (ECDSA_SHA2, 0x01) => Some(Hash::Sha224),
        (RSA, 0x0b) | (ECDSA_SHA2, 0x02) => Some(Hash::Sha256),
        (RSA, 0x0c) | (ECDSA_SHA2, 0x03) => Some(Hash::Sha384),
        (RSA, 0x0d) | (ECDSA_SHA2, 0x04) => Some(Hash::Sha512),
        (RSA, 0x0a) => pss_hash(parameters),
        _ => None,
    }
}

fn pss_hash(parameters: &[u8]) -> Option<Hash> {
    let (parameters, _) = element(parameters, SEQUENCE)?;
    // Left out, it is SHA-1.
    let Some((hash, _)) = element(parameters, PSS_HASH) else { return Some(Hash::Sha256) };
    let (algorithm, _) = element(hash, SEQUENCE)?;
    let (name, _) = element(algorithm, OBJECT_IDENTIFIER)?;
    match name.split_last()? {
        (0x01, SHA2) => Some(Hash::Sha256),
        (0x02, SHA2) => Some(Hash::Sha384),
        (0x03, SHA2) => Some(Hash::Sha512),
        (0x04, SHA2) => Some(Hash::Sha224),
        _ => None,
    }
}

/// Splits the DER element with this tag off the front: its contents, and what follows it.
fn element(input: &[u8], tag: u8) -> Option<(&[u8], &[u8])> {
    let (found, rest) = input.split_first()?;
    let (length, rest) = rest.split_first()?;
    if *found != tag {
        return None;
    }
    let (length, rest) = match *length {
        short @ 0..=0x7f => (usize::from(short), rest),
        // Four bytes of length are more than any certificate needs.
        long @ 0x81..=0x84 => {
            let (digits, rest) = rest.split_at_checked(usize::from(long & 0x7f))?;
            (digits.iter().fold(0, |sum, digit| (sum << 8) | usize::from(*digit)), rest)
        }
        _ => return None,
    };
    rest.split_at_checked(length)
}
