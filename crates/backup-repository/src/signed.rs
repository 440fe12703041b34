//! Documents that carry a signature.
//!
//! Two forms. *Root-signed*: plain JSON in the clear, `{"format":1,"body":"…","signature":"…"}`,
//! the body being JSON text whose exact bytes are signed. *Writer-signed*: the payload of a
//! sealed blob, the writer's public key (32 bytes), the root's certificate for it (64), the
//! writer's signature (64), then JSON. A writer is believed because the root certified it, so
//! that a public key and access to the store are not enough to forge a snapshot.

use backup_core::{Error, ErrorKind, Result};
use backup_crypto::{KeyBundle, verify_signature, verify_writer};
use data_encoding::HEXLOWER;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::bytes::Fields;
use crate::layout::FORMAT;

#[derive(Serialize, Deserialize)]
struct RootSigned {
    format: u32,
    body: String,
    signature: String,
}

/// Returns the document, signed by the repository's root key.
pub(crate) fn to_root_signed<T: Serialize>(
    keys: &KeyBundle,
    domain: &str,
    document: &T,
) -> Result<Vec<u8>> {
    let body = to_json(document)?;
    let signature = keys.sign_as_root(domain, body.as_bytes())?;
    let signed = RootSigned { format: FORMAT, body, signature: HEXLOWER.encode(&signature) };
    let mut out = to_json(&signed)?.into_bytes();
    out.push(b'\n');
    Ok(out)
}

/// A root-signed document, read but not yet believed.
pub(crate) struct Claimed<T> {
    body: String,
    signature: [u8; 64],
    document: T,
}

impl<T> Claimed<T> {
    /// Returns what the document says, before anyone checked who says so.
    pub(crate) fn unchecked(&self) -> &T {
        &self.document
    }

    /// Returns the document if the root key signed it.
    pub(crate) fn check(self, domain: &str, root: &[u8; 32]) -> Result<T> {
        verify_signature(root, domain, self.body.as_bytes(), &self.signature)?;
        Ok(self.document)
    }
}

/// Reads a root-signed document; a newer format is `Unsupported`, anything else unreadable is
/// `Integrity`.
pub(crate) fn from_root_signed<T: DeserializeOwned>(bytes: &[u8]) -> Result<Claimed<T>> {
    let foreign = || {
        Error::new(ErrorKind::Integrity, "read repository document")
            .hint("This is damaged, or not a repository of this program; check the URL.")
    };
    let signed: RootSigned =
        serde_json::from_slice(bytes).map_err(|error| foreign().because(error))?;
    if signed.format > FORMAT {
        return Err(newer(signed.format));
    }
    let signature = HEXLOWER
        .decode(signed.signature.as_bytes())
        .ok()
        .and_then(|bytes| <[u8; 64]>::try_from(bytes).ok())
        .ok_or_else(foreign)?;
    let document = serde_json::from_str(&signed.body).map_err(|error| foreign().because(error))?;
    Ok(Claimed { body: signed.body, signature, document })
}

/// Returns the error for a repository that a later version wrote.
pub(crate) fn newer(format: u32) -> Error {
    Error::new(ErrorKind::Unsupported, "open repository")
        .with("format", format)
        .with("this program reads up to", FORMAT)
        .hint("A newer version wrote this repository; upgrade this program. Nothing was changed.")
}

/// Returns the payload of a writer-signed document.
pub(crate) fn to_writer_signed<T: Serialize>(
    keys: &KeyBundle,
    domain: &str,
    document: &T,
) -> Result<Vec<u8>> {
    let body = to_json(document)?;
    let mut out = keys.writer_public().to_vec();
    out.extend_from_slice(&keys.writer_certificate());
    out.extend_from_slice(&keys.sign_as_writer(domain, body.as_bytes()));
    out.extend_from_slice(body.as_bytes());
    Ok(out)
}

/// Reads a writer-signed document; `Integrity` unless a writer that the root of `keys` certified
/// signed it.
pub(crate) fn from_writer_signed<T: DeserializeOwned>(
    keys: &KeyBundle,
    domain: &str,
    payload: &[u8],
) -> Result<T> {
    from_body(writer_signed(keys, domain, payload)?)
}

/// Returns the JSON of a writer-signed document, unread; fails as [`from_writer_signed`] does.
pub(crate) fn writer_signed<'a>(
    keys: &KeyBundle,
    domain: &str,
    payload: &'a [u8],
) -> Result<&'a [u8]> {
    let mut fields = Fields::new(payload, "signed document");
    let writer: [u8; 32] = fields.array()?;
    let certificate: [u8; 64] = fields.array()?;
    let signature: [u8; 64] = fields.array()?;
    let body = fields.rest();
    verify_writer(&keys.root_public(), keys.repository(), &writer, &certificate)
        .and_then(|()| verify_signature(&writer, domain, body, &signature))
        .map_err(|error| {
            error.hint("No writer of this repository signed this object: it may be forged.")
        })?;
    Ok(body)
}

/// Reads JSON that was signed.
pub(crate) fn from_body<T: DeserializeOwned>(body: &[u8]) -> Result<T> {
    serde_json::from_slice(body)
        .map_err(|error| Error::new(ErrorKind::Integrity, "read signed document").because(error))
}

fn to_json<T: Serialize>(document: &T) -> Result<String> {
    serde_json::to_string(document)
        .map_err(|error| Error::new(ErrorKind::Failed, "write JSON").because(error))
}
