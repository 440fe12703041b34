//! What a person or a host holds to open a repository.

use backup_core::{Error, ErrorKind, Result, Secret};
use zeroize::Zeroizing;

use crate::passphrase::{Argon2Params, trim};
use crate::record::KeyKind;
use crate::{envelope, kdf, key_file};

/// A secret that opens a [`KeyRecord`](crate::KeyRecord).
#[derive(Clone, Debug)]
pub enum KeySecret {
    /// A passphrase: its UTF-8 bytes as they are, except one line ending at the end.
    Passphrase(Secret),
    /// The text of a key file or recovery key, see
    /// [`generate_key_file`](crate::generate_key_file).
    KeyFile(Secret),
}

impl KeySecret {
    /// Returns the X25519 public key of a key file, to which an owner elsewhere can seal with
    /// [`KeyRecord::seal_to_recipient`](crate::KeyRecord::seal_to_recipient). `ConfigInvalid`
    /// if the text has a typo; `Unsupported` for a passphrase, which has no key of its own.
    pub fn recipient(&self) -> Result<[u8; 32]> {
        Ok(self.key_pair(None)?.public)
    }

    /// Returns the kind of record it opens.
    pub(crate) fn kind(&self) -> KeyKind {
        match self {
            Self::Passphrase(_) => KeyKind::Passphrase,
            Self::KeyFile(_) => KeyKind::KeyFile,
        }
    }

    /// Refuses a passphrase that protects nothing.
    pub(crate) fn check_strength(&self) -> Result<()> {
        match self {
            Self::Passphrase(text) if trim(text.expose()).is_empty() => {
                Err(Error::new(ErrorKind::Usage, "add key")
                    .with("reason", "the passphrase is empty")
                    .hint("Give a passphrase of several words, or use a key file."))
            }
            _ => Ok(()),
        }
    }

    /// Derives the key pair that a record is sealed to.
    pub(crate) fn key_pair(&self, params: Option<&Argon2Params>) -> Result<KeyPair> {
        let material = match (self, params) {
            (Self::Passphrase(text), Some(params)) => params.stretch(text.expose())?,
            (Self::KeyFile(text), _) => key_file::parse(text.expose())?,
            (Self::Passphrase(_), None) => {
                return Err(Error::new(ErrorKind::Unsupported, "derive key from passphrase")
                    .hint("Use a key file: a passphrase needs the salt of its record."));
            }
        };
        let okm = kdf::derive::<64>(&[], material.as_slice(), kdf::KEY_ENCRYPTION, &[])?;
        let mut pair = KeyPair {
            secret: Zeroizing::new([0; 32]),
            binding_key: Zeroizing::new([0; 32]),
            public: [0; 32],
        };
        pair.secret.copy_from_slice(&okm[..32]);
        pair.binding_key.copy_from_slice(&okm[32..]);
        pair.public = envelope::public_key(&pair.secret);
        Ok(pair)
    }
}

/// What a secret turns into.
pub(crate) struct KeyPair {
    pub(crate) public: [u8; 32],
    pub(crate) secret: Zeroizing<[u8; 32]>,
    /// Authenticates the repository's root to the holder of the secret.
    pub(crate) binding_key: Zeroizing<[u8; 32]>,
}
