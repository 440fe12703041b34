//! A key record: the bundle, wrapped for one secret.

use std::collections::BTreeMap;

use backup_core::{Error, ErrorKind, KeyId, RepositoryId, Result};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use subtle::ConstantTimeEq;

use crate::bundle::Role;
use crate::passphrase::Argon2Params;
use crate::secret::{KeyPair, KeySecret};
use crate::{KeyBundle, bundle_codec, envelope, hex, kdf, record_codec, sign};

/// What opens a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum KeyKind {
    /// A passphrase, through Argon2id.
    Passphrase,
    /// A key file or recovery key.
    KeyFile,
    /// A key file whose public half alone was known when the record was made.
    Recipient,
}

impl KeyKind {
    /// Returns the stable word used in JSON and tables.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Passphrase => "passphrase",
            Self::KeyFile => "key-file",
            Self::Recipient => "recipient",
        }
    }
}

/// A repository's keys, sealed to the X25519 public key that one secret stands for, and signed
/// by the repository's root.
///
/// Holds no plaintext secret. Changing a field breaks the signature.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct KeyRecord {
    /// Format of the record: 1.
    pub format: u32,
    /// Its id; its name in the store.
    pub id: KeyId,
    /// The repository it opens.
    pub repository: RepositoryId,
    /// What opens it.
    pub kind: KeyKind,
    /// What its holder may do.
    pub role: Role,
    /// What its owner calls it; no control characters.
    pub label: String,
    /// When it was made; a reseal keeps it.
    pub created_at: Timestamp,
    /// The newest epoch in it: a record that falls behind others was rolled back, or missed by a
    /// rotation.
    pub epoch: u32,
    /// The X25519 key of that epoch, to which its holder seals new objects.
    #[serde(with = "hex")]
    pub epoch_public: [u8; 32],
    /// The Ed25519 key of the repository's root, which signed it.
    #[serde(with = "hex")]
    pub root: [u8; 32],
    /// The Ed25519 key its holder signs with as a writer.
    #[serde(with = "hex")]
    pub writer: [u8; 32],
    #[serde(with = "hex")]
    pub(crate) writer_nonce: [u8; 16],
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) argon2: Option<Argon2Params>,
    /// The X25519 key it is sealed to.
    #[serde(with = "hex")]
    pub recipient: [u8; 32],
    /// Made with the secret itself, so that nobody else can put another root in its place.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "hex::option")]
    pub(crate) binding: Option<[u8; 32]>,
    #[serde(with = "hex")]
    pub(crate) encapped: [u8; 32],
    #[serde(with = "hex")]
    pub(crate) sealed: Vec<u8>,
    #[serde(with = "hex")]
    pub(crate) signature: [u8; 64],
    /// Fields of later versions of the same format: kept, and covered by the signature.
    #[serde(flatten)]
    pub(crate) extra: BTreeMap<String, Value>,
}

/// The format this crate writes, and the newest it reads.
pub(crate) const FORMAT: u32 = 1;

impl KeyRecord {
    /// Opens the record with the secret it was made for.
    ///
    /// `Integrity` if the record was damaged or is not what its root signed; `WrongKey` if the
    /// secret does not fit; `Unsupported` for a record of kind recipient, which needs
    /// [`open_pinned`](Self::open_pinned).
    pub fn open(&self, secret: &KeySecret) -> Result<KeyBundle> {
        self.verify(&self.root)?;
        let pair = self.fit(secret)?;
        let Some(stored) = &self.binding else {
            return Err(self.error(ErrorKind::Unsupported).hint(
                "This record was made for a public key alone; open it with the repository's fingerprint.",
            ));
        };
        let expected = binding(&pair, self.repository, self.id, &self.root)?;
        if !bool::from(expected.ct_eq(stored)) {
            return Err(self.refused("another root was put in place of the repository's own"));
        }
        self.unseal(&pair)
    }

    /// Opens the record if its root is the one expected (from a recovery sheet, say); works for
    /// every kind. Fails like [`open`](Self::open), and with `Integrity` for another root.
    pub fn open_pinned(&self, secret: &KeySecret, root_public: &[u8; 32]) -> Result<KeyBundle> {
        self.verify(root_public)?;
        let pair = self.fit(secret)?;
        self.unseal(&pair)
    }

    /// Checks that this root signed every field of the record; `Integrity` if not.
    pub fn verify(&self, root_public: &[u8; 32]) -> Result<()> {
        if self.root != *root_public {
            return Err(self.refused("the record is signed by another repository's root"));
        }
        let message = record_codec::signed_bytes(self)?;
        sign::verify(root_public, sign::KEY_RECORD, "", &message, &self.signature)
            .map_err(|cause| self.refused("the signature does not match").because(cause))
    }

    /// Writes the record as JSON.
    pub fn to_bytes(&self) -> Result<Vec<u8>> {
        record_codec::encode(self)
    }

    /// Reads a record. `Integrity` if it is damaged, `Unsupported` if a newer program wrote it.
    /// Fields it does not know are kept. The signature is not checked here.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self> {
        let record = record_codec::decode(bytes)?;
        if record.label.chars().any(char::is_control) {
            return Err(record.refused("the label has control characters"));
        }
        Ok(record)
    }

    fn fit(&self, secret: &KeySecret) -> Result<KeyPair> {
        let wrong = || {
            self.error(ErrorKind::WrongKey).with("kind", self.kind.as_str()).hint(
                "Check the passphrase or key file; list the repository's keys to see which it has.",
            )
        };
        let kind = match self.kind {
            KeyKind::Recipient => KeyKind::KeyFile,
            kind => kind,
        };
        if secret.kind() != kind {
            return Err(wrong());
        }
        let pair = secret.key_pair(self.argon2.as_ref())?;
        if !bool::from(pair.public.ct_eq(&self.recipient)) {
            return Err(wrong());
        }
        Ok(pair)
    }

    fn unseal(&self, pair: &KeyPair) -> Result<KeyBundle> {
        let bytes = envelope::open(&pair.secret, &self.encapped, &self.info(), &self.sealed)
            .ok_or_else(|| self.refused("the sealed keys do not open"))?;
        let bundle = bundle_codec::decode(&bytes)?;
        let same = bundle.repository() == self.repository
            && bundle.root_public() == self.root
            && bundle.role() == self.role
            && bundle.current_epoch() == self.epoch
            && bundle.newest().public == self.epoch_public
            && bundle.writer_nonce == self.writer_nonce
            && bundle.writer_public() == self.writer;
        if same { Ok(bundle) } else { Err(self.refused("the sealed keys are not those it states")) }
    }

    /// What the envelope binds: purpose, repository, record.
    pub(crate) fn info(&self) -> Vec<u8> {
        [kdf::BUNDLE_ENVELOPE, self.repository.as_bytes(), self.id.as_bytes()].concat()
    }

    pub(crate) fn refused(&self, reason: &str) -> Error {
        self.error(ErrorKind::Integrity)
            .with("reason", reason)
            .hint("The key record was damaged or replaced in the store; restore it from a copy, or use another key.")
    }

    fn error(&self, kind: ErrorKind) -> Error {
        Error::new(kind, "open key record").with("key", self.id).with("label", &self.label)
    }
}

/// Authenticates the root to whoever holds the secret.
pub(crate) fn binding(
    pair: &KeyPair,
    repository: RepositoryId,
    id: KeyId,
    root: &[u8; 32],
) -> Result<[u8; 32]> {
    kdf::expand(&pair.binding_key, kdf::BINDING, &[repository.as_bytes(), id.as_bytes(), root])
}
