//! Carrying a migration out: look, back up, restore, compare.

use std::sync::Arc;

use backup_core::port::{Clock, Observer, Provider, RestoreOptions, Survey};
use backup_core::{Error, ErrorKind, Result, SourceName};
use backup_repository::Repository;

use super::checklist::{ChecklistStep, checklist};
use super::preflight::{Check, Fit, preflight};
use crate::backup::{BackupReceipt, BackupRequest, backup};
use crate::document::QuestionDocument;
use crate::drill::{Outcome, of_comparison};
use crate::interrupt::Interrupt;
use crate::restore::{self, RestoreReceipt};

/// What to migrate, and how.
#[derive(Clone)]
pub struct MigrateRequest {
    /// How the source is read, and under which name it is kept.
    pub backup: BackupRequest,
    /// How the target is written.
    pub restore: RestoreOptions,
    /// Whether a person insists on an older server.
    pub allow_downgrade: bool,
}

/// A migration, planned or done.
pub struct Migration {
    /// The name of the source.
    pub source: SourceName,
    /// What it is.
    pub from: Survey,
    /// What it goes to.
    pub to: Survey,
    /// What was looked at first.
    pub checks: Vec<Check>,
    /// The snapshot it went through; none when it was only planned.
    pub taken: Option<BackupReceipt>,
    /// What was written.
    pub restored: Option<RestoreReceipt>,
    /// The target compared with what the source said in the snapshot's instant.
    pub questions: Vec<QuestionDocument>,
    /// What a person does next.
    pub checklist: Vec<ChecklistStep>,
    /// Seconds, all in all.
    pub seconds: f64,
}

impl Migration {
    /// Returns whether nothing stands in its way.
    #[must_use]
    pub fn is_possible(&self) -> bool {
        self.checks.iter().all(|check| check.fit != Fit::Blocked)
    }
}

/// Looks at both ends and says what does not fit; reads no rows and writes nothing.
pub async fn plan(
    source: &dyn Provider,
    target: &dyn Provider,
    request: &MigrateRequest,
    interrupt: &Interrupt,
) -> Result<Migration> {
    let at_target = |error: Error| error.with("end", "target");
    let looking = async {
        let from = source.survey().await.map_err(|error| error.with("end", "source"))?;
        if from.content.is_none() {
            return Err(Error::new(ErrorKind::SourceUnavailable, "survey source")
                .with("database", &from.location)
                .because("there is no such database"));
        }
        Ok((from, target.survey().await.map_err(at_target)?))
    };
    let (from, to) = interrupt.unless(looking).await?;
    let checks = preflight(&from, &to, &request.restore, request.allow_downgrade);
    let created = created(&from, &to, &request.restore);
    let checklist = checklist(request.backup.source.as_str(), &from, &to, &created);
    Ok(Migration {
        source: request.backup.source.clone(),
        from,
        to,
        checks,
        taken: None,
        restored: None,
        questions: Vec::new(),
        checklist,
        seconds: 0.0,
    })
}

/// The roles that a restore will create.
fn created(from: &Survey, to: &Survey, options: &RestoreOptions) -> Vec<String> {
    let Some(content) = from.content.as_ref().filter(|_| options.create_roles) else {
        return Vec::new();
    };
    let needed = content.owners.union(&content.grantees);
    needed.filter(|role| !to.roles.contains(*role)).cloned().collect()
}

/// Migrates: a snapshot into the repository, proved, and from there into the target, which is then
/// asked for its own evidence. `Conflict` names everything that does not fit before anything is
/// read; a suspect snapshot is not passed on. What was found at the end is in the result: see
/// [`demand`].
pub async fn migrate(
    repository: &Repository,
    source: &dyn Provider,
    target: &dyn Provider,
    request: &MigrateRequest,
    clock: &Arc<dyn Clock>,
    observer: &Arc<dyn Observer>,
    interrupt: &Interrupt,
) -> Result<Migration> {
    let begun = clock.elapsed();
    let mut migration = plan(source, target, request, interrupt).await?;
    refuse(&migration)?;
    let taken = backup(repository, source, &request.backup, clock, observer, interrupt).await?;
    let snapshot = taken.record.snapshot.clone();
    migration.taken = Some(taken);
    if snapshot.is_suspect() {
        return Err(Error::new(ErrorKind::Suspect, "migrate")
            .with("snapshot", snapshot.id.short())
            .hint("`backupctl show` says what is doubtful; nothing was written to the target."));
    }
    let planned = restore::plan(target, &snapshot, &request.restore, interrupt).await?;
    let restored = planned.execute(repository, clock, observer, interrupt).await?;
    migration.restored = Some(restored);
    let comparing = async {
        let parts = repository.reader(&snapshot).await?;
        target.examine(&snapshot, &parts, &request.restore).await
    };
    let found = interrupt.unless(comparing).await?;
    let all = backup_verification::compare(snapshot.kind, &snapshot.evidence, &found);
    let all = all.into_iter().map(|(name, finding)| of_comparison(name, finding));
    migration.questions = all.map(|question| accept(question, &migration, request)).collect();
    migration.seconds = clock.elapsed().saturating_sub(begun).as_secs_f64();
    Ok(migration)
}

/// What the preflight told already is no fault of the copy.
fn accept(
    mut question: QuestionDocument,
    migration: &Migration,
    request: &MigrateRequest,
) -> QuestionDocument {
    let warned = migration.checks.iter().any(|c| c.name == "locale" && c.fit == Fit::Warning);
    let left_out = !request.restore.without_extensions.is_empty();
    let known = match question.name.as_str() {
        "locale" => warned,
        "extensions" | "schema" | "objects" => left_out,
        _ => false,
    };
    if known && question.outcome == Outcome::Failed.as_str() {
        question.outcome = Outcome::Inconclusive.as_str().into();
        question.remedy = Some("It was asked for; see what was looked at first.".into());
    }
    question
}

fn refuse(migration: &Migration) -> Result<()> {
    if migration.is_possible() {
        return Ok(());
    }
    let blocked = || migration.checks.iter().filter(|check| check.fit == Fit::Blocked);
    let what: Vec<String> = blocked().map(|c| format!("{}: {}", c.name, c.detail)).collect();
    let remedies: Vec<&str> = blocked().filter_map(|check| check.remedy.as_deref()).collect();
    Err(Error::new(ErrorKind::Conflict, "migrate")
        .with("target", &migration.to.location)
        .because(what.join("; "))
        .hint(format!("Nothing was read or written. {}", remedies.join(" "))))
}

/// Turns a migration whose target is not proved to hold what the source held into an error:
/// `Integrity` when it holds something else, `Failed` when that could not be told.
pub fn demand(migration: &Migration) -> Result<()> {
    let of = |outcome: Outcome| {
        migration.questions.iter().find(move |question| question.outcome == outcome.as_str())
    };
    let error = |kind, question: &QuestionDocument, hint: &str| {
        Err(Error::new(kind, "compare target with source")
            .with("target", &migration.to.location)
            .with("question", &question.name)
            .because(question.detail.clone())
            .hint(hint))
    };
    if let Some(question) = of(Outcome::Failed) {
        return error(ErrorKind::Integrity, question, "Do not cut over: drop the target.");
    }
    let unproved = |question: &&QuestionDocument| {
        matches!(question.name.as_str(), "rows" | "fingerprints")
            && question.outcome != Outcome::Passed.as_str()
    };
    match migration.questions.iter().find(unproved) {
        Some(question) => error(
            ErrorKind::Failed,
            question,
            "The rows could not be compared; look at the target before a cut-over.",
        ),
        None => Ok(()),
    }
}
