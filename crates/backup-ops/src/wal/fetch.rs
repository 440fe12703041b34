//! Fetch: one file back, proved to be what was stored.

use backup_core::{Error, ErrorKind, Result, SourceName, WalFile};
use backup_repository::{Repository, WalEntry, WalLog, WalObject};

/// Returns a file; `None` only when the repository was asked and said that it is not there.
///
/// Where a segment was never finished because its timeline ended, what was stored of it is
/// returned in its place. `Integrity` when stored contents contradict each other.
pub async fn fetch(
    repository: &Repository,
    log: &WalLog,
    file: WalFile,
) -> Result<Option<Vec<u8>>> {
    // A growing state gives way to a longer one, or to the whole segment, at any moment.
    let mut patience = 3;
    loop {
        patience -= 1;
        let found = find(repository, log, file).await?;
        match found.as_slice() {
            [] => return Ok(None),
            [one] => match repository.read_wal(one).await {
                Err(_) if patience > 0 && matches!(one.entry, WalEntry::Growing(..)) => {}
                read => return read.map(|(content, _)| Some(content)),
            },
            [one, other, ..] => return Err(contradiction(log, file, one, other)),
        }
    }
}

/// Lists a file, or what stands for a segment that is not whole. The whole one is looked for last
/// as well: it is stored before what it replaces goes.
async fn find(repository: &Repository, log: &WalLog, file: WalFile) -> Result<Vec<WalObject>> {
    let found = repository.find_wal(log, file).await?;
    let (true, WalFile::Segment(segment)) = (found.is_empty(), file) else { return Ok(found) };
    let found = repository.find_wal(log, WalFile::Partial(segment)).await?;
    if !found.is_empty() {
        return Ok(found);
    }
    match repository.grown_wal(log, segment).await?.pop() {
        Some(grown) => Ok(vec![grown]),
        None => repository.find_wal(log, file).await,
    }
}

fn contradiction(log: &WalLog, file: WalFile, one: &WalObject, other: &WalObject) -> Error {
    Error::new(ErrorKind::Integrity, "fetch WAL file")
        .with("file", file)
        .with("source", &log.source)
        .with("stored as", &one.name)
        .with("and as", &other.name)
        .hint(
            "Two servers archived this segment with different content. Find out which one is \
             meant, and move the other's object out of the repository.",
        )
}

/// Returns the log that is meant: that of the source and cluster that were named, else the only
/// one there is. `None`: the repository holds none. `Usage` when there are several.
pub async fn choose_log(
    repository: &Repository,
    source: Option<&SourceName>,
    system: Option<u64>,
) -> Result<Option<WalLog>> {
    if let (Some(source), Some(system)) = (source, system) {
        return Ok(Some(WalLog { source: source.clone(), system }));
    }
    let mut logs = repository.wal_logs(source).await?;
    logs.retain(|log| system.is_none_or(|system| log.system == system));
    if logs.len() > 1 {
        let names: Vec<String> =
            logs.iter().map(|log| format!("{} ({})", log.source, log.system)).collect();
        return Err(Error::new(ErrorKind::Usage, "choose source of WAL")
            .with("sources", names.join(", "))
            .hint("Several clusters archive here: name one with --source and --system."));
    }
    Ok(logs.pop())
}
