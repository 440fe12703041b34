//! Seals and opens objects; wraps and unwraps keys.
//!
//! **What it is.** The whole cryptography of a repository in one place: the [`KeyBundle`] (what
//! a host needs to know), the [`KeyRecord`] (that bundle wrapped for one [`KeySecret`]: a
//! passphrase, a key file, or a bare X25519 recipient), [`ObjectSealer`] and [`ObjectOpener`]
//! (every byte that reaches a store), [`ChunkIdKey`] (names of chunks that say nothing to a
//! stranger), and signatures. All multi-byte integers, on disk and inside derivations, are
//! big-endian.
//!
//! **What it is not.** It does no IO and knows no store; it does not decide when keys rotate,
//! who may write, or which objects exist. It invents no primitive: HPKE (RFC 9180, DHKEM X25519,
//! HKDF-SHA256, AES-256-GCM), AES-256-GCM, HKDF-SHA256, Argon2id, Ed25519 and BLAKE3.
//!
//! ```
//! use backup_core::{KeyId, RepositoryId, Secret};
//! use backup_crypto::{KeyBundle, KeyRecord, KeySecret, ObjectKind, ObjectOpener, ObjectSealer};
//!
//! let bundle = KeyBundle::generate(RepositoryId([1; 16]))?;
//!
//! // What a person keeps, and what the repository stores for it.
//! let secret = KeySecret::KeyFile(backup_crypto::generate_key_file()?);
//! let record = KeyRecord::seal(&bundle, KeyId([2; 16]), &secret, "laptop", "2026-01-01T00:00Z".parse()?)?;
//! let bundle = KeyRecord::from_bytes(&record.to_bytes()?)?.open(&secret)?;
//!
//! // One object: a header, then frames; the last one says so.
//! let mut sealer = ObjectSealer::new(&bundle, ObjectKind::Pack, [3; 16], &[b"first chunk"])?;
//! let header = *sealer.header();
//! let mut frame = Vec::new();
//! sealer.seal(true, b"", b"first chunk", &mut frame)?;
//!
//! let opener = ObjectOpener::new(&bundle, ObjectKind::Pack, [3; 16], &header)?;
//! assert_eq!(opener.open(0, true, b"", &frame)?, b"first chunk");
//!
//! // A host that only writes cannot open what it wrote.
//! assert!(ObjectOpener::new(&bundle.writer()?, ObjectKind::Pack, [3; 16], &header).is_err());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod bundle;
mod bundle_codec;
mod chunk;
mod entropy;
mod envelope;
mod frame;
#[cfg(test)]
mod golden;
mod header;
mod hex;
#[cfg(test)]
mod hostile;
mod kdf;
mod key_file;
mod opener;
mod passphrase;
mod record;
mod record_codec;
mod record_seal;
mod sealer;
mod secret;
mod sign;

pub use bundle::{KeyBundle, Role};
pub use chunk::ChunkIdKey;
pub use frame::{MAX_FRAME_LEN, TAG_LEN};
pub use header::{HEADER_LEN, ObjectHeader, ObjectKind};
pub use key_file::generate_key_file;
pub use opener::ObjectOpener;
pub use record::{KeyKind, KeyRecord};
pub use sealer::ObjectSealer;
pub use secret::KeySecret;
pub use sign::{verify_signature, verify_writer};
