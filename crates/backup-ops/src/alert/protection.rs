//! How a source stands, as an alert.

use backup_core::Severity;
use backup_core::port::{Alert, Phase};
use jiff::Timestamp;

use super::problem;
use crate::group::GroupStatus;
use crate::status::{SourceStatus, Standing};

/// Returns what a source's standing is to its owner: a problem called `protection/SOURCE`, or,
/// for a protected source, the end of that problem. Meant to be told again and again: saying
/// what is known already tells nobody anything.
#[must_use]
pub fn protection(status: &SourceStatus, at: Timestamp) -> Alert {
    let (severity, event, phase) = what(status.standing);
    let mut facts = vec![("standing".into(), status.standing.as_str().into())];
    if let Some(record) = &status.newest {
        facts.push(("newest".into(), record.snapshot.id.to_string()));
        facts.push(("newest_at".into(), record.snapshot.started_at.to_string()));
        facts.push(("verified".into(), record.verified.level.as_str().into()));
    }
    let body = match status.standing {
        Standing::Protected => "The newest snapshot is fresh and proved as far as asked.".into(),
        _ => status.reasons.join("\n"),
    };
    Alert {
        severity,
        event: event.into(),
        source: Some(status.source.to_string()),
        title: format!("{} is {}", status.source, status.standing.label()),
        body,
        at,
        facts,
        problem: Some(problem("protection", Some(status.source.as_str()))),
        phase,
    }
}

/// Returns what a group's standing is to its owner, as [`protection`] does for a source.
#[must_use]
pub fn group_protection(status: &GroupStatus, at: Timestamp) -> Alert {
    let (severity, event, phase) = what(status.standing);
    let mut facts = vec![("standing".into(), status.standing.as_str().into())];
    if let Some(set) = &status.newest {
        facts.push(("newest".into(), set.id.to_string()));
        facts.push(("newest_at".into(), set.begun_at().to_string()));
        facts.push(("verified".into(), set.level().as_str().into()));
    }
    let body = match status.standing {
        Standing::Protected => "The newest complete set is fresh, and a drill passed.".into(),
        _ => status.reasons.join("\n"),
    };
    Alert {
        severity,
        event: event.into(),
        source: Some(status.group.to_string()),
        title: format!("group {} is {}", status.group, status.standing.label()),
        body,
        at,
        facts,
        problem: Some(problem("protection", Some(status.group.as_str()))),
        phase,
    }
}

fn what(standing: Standing) -> (Severity, &'static str, Phase) {
    match standing {
        Standing::Protected => (Severity::Info, "protection.restored", Phase::Solved),
        Standing::AtRisk => (Severity::Warning, "protection.at_risk", Phase::Open),
        Standing::Unprotected => (Severity::Critical, "protection.lost", Phase::Open),
        Standing::NeverBackedUp => (Severity::Critical, "protection.never", Phase::Open),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::assess;

    #[test]
    fn a_source_without_snapshots_is_a_critical_problem() {
        let at = "2026-01-01T00:00:00Z".parse().unwrap();
        let promises = BTreeMap::from([("shop".parse().unwrap(), Default::default())]);
        let alert = protection(&assess(&[], &promises, at)[0], at);
        assert_eq!(alert.event, "protection.never");
        assert_eq!((alert.severity, alert.phase), (Severity::Critical, Phase::Open));
        assert_eq!(alert.problem.as_deref(), Some("protection/shop"));
        assert_eq!(alert.title, "shop is never backed up");
        assert!(alert.body.contains("backupctl backup shop"), "{}", alert.body);
    }
}
