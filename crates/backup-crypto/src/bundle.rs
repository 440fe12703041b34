//! The keys of a repository, as one host knows them.

use std::fmt;

use backup_core::{Error, ErrorKind, RepositoryId, Result, WriterId};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::entropy::Entropy;
use crate::{ChunkIdKey, bundle_codec, envelope, kdf, sign};

/// What the holder of a bundle may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Everything: read, write, admit and rotate keys.
    Owner,
    /// Write new objects, and recognise chunks it has the plaintext of. Read nothing.
    Writer,
}

/// The keys of a repository: the root that vouches for everything, one key pair per epoch that
/// objects are sealed to, the keys that name and cut chunks, and the key that signs as a writer.
///
/// A writer's bundle lacks the root seed and the secret halves of all epochs. Secrets are wiped
/// on drop, and `Debug` shows none.
#[derive(Clone)]
pub struct KeyBundle {
    pub(crate) repository: RepositoryId,
    pub(crate) root_public: [u8; 32],
    pub(crate) root_seed: Option<Zeroizing<[u8; 32]>>,
    pub(crate) chunk_id_key: Zeroizing<[u8; 32]>,
    pub(crate) gear_key: Zeroizing<[u8; 32]>,
    pub(crate) writer_nonce: [u8; 16],
    pub(crate) writer_seed: Zeroizing<[u8; 32]>,
    pub(crate) writer_certificate: [u8; 64],
    /// Ascending, never empty.
    pub(crate) epochs: Epochs,
}

/// One key pair that objects are sealed to.
#[derive(Clone)]
pub(crate) struct Epoch {
    pub(crate) number: u32,
    pub(crate) public: [u8; 32],
    pub(crate) secret: Option<Zeroizing<[u8; 32]>>,
}

/// The newest epoch, and those before it, oldest first.
#[derive(Clone)]
pub(crate) struct Epochs {
    pub(crate) older: Vec<Epoch>,
    pub(crate) newest: Epoch,
}

impl Epochs {
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Epoch> {
        self.older.iter().chain([&self.newest])
    }
}

/// More epochs than a repository that rotates daily sees in a century; keeps bundles small.
pub(crate) const MAX_EPOCHS: usize = 1024;

impl KeyBundle {
    /// Makes the keys of a new repository: an owner's bundle at epoch 0.
    pub fn generate(repository: RepositoryId) -> Result<Self> {
        Self::with_entropy(repository, &mut Entropy::fresh(&[repository.as_bytes()])?)
    }

    pub(crate) fn with_entropy(repository: RepositoryId, entropy: &mut Entropy) -> Result<Self> {
        let root_seed = entropy.secret();
        let newest = Epoch::draw(0, entropy);
        let chunk_id_key = entropy.secret();
        let gear_key = entropy.secret();
        let writer = WriterKey::derive(repository, &root_seed, entropy.bytes())?;
        Ok(Self {
            repository,
            root_public: sign::public_key(&root_seed),
            root_seed: Some(root_seed),
            chunk_id_key,
            gear_key,
            writer_nonce: writer.nonce,
            writer_seed: writer.seed,
            writer_certificate: writer.certificate,
            epochs: Epochs { older: Vec::new(), newest },
        })
    }

    /// Makes a bundle for a host that only writes: no secret half, a writer key of its own.
    /// Owner only; `WrongKey` otherwise.
    pub fn writer(&self) -> Result<Self> {
        self.writer_with_nonce(Entropy::fresh(&[self.repository.as_bytes()])?.bytes())
    }

    /// Makes the writer's bundle that this nonce determines: an owner can make the same one
    /// again, with newer epochs, without asking the host.
    pub(crate) fn writer_with_nonce(&self, nonce: [u8; 16]) -> Result<Self> {
        let writer = WriterKey::derive(self.repository, self.root_seed("admit writer")?, nonce)?;
        let mut bundle = self.clone();
        bundle.root_seed = None;
        bundle.writer_nonce = writer.nonce;
        bundle.writer_seed = writer.seed;
        bundle.writer_certificate = writer.certificate;
        bundle.epochs.newest.secret = None;
        for epoch in &mut bundle.epochs.older {
            epoch.secret = None;
        }
        Ok(bundle)
    }

    /// Opens a new epoch and returns its number: objects sealed from now on need its key.
    /// Older epochs stay readable. Owner only; `WrongKey` otherwise.
    pub fn add_epoch(&mut self) -> Result<u32> {
        let mut entropy = Entropy::fresh(&[self.repository.as_bytes()])?;
        self.add_epoch_with(&mut entropy)
    }

    pub(crate) fn add_epoch_with(&mut self, entropy: &mut Entropy) -> Result<u32> {
        self.root_seed("open new epoch")?;
        let number = self.current_epoch().checked_add(1);
        let full = self.epochs.older.len() + 1 >= MAX_EPOCHS;
        let Some(number) = number.filter(|_| !full) else {
            return Err(Error::new(ErrorKind::Failed, "open new epoch")
                .with("epochs", MAX_EPOCHS)
                .hint("Start a new repository: this one has rotated its data key too often."));
        };
        let before = std::mem::replace(&mut self.epochs.newest, Epoch::draw(number, entropy));
        self.epochs.older.push(before);
        Ok(number)
    }

    /// Returns the bundle as bytes, for a place that is as secret as the bundle itself.
    #[must_use]
    pub fn to_bytes(&self) -> Zeroizing<Vec<u8>> {
        bundle_codec::encode(self)
    }

    /// Reads a bundle and checks that its parts belong together; `Integrity` if not,
    /// `Unsupported` if a newer program wrote it.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self> {
        bundle_codec::decode(bytes)
    }

    /// Returns the key that names chunks.
    #[must_use]
    pub fn chunk_ids(&self) -> ChunkIdKey {
        ChunkIdKey::new(*self.chunk_id_key)
    }

    /// Returns the secret that a content-defined chunker's gear table is made from.
    #[must_use]
    pub fn gear_seed(&self) -> [u8; 32] {
        *self.gear_key
    }

    /// Returns which repository these are the keys of.
    #[must_use]
    pub fn repository(&self) -> RepositoryId {
        self.repository
    }

    /// Returns what the holder may do.
    #[must_use]
    pub fn role(&self) -> Role {
        if self.root_seed.is_some() { Role::Owner } else { Role::Writer }
    }

    /// Returns whether objects can be opened with it.
    #[must_use]
    pub fn can_read(&self) -> bool {
        self.epochs.newest.secret.is_some()
    }

    /// Returns whether it can admit and rotate keys.
    #[must_use]
    pub fn is_owner(&self) -> bool {
        self.role() == Role::Owner
    }

    /// Returns the epoch that new objects are sealed to.
    #[must_use]
    pub fn current_epoch(&self) -> u32 {
        self.epochs.newest.number
    }

    /// Returns the Ed25519 key that vouches for the repository's keys; its fingerprint belongs
    /// on the recovery sheet.
    #[must_use]
    pub fn root_public(&self) -> [u8; 32] {
        self.root_public
    }

    /// Returns the id under which this bundle writes.
    #[must_use]
    pub fn writer_id(&self) -> WriterId {
        let digest = blake3::hash(&self.writer_public());
        let mut id = [0; 16];
        id.copy_from_slice(&digest.as_bytes()[..16]);
        WriterId(id)
    }

    /// Returns the Ed25519 key that checks what this bundle signs as a writer.
    #[must_use]
    pub fn writer_public(&self) -> [u8; 32] {
        sign::public_key(&self.writer_seed)
    }

    /// Returns the root's statement that this writer belongs to the repository; public, to be
    /// stored beside signatures and checked with [`verify_writer`](crate::verify_writer).
    #[must_use]
    pub fn writer_certificate(&self) -> [u8; 64] {
        self.writer_certificate
    }

    /// Signs as this writer; `domain` names what is signed ("manifest").
    #[must_use]
    pub fn sign_as_writer(&self, domain: &str, message: &[u8]) -> [u8; 64] {
        sign::sign_message(&self.writer_seed, domain, message)
    }

    /// Signs as the repository's root. Owner only; `WrongKey` otherwise.
    pub fn sign_as_root(&self, domain: &str, message: &[u8]) -> Result<[u8; 64]> {
        Ok(sign::sign_message(self.root_seed("sign as repository")?, domain, message))
    }

    /// Returns the root's seed, or `WrongKey` for a writer.
    pub(crate) fn root_seed(&self, operation: &str) -> Result<&[u8; 32]> {
        self.root_seed.as_deref().ok_or_else(|| {
            Error::new(ErrorKind::WrongKey, operation)
                .with("role", "writer")
                .hint("Use an owner's passphrase or key file; this host's key can only write.")
        })
    }

    pub(crate) fn newest(&self) -> &Epoch {
        &self.epochs.newest
    }

    /// Returns whether this epoch is one of ours, and not another's of the same number.
    pub(crate) fn holds_epoch(&self, number: u32, public: &[u8; 32]) -> bool {
        self.epochs.iter().any(|epoch| epoch.number == number && epoch.public == *public)
    }

    pub(crate) fn epoch_secret(&self, number: u32) -> Option<&[u8; 32]> {
        self.epochs.iter().find(|epoch| epoch.number == number)?.secret.as_deref()
    }
}

impl Epoch {
    fn draw(number: u32, entropy: &mut Entropy) -> Self {
        let secret = entropy.secret();
        Self { number, public: envelope::public_key(&secret), secret: Some(secret) }
    }
}

/// A writer's key, derived from the root so that an owner can wrap it anew at any time.
struct WriterKey {
    nonce: [u8; 16],
    seed: Zeroizing<[u8; 32]>,
    certificate: [u8; 64],
}

impl WriterKey {
    fn derive(repository: RepositoryId, root_seed: &[u8; 32], nonce: [u8; 16]) -> Result<Self> {
        let seed = kdf::derive(&nonce, root_seed, kdf::WRITER_KEY, &[repository.as_bytes()])?;
        let certified = sign::certified(repository, &sign::public_key(&seed));
        Ok(Self { nonce, certificate: sign::sign(root_seed, sign::WRITER, "", &certified), seed })
    }
}

impl fmt::Debug for KeyBundle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyBundle")
            .field("repository", &self.repository)
            .field("role", &self.role())
            .field("epoch", &self.current_epoch())
            .field("writer", &self.writer_id())
            .finish_non_exhaustive()
    }
}
