//! What the facts say about controls of well-known frameworks.
//!
//! References: 45 CFR 164.308(a)(7) and 164.312 (HIPAA Security Rule); AICPA Trust Services
//! Criteria A1.2 and A1.3 (SOC 2); ISO/IEC 27001:2022 Annex A 8.13.

use super::model::{AuditFacts, Control, KeyLine, Outcome, SourceReport};

const HIPAA: &str = "HIPAA Security Rule";
const SOC: &str = "SOC 2";
const ISO: &str = "ISO/IEC 27001:2022";

/// Maps facts to controls.
pub(super) fn controls(
    sources: &[SourceReport],
    keys: &[KeyLine],
    audit: Option<&AuditFacts>,
    encryption: &str,
) -> Vec<Control> {
    let backed_up = backed_up(sources);
    let proved = proved(sources);
    let drilled = drilled(sources);
    let answered = answered(sources);
    let all = [backed_up.clone(), proved.clone(), drilled.clone()];
    let row =
        |framework: &str, reference: &str, topic: &str, (outcome, evidence): Judged| Control {
            framework: framework.to_owned(),
            reference: reference.to_owned(),
            topic: topic.to_owned(),
            outcome,
            evidence,
        };
    vec![
        row(HIPAA, "164.308(a)(7)(ii)(A)", "data backup plan", backed_up.clone()),
        row(HIPAA, "164.308(a)(7)(ii)(B)", "disaster recovery plan", proved.clone()),
        row(HIPAA, "164.308(a)(7)(ii)(D)", "testing and revision", drilled.clone()),
        row(HIPAA, "164.312(a)(2)(iv)", "encryption at rest", encrypted(keys, encryption)),
        row(HIPAA, "164.312(b)", "audit controls", audited(audit)),
        row(HIPAA, "164.312(c)(1)", "integrity", proved),
        row(SOC, "A1.2", "backup processes and recovery infrastructure", both(backed_up, answered)),
        row(SOC, "A1.3", "tests of recovery", drilled),
        row(ISO, "A.8.13", "information backup: made, protected, tested", every(&all)),
    ]
}

type Judged = (Outcome, String);

/// Passes when no source is at fault; names those that are.
fn judge(
    sources: &[SourceReport],
    good: &str,
    fault: impl Fn(&SourceReport) -> Option<String>,
) -> Judged {
    if sources.is_empty() {
        return (Outcome::NotApplicable, "There is no source.".into());
    }
    let faults: Vec<String> = sources
        .iter()
        .filter_map(|source| Some(format!("{}: {}", source.source, fault(source)?)))
        .collect();
    if faults.is_empty() {
        return (Outcome::Pass, format!("{} of {} sources: {good}.", sources.len(), sources.len()));
    }
    (Outcome::Fail, format!("{}.", faults.join("; ")))
}

fn backed_up(sources: &[SourceReport]) -> Judged {
    judge(sources, "backed up in the period, never older than their RPO", |source| {
        match (source.backups.succeeded, source.rpo.met) {
            (0, _) => Some("no backup in the period".into()),
            (_, Some(false)) => Some(format!(
                "the newest snapshot was up to {} old, {} was promised",
                super::html::span(source.rpo.worst_seconds),
                super::html::span(source.rpo.target_seconds)
            )),
            _ => None,
        }
    })
}

fn proved(sources: &[SourceReport]) -> Judged {
    judge(sources, "have a newest snapshot that was proved as far as asked", |source| {
        let newest = source.snapshots.iter().filter(|s| !s.suspect).max_by_key(|s| s.started_at);
        match newest {
            None => Some("no snapshot of the period is kept".into()),
            Some(newest) if newest.level < source.promised.level => Some(format!(
                "the newest snapshot {} is proved to level {}, {} was asked for",
                newest.id.short(),
                newest.level.as_str(),
                source.promised.level.as_str()
            )),
            Some(_) => None,
        }
    })
}

fn drilled(sources: &[SourceReport]) -> Judged {
    judge(sources, "restored and questioned in the period, the last drill passed", |source| {
        match source.drills.iter().max_by_key(|drill| drill.at) {
            None => Some("no restore was tried in the period".into()),
            Some(last) if last.verdict != "passed" => {
                Some(format!("the drill of {} {}: {}", last.at, last.verdict, last.detail))
            }
            Some(_) if source.rto.met == Some(false) => Some(format!(
                "recovery took {}, {} is the budget",
                super::html::span(source.rto.worst_seconds),
                super::html::span(source.rto.target_seconds)
            )),
            Some(_) => None,
        }
    })
}

fn answered(sources: &[SourceReport]) -> Judged {
    judge(sources, "no failure without a later success", |source| {
        let open = source.failures.iter().filter(|failure| failure.answered_at.is_none()).count();
        (open > 0).then(|| format!("{open} failures were not followed by a success"))
    })
}

fn encrypted(keys: &[KeyLine], encryption: &str) -> Judged {
    if keys.is_empty() {
        return (Outcome::Fail, "No key could be listed.".into());
    }
    (Outcome::Pass, format!("{} keys open the repository. {encryption}", keys.len()))
}

fn audited(audit: Option<&AuditFacts>) -> Judged {
    match audit {
        None => (Outcome::NotApplicable, "No audit record was at hand.".into()),
        Some(AuditFacts { broken: Some(broken), .. }) => {
            (Outcome::Fail, format!("The audit chain is broken: {broken}."))
        }
        Some(audit) => (
            Outcome::Pass,
            format!(
                "{} entries in the period, {} in all; the chain holds up to {}.",
                audit.in_period, audit.entries, audit.head
            ),
        ),
    }
}

fn both(one: Judged, other: Judged) -> Judged {
    every(&[one, other])
}

/// The worst outcome, with the evidence of all that say as much.
fn every(all: &[Judged]) -> Judged {
    let worst = [Outcome::Fail, Outcome::NotApplicable]
        .into_iter()
        .find(|outcome| all.iter().any(|(one, _)| one == outcome))
        .unwrap_or(Outcome::Pass);
    let evidence: Vec<&str> =
        all.iter().filter(|(one, _)| *one == worst).map(|(_, text)| text.as_str()).collect();
    (worst, evidence.join(" "))
}
