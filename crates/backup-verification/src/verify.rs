//! The verification itself.

use std::collections::{BTreeSet, HashSet};
use std::sync::Arc;

use backup_core::port::{Clock, Observer};
use backup_core::{
    ChunkId, Error, ErrorKind, Event, PackId, PartName, Result, SnapshotRecord, Verified,
    VerifyLevel,
};
use backup_repository::{Contents, PartReferences, Repository};

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
    let wanted = gather(repository, &records).await?;
    let mut packs: BTreeSet<PackId> =
        wanted.iter().flat_map(Wanted::good).flat_map(|part| part.packs.iter().copied()).collect();
    if request.is_all() {
        packs.extend(contents.indexed.keys());
    }
    let mut damage = Damage::default();
    for pack in &packs {
        damage.compare(&contents, *pack);
    }
    report.packs_compared = packs.len() as u64;
    report.bytes_total = packs.iter().filter_map(|pack| contents.stored.get(pack)).sum();

    let needed: HashSet<ChunkId> =
        wanted.iter().flat_map(Wanted::good).flat_map(|part| part.chunks.iter().copied()).collect();
    let present: BTreeSet<PackId> =
        packs.iter().filter(|pack| contents.stored.contains_key(pack)).copied().collect();
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
        read_back(repository, &chosen, &needed, &mut damage, &mut report, observer).await?;
    }
    let level = request.depth.level();
    for wanted in wanted {
        let problems = wanted.problems(&damage);
        let level = if problems.is_empty() { level } else { VerifyLevel::None };
        let snapshot = &wanted.record.snapshot;
        let verified = Verified { level, at: Some(clock.now()) };
        repository.record_verification(snapshot.id, verified).await?;
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

/// A snapshot with what each of its parts needs.
struct Wanted {
    record: SnapshotRecord,
    parts: Vec<(PartName, Result<PartReferences>)>,
}

impl Wanted {
    fn good(&self) -> impl Iterator<Item = &PartReferences> {
        self.parts.iter().filter_map(|(_, part)| part.as_ref().ok())
    }

    fn problems(&self, damage: &Damage) -> Vec<Problem> {
        let of = |(name, part): &(PartName, Result<PartReferences>)| -> Vec<Problem> {
            let messages = match part {
                Ok(part) => damage.of_part(part),
                Err(error) => vec![error.to_string()],
            };
            let problem = |message| Problem { part: name.clone(), message };
            messages.into_iter().map(problem).collect()
        };
        self.parts.iter().flat_map(of).collect()
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

async fn gather(repository: &Repository, records: &[SnapshotRecord]) -> Result<Vec<Wanted>> {
    let mut wanted = Vec::with_capacity(records.len());
    for record in records {
        let parts = repository.references(&record.snapshot).await?;
        // Only damage belongs into the report; anything else ends the verification.
        for (_, part) in &parts {
            if let Err(error) = part
                && error.kind() != ErrorKind::Integrity
            {
                return Err(Error::new(error.kind(), "read segment map")
                    .with("snapshot", record.snapshot.id)
                    .because(error.to_string()));
            }
        }
        wanted.push(Wanted { record: record.clone(), parts });
    }
    Ok(wanted)
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
