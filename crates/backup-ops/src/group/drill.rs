//! A drill of a whole recovery set: each member by itself, then the files that the database
//! refers to. What was found about the set is a receipt of its own.

use std::sync::Arc;

use backup_core::port::{Clock, DrillTarget, Holdings, Observer, PartSource};
use backup_core::{Error, ErrorKind, Result, Snapshot, SourceName};
use backup_repository::Repository;

use super::{KeyQuestion, RecoverySet, demand_complete};
use crate::document::{DrillMemberDocument, PhaseDocument, QuestionDocument};
use crate::drill::{DrillReceipt, DrillRequest, Outcome, Rehearsal, Verdict, drill_member};
use crate::interrupt::Interrupt;

/// The word for receipts of sets, where those of snapshots have their kind.
pub const SET_KIND: &str = "set";

/// How one member is drilled.
pub struct MemberDrill {
    /// Where it is restored to.
    pub target: Arc<dyn DrillTarget>,
    /// What is asked; its questions about keys are those of the set.
    pub request: DrillRequest,
}

/// Which files a database of a set refers to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeysAsked {
    /// The member that is asked.
    pub database: SourceName,
    /// The member that holds the files.
    pub files: SourceName,
    /// A statement that returns their names in one column.
    pub sql: String,
    /// Taken off the beginning of each that begins with it.
    pub strip_prefix: String,
    /// Then put before each.
    pub add_prefix: String,
    /// Whether no key at all is well.
    pub allow_empty: bool,
}

/// How a set is drilled.
pub struct SetDrill<'a> {
    /// How each member is, by its name.
    pub member: &'a (dyn Fn(&SourceName) -> Result<MemberDrill> + Send + Sync),
    /// What is asked about files.
    pub keys: Vec<KeysAsked>,
    /// Reads the names of a snapshot's files.
    pub holdings: fn(Arc<dyn PartSource>) -> Arc<dyn Holdings>,
}

/// What the drill of a set found.
#[derive(Clone, Debug)]
pub struct SetRehearsal {
    /// About each member, in order.
    pub members: Vec<DrillReceipt>,
    /// About the set.
    pub receipt: DrillReceipt,
}

/// Drills a complete set, member by member, and records what was found: of each member as
/// [`crate::drill::drill`] does, and of the set in a receipt whose source is the group. A file that is
/// missing is no member's fault: it fails the set alone.
///
/// The receipts say what was found; an error means that the drill could not be held. A set that is
/// not all there is `Conflict`.
pub async fn drill_set(
    repository: &Repository,
    set: &RecoverySet,
    how: &SetDrill<'_>,
    clock: &Arc<dyn Clock>,
    observer: &Arc<dyn Observer>,
    interrupt: &Interrupt,
) -> Result<SetRehearsal> {
    demand_complete(set)?;
    let begun_at = clock.now();
    let begun = clock.elapsed();
    let snapshots = whole(repository, set, interrupt).await?;
    for keys in &how.keys {
        for name in [&keys.database, &keys.files] {
            if snapshots.iter().all(|snapshot| snapshot.source != *name) {
                return Err(Error::new(ErrorKind::ConfigInvalid, "drill recovery set")
                    .with("group", &set.group)
                    .with("set", set.id.short())
                    .because(format!("keys_sql concerns {name}, which is no member of that set"))
                    .hint("The group had other members then; drill a newer set."));
            }
        }
    }
    let mut members = Vec::with_capacity(snapshots.len());
    let mut answers = Vec::new();
    for snapshot in &snapshots {
        let mut member = (how.member)(&snapshot.source)?;
        for asked in how.keys.iter().filter(|asked| asked.database == snapshot.source) {
            let files = snapshots.iter().find(|other| other.source == asked.files);
            let Some(files) = files else { continue };
            let parts = interrupt.unless(repository.reader(files)).await?;
            member.request.keys.push(KeyQuestion {
                files: asked.files.clone(),
                sql: asked.sql.clone(),
                strip_prefix: asked.strip_prefix.clone(),
                add_prefix: asked.add_prefix.clone(),
                allow_empty: asked.allow_empty,
                holdings: (how.holdings)(parts),
            });
        }
        let (target, request) = (&*member.target, &member.request);
        let drilled =
            drill_member(repository, target, snapshot, request, clock, observer, interrupt);
        let Rehearsal { receipt, keys } = drilled.await?;
        answers.push(of_member(&receipt));
        if keys.is_empty() {
            answers.extend(request.keys.iter().map(not_asked));
        }
        answers.extend(keys);
        members.push(receipt);
    }
    if how.keys.is_empty() {
        answers.push(nothing_asked());
    }
    let mut receipt = of_set(set, &snapshots, &members, answers);
    receipt.at = begun_at;
    receipt.rpo_seconds =
        u64::try_from(begun_at.duration_since(receipt.data_from).as_secs()).unwrap_or_default();
    receipt.seconds = clock.elapsed().saturating_sub(begun).as_secs_f64();
    repository.record_drill(clock.now(), &receipt).await?;
    Ok(SetRehearsal { members, receipt })
}

/// Returns the manifests of a set's members, in order.
pub async fn whole(
    repository: &Repository,
    set: &RecoverySet,
    interrupt: &Interrupt,
) -> Result<Vec<Snapshot>> {
    let mut snapshots = Vec::with_capacity(set.members.len());
    for record in set.records() {
        let read = interrupt.unless(repository.snapshot(record.snapshot.id)).await?;
        snapshots.push(read.snapshot);
    }
    Ok(snapshots)
}

fn of_member(receipt: &DrillReceipt) -> QuestionDocument {
    let id = receipt.snapshot.get(..8).unwrap_or(&receipt.snapshot);
    let wrong = receipt.questions.iter().find(|question| question.outcome == receipt.verdict);
    let detail = match wrong.filter(|_| receipt.verdict != Outcome::Passed.as_str()) {
        Some(question) => format!("snapshot {id}: {}: {}", question.name, question.detail),
        None => format!("snapshot {id}: {} questions", receipt.questions.len()),
    };
    QuestionDocument {
        name: format!("member {}", receipt.source),
        outcome: receipt.verdict.clone(),
        detail,
        remedy: wrong.and_then(|question| question.remedy.clone()),
        seconds: Some(receipt.seconds),
    }
}

fn not_asked(question: &KeyQuestion) -> QuestionDocument {
    QuestionDocument {
        name: format!("keys {}", question.files),
        outcome: Outcome::Inconclusive.as_str().into(),
        detail: "not asked: the database was not restored".into(),
        remedy: None,
        seconds: None,
    }
}

/// What a receipt says of the files where nobody said how to ask about them.
fn nothing_asked() -> QuestionDocument {
    QuestionDocument {
        name: "keys".into(),
        outcome: Outcome::Skipped.as_str().into(),
        detail: "not asked: the group has no drill.keys_sql".into(),
        remedy: Some("Write drill.keys_sql = \"SELECT path FROM …\" into its [[group]].".into()),
        seconds: None,
    }
}

fn of_set(
    set: &RecoverySet,
    snapshots: &[Snapshot],
    members: &[DrillReceipt],
    questions: Vec<QuestionDocument>,
) -> DrillReceipt {
    let join = |of: fn(&DrillReceipt) -> &str| {
        let texts: Vec<&str> = members.iter().map(of).filter(|text| !text.is_empty()).collect();
        texts.join(", ")
    };
    let phases = members.iter().flat_map(|member| {
        let name = |phase: &PhaseDocument| format!("{}: {}", member.source, phase.name);
        member
            .phases
            .iter()
            .map(move |phase| PhaseDocument { name: name(phase), seconds: phase.seconds })
    });
    let sum = |of: fn(&DrillReceipt) -> u64| members.iter().map(of).sum();
    // One after the other, as a restore of the set does it; unknown where one never answered.
    let rto = members.iter().map(|member| member.rto_seconds).sum::<Option<f64>>();
    DrillReceipt {
        schema: "backupctl.drill.v1".into(),
        source: set.group.to_string(),
        snapshot: set.id.to_string(),
        kind: SET_KIND.into(),
        verdict: Verdict::of(&questions).as_str().into(),
        at: set.begun_at(),
        data_from: members.iter().map(|member| member.data_from).min().unwrap_or(set.begun_at()),
        disaster: members.iter().any(|member| member.disaster),
        target: join(|member| &member.target),
        source_version: join(|member| &member.source_version),
        server_version: join(|member| &member.server_version),
        program: members.first().map(|member| member.program.clone()).unwrap_or_default(),
        rto_seconds: rto,
        rpo_seconds: 0,
        validation_seconds: members.iter().map(|member| member.validation_seconds).sum(),
        seconds: 0.0,
        phases: phases.collect(),
        tables: sum(|member| member.tables),
        rows: sum(|member| member.rows),
        bytes: sum(|member| member.bytes),
        files: sum(|member| member.files),
        replay: None,
        fetched_bytes: sum(|member| member.fetched_bytes),
        questions,
        findings: members.iter().flat_map(|member| member.findings.clone()).collect(),
        members: snapshots
            .iter()
            .zip(members)
            .map(|(snapshot, receipt)| DrillMemberDocument {
                source: snapshot.source.to_string(),
                snapshot: snapshot.id.to_string(),
                verdict: receipt.verdict.clone(),
            })
            .collect(),
    }
}
