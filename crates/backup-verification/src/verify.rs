//! The verification itself.

use std::collections::BTreeSet;
use std::sync::Arc;

use backup_core::port::{Clock, Observer};
use backup_core::{
    ErrorKind, Event, PackId, Result, Snapshot, SnapshotId, SnapshotRecord, Verified, VerifyLevel,
};
use backup_repository::{Contents, Repository};

use crate::damage::Damage;
use crate::read::read_back;
use crate::report::{Problem, Report, SnapshotReport};
use crate::request::{Depth, Request};
use crate::sample::choose;

const CURSOR: &str = "read-data";

/// Verifies, and records what was proved.
///
/// Damage is in the report, not an error; an error means that the verification itself could not
/// be carried through (the store is unreachable, a named snapshot does not exist).
pub async fn verify(
    repository: &Repository,
    request: &Request,
    clock: &Arc<dyn Clock>,
    observer: &Arc<dyn Observer>,
) -> Result<Report> {
    let mut report = Report::default();
    let records = in_question(repository, request, &mut report).await?;
    let contents = repository.contents().await?;
    let survey = repository.survey(&records).await?;
    let mut packs = survey.packs;
    if request.is_all() {
        packs.extend(contents.indexed.keys());
    }
    let mut damage = Damage::default();
    for pack in &packs {
        damage.compare(&contents, *pack);
    }
    report.packs_compared = packs.len() as u64;
    report.bytes_total = packs.iter().filter_map(|pack| contents.stored.get(pack)).sum();

    // What has another size than it had is damaged; no need to fetch it.
    let sound = |pack: &&PackId| !damage.packs.contains_key(*pack);
    let present: BTreeSet<PackId> = packs.iter().filter(sound).copied().collect();
    let (chosen, cursor) = match request.depth {
        Depth::Exists => (BTreeSet::new(), None),
        Depth::Read => (present, None),
        Depth::Sample { percent } => sample(repository, &contents, &present, percent).await?,
    };
    let bytes = chosen.iter().filter_map(|pack| contents.stored.get(pack)).sum();
    observer.on_event(&Event::RunStarted {
        verb: "verify",
        source: None,
        expected_bytes: Some(bytes),
    });
    if !chosen.is_empty() {
        read_back(repository, &chosen, &survey.chunks, &mut damage, &mut report, observer).await?;
    }
    let suspicious = survey.damaged || !damage.is_empty();
    if suspicious {
        damage.settle(&repository.contents().await?);
    }
    for record in records {
        let snapshot = &record.snapshot;
        let problems =
            if suspicious { problems(repository, snapshot, &damage).await? } else { Vec::new() };
        let gone = !problems.is_empty() && is_gone(repository, snapshot.id).await?;
        if gone {
            continue;
        }
        let level = if problems.is_empty() {
            let level = request.depth.level();
            let verified = Verified { level, at: Some(clock.now()) };
            repository.record_verification(snapshot.id, verified).await?;
            level
        } else {
            repository.withdraw_verification(snapshot.id).await?;
            VerifyLevel::None
        };
        report.snapshots.push(SnapshotReport {
            id: snapshot.id,
            source: snapshot.source.clone(),
            level,
            problems,
        });
    }
    report.elsewhere.extend(unclaimed(&damage, &report));
    if let Some(last) = cursor {
        repository.set_cursor(CURSOR, &last.to_string()).await?;
    }
    Ok(report)
}

/// Returns what of the damage affects a snapshot, part by part.
async fn problems(
    repository: &Repository,
    snapshot: &Snapshot,
    damage: &Damage,
) -> Result<Vec<Problem>> {
    let mut problems = Vec::new();
    for (name, part) in repository.references(snapshot).await? {
        let messages = match part {
            Ok(part) => damage.of_part(&part),
            Err(error) if error.kind() == ErrorKind::Integrity => vec![error.to_string()],
            // Only damage belongs into the report; anything else ends the verification.
            Err(error) => return Err(error.with("snapshot", snapshot.id)),
        };
        let problem = |message| Problem { part: name.clone(), message };
        problems.extend(messages.into_iter().map(problem));
    }
    Ok(problems)
}

/// Returns whether a snapshot was forgotten while it was verified: then its data may go.
async fn is_gone(repository: &Repository, id: SnapshotId) -> Result<bool> {
    match repository.snapshot(id).await {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(true),
        Err(error) if error.kind() != ErrorKind::Integrity => Err(error),
        _ => Ok(false),
    }
}

async fn in_question(
    repository: &Repository,
    request: &Request,
    report: &mut Report,
) -> Result<Vec<SnapshotRecord>> {
    if request.is_all() {
        let scan = repository.scan_snapshots().await?;
        report.elsewhere = scan.unreadable.iter().map(|(_, error)| error.to_string()).collect();
        return Ok(scan.records);
    }
    let mut records = Vec::with_capacity(request.snapshots.len());
    for id in &request.snapshots {
        records.push(repository.snapshot(*id).await?);
    }
    Ok(records)
}

async fn sample(
    repository: &Repository,
    contents: &Contents,
    present: &BTreeSet<PackId>,
    percent: u8,
) -> Result<(BTreeSet<PackId>, Option<PackId>)> {
    let cursor = repository.cursor(CURSOR).await?.and_then(|text| text.parse().ok());
    let sizes = present.iter().map(|pack| (*pack, contents.stored.get(pack).copied().unwrap_or(0)));
    let (chosen, next) = choose(sizes.collect(), cursor, percent);
    Ok((chosen.into_iter().collect(), next))
}

/// Returns damage that no snapshot's problems speak of.
fn unclaimed(damage: &Damage, report: &Report) -> Vec<String> {
    let told = |pack: &PackId| {
        let name = pack.to_string();
        let mut problems = report.snapshots.iter().flat_map(|snapshot| &snapshot.problems);
        problems.any(|problem| problem.message.contains(&name))
    };
    let gone = damage.packs.iter().map(|(pack, message)| (pack, format!("pack {pack} {message}")));
    let flawed = damage.flawed.iter().map(|(pack, message)| (pack, message.clone()));
    gone.chain(flawed).filter(|(pack, _)| !told(pack)).map(|(_, message)| message).collect()
}
