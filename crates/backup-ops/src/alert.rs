//! Who is told what about a run.

use std::sync::Arc;

use backup_core::port::{Alert, Notifier};
use backup_core::{ByteSize, Error, ErrorKind, Severity};
use jiff::Timestamp;

use crate::backup::BackupReceipt;

/// One destination and what it wants to hear.
#[derive(Clone, Debug)]
pub struct Destination {
    /// Where to.
    pub notifier: Arc<dyn Notifier>,
    /// Whether good news goes there.
    pub on_success: bool,
    /// Whether failures and warnings go there.
    pub on_failure: bool,
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
    }
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
    }
}

/// Delivers `alert` to everyone who wants it and returns who could not be told, by name. It
/// never fails: an alert does not decide how a run ends.
pub async fn announce(destinations: &[Destination], alert: &Alert) -> Vec<(String, Error)> {
    let mut missed = Vec::new();
    for destination in destinations {
        let wanted = match alert.severity {
            Severity::Info => destination.on_success,
            Severity::Warning | Severity::Critical => destination.on_failure,
        };
        if !wanted {
            continue;
        }
        if let Err(error) = destination.notifier.deliver(alert).await {
            missed.push((destination.notifier.name(), error));
        }
    }
    missed
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;
    use async_trait::async_trait;

    #[derive(Debug, Default)]
    struct Heard(Mutex<Vec<String>>, bool);

    #[async_trait]
    impl Notifier for Heard {
        fn name(&self) -> String {
            "ear".into()
        }

        async fn deliver(&self, alert: &Alert) -> backup_core::Result<()> {
            self.0.lock().unwrap().push(alert.event.clone());
            if self.1 { Err(Error::new(ErrorKind::Failed, "deliver alert")) } else { Ok(()) }
        }
    }

    #[tokio::test]
    async fn good_news_only_to_those_who_want_it_and_failures_are_reported() {
        let error = Error::new(ErrorKind::SourceUnavailable, "connect to database").hint("Look.");
        let at = "2026-01-01T00:00:00Z".parse().unwrap();
        let bad = failure("backup", Some("shop"), &error, at);
        assert_eq!(bad.title, "backup of shop failed: connect to database");
        assert!(bad.body.ends_with("Look."));
        let good =
            Alert { severity: Severity::Info, event: "backup.succeeded".into(), ..bad.clone() };

        let quiet = Arc::new(Heard::default());
        let broken = Arc::new(Heard(Mutex::default(), true));
        let all = [
            Destination { notifier: quiet.clone(), on_success: false, on_failure: true },
            Destination { notifier: broken.clone(), on_success: true, on_failure: true },
        ];
        assert_eq!(announce(&all, &good).await.len(), 1);
        assert_eq!(announce(&all, &bad).await.len(), 1);
        assert_eq!(*quiet.0.lock().unwrap(), ["backup.failed"]);
        assert_eq!(broken.0.lock().unwrap().len(), 2);
    }
}
