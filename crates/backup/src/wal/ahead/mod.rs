//! Fetching ahead: while a server replays one segment, the next ones are fetched.
//!
//! The first fetch of a recovery starts a second process, the helper, which opens the repository
//! once. It keeps a few segments ready in `.backupctl-ahead` beside the file asked for; every later
//! fetch of one is a rename. What is not ready is asked for over a socket in that folder. What lies
//! there was checked as every fetched file is. The helper ends when nobody wants anything any more,
//! or when the folder goes away; it holds a lock, so there is one. Whatever it does not do, the
//! fetch does itself.

mod helper;
mod keep;
mod take;

use std::fs::{DirBuilder, File, TryLockError};
use std::os::fd::AsRawFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};

use backup_core::{Error, ErrorKind, SourceName};
use backup_crypto::KeySecret;
use serde::{Deserialize, Serialize};

pub use helper::AheadHelper;
pub use take::{Ahead, Asked, ask_ahead, remove_ahead, take_ahead};

const FOLDER: &str = ".backupctl-ahead";
const LOCK: &str = "lock";
const SOCKET: &str = "socket";
/// An address has room for a path of 107 bytes.
const LONGEST: usize = 100;

/// Who asks: a helper answers only those who mean what it means.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Asker {
    /// The repository, as [`repository_place`](crate::repository_place) names it.
    pub repository: String,
    /// The source that was named, if any.
    pub source: Option<SourceName>,
    /// The cluster that was named, if any.
    pub system: Option<u64>,
    /// Of what opens the repository: whoever has another key gets nothing of one that it opens.
    secret: String,
}

impl Asker {
    /// Names who asks; `secret` is only compared.
    #[must_use]
    pub fn new(
        repository: String,
        source: Option<SourceName>,
        system: Option<u64>,
        secret: &KeySecret,
    ) -> Self {
        let mut hasher = blake3::Hasher::new_derive_key("backup.v1 2026-11 asker of wal");
        let (kind, secret) = match secret {
            KeySecret::Passphrase(secret) => ("passphrase", secret),
            KeySecret::KeyFile(secret) => ("key file", secret),
        };
        for part in [&repository, kind, secret.expose()] {
            hasher.update(&(part.len() as u64).to_be_bytes());
            hasher.update(part.as_bytes());
        }
        let secret = hasher.finalize().to_hex().to_string();
        Self { repository, source, system, secret }
    }
}

/// What is asked for; a name, since a helper of another version may not know all of them.
#[derive(Serialize, Deserialize)]
struct Wanted {
    asker: Asker,
    file: String,
}

/// What a helper answers. Where it cannot, it hangs up.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Answer {
    /// The file lies in the folder under this name.
    Ready(String),
    /// The repository was asked just now, and said that it is not there.
    NotThere,
}

fn folder_of(path: &Path) -> PathBuf {
    path.parent().unwrap_or_else(|| Path::new("")).join(FOLDER)
}

/// A segment that is on its way to its place.
fn part(ready: &Path) -> PathBuf {
    ready.with_extension("part")
}

/// Makes the folder, for its owner alone.
fn make(folder: &Path) -> std::io::Result<()> {
    match DirBuilder::new().mode(0o700).create(folder) {
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => Ok(()),
        made => made,
    }
}

/// Whether nobody else can have put anything there.
fn is_ours(folder: &Path) -> bool {
    let user = rustix::process::geteuid().as_raw();
    folder.symlink_metadata().is_ok_and(|metadata| {
        metadata.is_dir() && metadata.uid() == user && metadata.mode() & 0o022 == 0
    })
}

fn is_helped(folder: &Path) -> bool {
    let Ok(lock) = File::open(folder.join(LOCK)) else { return false };
    matches!(lock.try_lock_shared(), Err(TryLockError::WouldBlock))
}

/// Returns the address of a folder's socket, and what must stay open as long as it is used: a long
/// path is reached by way of the open folder.
fn address(folder: &Path) -> std::io::Result<(PathBuf, Option<File>)> {
    let plain = folder.join(SOCKET);
    if plain.as_os_str().as_bytes().len() <= LONGEST {
        return Ok((plain, None));
    }
    let open = File::open(folder)?;
    let short = format!("/proc/self/fd/{}/{SOCKET}", open.as_raw_fd());
    Ok((short.into(), Some(open)))
}

fn failed(folder: &Path, error: std::io::Error) -> Error {
    Error::new(ErrorKind::Failed, "fetch WAL ahead").with("folder", folder.display()).because(error)
}
