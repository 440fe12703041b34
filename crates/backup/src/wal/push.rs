//! Push a file of a server's `pg_wal`.

use std::fs::File;
use std::io::ErrorKind as Io;
use std::os::unix::fs::FileExt;
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
    let from = path.clone();
    let read = tokio::task::spawn_blocking(move || read_whole(&from)).await;
    let read = read.map_err(std::io::Error::other).flatten();
    let content: bytes::Bytes = read.map_err(|error| unreadable(path, error))?.into();
    let bytes = content.clone();
    let inspecting = tokio::task::spawn_blocking(move || inspect(file, &bytes));
    let (inspected, prepared) = tokio::join!(inspecting, repository.prepare_wal(content));
    let facts = inspected
        .map_err(|error| Error::new(ErrorKind::Failed, "check WAL file").because(error))??;
    let content = prepared?;
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

/// Reads a file with two threads: memory that was not used before costs as much as reading.
fn read_whole(path: &Path) -> std::io::Result<Vec<u8>> {
    let file = File::open(path)?;
    let length = usize::try_from(file.metadata()?.len()).map_err(std::io::Error::other)?;
    let mut content = vec![0; length];
    let (first, second) = content.split_at_mut(length / 2);
    std::thread::scope(|scope| {
        let reading = scope.spawn(|| file.read_exact_at(second, (length / 2) as u64));
        file.read_exact_at(first, 0)?;
        reading.join().map_err(|_| std::io::Error::other("a thread ended"))?
    })?;
    if file.read_at(&mut [0], length as u64)? > 0 {
        return Err(std::io::Error::other("it grew while it was read"));
    }
    Ok(content)
}

fn unreadable(path: &Path, error: std::io::Error) -> Error {
    let kind = if error.kind() == Io::NotFound { ErrorKind::NotFound } else { ErrorKind::Failed };
    Error::new(kind, "read WAL file")
        .with("file", path.display())
        .hint("Pass %p of archive_command; a relative path is looked up in the data directory.")
        .because(error)
}
