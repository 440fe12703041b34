//! Push a file of a server's `pg_wal`.

use std::io::ErrorKind as Io;
use std::path::{Path, PathBuf};

use backup_core::{Error, ErrorKind, Result, SourceName, WalFile};
use backup_ops::wal::{self, WalLog, WalPush, WalPut};
use backup_postgres::wal::{inspect, system_of_directory};
use backup_repository::Repository;

/// What `archive_command` asks for.
#[derive(Clone, Debug)]
pub struct WalPushRequest {
    /// The source.
    pub source: SourceName,
    /// The file (`%p`); its name is that of the WAL file.
    pub path: PathBuf,
    /// The cluster's system identifier, where neither the file nor the data directory says it.
    pub system: Option<u64>,
    /// The source is another cluster from now on, on purpose.
    pub accept_new_identity: bool,
}

/// Stores the file, durable when this returns. What the file says of itself is checked against
/// its name and against the data directory that it lies in.
pub async fn wal_push(repository: &Repository, request: &WalPushRequest) -> Result<WalPut> {
    let path = &request.path;
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let file: WalFile = name.parse()?;
    let read = tokio::fs::read(path).await;
    let content: bytes::Bytes = read.map_err(|error| unreadable(path, error))?.into();
    let bytes = content.clone();
    let inspected = tokio::task::spawn_blocking(move || inspect(file, &bytes)).await;
    let facts = inspected
        .map_err(|error| Error::new(ErrorKind::Failed, "check WAL file").because(error))??;
    let near = system_near(path)?;
    let stated = facts.as_ref().map(|facts| facts.system);
    let system = request.system.or(near).or(stated);
    let log = |system| WalLog { source: request.source.clone(), system };
    let log = match system {
        Some(system) => log(system),
        None => {
            wal::choose_log(repository, Some(&request.source), None).await?.ok_or_else(|| {
                Error::new(ErrorKind::Usage, "find cluster of WAL file")
                    .with("file", path.display())
                    .hint(
                        "Run the command in the data directory, as archive_command does, or pass \
                     --system with the number that pg_controldata prints.",
                    )
            })?
        }
    };
    let accept_new_identity = request.accept_new_identity;
    wal::push(repository, WalPush { log, file, content, facts, accept_new_identity }).await
}

/// Returns the system identifier of the data directory that a path in its `pg_wal` belongs to,
/// or that this process runs in.
pub fn system_near(path: &Path) -> Result<Option<u64>> {
    let above = path.parent().and_then(Path::parent);
    let here = (!path.is_absolute()).then(|| Path::new("."));
    for directory in
        [above.filter(|above| !above.as_os_str().is_empty()), here].into_iter().flatten()
    {
        if let Some(system) = system_of_directory(directory)? {
            return Ok(Some(system));
        }
    }
    Ok(None)
}

fn unreadable(path: &Path, error: std::io::Error) -> Error {
    let kind = if error.kind() == Io::NotFound { ErrorKind::NotFound } else { ErrorKind::Failed };
    Error::new(kind, "read WAL file")
        .with("file", path.display())
        .hint("Pass %p of archive_command; a relative path is looked up in the data directory.")
        .because(error)
}
