//! Every metric there is: its name, its kind, what it says, and where it comes from.

use jiff::Timestamp;

use super::text::Page;
use crate::view::{AlertSeverity, Fleet, Group, Repository, Source, State};

/// What a family counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Goes up and down.
    Gauge,
    /// Only grows.
    Counter,
    /// Counts by size.
    Histogram,
}

/// One metric.
#[derive(Clone, Copy, Debug)]
pub struct Family {
    /// Its name: `backup_<noun>_<unit>[_total]`.
    pub name: &'static str,
    /// What it counts.
    pub kind: Kind,
    /// One sentence.
    pub help: &'static str,
    /// Its labels.
    pub labels: &'static [&'static str],
}

macro_rules! families {
    ($($constant:ident $kind:ident $name:literal [$($label:literal),*] $help:literal)*) => {
        $(
            pub(crate) const $constant: Family = Family {
                name: $name,
                kind: Kind::$kind,
                help: $help,
                labels: &[$($label),*],
            };
        )*

        /// Every metric, in the order of the page.
        pub const FAMILIES: &[Family] = &[$($constant),*];
    };
}

families! {
    INFO Gauge "backup_build_info" ["version"]
        "Always 1; the label says which program answers."
    STARTED Gauge "backup_daemon_start_timestamp_seconds" []
        "When the daemon started."
    ENABLED Gauge "backup_schedules_enabled" []
        "1 while jobs are started by their schedules."
    PROBLEMS Gauge "backup_daemon_problems" []
        "Things wrong with the daemon itself."
    PROTECTED Gauge "backup_source_protected" ["source"]
        "1 while the newest snapshot is young enough and proved as far as its owner asked."
    STATE Gauge "backup_source_state" ["source", "state"]
        "1 for the state a source is in, 0 for the others."
    RPO Gauge "backup_source_rpo_seconds" ["source"]
        "How old the newest snapshot may get."
    CONDITION Gauge "backup_source_condition" ["source", "condition"]
        "1 for each thing worth looking at, by name; no sample while there is nothing."
    NEWEST Gauge "backup_newest_snapshot_timestamp_seconds" ["source"]
        "The instant the newest snapshot is from."
    PROVED Gauge "backup_newest_proved_snapshot_timestamp_seconds" ["source"]
        "The instant the newest snapshot that was proved as far as asked is from."
    VERIFIED Gauge "backup_last_verified_timestamp_seconds" ["source"]
        "When stored data of a source was last verified."
    SNAPSHOTS Gauge "backup_snapshots" ["source"]
        "Snapshots of a source."
    STORED Gauge "backup_source_stored_bytes" ["source"]
        "Bytes that the snapshots of a source wrote."
    SIZE Gauge "backup_newest_snapshot_read_bytes" ["source"]
        "Bytes read for the newest snapshot."
    SIZE_RATIO Gauge "backup_newest_snapshot_size_ratio" ["source"]
        "Bytes read for the newest snapshot as a multiple of what is usual."
    SIZE_STORED Gauge "backup_newest_snapshot_stored_bytes" ["source"]
        "Bytes written for the newest snapshot."
    WINDOW_FROM Gauge "backup_recoverable_from_timestamp_seconds" ["source"]
        "The oldest instant of the newest unbroken recoverable range."
    WINDOW_TO Gauge "backup_recoverable_to_timestamp_seconds" ["source"]
        "The newest instant a source can be brought back to."
    SUCCESS Gauge "backup_last_success_timestamp_seconds" ["source", "job"]
        "When a job last ended well."
    FAILURE Gauge "backup_last_failure_timestamp_seconds" ["source", "job"]
        "When a job last ended badly; compare with the last success."
    DURATION Gauge "backup_last_success_duration_seconds" ["source", "job"]
        "How long the last run that ended well took."
    RUNS Counter "backup_runs_total" ["source", "job", "result"]
        "Runs that ended, by how."
    ACTIVE Gauge "backup_active_runs" ["source"]
        "Runs that wait or run."
    NEXT Gauge "backup_next_run_timestamp_seconds" ["source", "job"]
        "When a job runs next."
    EXPECTED Gauge "backup_expected_timestamp_seconds" ["source"]
        "When the next snapshot is expected by its schedule, counted from the newest one."
    SUCCESS_RATE Gauge "backup_success_ratio" ["source", "days"]
        "Share of backups that went well over so many days, of those that ended by themselves."
    OVERDUE Gauge "backup_overdue_seconds" ["source", "job"]
        "For how long a job should have run and did not; 0 when it is not overdue."
    GROUP_PROTECTED Gauge "backup_group_protected" ["group"]
        "1 while each member is protected, the newest complete set is young enough and a drill passed."
    GROUP_STATE Gauge "backup_group_state" ["group", "state"]
        "1 for the state a group is in, 0 for the others."
    GROUP_RPO Gauge "backup_group_rpo_seconds" ["group"]
        "How old the newest complete set may get."
    GROUP_NEWEST Gauge "backup_newest_complete_set_timestamp_seconds" ["group"]
        "When the newest complete set of a group was begun."
    GROUP_INCOMPLETE Gauge "backup_incomplete_sets" ["group"]
        "Sets of a group that are not complete."
    GROUP_DRILLED Gauge "backup_group_drill_passed_timestamp_seconds" ["group"]
        "When the newest drill of a set that passed began."
    WAL_UP Gauge "backup_wal_streaming" ["source"]
        "1 while WAL arrives at this daemon, 0 while it should and does not; no sample while another daemon receives it."
    WAL_LAG Gauge "backup_wal_lag_seconds" ["source"]
        "Seconds between now and the newest durable WAL."
    WAL_LAG_BYTES Gauge "backup_wal_lag_bytes" ["source"]
        "Bytes of WAL that the server has written and that are not durable."
    WAL_GAPS Gauge "backup_wal_gaps" ["source"]
        "Holes in the WAL."
    NATIVE Gauge "backup_provider_snapshots" ["source", "provider"]
        "Snapshots of a source that its provider keeps, whoever made them; no sample where that is not known."
    NATIVE_OURS Gauge "backup_provider_own_snapshots" ["source", "provider"]
        "Those of them that this program made."
    NATIVE_NEWEST Gauge "backup_provider_newest_snapshot_timestamp_seconds" ["source", "provider"]
        "When the newest of them that can be restored was begun."
    NATIVE_RPO Gauge "backup_source_provider_rpo_seconds" ["source", "provider"]
        "How old the newest snapshot may get, those that the provider keeps counted in."
    DRILL_PASSED Gauge "backup_drill_passed" ["source"]
        "1 when the last drill answered every question right."
    DRILL_AT Gauge "backup_last_drill_timestamp_seconds" ["source"]
        "When the last drill ended."
    DRILL_RTO Gauge "backup_drill_rto_seconds" ["source"]
        "Seconds the last drill needed until the first query was answered."
    RTO_BUDGET Gauge "backup_source_rto_budget_seconds" ["source"]
        "How long a restore may take, where its owner said so."
    REPOSITORY_STORED Gauge "backup_repository_stored_bytes" ["repository"]
        "Bytes of all objects of a repository."
    REPOSITORY_SOURCE Gauge "backup_repository_source_bytes" ["repository"]
        "Bytes of source in all its snapshots."
    REPOSITORY_UNUSED Gauge "backup_repository_unused_bytes" ["repository"]
        "Bytes that no snapshot needs."
    REPOSITORY_OBJECTS Gauge "backup_repository_objects" ["repository"]
        "Objects of a repository."
    REPOSITORY_CAPACITY Gauge "backup_repository_capacity_bytes" ["repository"]
        "Bytes of the device or quota a repository is on."
    REPOSITORY_AVAILABLE Gauge "backup_repository_available_bytes" ["repository"]
        "Bytes of it that are free."
    REPOSITORY_FULL Gauge "backup_repository_full_timestamp_seconds" ["repository"]
        "When a repository is full if it grows on as it did."
    REPOSITORY_CONDITION Gauge "backup_repository_condition" ["repository", "condition"]
        "1 for each thing worth looking at, by name; no sample while there is nothing."
    REPOSITORY_PROBLEMS Gauge "backup_repository_problems" ["repository"]
        "Things wrong with a repository."
    ALERTS Gauge "backup_open_alerts" ["severity"]
        "Alerts that are open."
    UNDELIVERED Gauge "backup_undelivered_alerts" []
        "Alerts that could not be delivered at the last try."
    HTTP_REQUESTS Counter "backup_http_requests_total" ["operation", "status"]
        "Requests answered."
    HTTP_DURATION Histogram "backup_http_request_duration_seconds" []
        "How long answers took to make."
    AUDIT_FAILURES Counter "backup_audit_failures_total" []
        "Entries of the audit record that could not be written."
}

/// Writes what the fleet says.
pub(super) fn write(fleet: &Fleet, page: &mut Page) {
    page.add(&INFO, &[("version", &fleet.program.version)], 1.0);
    page.add(&STARTED, &[], seconds(fleet.program.started_at));
    page.add(&ENABLED, &[], truth(fleet.program.enabled));
    page.add(&PROBLEMS, &[], fleet.program.problems.len() as f64);
    for source in &fleet.sources {
        of_source(source, fleet.at, page);
    }
    for group in &fleet.groups {
        of_group(group, page);
    }
    for repository in &fleet.repositories {
        of_repository(repository, page);
    }
    let open = || fleet.alerts.iter().filter(|alert| alert.resolved_at.is_none());
    for severity in [AlertSeverity::Info, AlertSeverity::Warning, AlertSeverity::Critical] {
        let count = open().filter(|alert| alert.severity == severity).count();
        page.add(&ALERTS, &[("severity", severity.as_str())], count as f64);
    }
    let failed = |alert: &&crate::view::Alert| alert.deliveries.iter().any(|d| d.error.is_some());
    page.add(&UNDELIVERED, &[], fleet.alerts.iter().filter(failed).count() as f64);
}

fn of_group(group: &Group, page: &mut Page) {
    let labels = [("group", group.name.as_str())];
    page.add(&GROUP_PROTECTED, &labels, truth(group.state == State::Protected));
    for state in State::ALL {
        let labels = [("group", group.name.as_str()), ("state", state.as_str())];
        page.add(&GROUP_STATE, &labels, truth(group.state == state));
    }
    page.add(&GROUP_RPO, &labels, group.rpo_seconds as f64);
    if let Some(at) = group.newest_at {
        page.add(&GROUP_NEWEST, &labels, seconds(at));
    }
    page.add(&GROUP_INCOMPLETE, &labels, group.incomplete as f64);
    if let Some(at) = group.drill_passed_at {
        page.add(&GROUP_DRILLED, &labels, seconds(at));
    }
}

fn of_source(source: &Source, now: Timestamp, page: &mut Page) {
    let labels = [("source", source.name.as_str())];
    let mut one = |family, value: Option<f64>| {
        if let Some(value) = value {
            page.add(family, &labels, value);
        }
    };
    one(&PROTECTED, Some(truth(source.state == State::Protected)));
    one(&RPO, Some(source.rpo_seconds as f64));
    one(&NEWEST, source.newest_at.map(seconds));
    one(&PROVED, source.proved_at.map(seconds));
    one(&VERIFIED, source.verified_at.map(seconds));
    one(&SNAPSHOTS, Some(source.snapshots as f64));
    one(&STORED, Some(source.stored_bytes as f64));
    one(&SIZE, source.sizes.last().map(|size| size.read_bytes as f64));
    one(&SIZE_RATIO, source.size.as_ref().and_then(|size| size.ratio));
    one(&EXPECTED, source.expected_at.map(seconds));
    one(&SIZE_STORED, source.sizes.last().map(|size| size.stored_bytes as f64));
    one(&WINDOW_FROM, source.window.as_ref().map(|window| seconds(window.from)));
    one(&WINDOW_TO, source.window.as_ref().map(|window| seconds(window.to)));
    one(&ACTIVE, Some(source.active_runs.len() as f64));
    one(&RTO_BUDGET, source.rto_budget_seconds.map(|budget| budget as f64));
    if let Some(wal) = &source.wal {
        one(&WAL_UP, Some(truth(wal.streaming)));
        one(&WAL_LAG, wal.lag_seconds);
        one(&WAL_LAG_BYTES, wal.lag_bytes.map(|bytes| bytes as f64));
        one(&WAL_GAPS, Some(wal.gaps as f64));
    }
    if let Some(drill) = &source.drill {
        one(&DRILL_PASSED, Some(truth(drill.passed)));
        one(&DRILL_AT, Some(seconds(drill.at)));
        one(&DRILL_RTO, drill.rto_seconds);
    }
    let name = source.name.as_str();
    if let Some(native) = &source.native {
        let labels = [("source", name), ("provider", native.provider.as_str())];
        let known = native.problem.is_none();
        for (family, value) in [
            (&NATIVE, known.then_some(native.snapshots as f64)),
            (&NATIVE_OURS, known.then_some(native.ours as f64)),
            (&NATIVE_NEWEST, native.newest_at.map(seconds)),
            (&NATIVE_RPO, native.rpo_seconds.map(|rpo| rpo as f64)),
        ] {
            if let Some(value) = value {
                page.add(family, &labels, value);
            }
        }
    }
    for state in State::ALL {
        let labels = [("source", name), ("state", state.as_str())];
        page.add(&STATE, &labels, truth(state == source.state));
    }
    for condition in &source.conditions {
        let labels = [("source", name), ("condition", condition.name.as_str())];
        page.add(&CONDITION, &labels, 1.0);
    }
    for rate in source.success.iter().filter(|rate| rate.all > 0) {
        let labels = [("source", name), ("days", &rate.days.to_string())];
        page.add(&SUCCESS_RATE, &labels, rate.good as f64 / rate.all as f64);
    }
    for last in &source.last {
        let labels = [("source", name), ("job", last.job.as_str())];
        let times = [
            (&SUCCESS, last.success_at.map(seconds)),
            (&FAILURE, last.failure_at.map(seconds)),
            (&DURATION, last.success_seconds),
        ];
        for (family, value) in times {
            if let Some(value) = value {
                page.add(family, &labels, value);
            }
        }
    }
    for total in &source.totals {
        let labels =
            [("source", name), ("job", total.job.as_str()), ("result", total.state.as_str())];
        page.add(&RUNS, &labels, total.count as f64);
    }
    for next in &source.next {
        let labels = [("source", name), ("job", next.job.as_str())];
        if let Some(at) = next.at {
            page.add(&NEXT, &labels, seconds(at));
        }
        let late = next.overdue_since.map_or(0.0, |since| now.duration_since(since).as_secs_f64());
        page.add(&OVERDUE, &labels, late.max(0.0));
    }
}

fn of_repository(repository: &Repository, page: &mut Page) {
    let labels = [("repository", repository.name.as_str())];
    let full_at = repository.forecast.and_then(|forecast| forecast.full_at);
    let values = [
        (&REPOSITORY_STORED, repository.stored_bytes.map(|n| n as f64)),
        (&REPOSITORY_SOURCE, repository.source_bytes.map(|n| n as f64)),
        (&REPOSITORY_UNUSED, repository.unused_bytes.map(|n| n as f64)),
        (&REPOSITORY_OBJECTS, repository.objects.map(|n| n as f64)),
        (&REPOSITORY_CAPACITY, repository.capacity_bytes.map(|n| n as f64)),
        (&REPOSITORY_AVAILABLE, repository.available_bytes.map(|n| n as f64)),
        (&REPOSITORY_FULL, full_at.map(seconds)),
        (&REPOSITORY_PROBLEMS, Some(repository.problems.len() as f64)),
    ];
    for (family, value) in values {
        if let Some(value) = value {
            page.add(family, &labels, value);
        }
    }
    for condition in &repository.conditions {
        let labels =
            [("repository", repository.name.as_str()), ("condition", condition.name.as_str())];
        page.add(&REPOSITORY_CONDITION, &labels, 1.0);
    }
}

fn seconds(at: Timestamp) -> f64 {
    at.as_millisecond() as f64 / 1000.0
}

fn truth(yes: bool) -> f64 {
    f64::from(u8::from(yes))
}
