//! What is worth looking at, as alerts.

use std::collections::BTreeSet;

use backup_core::Severity;
use backup_core::port::{Alert, OpenProblem, Phase};
use jiff::Timestamp;

use crate::health::{Concern, Condition, RepositoryHealth};
use crate::status::SourceStatus;

/// What such problems are called: `health/SOURCE/NAME`, or `health/NAME` of the repository.
const HEALTH: &str = "health/";

/// Returns what to tell: what is worth looking at now, and that what was told before is over.
/// Meant to be told again and again, like [`super::protection`]; conditions that protection
/// speaks of already, and those that are for information alone, are left to it.
#[must_use]
pub fn heed(
    sources: &[SourceStatus],
    repository: Option<&RepositoryHealth>,
    open: &[OpenProblem],
    at: Timestamp,
) -> Vec<Alert> {
    let of_sources = sources.iter().flat_map(|source| {
        source.health.conditions.iter().map(move |condition| (Some(&source.source), condition))
    });
    let of_repository =
        repository.into_iter().flat_map(|repository| &repository.conditions).map(|c| (None, c));
    let mut now = BTreeSet::new();
    let mut alerts = Vec::new();
    for (source, condition) in of_sources.chain(of_repository).filter(|(_, one)| is_news(one)) {
        let source = source.map(backup_core::SourceName::as_str);
        let alert = tell(source, condition, at);
        now.extend(alert.problem.clone());
        alerts.push(alert);
    }
    // Whether a backup that runs ends being late is known when it has ended.
    let running = sources.iter().filter(|source| source.health.running);
    let late = Concern::Overdue.as_str();
    let unknown: BTreeSet<_> =
        running.map(|source| format!("{HEALTH}{}/{late}", source.source)).collect();
    let over = open.iter().filter(|problem| {
        let ours = problem.key.starts_with(HEALTH) && !now.contains(&problem.key);
        let ours = ours && !unknown.contains(&problem.key);
        // Without a look at the repository nothing is known of it.
        ours && (repository.is_some() || problem.alert.source.is_some())
    });
    alerts.extend(over.map(|problem| solved(problem, at)));
    alerts
}

fn is_news(condition: &Condition) -> bool {
    let told_by_protection = matches!(
        condition.concern,
        Concern::DrillFailed
            | Concern::DrillOverdue
            | Concern::DisasterOverdue
            | Concern::RestoreSlow
    );
    condition.severity > Severity::Info && !told_by_protection
}

fn tell(source: Option<&str>, condition: &Condition, at: Timestamp) -> Alert {
    let name = condition.concern.as_str();
    let label = condition.concern.label();
    let (problem, title) = match source {
        Some(source) => (format!("{HEALTH}{source}/{name}"), format!("{source}: {label}")),
        None => (format!("{HEALTH}{name}"), format!("repository: {label}")),
    };
    Alert {
        severity: condition.severity,
        event: format!("health.{name}"),
        source: source.map(str::to_owned),
        title,
        body: condition.detail.clone(),
        at,
        facts: vec![("condition".into(), name.into())],
        problem: Some(problem),
        phase: Phase::Open,
    }
}

fn solved(problem: &OpenProblem, at: Timestamp) -> Alert {
    Alert {
        severity: Severity::Info,
        event: "health.restored".into(),
        source: problem.alert.source.clone(),
        title: format!("{} no more", problem.alert.title),
        body: String::new(),
        at,
        facts: problem.alert.facts.clone(),
        problem: Some(problem.key.clone()),
        phase: Phase::Solved,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::assess;

    fn source(conditions: Vec<Condition>) -> Vec<SourceStatus> {
        let promises = BTreeMap::from([("shop".parse().unwrap(), Default::default())]);
        let mut sources = assess(&[], &promises, Timestamp::UNIX_EPOCH);
        sources[0].health.conditions = conditions;
        sources
    }

    fn open(alert: &Alert) -> OpenProblem {
        OpenProblem {
            key: alert.problem.clone().unwrap(),
            alert: alert.clone(),
            since: alert.at,
            told: BTreeMap::new(),
        }
    }

    #[test]
    fn what_is_worth_a_look_is_told_and_its_end_too() {
        let at = Timestamp::UNIX_EPOCH;
        let late = Condition::warning(Concern::Overdue, "Late.");
        let low = Condition::new(Concern::StorageLow, Severity::Critical, "Low.");
        let quiet = Condition::new(Concern::KeySingle, Severity::Info, "One.");
        let drill = Condition::warning(Concern::DrillOverdue, "Drill.");
        let space =
            RepositoryHealth { conditions: vec![low, quiet], ..RepositoryHealth::default() };
        let told = heed(&source(vec![late, drill]), Some(&space), &[], at);
        let keys: Vec<_> = told.iter().map(|alert| alert.problem.as_deref().unwrap()).collect();
        assert_eq!(keys, ["health/shop/overdue", "health/storage_low"]);
        assert_eq!(told[0].title, "shop: backup overdue");
        assert_eq!((told[0].severity, told[1].severity), (Severity::Warning, Severity::Critical));

        let problems: Vec<_> = told.iter().map(open).collect();
        let over = heed(&source(Vec::new()), None, &problems, at);
        assert_eq!(over.len(), 1, "of the repository nothing is known");
        assert_eq!((over[0].phase, over[0].event.as_str()), (Phase::Solved, "health.restored"));
        let over = heed(&source(Vec::new()), Some(&RepositoryHealth::default()), &problems, at);
        assert_eq!(over.len(), 2);
        let mut running = source(Vec::new());
        running[0].health.running();
        assert!(heed(&running, None, &problems, at).is_empty(), "it may fail as those before");
        let protection = OpenProblem { key: "protection/shop".into(), ..problems[0].clone() };
        assert!(heed(&source(Vec::new()), None, &[protection], at).is_empty());
    }
}
