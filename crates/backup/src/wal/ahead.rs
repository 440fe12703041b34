//! Fetching ahead: while a server replays one segment, the next ones are fetched.
//!
//! The first fetch of a recovery starts a second process that keeps a few segments ready in
//! `.backupctl-ahead` beside the file asked for; every later fetch is a rename. What lies there
//! was checked as every fetched file is. The helper ends when the WAL ends, when nobody takes
//! anything for a minute, or when the folder goes away; it holds a lock, so there is one.

use std::fs::{File, TryLockError};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use backup_core::{Error, ErrorKind, Result, WalFile, WalSegment};
use backup_ops::wal::WalLog;
use backup_repository::Repository;

use super::fetch::{WalFetchRequest, log_of, read};

/// Segments kept ready, 16 MiB each as a rule.
const READY: usize = 8;
const FOLDER: &str = ".backupctl-ahead";
const LOOK: Duration = Duration::from_millis(5);
/// A fetch waits so long for a segment that is just being fetched.
const PATIENCE: Duration = Duration::from_secs(30);
const IDLE: Duration = Duration::from_secs(60);

/// What a fetch finds before it asks the repository.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ahead {
    /// The file is in its place.
    Taken {
        /// Whether a helper goes on fetching; if not, one should be started for what follows.
        helped: bool,
    },
    /// It has to be fetched.
    Missing {
        /// Whether a helper is at work.
        helped: bool,
    },
}

/// Takes a segment that was fetched ahead, waiting for it if it is just being fetched.
pub fn take_ahead(file: WalFile, path: &Path) -> Ahead {
    let WalFile::Segment(segment) = file else { return Ahead::Missing { helped: true } };
    let folder = folder_of(path);
    let ready = folder.join(segment.to_string());
    let begun = Instant::now();
    loop {
        if std::fs::rename(&ready, path).is_ok() {
            return Ahead::Taken { helped: is_helped(&folder) };
        }
        let helped = is_helped(&folder);
        let coming = part(&ready).exists();
        // It may have become ready between the two looks.
        if ready.exists() {
            continue;
        }
        if !helped || !coming || begun.elapsed() > PATIENCE {
            want(&folder, segment);
            return Ahead::Missing { helped };
        }
        std::thread::sleep(LOOK);
    }
}

/// Removes what was fetched ahead and not taken; a helper that is at work keeps its folder.
pub fn remove_ahead(path: &Path) {
    let folder = folder_of(path);
    if !is_helped(&folder) {
        let _ = std::fs::remove_dir_all(folder);
    }
}

/// The helper: keeps the segments after `request.file` ready until there are no more. Returns at
/// once where another one is at work.
///
/// `size` is the length of a segment; `request.file` itself is fetched by whoever started this.
pub async fn fetch_ahead(
    repository: &Repository,
    request: &WalFetchRequest,
    size: u64,
) -> Result<()> {
    let WalFile::Segment(first) = request.file else { return Ok(()) };
    // The server signals the group of the command that started this; failing to leave it only
    // means to end earlier.
    let _ = rustix::process::setsid();
    let folder = folder_of(&request.path);
    if let Err(error) = std::fs::create_dir(&folder)
        && error.kind() != std::io::ErrorKind::AlreadyExists
    {
        return Err(failed(&folder, error));
    }
    let lock = File::create(folder.join("lock")).map_err(|error| failed(&folder, error))?;
    match lock.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => return Ok(()),
        Err(TryLockError::Error(error)) => return Err(failed(&folder, error)),
    }
    let Some(log) = log_of(repository, request).await? else { return Ok(()) };
    let ended = keep_ready(repository, &log, &folder, first, size).await;
    // What is left is needed by nobody who will not fetch it himself.
    if !matches!(ended, Ok(Ending::WalEnded)) {
        let _ = std::fs::remove_dir_all(&folder);
    }
    ended.map(|_| ())
}

enum Ending {
    WalEnded,
    Idle,
}

async fn keep_ready(
    repository: &Repository,
    log: &WalLog,
    folder: &Path,
    first: WalSegment,
    size: u64,
) -> Result<Ending> {
    let mut segment = first;
    let mut idle = Instant::now();
    let mut waiting = usize::MAX;
    loop {
        if let Some(wanted) = wanted(folder).filter(|wanted| *wanted != segment) {
            // The server went elsewhere: another timeline, or back.
            clear(folder);
            (segment, waiting) = (wanted, usize::MAX);
        }
        let Some(next) = segment.next(size) else { return Ok(Ending::WalEnded) };
        loop {
            let ready = ready(folder)?;
            if ready != waiting {
                (waiting, idle) = (ready, Instant::now());
            }
            if ready < READY {
                break;
            }
            if idle.elapsed() > IDLE {
                return Ok(Ending::Idle);
            }
            tokio::time::sleep(LOOK).await;
        }
        // Only what is final: an unfinished one may be longer when it is needed.
        if repository.find_wal(log, WalFile::Segment(next)).await?.is_empty() {
            return Ok(Ending::WalEnded);
        }
        let target = folder.join(next.to_string());
        let part = part(&target);
        std::fs::write(&part, b"").map_err(|error| failed(folder, error))?;
        let content = read(repository, log, WalFile::Segment(next)).await;
        let Some(content) = content.inspect_err(|_| drop(std::fs::remove_file(&part)))? else {
            let _ = std::fs::remove_file(&part);
            return Ok(Ending::WalEnded);
        };
        let put = std::fs::write(&part, content).and_then(|()| std::fs::rename(&part, &target));
        put.map_err(|error| failed(folder, error))?;
        segment = next;
    }
}

/// Returns how many segments are ready.
fn ready(folder: &Path) -> Result<usize> {
    let entries = std::fs::read_dir(folder).map_err(|error| failed(folder, error))?;
    let whole = |name: std::ffi::OsString| {
        name.to_str().is_some_and(|name| name.parse::<WalSegment>().is_ok())
    };
    Ok(entries.flatten().filter(|entry| whole(entry.file_name())).count())
}

fn clear(folder: &Path) {
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let name = entry.file_name();
        if name.to_str().is_some_and(|name| name.parse::<WalSegment>().is_ok()) {
            let _ = std::fs::remove_file(entry.path());
        }
    }
}

/// Tells the helper, if there is one, from where on WAL is wanted.
fn want(folder: &Path, segment: WalSegment) {
    // Without a folder there is no helper to tell.
    let part = folder.join(format!("want.{}", std::process::id()));
    if std::fs::write(&part, segment.to_string()).is_ok() {
        let _ = std::fs::rename(part, folder.join("want"));
    }
}

fn wanted(folder: &Path) -> Option<WalSegment> {
    let path = folder.join("want");
    let text = std::fs::read_to_string(&path).ok()?;
    let _ = std::fs::remove_file(path);
    text.parse().ok()
}

fn is_helped(folder: &Path) -> bool {
    let Ok(lock) = File::open(folder.join("lock")) else { return false };
    matches!(lock.try_lock_shared(), Err(TryLockError::WouldBlock))
}

fn folder_of(path: &Path) -> PathBuf {
    path.parent().unwrap_or_else(|| Path::new("")).join(FOLDER)
}

fn part(ready: &Path) -> PathBuf {
    ready.with_extension("part")
}

fn failed(folder: &Path, error: std::io::Error) -> Error {
    Error::new(ErrorKind::Failed, "fetch WAL ahead").with("folder", folder.display()).because(error)
}
