//! Backup: one source, one instant, one snapshot.
//!
//! Fail closed: any doubt before the commit commits nothing; doubt about the data commits a
//! snapshot marked *suspect*; nothing else is called a success.

use std::num::NonZeroUsize;
use std::sync::Arc;

use backup_core::port::{
    Clock, Observer, PhysicalOptions, Provider, RequestCounts, Source, SourceOptions,
};
use backup_core::{
    Error, ErrorKind, Event, Evidence, Finding, HeadRecord, Result, SetPlace, Snapshot,
    SnapshotHead, SnapshotId, SnapshotKind, SnapshotRecord, SourceIdentity, SourceName, Verified,
};
use backup_repository::{Repository, SnapshotDraft, SnapshotWriter};

use crate::interrupt::Interrupt;
use crate::plausible::{self, Plausibility};
use crate::select::newest_of;
use crate::verify::{self, Depth, Request};

/// What to back up, and how.
#[derive(Clone, Debug)]
pub struct BackupRequest {
    /// The source's name.
    pub source: SourceName,
    /// Which kind of snapshot.
    pub kind: SnapshotKind,
    /// Parallel readers.
    pub jobs: NonZeroUsize,
    /// Ceiling in bytes per second over all readers.
    pub max_rate: Option<u64>,
    /// How the files of a cluster are read, for physical snapshots.
    pub physical: PhysicalOptions,
    /// Whether a person said that the source's name now means another database.
    pub accept_new_identity: bool,
    /// What counts as unbelievable.
    pub plausibility: Plausibility,
    /// How far to prove the snapshot before returning.
    pub verify: Depth,
    /// Its place in a recovery set; nothing when it is taken alone.
    pub set: Option<SetPlace>,
}

/// What a backup did.
#[derive(Clone, Debug)]
pub struct BackupReceipt {
    /// The committed snapshot and its proof.
    pub record: SnapshotRecord,
    /// Requests the store saw during the run.
    pub requests: RequestCounts,
    /// Seconds from start to the end of the proof.
    pub seconds: f64,
}

/// Backs up one source: opens it, checks that it is the database its name meant before,
/// copies, commits, and proves what was written.
///
/// An error means that no snapshot was committed, except an `Integrity` error of the proof,
/// whose context names the snapshot. A committed snapshot may be suspect: look at it.
pub async fn backup(
    repository: &Repository,
    provider: &dyn Provider,
    request: &BackupRequest,
    clock: &Arc<dyn Clock>,
    observer: &Arc<dyn Observer>,
    interrupt: &Interrupt,
) -> Result<BackupReceipt> {
    let open = std::future::ready(Ok(repository));
    backup_while_opening(open, provider, request, clock, observer, interrupt).await
}

/// As [`backup`], into a repository that is still being opened: the source is opened meanwhile.
/// Where neither can be opened, the error is the repository's.
pub async fn backup_while_opening<'r>(
    repository: impl Future<Output = Result<&'r Repository>> + Send,
    provider: &dyn Provider,
    request: &BackupRequest,
    clock: &Arc<dyn Clock>,
    observer: &Arc<dyn Observer>,
    interrupt: &Interrupt,
) -> Result<BackupReceipt> {
    let begun = clock.elapsed();
    let started_at = clock.now();
    let options = SourceOptions {
        kind: request.kind,
        jobs: request.jobs,
        max_rate: request.max_rate,
        physical: request.physical,
        observer: Arc::clone(observer),
    };
    let opening = async {
        let repository = interrupt.unless(repository).await?;
        let requests = repository.store().requests();
        Ok((repository, requests, known(repository, observer, interrupt).await?))
    };
    // An error of the source waits for the repository; one of the repository waits for nothing.
    let source = async { Ok(interrupt.unless(provider.open_source(&options)).await) };
    let ((repository, requests, records), source) = futures::try_join!(opening, source)?;
    let mut source = source?;
    observer.on_event(&Event::RunStarted {
        verb: "backup",
        source: Some(request.source.clone()),
        expected_bytes: Some(source.facts().estimated_bytes),
    });
    check_identity(&records, request, &source.facts().identity)?;
    // The age of a snapshot is that of its data.
    let started_at = source.instant().map_or(started_at, |instant| instant.min(started_at));
    let draft = SnapshotDraft {
        source: request.source.clone(),
        identity: source.facts().identity.clone(),
        kind: request.kind,
        started_at,
    };
    let writer = interrupt.unless(repository.begin(draft, Arc::clone(observer))).await?;
    let mut evidence = match copy(source.as_mut(), &writer, interrupt).await {
        Ok(evidence) => evidence,
        Err(error) => {
            // The database is let go first; then what was stored is made findable, so that a
            // rerun skips it. Losing that costs time, not data: the error to tell is the first.
            drop(source);
            if let Err(lost) = writer.abandon().await {
                tracing::debug!(error = %lost, "what was stored will be stored again");
            }
            return Err(error);
        }
    };
    drop(source);
    // A table's rows and a cluster's files cannot be compared: only with the same kind.
    let alike: Vec<HeadRecord> =
        records.into_iter().filter(|record| record.snapshot.kind == request.kind).collect();
    let previous = match newest_of(&alike, &request.source) {
        Some(record) => in_full(repository, record, interrupt).await?,
        None => None,
    };
    let doubts = plausible::compare(previous.as_ref(), &evidence, request.plausibility);
    for doubt in &doubts {
        observer.on_event(&Event::Found(doubt.clone()));
    }
    evidence.findings.extend(doubts);
    if request.plausibility.accepted {
        plausible::accept(&mut evidence.findings);
    }
    let snapshot = writer.commit_in(evidence, request.set.clone()).await.map_err(lost)?;
    let record = if repository.can_read() {
        prove(repository, snapshot.id, request.verify, clock, observer, interrupt).await?;
        repository.snapshot(snapshot.id).await?
    } else {
        // Only its owner can look at it again; the time is ours, not the store's.
        let stored_at = clock.now();
        SnapshotRecord { snapshot, verified: Verified::default(), pinned: false, stored_at }
    };
    Ok(BackupReceipt {
        record,
        requests: since(requests, repository.store().requests()),
        seconds: clock.elapsed().saturating_sub(begun).as_secs_f64(),
    })
}

/// Returns a snapshot with everything its manifest says; nothing when it was forgotten, or
/// damaged, since it was listed.
async fn in_full(
    repository: &Repository,
    record: &HeadRecord,
    interrupt: &Interrupt,
) -> Result<Option<Snapshot>> {
    match interrupt.unless(repository.snapshot(record.snapshot.id)).await {
        Ok(record) => Ok(Some(record.snapshot)),
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::Integrity) => {
            tracing::warn!(%error, "the snapshot before cannot be compared with");
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

/// An object that was written a moment ago and is not there is no "nothing matched".
fn lost(error: Error) -> Error {
    if error.kind() != ErrorKind::NotFound {
        return error;
    }
    error.into_kind(ErrorKind::Integrity).hint(
        "The store does not have an object that it took; nothing was committed. Run `backupctl \
         repair index`, then the backup again; do not trust that store if this happens twice.",
    )
}

/// Returns the snapshots that can be read. A damaged one must not keep new backups from being
/// taken, which are the remedy; it is said.
async fn known(
    repository: &Repository,
    observer: &Arc<dyn Observer>,
    interrupt: &Interrupt,
) -> Result<Vec<HeadRecord>> {
    if !repository.can_read() {
        observer.on_event(&Event::Found(Finding::note(
            "The key here can only write: the snapshot is neither compared with earlier ones nor \
             verified. Verify it where the passphrase is.",
        )));
        return Ok(Vec::new());
    }
    let scan = interrupt.unless(repository.scan_heads()).await?;
    for (id, error) in scan.unreadable {
        let message = format!("Snapshot {} cannot be read: {error}.", id.short());
        observer.on_event(&Event::Found(Finding::warning(message)));
    }
    Ok(scan.records)
}

/// Copies everything, or returns the first error, or the wish to stop.
async fn copy(
    source: &mut dyn Source,
    writer: &SnapshotWriter,
    interrupt: &Interrupt,
) -> Result<Evidence> {
    let evidence = interrupt.unless(source.copy_to(writer)).await?;
    // A wish that came with the last byte counts as well: nothing is committed yet.
    interrupt.asked().map_or(Ok(evidence), Err)
}

/// A name means one database. Another one under the same name would be compared with, and
/// retained against, snapshots that are not its own.
fn check_identity(
    records: &[HeadRecord],
    request: &BackupRequest,
    found: &SourceIdentity,
) -> Result<()> {
    let known = records
        .iter()
        .filter(|record| record.snapshot.source == request.source)
        .max_by_key(|record| (record.snapshot.sequence, record.stored_at));
    let Some(known) = known.filter(|known| !is_same(&known.snapshot, request.kind, found)) else {
        return Ok(());
    };
    if request.accept_new_identity {
        return Ok(());
    }
    let show = |identity: &SourceIdentity| {
        format!("{} {} database {}", identity.engine, identity.system, identity.database)
    };
    Err(Error::new(ErrorKind::Conflict, "back up source")
        .with("source", &request.source)
        .with("found", show(found))
        .with("known", show(&known.snapshot.identity))
        .hint(
            "The source's name stood for another database until now. Give this one a name of \
             its own (BACKUP_SOURCE), or pass --accept-new-identity if it replaces the old one.",
        ))
}

/// Whether a snapshot is of what was found. One source may have logical snapshots of a
/// database and physical ones of its cluster: then only the cluster can be compared.
fn is_same(known: &SnapshotHead, kind: SnapshotKind, found: &SourceIdentity) -> bool {
    let known_identity = &known.identity;
    if known.kind == kind {
        return known_identity == found;
    }
    // Where a server does not tell its identifier, something else stands in for it.
    let is_told = |system: &str| !system.is_empty() && system.bytes().all(|b| b.is_ascii_digit());
    let comparable = is_told(&known_identity.system) && is_told(&found.system);
    known_identity.engine == found.engine && (!comparable || known_identity.system == found.system)
}

/// Proves what was committed. An error says which snapshot exists nevertheless.
async fn prove(
    repository: &Repository,
    id: SnapshotId,
    depth: Depth,
    clock: &Arc<dyn Clock>,
    observer: &Arc<dyn Observer>,
    interrupt: &Interrupt,
) -> Result<()> {
    let request = Request { snapshots: vec![id], depth };
    let report = verify::verify(repository, &request, clock, observer, interrupt).await;
    report
        .and_then(|report| verify::demand(&report))
        .map_err(|error| error.with("committed snapshot", id.short()))
}

/// Returns what was asked of the store between two readings.
#[must_use]
pub(crate) fn since(before: RequestCounts, after: RequestCounts) -> RequestCounts {
    RequestCounts {
        creates: after.creates.saturating_sub(before.creates),
        gets: after.gets.saturating_sub(before.gets),
        stats: after.stats.saturating_sub(before.stats),
        lists: after.lists.saturating_sub(before.lists),
        deletes: after.deletes.saturating_sub(before.deletes),
        bytes_written: after.bytes_written.saturating_sub(before.bytes_written),
        bytes_read: after.bytes_read.saturating_sub(before.bytes_read),
    }
}
