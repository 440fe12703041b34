//! Fetch a file for a recovering server.

use std::io::Write;
use std::path::{Path, PathBuf};

use backup_core::{Error, ErrorKind, Result, SourceName, WalFile};
use backup_ops::wal::{self, WalLog};
use backup_postgres::wal::inspect;
use backup_repository::Repository;

use super::push::system_near;

/// What `restore_command` asks for.
#[derive(Clone, Debug)]
pub struct WalFetchRequest {
    /// The source; the only one in the repository if absent.
    pub source: Option<SourceName>,
    /// The cluster; that of the data directory around `path` if absent.
    pub system: Option<u64>,
    /// Which file (`%f`).
    pub file: WalFile,
    /// Where to (`%p`).
    pub path: PathBuf,
}

/// Writes the file to where the server wants it, whole or not at all; `false` only when the
/// repository was asked and said that it is not there.
///
/// It is not synced: PostgreSQL does that with every file it takes from an archive.
pub async fn wal_fetch(repository: &Repository, request: &WalFetchRequest) -> Result<bool> {
    let Some(log) = log_of(repository, request).await? else { return Ok(false) };
    let Some(content) = read(repository, &log, request.file).await? else { return Ok(false) };
    write(&request.path, content).await?;
    Ok(true)
}

/// Returns whose log is asked for. It must be known here: an empty answer of the wrong repository,
/// or for a misspelt source, would end a recovery early.
pub(super) async fn log_of(
    repository: &Repository,
    request: &WalFetchRequest,
) -> Result<Option<WalLog>> {
    let system = match request.system {
        Some(system) => Some(system),
        None => system_near(&request.path)?,
    };
    let log = wal::choose_log(repository, request.source.as_ref(), system).await?;
    let mut error = Error::new(ErrorKind::StoreUnavailable, "fetch WAL file");
    if let Some(log) = &log {
        if repository.knows_wal(log).await? {
            return Ok(Some(log.clone()));
        }
        error = error.with("source", &log.source).with("cluster", log.system);
    }
    Err(error.hint(
        "This repository holds no WAL of that cluster at all: check BACKUP_REPOSITORY, --source \
         and --system.",
    ))
}

/// Returns a file whose content was authenticated, and is what its name says.
pub(crate) async fn read(
    repository: &Repository,
    log: &WalLog,
    file: WalFile,
) -> Result<Option<Vec<u8>>> {
    let Some(content) = wal::fetch(repository, log, file).await? else { return Ok(None) };
    let checked = tokio::task::spawn_blocking(move || {
        inspect(file, &content).map(|facts| (facts.map(|facts| facts.system), content))
    });
    let (system, content) = checked
        .await
        .map_err(|error| Error::new(ErrorKind::Failed, "check WAL file").because(error))??;
    match system {
        Some(system) if system != log.system => {
            Err(Error::new(ErrorKind::Integrity, "fetch WAL file")
                .with("file", file)
                .with("cluster", log.system)
                .with("stored is of cluster", system)
                .hint("Another cluster's WAL lies in this one's place; it was not handed out."))
        }
        _ => Ok(Some(content)),
    }
}

/// Puts a file in its place, under another name until it is complete.
pub(super) async fn write(path: &Path, content: Vec<u8>) -> Result<()> {
    let mut temporary = path.as_os_str().to_owned();
    temporary.push(format!(".{}.part", std::process::id()));
    let (temporary, target) = (PathBuf::from(temporary), path.to_owned());
    let written = tokio::task::spawn_blocking(move || {
        let written =
            write_here(&temporary, &content).and_then(|()| std::fs::rename(&temporary, &target));
        // What is half written is of no use; the name says whose it was.
        written.inspect_err(|_| drop(std::fs::remove_file(&temporary)))
    });
    written.await.map_err(std::io::Error::other).flatten().map_err(|error| {
        Error::new(ErrorKind::Failed, "write WAL file")
            .with("file", path.display())
            .hint("Check the space and the permissions of that folder.")
            .because(error)
    })
}

/// Writes a file in pieces: for a larger one the kernel looks for memory in larger blocks, which on
/// a virtual machine the host may first have to give, ten times as slowly.
pub(super) fn write_here(path: &Path, content: &[u8]) -> std::io::Result<()> {
    const PIECE: usize = 256 << 10;
    let mut file = std::fs::File::create(path)?;
    content.chunks(PIECE).try_for_each(|piece| file.write_all(piece))
}
