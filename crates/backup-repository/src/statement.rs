//! Statements: texts signed by a writer of the repository that can be checked without it.

use backup_core::{Error, ErrorKind, RepositoryId, Result};
use backup_crypto::{verify_signature, verify_writer};
use data_encoding::HEXLOWER;
use serde::{Deserialize, Serialize};

use crate::repository::Repository;

/// Who signed a text, and how to check that without the repository: the root key admitted the
/// writer, the writer signed the text. All keys and signatures are hexadecimal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StatementSignature {
    /// The repository.
    pub repository: RepositoryId,
    /// The root's Ed25519 public key. Whoever checks must know it from elsewhere, such as the
    /// repository itself: a forger would bring a root of their own.
    pub root: String,
    /// The writer's Ed25519 public key.
    pub writer: String,
    /// The root's signature over the writer.
    pub certificate: String,
    /// The writer's signature over the text.
    pub signature: String,
}

impl Repository {
    /// Signs `text` for the purpose `domain`, as this writer.
    pub fn sign_statement(&self, domain: &str, text: &str) -> Result<StatementSignature> {
        let keys = self.keys_now()?;
        let hex = |bytes: &[u8]| HEXLOWER.encode(bytes);
        Ok(StatementSignature {
            repository: self.id(),
            root: hex(&keys.root_public()),
            writer: hex(&keys.writer_public()),
            certificate: hex(&keys.writer_certificate()),
            signature: hex(&keys.sign_as_writer(domain, text.as_bytes())),
        })
    }

    /// Returns the root's public key as statements name it.
    pub fn root(&self) -> Result<String> {
        Ok(HEXLOWER.encode(&self.keys_now()?.root_public()))
    }
}

impl StatementSignature {
    /// Checks that a writer whom `self.root` admitted signed `text` for `domain`; `Integrity`
    /// if not. Whether that root is the one that is meant is the caller's question.
    pub fn check(&self, domain: &str, text: &str) -> Result<()> {
        let root = bytes(&self.root)?;
        let writer = bytes(&self.writer)?;
        verify_writer(&root, self.repository, &writer, &bytes(&self.certificate)?)?;
        verify_signature(&writer, domain, text.as_bytes(), &bytes(&self.signature)?)
    }
}

fn bytes<const N: usize>(text: &str) -> Result<[u8; N]> {
    let decoded = HEXLOWER.decode(text.as_bytes()).ok();
    decoded.and_then(|bytes| bytes.try_into().ok()).ok_or_else(|| {
        Error::new(ErrorKind::Integrity, "read signature").with("expected bytes, as hex", N)
    })
}
