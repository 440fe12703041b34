//! The side of a fetch: take what is ready, ask for what is not.

use std::path::Path;
use std::process::Child;
use std::time::{Duration, Instant};

use backup_core::{WalFile, WalSegment};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::UnixStream;

use super::{Answer, Asker, Wanted, address, folder_of, is_helped, is_ours, part};

const LOOK: Duration = Duration::from_millis(2);
/// A fetch waits so long for a segment that is just being fetched, and for a helper to start.
const PATIENCE: Duration = Duration::from_secs(30);

/// What a fetch finds before it asks anybody.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ahead {
    /// The file is in its place.
    Taken,
    /// It has to be fetched.
    Missing {
        /// Whether a helper is at work.
        helped: bool,
    },
}

/// What came of asking the helper.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asked {
    /// The file is in its place.
    InPlace,
    /// The helper has asked the repository, which said that it is not there.
    NotThere,
    /// The helper did not do it, or there is none.
    Unanswered,
}

/// Takes a segment that was fetched ahead, waiting for it if it is just being fetched.
pub async fn take_ahead(file: WalFile, path: &Path) -> Ahead {
    let folder = folder_of(path);
    if !is_ours(&folder) {
        return Ahead::Missing { helped: false };
    }
    let WalFile::Segment(segment) = file else {
        return Ahead::Missing { helped: is_helped(&folder) };
    };
    let ready = folder.join(segment.to_string());
    let begun = Instant::now();
    loop {
        if std::fs::rename(&ready, path).is_ok() {
            return Ahead::Taken;
        }
        let helped = is_helped(&folder);
        let coming = part(&ready).exists();
        // It may have become ready between the two looks.
        if ready.exists() {
            continue;
        }
        if !helped || !coming || begun.elapsed() > PATIENCE {
            return Ahead::Missing { helped };
        }
        tokio::time::sleep(LOOK).await;
    }
}

/// Asks the helper for a file; one that was just started is waited for while it starts.
pub async fn ask_ahead(
    asker: Asker,
    file: WalFile,
    path: &Path,
    mut started: Option<Child>,
) -> Asked {
    let folder = folder_of(path);
    let begun = Instant::now();
    let stream = loop {
        if let Ok(stream) = connect(&folder).await {
            break stream;
        }
        match started.as_mut().map(Child::try_wait) {
            Some(Ok(None)) if begun.elapsed() < PATIENCE => tokio::time::sleep(LOOK).await,
            // It leaves the work to one that was faster.
            Some(Ok(Some(status))) if status.success() => started = None,
            _ => return Asked::Unanswered,
        }
    };
    match ask(stream, asker, file).await {
        Ok(Answer::NotThere) => Asked::NotThere,
        // A name, not a way to elsewhere.
        Ok(Answer::Ready(name)) if !name.contains('/') => {
            match std::fs::rename(folder.join(name), path) {
                Ok(()) => Asked::InPlace,
                Err(_) => Asked::Unanswered,
            }
        }
        Ok(Answer::Ready(_)) => Asked::Unanswered,
        Err(error) => {
            tracing::debug!(%error, "the helper does not fetch the file");
            Asked::Unanswered
        }
    }
}

/// Removes what was fetched ahead and not taken; a helper that is at work keeps its folder.
pub fn remove_ahead(path: &Path) {
    let folder = folder_of(path);
    if !is_helped(&folder) && is_ours(&folder) {
        let _ = std::fs::remove_dir_all(folder);
    }
}

async fn connect(folder: &Path) -> std::io::Result<UnixStream> {
    // What somebody else may have put there is not believed.
    if !is_ours(folder) {
        return Err(std::io::ErrorKind::PermissionDenied.into());
    }
    let (address, _open) = address(folder)?;
    let stream = UnixStream::connect(address).await?;
    let owner = stream.peer_cred()?.uid();
    if owner != rustix::process::geteuid().as_raw() {
        return Err(std::io::ErrorKind::PermissionDenied.into());
    }
    Ok(stream)
}

async fn ask(stream: UnixStream, asker: Asker, file: WalFile) -> std::io::Result<Answer> {
    let (read, mut write) = stream.into_split();
    let mut line = serde_json::to_vec(&Wanted { asker, file: file.to_string() })?;
    line.push(b'\n');
    write.write_all(&line).await?;
    let mut answer = String::new();
    BufReader::new(read).read_line(&mut answer).await?;
    Ok(serde_json::from_str(&answer)?)
}

/// Whether the name in the folder is that of a segment.
pub(super) fn is_segment(name: &std::ffi::OsStr) -> bool {
    name.to_str().is_some_and(|name| name.parse::<WalSegment>().is_ok())
}
