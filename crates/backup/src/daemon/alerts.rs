//! The daemon's voice: what runs and the state of sources mean for those who are told.

use std::sync::{Arc, PoisonError, RwLock};

use backup_core::port::{Alert, AlertLedger, Clock, Phase};
use backup_core::{Error, JobKey, Result, Severity, SourceName};
use backup_ops::alert::{self, Destination};
use backup_ops::alerting::{AlertDesk, AlertPolicy};
use backup_ops::group::GroupStatus;
use backup_ops::health::RepositoryHealth;
use backup_ops::{BackupReceipt, SourceStatus};
use jiff::Timestamp;

/// Tells through the desk of the newest configuration.
#[derive(Clone)]
pub(super) struct Voice {
    desk: Arc<RwLock<Arc<AlertDesk>>>,
}

/// Opens a desk for these destinations.
pub(super) async fn desk(
    ledger: Arc<dyn AlertLedger>,
    clock: Arc<dyn Clock>,
    destinations: Vec<Destination>,
) -> Result<Arc<AlertDesk>> {
    let policy = AlertPolicy::of(&destinations);
    Ok(Arc::new(AlertDesk::open(ledger, clock, destinations, policy).await?))
}

impl Voice {
    pub(super) fn new(desk: Arc<AlertDesk>) -> Self {
        Self { desk: Arc::new(RwLock::new(desk)) }
    }

    pub(super) fn desk(&self) -> Arc<AlertDesk> {
        Arc::clone(&self.desk.read().unwrap_or_else(PoisonError::into_inner))
    }

    pub(super) fn exchange(&self, desk: Arc<AlertDesk>) {
        *self.desk.write().unwrap_or_else(PoisonError::into_inner) = desk;
    }

    pub(super) async fn started(&self, key: &JobKey, now: Timestamp) {
        let source = key.source.as_ref().map(SourceName::as_str);
        self.tell(alert::started(key.kind.as_str(), source, now)).await;
    }

    pub(super) async fn backed_up(&self, receipt: &BackupReceipt, now: Timestamp) {
        self.tell(alert::backup(receipt, now)).await;
        if let Some(left) = alert::left_behind(receipt, now) {
            self.tell(left).await;
        }
    }

    /// What a run found at the provider of a source that costs money, where it found such.
    pub(super) async fn left_behind<'a>(
        &self,
        source: &SourceName,
        found: impl Iterator<Item = &'a str>,
        now: Timestamp,
    ) {
        if let Some(left) = alert::left_behind_of(source.as_str(), found, now) {
            self.tell(left).await;
        }
    }

    /// Provider snapshots of a source could not be deleted by its policy, and why; or they can.
    pub(super) async fn native_retention(
        &self,
        source: &SourceName,
        error: Option<&Error>,
        now: Timestamp,
    ) {
        let verb = "native_retention";
        let alert = match error {
            Some(error) => alert::failure(verb, Some(source.as_str()), error, now),
            None => {
                let title = format!("provider snapshots of {source} are kept by their policy");
                over("native_retention.succeeded", verb, Some(source), &title, now)
            }
        };
        self.tell(alert).await;
    }

    pub(super) async fn failed(&self, key: &JobKey, error: &Error, now: Timestamp) {
        let source = key.source.as_ref().map(SourceName::as_str);
        self.tell(alert::failure(key.kind.as_str(), source, error, now)).await;
    }

    /// Whatever was wrong with this job is over.
    pub(super) async fn solved(&self, key: &JobKey, now: Timestamp) {
        let source = key.source.as_ref().map(SourceName::as_str);
        let verb = key.kind.as_str();
        self.tell(Alert {
            severity: Severity::Info,
            event: format!("{verb}.succeeded"),
            source: source.map(str::to_owned),
            title: format!("{key} succeeded"),
            body: String::new(),
            at: now,
            facts: Vec::new(),
            problem: Some(alert::problem(verb, source)),
            phase: Phase::Solved,
        })
        .await;
    }

    /// Tells how every source stands: what is new is heard, what is known is not repeated.
    pub(super) async fn stand(&self, sources: &[SourceStatus], now: Timestamp) {
        let alerts: Vec<Alert> =
            sources.iter().map(|source| alert::protection(source, now)).collect();
        self.desk().tell(&alerts).await;
    }

    /// Tells how every group stands, as [`Voice::stand`] does for sources.
    pub(super) async fn groups_stand(&self, groups: &[GroupStatus], now: Timestamp) {
        let alerts: Vec<Alert> =
            groups.iter().map(|group| alert::group_protection(group, now)).collect();
        self.desk().tell(&alerts).await;
    }

    /// Tells what is worth looking at, and what is not any more.
    pub(super) async fn heed(
        &self,
        sources: &[SourceStatus],
        repository: Option<&RepositoryHealth>,
        now: Timestamp,
    ) {
        let desk = self.desk();
        let alerts = alert::heed(sources, repository, &desk.problems().await, now);
        desk.tell(&alerts).await;
    }

    /// Tells that the sources cannot be judged, and why; or that they can be again.
    pub(super) async fn judged(&self, error: Option<&Error>, now: Timestamp) {
        let alert = match error {
            Some(error) => alert::failure("status", None, error, now),
            None => Alert {
                severity: Severity::Info,
                event: "status.succeeded".into(),
                source: None,
                title: "the sources can be judged again".into(),
                body: String::new(),
                at: now,
                facts: Vec::new(),
                problem: Some(alert::problem("status", None)),
                phase: Phase::Solved,
            },
        };
        self.tell(alert).await;
    }

    /// The repository cannot be opened, and why; or it can.
    pub(super) async fn repository(&self, error: Option<&Error>, now: Timestamp) {
        let alert = match error {
            Some(error) => alert::failure("repository", None, error, now),
            None => over("repository.restored", "repository", None, "the repository is there", now),
        };
        self.tell(alert).await;
    }

    /// What is wrong with the daemon itself, a sentence each; nothing when all is well.
    pub(super) async fn problems(&self, problems: &[String], now: Timestamp) {
        let title = "the daemon has problems of its own";
        let alert = match problems {
            [] => over(
                "daemon.recovered",
                TROUBLE,
                None,
                "the daemon has no problems of its own",
                now,
            ),
            _ => Alert {
                severity: Severity::Warning,
                event: "daemon.degraded".into(),
                ..alert::finding(TROUBLE, None, title.into(), problems.join("\n"), now)
            },
        };
        self.tell(alert).await;
    }

    /// The WAL of a source is not received.
    pub(super) async fn stream_failed(&self, source: &SourceName, error: &Error, now: Timestamp) {
        self.tell(alert::failure("wal", Some(source.as_str()), error, now)).await;
    }

    /// The WAL of a source is received.
    pub(super) async fn stream_works(&self, source: &SourceName, now: Timestamp) {
        let title = format!("WAL of {source} is received");
        self.tell(over("wal.restored", "wal", Some(source), &title, now)).await;
    }

    /// WAL of a source is missing.
    pub(super) async fn gap(&self, source: &SourceName, text: &str, now: Timestamp) {
        let title = format!("WAL of {source} is missing; a new physical snapshot is needed");
        let found = alert::finding(GAP, Some(source.as_str()), title, text.to_owned(), now);
        self.tell(Alert { event: "wal.gap".into(), ..found }).await;
    }

    /// No WAL of a source is missing that a snapshot does not make up for.
    pub(super) async fn gap_closed(&self, source: &SourceName, now: Timestamp) {
        let title = format!("WAL of {source} follows a physical snapshot without a hole");
        self.tell(over("wal.restored", GAP, Some(source), &title, now)).await;
    }

    async fn tell(&self, alert: Alert) {
        self.desk().tell(&[alert]).await;
    }
}

/// The verb that names the problem of missing WAL.
const GAP: &str = "wal_gap";

/// The verb that names problems of the daemon itself.
const TROUBLE: &str = "daemon_problems";

/// A problem is over.
fn over(event: &str, verb: &str, source: Option<&SourceName>, title: &str, at: Timestamp) -> Alert {
    let source = source.map(SourceName::as_str);
    Alert {
        severity: Severity::Info,
        event: event.into(),
        source: source.map(str::to_owned),
        title: title.into(),
        body: String::new(),
        at,
        facts: Vec::new(),
        problem: Some(alert::problem(verb, source)),
        phase: Phase::Solved,
    }
}
