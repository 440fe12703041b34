//! Push: one file from the server, stored before it is acknowledged.

use backup_core::{Error, ErrorKind, Result, WalFacts, WalFile};
use backup_repository::{PreparedWal, Repository, WalLog, WalPut};

/// A file to archive.
pub struct WalPush {
    /// Whose it is.
    pub log: WalLog,
    /// What the server calls it.
    pub file: WalFile,
    /// Its bytes, prepared by this repository.
    pub content: PreparedWal,
    /// What is in it.
    pub facts: Option<WalFacts>,
    /// The source is another cluster from now on, on purpose.
    pub accept_new_identity: bool,
}

/// Stores a file; durable when this returns. The same file again is success.
///
/// `Conflict` when other bytes are stored under its name, or when the source's WAL or snapshots
/// are of another cluster; `Integrity` when the file's own pages name another cluster.
pub async fn push(repository: &Repository, push: WalPush) -> Result<WalPut> {
    let stated = push.facts.as_ref().map(|facts| facts.system);
    if let Some(system) = stated.filter(|system| *system != push.log.system) {
        return Err(Error::new(ErrorKind::Integrity, "check WAL file")
            .with("file", push.file)
            .with("cluster of the file", system)
            .with("cluster of the server", push.log.system)
            .hint("A file of another server lies in this one's pg_wal; nothing was stored."));
    }
    admit(repository, &push.log, push.accept_new_identity).await?;
    if let (WalFile::Segment(segment), Some(facts)) = (push.file, &push.facts)
        && facts.ended
    {
        // It is what the server has: refusing it would only fill that server's disk.
        tracing::warn!(
            "WAL in {segment} ends at {} and a server replays nothing behind that: look at the \
             server's disk, and take a new physical snapshot",
            facts.end
        );
    }
    repository.put_prepared_wal(&push.log, push.file, push.content, push.facts).await
}

/// Makes sure that this cluster is the source's; the first file of a cluster settles it.
pub async fn admit(repository: &Repository, log: &WalLog, accept: bool) -> Result<()> {
    if repository.knows_wal(log).await? {
        return Ok(());
    }
    if !accept {
        let logs = repository.wal_logs(Some(&log.source)).await?;
        if let Some(other) = logs.iter().find(|other| other.system != log.system) {
            return Err(another(log, "WAL", &other.system));
        }
        if repository.can_read() {
            for record in repository.snapshots().await? {
                let identity = &record.snapshot.identity;
                let same = identity.system == log.system.to_string();
                if record.snapshot.source == log.source && !same {
                    return Err(another(log, "snapshots", &identity.system));
                }
            }
        }
    }
    repository.admit_wal(log).await
}

fn another(log: &WalLog, what: &'static str, system: &dyn std::fmt::Display) -> Error {
    Error::new(ErrorKind::Conflict, "archive WAL")
        .with("source", &log.source)
        .with("this cluster", log.system)
        .with("its stored", what)
        .with("are of cluster", system)
        .hint(
            "Another server archives under this source's name: give this one a name of its own \
             (--source, BACKUP_SOURCE). If the source was rebuilt or upgraded on purpose, push \
             once with --accept-new-identity.",
        )
}
