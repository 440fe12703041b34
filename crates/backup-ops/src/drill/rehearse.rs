//! One rehearsal: open a place, restore, question, remove. Whatever happens, the place goes.

use std::num::NonZeroUsize;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use backup_core::port::{
    Clock, DrillOptions, DrillTarget, IndexCheck, Observer, PartSource, RestoreReport, Scratch,
    SmokeTest,
};
use backup_core::{Event, Finding, Result, Snapshot, SnapshotKind};
use futures::future::{Either, select};
use jiff::Timestamp;

use super::answer::{Outcome, Verdict, answer, of_comparison, of_error};
use super::point::{self, DrillPoint};
use super::{Assertion, DrillReceipt};
use crate::document::{FindingDocument, PhaseDocument, QuestionDocument};
use crate::group::{KeyAnswer, KeyCheck, KeyQuestion};
use crate::interrupt::Interrupt;
use crate::managed::LEFT_BEHIND;

/// How often a long silence is told to be none.
const ATTENDED: Duration = Duration::from_secs(60);

/// What to ask, and how.
#[derive(Clone)]
pub struct DrillRequest {
    /// Parallel writers, and readers.
    pub jobs: NonZeroUsize,
    /// Questions of a person's own.
    pub assertions: Vec<Assertion>,
    /// A person's own program.
    pub smoke: Option<Arc<dyn SmokeTest>>,
    /// How long one question of a person's own may take.
    pub limit: Duration,
    /// Whether it starts from nothing but the repository and a recovery key.
    pub disaster: bool,
    /// The point that a physical snapshot is brought to; its target has to know it too.
    pub point: Option<DrillPoint>,
    /// The program that drills, with its version.
    pub program: String,
    /// What to ask about the files of the same recovery set.
    pub keys: Vec<KeyQuestion>,
}

/// What one rehearsal found.
#[derive(Clone, Debug)]
pub struct Rehearsal {
    /// About the snapshot.
    pub receipt: DrillReceipt,
    /// About the files of its recovery set, in the order of [`DrillRequest::keys`]; none where the
    /// snapshot could not be asked. They say nothing about the snapshot itself.
    pub keys: Vec<QuestionDocument>,
}

/// Restores `snapshot` from `parts` into a place of `target` and questions it. What was found
/// is in the receipt; an error says that nothing was found out: somebody asked to stop, the
/// repository or the place's server could not be reached.
pub async fn rehearse(
    parts: Arc<dyn PartSource>,
    snapshot: &Snapshot,
    target: &dyn DrillTarget,
    request: &DrillRequest,
    clock: &Arc<dyn Clock>,
    observer: &Arc<dyn Observer>,
    interrupt: &Interrupt,
) -> Result<Rehearsal> {
    observer.on_event(&Event::RunStarted {
        verb: "drill",
        source: Some(snapshot.source.clone()),
        expected_bytes: Some(snapshot.restored_bytes()),
    });
    let mut drill = Drill {
        snapshot,
        parts,
        request,
        clock,
        observer,
        begun: clock.elapsed(),
        receipt: begin(snapshot, target, request, clock.now()),
        keys: Vec::new(),
    };
    let ended = drill.run(target, interrupt).await;
    drill.receipt.seconds = drill.since(drill.begun);
    drill.receipt.verdict = Verdict::of(&drill.receipt.questions).as_str().into();
    let error = match &ended {
        Err(error) => Some(error.to_string()),
        Ok(()) => Some(format!("verdict: {}", drill.receipt.verdict))
            .filter(|_| drill.receipt.verdict != "passed"),
    };
    observer.on_event(&Event::RunFinished { at: clock.now(), error });
    let Drill { receipt, keys, .. } = drill;
    ended.map(|()| Rehearsal { receipt, keys })
}

/// Tells again and again that questions are being asked: a server says nothing while it answers
/// one, however long that takes.
async fn attended<T>(
    clock: &Arc<dyn Clock>,
    observer: &Arc<dyn Observer>,
    work: impl Future<Output = T>,
) -> T {
    let telling = async {
        loop {
            clock.sleep(ATTENDED).await;
            observer.on_event(&Event::Progress { bytes: 0 });
        }
    };
    match select(pin!(work), pin!(telling)).await {
        Either::Left((done, _)) => done,
        Either::Right((never, _)) => never,
    }
}

fn begin(
    snapshot: &Snapshot,
    target: &dyn DrillTarget,
    request: &DrillRequest,
    now: Timestamp,
) -> DrillReceipt {
    let data_from = instant(snapshot);
    let age = Duration::try_from(now.duration_since(data_from)).unwrap_or(Duration::ZERO);
    DrillReceipt {
        schema: "backupctl.drill.v1".into(),
        source: snapshot.source.to_string(),
        snapshot: snapshot.id.to_string(),
        kind: snapshot.kind.as_str().into(),
        verdict: String::new(),
        at: now,
        data_from,
        disaster: request.disaster,
        target: target.describe(),
        source_version: snapshot.evidence.server_version.clone(),
        server_version: String::new(),
        program: request.program.clone(),
        rto_seconds: None,
        rpo_seconds: age.as_secs(),
        validation_seconds: 0.0,
        seconds: 0.0,
        phases: Vec::new(),
        tables: 0,
        rows: 0,
        bytes: 0,
        files: 0,
        replay: None,
        fetched_bytes: 0,
        questions: Vec::new(),
        findings: Vec::new(),
        members: Vec::new(),
    }
}

fn walked(check: &IndexCheck) -> String {
    match check.tables {
        0 => format!("{} B-trees walked", check.checked),
        tables => format!(
            "{tables} tables and {} B-trees walked, every row found in its indexes",
            check.checked
        ),
    }
}

/// A drill that looked for nothing has proved nothing, unless somebody said that there may be none.
fn no_key(name: &str, found: &KeyAnswer, allowed: bool) -> QuestionDocument {
    let detail = match found.nulls {
        0 => "the statement returned no row".to_owned(),
        nulls => format!("the statement returned no key: {nulls} rows have none"),
    };
    if allowed {
        return answer(name, Outcome::Skipped, detail + ", which drill.allow_empty permits");
    }
    let remedy = "Mend the statement; where the database refers to no file, write \
                  drill.allow_empty = true.";
    QuestionDocument {
        remedy: Some(remedy.into()),
        ..answer(name, Outcome::Inconclusive, detail + ": no file was looked for")
    }
}

/// The instant a snapshot's data is from: the server's word, else when the run started.
fn instant(snapshot: &Snapshot) -> Timestamp {
    let stated = snapshot.evidence.facts.get("instant").and_then(|text| text.parse().ok());
    stated.unwrap_or(snapshot.started_at)
}

struct Drill<'a> {
    snapshot: &'a Snapshot,
    parts: Arc<dyn PartSource>,
    request: &'a DrillRequest,
    clock: &'a Arc<dyn Clock>,
    observer: &'a Arc<dyn Observer>,
    begun: Duration,
    receipt: DrillReceipt,
    keys: Vec<QuestionDocument>,
}

impl Drill<'_> {
    async fn run(&mut self, target: &dyn DrillTarget, interrupt: &Interrupt) -> Result<()> {
        let begun = self.phase("start");
        match interrupt.unless(target.sweep()).await {
            Ok(swept) => {
                for finding in &swept {
                    self.note(finding);
                }
            }
            Err(error) => {
                self.note(&Finding::warning(format!("leftovers were not removed: {error}")));
            }
        }
        let options = DrillOptions { jobs: self.request.jobs, observer: Arc::clone(self.observer) };
        let opened = interrupt.unless(target.open(self.snapshot, &options)).await;
        self.took("start", begun);
        let mut place = match opened {
            Ok(place) => place,
            // A server that cannot be reached told nothing: that is no drill.
            Err(error) if error.kind() == backup_core::ErrorKind::SourceUnavailable => {
                return Err(error);
            }
            Err(error) => {
                let mut told = of_error("start", error)?;
                // No part of the snapshot has been looked at yet.
                told.outcome = Outcome::Inconclusive.as_str().into();
                self.receipt.questions.push(told);
                return Ok(());
            }
        };
        self.receipt.target = place.location();
        self.receipt.server_version = place.server_version();
        let asked = interrupt.unless(self.question(&mut *place)).await;
        // Nobody may interrupt this: what is there are somebody's rows.
        let begun = self.phase("remove");
        let (location, billed) = (place.location(), place.is_billed());
        if let Err(error) = place.remove().await {
            let text = if billed {
                format!(
                    "{LEFT_BEHIND}{location}, which costs money; it is not known to be dropped: {error}"
                )
            } else {
                format!("the throw-away place was left behind: {error}")
            };
            self.note(&Finding::warning(text));
        }
        self.took("remove", begun);
        asked
    }

    async fn question(&mut self, place: &mut dyn Scratch) -> Result<()> {
        let begun = self.phase("restore");
        let restored = place.restore(self.snapshot, Arc::clone(&self.parts)).await;
        let seconds = self.since(begun);
        match restored {
            Ok(report) => self.restored(report, seconds),
            Err(error) => {
                self.took("restore", begun);
                let told = of_error("restore", error)?;
                self.receipt.questions.push(told);
                return Ok(());
            }
        }
        // A tree of files is of use as soon as it is there.
        if self.snapshot.kind != SnapshotKind::Files {
            let begun = self.phase("first answer");
            let first = place.ask("SELECT 1", self.request.limit).await;
            self.took("first answer", begun);
            if let Err(error) = first {
                let told = of_error("answer", error)?;
                self.receipt.questions.push(told);
                return Ok(());
            }
        }
        self.receipt.rto_seconds = Some(self.since(self.begun));
        let begun = self.clock.elapsed();
        let (clock, observer) = (self.clock, self.observer);
        let asked = attended(clock, observer, self.ask_all(place)).await;
        self.receipt.validation_seconds = self.since(begun);
        asked
    }

    fn restored(&mut self, report: RestoreReport, seconds: f64) {
        let receipt = &mut self.receipt;
        (receipt.tables, receipt.rows, receipt.bytes) = (report.tables, report.rows, report.bytes);
        let phases = report.phases.into_iter();
        receipt.phases.extend(
            phases
                .map(|(name, seconds)| PhaseDocument { name: format!("restore: {name}"), seconds }),
        );
        receipt.findings.extend(report.findings.iter().map(FindingDocument::new));
        receipt.files = report.files;
        let detail = match self.snapshot.kind {
            SnapshotKind::Logical => {
                format!("{} rows in {} tables", report.rows, report.tables)
            }
            SnapshotKind::Physical | SnapshotKind::Files => format!("{} files", report.files),
        };
        let point = self.request.point.as_ref().zip(report.replay.as_ref());
        let told = match point.and_then(|(point, replay)| point.fell_short(replay)) {
            Some(short) => answer("restore", Outcome::Failed, short),
            None => answer("restore", Outcome::Passed, detail),
        };
        receipt.questions.push(QuestionDocument { seconds: Some(seconds), ..told });
        if let Some(replay) = report.replay {
            point::note(receipt, self.request.point.as_ref(), &replay);
        }
    }

    async fn ask_all(&mut self, place: &mut dyn Scratch) -> Result<()> {
        let begun = self.phase("read back");
        let examined = place.examine(self.snapshot, &self.parts).await;
        self.took("read back", begun);
        match examined {
            Ok(found) => {
                let (kind, wanted) = (self.snapshot.kind, &self.snapshot.evidence);
                let all = backup_verification::compare(kind, wanted, &found);
                let all = all.into_iter().map(|(name, found)| of_comparison(name, found));
                self.receipt.questions.extend(all);
            }
            Err(error) => {
                let told = of_error("read back", error)?;
                self.receipt.questions.push(told);
            }
        }
        if self.snapshot.kind != SnapshotKind::Files {
            self.indexes(place).await?;
        }
        for assertion in &self.request.assertions {
            self.assert(place, assertion).await?;
        }
        for question in &self.request.keys {
            self.look_for_keys(place, question).await?;
        }
        self.smoke(place).await
    }

    async fn indexes(&mut self, place: &mut dyn Scratch) -> Result<()> {
        let begun = self.phase("indexes");
        let checked = place.check_indexes().await;
        self.took("indexes", begun);
        let told = match checked {
            Ok(check) if !check.problems.is_empty() => {
                answer("indexes", Outcome::Failed, check.problems.join("; "))
            }
            Ok(check) => match check.unavailable {
                Some(why) => answer("indexes", Outcome::Skipped, why),
                None => answer("indexes", Outcome::Passed, walked(&check)),
            },
            Err(error) => of_error("indexes", error)?,
        };
        self.receipt.questions.push(told);
        Ok(())
    }

    async fn assert(&mut self, place: &mut dyn Scratch, assertion: &Assertion) -> Result<()> {
        let name = format!("assert {}", assertion.name);
        let begun = self.phase(&name);
        let value = place.ask(&assertion.sql, self.request.limit).await;
        let told = match value {
            Ok(value) => match assertion.judge(value.as_deref(), self.receipt.data_from) {
                Ok(found) => answer(&name, Outcome::Passed, found),
                Err(wrong) => answer(&name, Outcome::Failed, wrong),
            },
            Err(error) => of_error(&name, error)?,
        };
        let seconds = Some(self.since(begun));
        self.receipt.questions.push(QuestionDocument { seconds, ..told });
        Ok(())
    }

    async fn look_for_keys(
        &mut self,
        place: &mut dyn Scratch,
        question: &KeyQuestion,
    ) -> Result<()> {
        let name = format!("keys {}", question.files);
        let begun = self.phase(&name);
        let mut check = KeyCheck::new(question);
        let limit = self.request.limit;
        let asked = match place.ask_column(&question.sql, limit, &mut check).await {
            Ok(()) => check.finish().await,
            Err(error) => Err(error),
        };
        let told = match asked {
            Ok(found) if found.keys == 0 => no_key(&name, &found, question.allow_empty),
            Ok(found) if found.is_whole() => answer(&name, Outcome::Passed, found.describe()),
            Ok(found) => {
                let remedy = if found.missing == found.keys {
                    "None fits: do strip_prefix and add_prefix make paths below the root, or keys?"
                } else {
                    "Either the rows are wrong, or the files were deleted before they were read."
                };
                let told = answer(&name, Outcome::Failed, found.describe());
                QuestionDocument { remedy: Some(remedy.into()), ..told }
            }
            Err(error) => {
                let damaged = error.kind() == backup_core::ErrorKind::Integrity;
                let mut told = of_error(&name, error)?;
                if !damaged {
                    // A statement that does not work tells nothing about the files.
                    told.outcome = Outcome::Inconclusive.as_str().into();
                }
                told
            }
        };
        let seconds = Some(self.since(begun));
        self.keys.push(QuestionDocument { seconds, ..told });
        Ok(())
    }

    async fn smoke(&mut self, place: &mut dyn Scratch) -> Result<()> {
        let Some(smoke) = &self.request.smoke else { return Ok(()) };
        let begun = self.phase("smoke test");
        let told = match smoke.run(&place.url()).await {
            Ok(said) => answer("smoke test", Outcome::Passed, said),
            Err(error) => of_error("smoke test", error)?,
        };
        let seconds = Some(self.since(begun));
        self.receipt.questions.push(QuestionDocument { seconds, ..told });
        Ok(())
    }

    /// Tells that a phase begins, and when.
    fn phase(&self, name: &str) -> Duration {
        self.observer.on_event(&Event::PhaseStarted { phase: name.to_owned() });
        self.clock.elapsed()
    }

    fn took(&mut self, name: &str, begun: Duration) {
        let seconds = self.since(begun);
        self.receipt.phases.push(PhaseDocument { name: name.into(), seconds });
    }

    fn since(&self, begun: Duration) -> f64 {
        self.clock.elapsed().saturating_sub(begun).as_secs_f64()
    }

    fn note(&mut self, finding: &Finding) {
        self.observer.on_event(&Event::Found(finding.clone()));
        self.receipt.findings.push(FindingDocument::new(finding));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_drill_that_looked_for_no_file_does_not_pass() {
        let member = answer("member shop", Outcome::Passed, "");
        let verdict = |found: &KeyAnswer, allowed| {
            let told = no_key("keys uploads", found, allowed);
            (Verdict::of(&[member.clone(), told.clone()]), told.detail)
        };
        let nulls = KeyAnswer { nulls: 3, ..KeyAnswer::default() };
        let (told, detail) = verdict(&nulls, false);
        assert_eq!(told, Verdict::Inconclusive);
        assert!(detail.contains("3 rows have none"), "{detail}");
        assert_eq!(verdict(&KeyAnswer::default(), false).0, Verdict::Inconclusive);
        assert_eq!(verdict(&KeyAnswer::default(), true).0, Verdict::Passed);
    }
}
