//! Who is told what about a run.

mod health;
mod protection;
mod route;

use backup_core::port::{Alert, Phase};
use backup_core::{ByteSize, Error, ErrorKind, Severity};
use jiff::Timestamp;

use crate::backup::BackupReceipt;
use crate::managed::LEFT_BEHIND;
pub use health::heed;
pub use protection::{group_protection, protection};
pub use route::{Destination, Route, announce};

/// Returns the name of the problem that a verb can have with a source, or with the repository.
#[must_use]
pub fn problem(verb: &str, source: Option<&str>) -> String {
    source.map_or_else(|| verb.to_owned(), |source| format!("{verb}/{source}"))
}

/// Returns the alert for a run that begins: only those who measure runs hear it.
#[must_use]
pub fn started(verb: &str, source: Option<&str>, at: Timestamp) -> Alert {
    let about = source.map(|source| format!(" of {source}")).unwrap_or_default();
    Alert {
        severity: Severity::Info,
        event: format!("{verb}.started"),
        source: source.map(str::to_owned),
        title: format!("{verb}{about} started"),
        body: String::new(),
        at,
        facts: Vec::new(),
        problem: Some(problem(verb, source)),
        phase: Phase::Started,
    }
}

/// Returns the alert for a run that failed. An interrupted run is a warning: somebody wanted
/// it.
#[must_use]
pub fn failure(verb: &str, source: Option<&str>, error: &Error, at: Timestamp) -> Alert {
    let about = source.map(|source| format!(" of {source}")).unwrap_or_default();
    let severity = match error.kind() {
        ErrorKind::Interrupted | ErrorKind::Terminated => Severity::Warning,
        _ => Severity::Critical,
    };
    let mut body = error.to_string();
    if let Some(hint) = error.remedy() {
        body.push_str("\n\n");
        body.push_str(hint);
    }
    Alert {
        severity,
        event: format!("{verb}.failed"),
        source: source.map(str::to_owned),
        title: format!("{verb}{about} failed: {}", error.operation()),
        body,
        at,
        facts: vec![
            ("kind".into(), error.kind().as_str().into()),
            ("exit_code".into(), error.kind().exit_code().to_string()),
        ],
        problem: Some(problem(verb, source)),
        phase: Phase::Open,
    }
}

/// Returns the alert for a backup that committed a snapshot: good news, or a suspect one.
#[must_use]
pub fn backup(receipt: &BackupReceipt, at: Timestamp) -> Alert {
    let snapshot = &receipt.record.snapshot;
    let suspect = snapshot.is_suspect();
    let (severity, event, how) = if suspect {
        (Severity::Critical, "backup.suspect", "is suspect")
    } else {
        (Severity::Info, "backup.succeeded", "succeeded")
    };
    let mut body = format!(
        "Snapshot {}: {} read, {} new, {} stored; verified to level {}.",
        snapshot.id.short(),
        ByteSize(snapshot.read_bytes),
        ByteSize(snapshot.added_bytes),
        ByteSize(snapshot.stored_bytes),
        receipt.record.verified.level.as_str(),
    );
    for finding in &snapshot.evidence.findings {
        body.push('\n');
        body.push_str(&finding.message);
    }
    Alert {
        severity,
        event: event.into(),
        source: Some(snapshot.source.to_string()),
        title: format!("backup of {} {how}", snapshot.source),
        body,
        at,
        facts: vec![
            ("snapshot".into(), snapshot.id.to_string()),
            ("read_bytes".into(), snapshot.read_bytes.to_string()),
            ("added_bytes".into(), snapshot.added_bytes.to_string()),
            ("stored_bytes".into(), snapshot.stored_bytes.to_string()),
            ("verified".into(), receipt.record.verified.level.as_str().into()),
        ],
        problem: Some(problem("backup", Some(snapshot.source.as_str()))),
        phase: if suspect { Phase::Open } else { Phase::News },
    }
}

/// Returns the alert for what a backup found left behind at the source's provider, as
/// [`left_behind_of`] does.
#[must_use]
pub fn left_behind(receipt: &BackupReceipt, at: Timestamp) -> Option<Alert> {
    let snapshot = &receipt.record.snapshot;
    let found = snapshot.evidence.findings.iter().map(|finding| finding.message.as_str());
    left_behind_of(snapshot.source.as_str(), found, at)
}

/// Returns the alert for what a run found left behind at the source's provider, which costs money
/// until somebody removes it; nothing where it found nothing of the kind.
#[must_use]
pub fn left_behind_of<'a>(
    source: &str,
    found: impl IntoIterator<Item = &'a str>,
    at: Timestamp,
) -> Option<Alert> {
    let lines: Vec<&str> = found.into_iter().filter(|text| text.starts_with(LEFT_BEHIND)).collect();
    if lines.is_empty() {
        return None;
    }
    Some(Alert {
        severity: Severity::Warning,
        event: "provider.left_behind".into(),
        source: Some(source.to_owned()),
        title: format!("{} things of {source} cost money at its provider", lines.len()),
        body: lines.join("\n"),
        at,
        facts: Vec::new(),
        problem: Some(problem("provider", Some(source))),
        phase: Phase::News,
    })
}

/// Returns the alert for a verb that ran to its end and found that something is not as
/// promised (`status`, `verify`).
#[must_use]
pub fn finding(
    verb: &str,
    source: Option<&str>,
    title: String,
    body: String,
    at: Timestamp,
) -> Alert {
    Alert {
        severity: Severity::Critical,
        event: format!("{verb}.failed"),
        source: source.map(str::to_owned),
        title,
        body,
        at,
        facts: Vec::new(),
        problem: Some(problem(verb, source)),
        phase: Phase::Open,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_says_what_why_and_what_to_do() {
        let error = Error::new(ErrorKind::SourceUnavailable, "connect to database").hint("Look.");
        let at = "2026-01-01T00:00:00Z".parse().unwrap();
        let bad = failure("backup", Some("shop"), &error, at);
        assert_eq!(bad.title, "backup of shop failed: connect to database");
        assert!(bad.body.ends_with("Look."));
        assert_eq!(bad.problem.as_deref(), Some("backup/shop"));
        assert_eq!(bad.phase, Phase::Open);
        let stopped = Error::new(ErrorKind::Terminated, "stop");
        assert_eq!(failure("prune", None, &stopped, at).severity, Severity::Warning);
        assert_eq!(failure("prune", None, &stopped, at).problem.as_deref(), Some("prune"));
    }
}
