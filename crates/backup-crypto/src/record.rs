//! A key record: the bundle, wrapped for one secret.

use std::collections::BTreeMap;

use backup_core::{Error, ErrorKind, KeyId, RepositoryId, Result};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use subtle::ConstantTimeEq;

use crate::bundle::Role;
use crate::entropy::Entropy;
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
    /// The Ed25519 key of the repository's root, which signed it.
    #[serde(with = "hex")]
    pub root: [u8; 32],
    /// The Ed25519 key its holder signs with as a writer.
    #[serde(with = "hex")]
    pub writer: [u8; 32],
    #[serde(with = "hex")]
    writer_nonce: [u8; 16],
    #[serde(default, skip_serializing_if = "Option::is_none")]
    argon2: Option<Argon2Params>,
    /// The X25519 key it is sealed to.
    #[serde(with = "hex")]
    pub recipient: [u8; 32],
    /// Made with the secret itself, so that nobody else can put another root in its place.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "hex::option")]
    binding: Option<[u8; 32]>,
    #[serde(with = "hex")]
    encapped: [u8; 32],
    #[serde(with = "hex")]
    sealed: Vec<u8>,
    #[serde(with = "hex")]
    signature: [u8; 64],
    /// Fields of later versions of the same format: kept, and covered by the signature.
    #[serde(flatten)]
    extra: BTreeMap<String, Value>,
}

/// The format this crate writes, and the newest it reads.
pub(crate) const FORMAT: u32 = 1;
/// Longest label, in characters.
const MAX_LABEL: usize = 200;

impl KeyRecord {
    /// Wraps an owner's own bundle for a secret. `WrongKey` if the bundle is a writer's, `Usage`
    /// for an empty passphrase or a label that is too long or has control characters.
    pub fn seal(
        bundle: &KeyBundle,
        id: KeyId,
        secret: &KeySecret,
        label: &str,
        now: Timestamp,
    ) -> Result<Self> {
        Self::seal_for(bundle, bundle, id, secret, label, now)
    }

    /// Wraps a writer's bundle (from [`KeyBundle::writer`]) for the secret that its host holds.
    /// Fails like [`seal`](Self::seal).
    pub fn seal_writer(
        owner: &KeyBundle,
        writer: &KeyBundle,
        id: KeyId,
        secret: &KeySecret,
        label: &str,
        now: Timestamp,
    ) -> Result<Self> {
        Self::seal_for(owner, writer, id, secret, label, now)
    }

    /// Wraps `granted` (the owner's own bundle or a writer's) for somebody whose
    /// [`KeySecret::recipient`] is all that is known. That record opens with
    /// [`open_pinned`](Self::open_pinned) only.
    pub fn seal_to_recipient(
        owner: &KeyBundle,
        granted: &KeyBundle,
        id: KeyId,
        recipient: [u8; 32],
        label: &str,
        now: Timestamp,
    ) -> Result<Self> {
        let mut entropy = Entropy::fresh(&[id.as_bytes()])?;
        let to = SealedTo { kind: KeyKind::Recipient, argon2: None, recipient, pair: None };
        Self::with_entropy(owner, granted, id, to, label, now, &mut entropy)
    }

    fn seal_for(
        owner: &KeyBundle,
        granted: &KeyBundle,
        id: KeyId,
        secret: &KeySecret,
        label: &str,
        now: Timestamp,
    ) -> Result<Self> {
        secret.check_strength()?;
        let mut entropy = Entropy::fresh(&[id.as_bytes()])?;
        let argon2 =
            (secret.kind() == KeyKind::Passphrase).then(|| Argon2Params::current(&mut entropy));
        let pair = secret.key_pair(argon2.as_ref())?;
        let to = SealedTo { kind: secret.kind(), argon2, recipient: pair.public, pair: Some(pair) };
        Self::with_entropy(owner, granted, id, to, label, now, &mut entropy)
    }

    pub(crate) fn with_entropy(
        owner: &KeyBundle,
        granted: &KeyBundle,
        id: KeyId,
        to: SealedTo,
        label: &str,
        now: Timestamp,
        entropy: &mut Entropy,
    ) -> Result<Self> {
        if label.chars().count() > MAX_LABEL || label.chars().any(char::is_control) {
            return Err(Error::new(ErrorKind::Usage, "add key")
                .with("reason", "the label is too long or has control characters")
                .hint("Use a label of at most 200 printable characters."));
        }
        let root_seed = owner.root_seed("add key")?;
        if granted.repository() != owner.repository()
            || granted.root_public() != owner.root_public()
        {
            return Err(Error::new(ErrorKind::Usage, "add key")
                .with("reason", "the keys to grant belong to another repository"));
        }
        let binding =
            to.pair.map(|pair| binding(&pair, owner.repository(), id, &owner.root_public()));
        let mut record = Self {
            format: FORMAT,
            id,
            repository: owner.repository(),
            kind: to.kind,
            role: granted.role(),
            label: label.to_owned(),
            created_at: now,
            epoch: granted.current_epoch(),
            root: owner.root_public(),
            writer: granted.writer_public(),
            writer_nonce: granted.writer_nonce,
            argon2: to.argon2,
            recipient: to.recipient,
            binding: binding.transpose()?,
            encapped: [0; 32],
            sealed: Vec::new(),
            signature: [0; 64],
            extra: BTreeMap::new(),
        };
        record.fill(granted, root_seed, entropy)?;
        Ok(record)
    }

    /// Wraps newer keys (a new epoch) for the same recipient, whose secret is not needed. Keeps
    /// what the record grants: a writer's record stays that writer's. Owner only (`WrongKey`
    /// otherwise); `Integrity` if the record is not one of this repository.
    pub fn reseal(&self, bundle: &KeyBundle) -> Result<Self> {
        let mut entropy = Entropy::fresh(&[self.id.as_bytes(), &self.encapped])?;
        self.reseal_with(bundle, &mut entropy)
    }

    pub(crate) fn reseal_with(&self, bundle: &KeyBundle, entropy: &mut Entropy) -> Result<Self> {
        let root_seed = bundle.root_seed("rotate key")?;
        self.verify(&bundle.root_public())?;
        if self.repository != bundle.repository() {
            return Err(self.refused("the record belongs to another repository"));
        }
        let mut record = self.clone();
        record.epoch = bundle.current_epoch();
        match self.role {
            Role::Owner => {
                record.writer = bundle.writer_public();
                record.writer_nonce = bundle.writer_nonce;
                record.fill(bundle, root_seed, entropy)?;
            }
            Role::Writer => {
                let granted = bundle.writer_with_nonce(self.writer_nonce)?;
                if granted.writer_public() != self.writer {
                    return Err(self.refused("the writer's key does not fit its nonce"));
                }
                record.fill(&granted, root_seed, entropy)?;
            }
        }
        Ok(record)
    }

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

    fn fill(
        &mut self,
        granted: &KeyBundle,
        root_seed: &[u8; 32],
        entropy: &mut Entropy,
    ) -> Result<()> {
        let bundle = bundle_codec::encode(granted);
        let (encapped, sealed) = envelope::seal(&self.recipient, &self.info(), &bundle, entropy)
            .map_err(|cause| {
                Error::new(ErrorKind::Usage, "seal keys")
                    .with("key", self.id)
                    .because(cause)
                    .hint("Give a public key that was made from a key file.")
            })?;
        self.encapped = encapped;
        self.sealed = sealed;
        let message = record_codec::signed_bytes(self)?;
        self.signature = sign::sign(root_seed, sign::KEY_RECORD, "", &message);
        Ok(())
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
            && bundle.writer_nonce == self.writer_nonce
            && bundle.writer_public() == self.writer;
        if same { Ok(bundle) } else { Err(self.refused("the sealed keys are not those it states")) }
    }

    /// What the envelope binds: purpose, repository, record.
    fn info(&self) -> Vec<u8> {
        [kdf::BUNDLE_ENVELOPE, self.repository.as_bytes(), self.id.as_bytes()].concat()
    }

    fn refused(&self, reason: &str) -> Error {
        self.error(ErrorKind::Integrity)
            .with("reason", reason)
            .hint("The key record was damaged or replaced in the store; restore it from a copy, or use another key.")
    }

    fn error(&self, kind: ErrorKind) -> Error {
        Error::new(kind, "open key record").with("key", self.id).with("label", &self.label)
    }
}

/// Whom a record is made for.
pub(crate) struct SealedTo {
    pub(crate) kind: KeyKind,
    pub(crate) argon2: Option<Argon2Params>,
    pub(crate) recipient: [u8; 32],
    pub(crate) pair: Option<KeyPair>,
}

fn binding(
    pair: &KeyPair,
    repository: RepositoryId,
    id: KeyId,
    root: &[u8; 32],
) -> Result<[u8; 32]> {
    kdf::expand(&pair.binding_key, kdf::BINDING, &[repository.as_bytes(), id.as_bytes(), root])
}
