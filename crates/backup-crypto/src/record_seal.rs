//! Making key records: for a new secret, and anew for an old one.

use std::collections::BTreeMap;

use backup_core::{Error, ErrorKind, KeyId, Result};
use jiff::Timestamp;

use crate::bundle::Role;
use crate::entropy::Entropy;
use crate::passphrase::Argon2Params;
use crate::record::{FORMAT, KeyKind, KeyRecord, binding};
use crate::secret::{KeyPair, KeySecret};
use crate::{KeyBundle, bundle_codec, envelope, record_codec, sign};

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
            epoch_public: granted.newest().public,
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
    /// otherwise); `Integrity` if the record is not one of this repository; `Conflict` if the
    /// record's epoch is not one of the bundle's: somebody else rotated, and that key would be
    /// lost.
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
        if !bundle.holds_epoch(self.epoch, &self.epoch_public) {
            return Err(Error::new(ErrorKind::Conflict, "rotate key")
                .with("key", self.id)
                .with("epoch", self.epoch)
                .hint("The keys were rotated since the repository was opened; open it again."));
        }
        let mut record = self.clone();
        record.epoch = bundle.current_epoch();
        record.epoch_public = bundle.newest().public;
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

    /// Seals the keys to the record's recipient and signs everything.
    pub(crate) fn fill(
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
}

/// Whom a record is made for.
pub(crate) struct SealedTo {
    pub(crate) kind: KeyKind,
    pub(crate) argon2: Option<Argon2Params>,
    pub(crate) recipient: [u8; 32],
    pub(crate) pair: Option<KeyPair>,
}
