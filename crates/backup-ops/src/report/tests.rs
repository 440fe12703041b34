//! A period with good and bad days.

use backup_core::{
    Finding, JobKey, JobKind, RepositoryId, Run, RunError, RunId, RunState, SnapshotRecord,
    Trigger, Verified, VerifyLevel,
};

use super::*;
use crate::testing::record;

fn proved(mut record: SnapshotRecord) -> SnapshotRecord {
    record.verified = Verified { level: VerifyLevel::Read, at: Some(record.stored_at) };
    record
}

fn run(number: u8, kind: JobKind, at: &str, state: RunState) -> Run {
    let mut run = Run::begin(
        RunId([number; 16]),
        JobKey::of(kind, &"shop".parse().unwrap()),
        Trigger::Schedule,
        at.parse().unwrap(),
    );
    run.state = state;
    run.ended_at = Some(run.started_at);
    if state == RunState::Failed {
        let (kind, message) = ("source".into(), "connect <refused> & \"lost\"".into());
        run.error = Some(RunError { kind, message, hint: None });
    }
    run
}

fn facts() -> Facts {
    let day = |pair, day| proved(record(pair, "shop", day, &format!("2026-03-{day:02}T02:00:00Z")));
    let promised = Promised {
        rpo_seconds: 26 * 3600,
        level: VerifyLevel::Read,
        drill_interval_seconds: Some(30 * 86400),
        rto_seconds: Some(1800),
        retention: "30 daily".into(),
    };
    let drill = DrillLine {
        at: "2026-03-03T05:00:00Z".parse().unwrap(),
        snapshot: "cc".repeat(16),
        verdict: "passed".into(),
        rto_seconds: Some(95.0),
        detail: String::new(),
    };
    Facts {
        repository: RepositoryId([7; 16]),
        location: "memory".into(),
        program: "test".into(),
        sources: vec![SourceFacts {
            source: "shop".parse().unwrap(),
            promised,
            snapshots: vec![day("aa", 1), day("bb", 2), day("cc", 3), day("dd", 4)],
            drills: vec![drill],
            runs: Some(vec![
                run(1, JobKind::Backup, "2026-03-03T02:00:00Z", RunState::Succeeded),
                run(2, JobKind::Backup, "2026-03-03T20:00:00Z", RunState::Failed),
                run(3, JobKind::Backup, "2026-03-04T02:00:00Z", RunState::Succeeded),
            ]),
        }],
        keys: Vec::new(),
        audit: None,
    }
}

fn made(facts: &Facts) -> Report {
    let at = |text: &str| text.parse().unwrap();
    let period = Period { from: at("2026-03-02T00:00:00Z"), to: at("2026-03-05T00:00:00Z") };
    assemble(facts, period, at("2026-03-06T00:00:00Z"))
}

fn outcome(report: &Report, reference: &str) -> Outcome {
    report.controls.iter().find(|control| control.reference == reference).unwrap().outcome
}

#[test]
fn good_days_pass_what_their_facts_support() {
    let report = made(&facts());
    let shop = &report.sources[0];
    assert_eq!(shop.snapshots.len(), 3, "only those of the period");
    assert_eq!((shop.backups.succeeded, shop.backups.failed, shop.backups.proved), (3, 1, 3));
    let success: Vec<_> =
        shop.success.iter().map(|rate| (rate.days, rate.good, rate.all)).collect();
    assert_eq!(success, [(30, 2, 3), (90, 2, 3)]);
    // The one of the day before stands until the first of the period.
    assert_eq!(shop.rpo.worst_seconds, Some(24.0 * 3600.0));
    assert_eq!((shop.rpo.met, shop.rto.met), (Some(true), Some(true)));
    assert!(shop.failures[0].answered_at.is_some());
    for reference in ["164.308(a)(7)(ii)(A)", "164.308(a)(7)(ii)(D)", "A1.2", "A1.3", "A.8.13"] {
        assert_eq!(outcome(&report, reference), Outcome::Pass, "{reference}");
    }
    assert_eq!(outcome(&report, "164.312(b)"), Outcome::NotApplicable);
    assert_eq!(outcome(&report, "164.312(a)(2)(iv)"), Outcome::Fail, "no key was listed");
}

#[test]
fn every_fault_fails_the_control_it_speaks_against() {
    type Change = fn(&mut SourceFacts);
    let faults: [(&str, &str, Change); 8] = [
        ("164.308(a)(7)(ii)(A)", "A.8.13", |s| drop(s.snapshots.drain(1..))),
        ("164.308(a)(7)(ii)(B)", "164.312(c)(1)", |s| {
            s.snapshots[3].verified = Verified::default();
        }),
        ("164.308(a)(7)(ii)(D)", "A1.3", |s| s.drills.clear()),
        ("164.308(a)(7)(ii)(D)", "A.8.13", |s| s.drills[0].verdict = "failed".into()),
        ("164.308(a)(7)(ii)(D)", "A1.3", |s| s.drills[0].rto_seconds = Some(4000.0)),
        ("164.308(a)(7)(ii)(A)", "A1.2", |s| s.promised.rpo_seconds = 3600),
        ("A1.2", "A1.2", |s| drop(s.runs.as_mut().map(Vec::pop))),
        ("164.308(a)(7)(ii)(A)", "A1.2", |s| {
            let suspect = Finding::suspect("no rows");
            s.snapshots.iter_mut().skip(1).for_each(|r| {
                r.snapshot.evidence.findings.push(suspect.clone());
            });
            s.runs = None;
        }),
    ];
    for (number, (first, second, change)) in faults.into_iter().enumerate() {
        let mut facts = facts();
        change(&mut facts.sources[0]);
        // Runs remember what snapshots no longer say.
        if number == 0 {
            facts.sources[0].runs = None;
        }
        let report = made(&facts);
        assert_eq!(outcome(&report, first), Outcome::Fail, "fault {number}");
        assert_eq!(outcome(&report, second), Outcome::Fail, "fault {number}");
    }
}

#[test]
fn a_running_period_is_judged_up_to_now_and_says_so() {
    let at = |text: &str| text.parse().unwrap();
    let period = Period { from: at("2026-03-02T00:00:00Z"), to: at("2026-04-01T00:00:00Z") };
    let report = assemble(&facts(), period, at("2026-03-04T14:00:00Z"));
    assert_eq!(report.sources[0].rpo.worst_seconds, Some(24.0 * 3600.0));
    assert!(report.limits.iter().any(|limit| limit.contains("has not ended")), "{report:?}");
}

#[test]
fn what_others_wrote_is_escaped() {
    let page = super::html::html(&made(&facts()), "");
    assert!(page.contains("connect &lt;refused&gt; &amp; &quot;lost&quot;"), "{page}");
    assert!(!page.contains("<refused>"));
}
