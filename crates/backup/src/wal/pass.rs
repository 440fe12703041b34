//! A writer's keys kept in memory between pushes, so that a passphrase is stretched once an hour
//! and not for every segment.
//!
//! The pass is a file in the machine's memory (`$XDG_RUNTIME_DIR`, else `/dev/shm`), readable by
//! its owner alone. It holds what a write-only host holds: keys that can add objects and open
//! none. It is bound to the repository's URL, to the `config` object there, and to the secret
//! that it was made with.

use std::io::Read;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use backup_crypto::{KeyBundle, KeySecret};
use bytes::Bytes;

const MAGIC: &[u8; 8] = b"BKPASS01";
const SALT: usize = 32;
const HASH: usize = 32;
/// How long a pass is good for: a removed key can add objects for as long.
const LIFETIME: Duration = Duration::from_secs(60 * 60);
const LONGEST: u64 = 1 << 20;

/// Where the pass for one repository is, and what it is bound to.
#[derive(Clone, Debug)]
pub struct WriterPass {
    path: PathBuf,
    bound: [u8; HASH],
}

impl WriterPass {
    /// Returns the place of the pass for a repository; `None` where there is no memory to keep it
    /// in, and for key files, which need no stretching.
    #[must_use]
    pub fn of(url: &str, config: &Bytes, secret: &KeySecret) -> Option<Self> {
        let KeySecret::Passphrase(passphrase) = secret else { return None };
        let folder = folder()?;
        let mut hasher = blake3::Hasher::new_derive_key("backup.v1 2026-11 writer pass");
        for part in [url.as_bytes(), config, passphrase.expose().as_bytes()] {
            hasher.update(&(part.len() as u64).to_be_bytes());
            hasher.update(part);
        }
        let name = blake3::hash(&[url.as_bytes(), config].concat()).to_hex();
        let path = folder.join(&name[..32]);
        Some(Self { path, bound: *hasher.finalize().as_bytes() })
    }

    /// Returns the keys of a pass that is there, ours, young, and made with the same secret.
    #[must_use]
    pub fn read(&self) -> Option<KeyBundle> {
        let file = open(&self.path).ok()?;
        let metadata = file.metadata().ok()?;
        let age = SystemTime::now().duration_since(metadata.modified().ok()?).ok()?;
        if !is_private(&metadata) || metadata.len() > LONGEST || age > LIFETIME {
            return None;
        }
        let mut bytes = zeroize::Zeroizing::new(Vec::new());
        let mut file = file;
        file.read_to_end(&mut bytes).ok()?;
        let rest = bytes.strip_prefix(MAGIC.as_slice())?;
        let (salt, rest) = rest.split_at_checked(SALT)?;
        let (stated, keys) = rest.split_at_checked(HASH)?;
        let expected = self.verifier(salt.try_into().ok()?);
        // `Hash` compares in constant time.
        if blake3::Hash::from_bytes(expected) != blake3::Hash::from_bytes(stated.try_into().ok()?) {
            return None;
        }
        KeyBundle::from_bytes(keys).ok().filter(|keys| !keys.can_read())
    }

    /// Keeps a writer's keys; those that can read are not kept. A pass that cannot be kept costs
    /// time, nothing else.
    pub fn keep(&self, keys: &KeyBundle) {
        if keys.can_read() {
            return;
        }
        let encoded = keys.to_bytes();
        let mut salt = [0; SALT];
        if getrandom::fill(&mut salt).is_err() {
            return;
        }
        let mut bytes =
            zeroize::Zeroizing::new(Vec::with_capacity(8 + SALT + HASH + encoded.len()));
        bytes.extend_from_slice(MAGIC);
        bytes.extend_from_slice(&salt);
        bytes.extend_from_slice(&self.verifier(salt));
        bytes.extend_from_slice(&encoded);
        if let Err(error) = write(&self.path, &bytes) {
            tracing::debug!(path = %self.path.display(), %error, "the writer's keys are not kept");
        }
    }

    /// Forgets it.
    pub fn forget(&self) {
        let _ = std::fs::remove_file(&self.path);
    }

    fn verifier(&self, salt: [u8; SALT]) -> [u8; HASH] {
        *blake3::keyed_hash(&salt, &self.bound).as_bytes()
    }
}

/// Returns a folder in memory that is ours alone.
fn folder() -> Option<PathBuf> {
    let user = rustix::process::getuid().as_raw();
    let runtime = std::env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from);
    let runtime =
        runtime.filter(|folder| folder.is_absolute()).map(|folder| folder.join("backupctl"));
    let shared = Path::new("/dev/shm").join(format!("backupctl-{user}"));
    [runtime, Some(shared)].into_iter().flatten().find(|folder| is_ours(folder))
}

fn is_ours(folder: &Path) -> bool {
    let _ = std::fs::DirBuilder::new().mode(0o700).create(folder);
    folder.symlink_metadata().is_ok_and(|metadata| metadata.is_dir() && is_private(&metadata))
}

fn is_private(metadata: &std::fs::Metadata) -> bool {
    metadata.uid() == rustix::process::getuid().as_raw() && metadata.mode() & 0o077 == 0
}

fn open(path: &Path) -> std::io::Result<std::fs::File> {
    let flags = rustix::fs::OFlags::NOFOLLOW.bits().cast_signed();
    std::fs::OpenOptions::new().read(true).custom_flags(flags).open(path)
}

fn write(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let temporary = path.with_extension(std::process::id().to_string());
    let _ = std::fs::remove_file(&temporary);
    let mut file =
        std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&temporary)?;
    std::io::Write::write_all(&mut file, bytes)?;
    std::fs::rename(&temporary, path)
}
