//! Which alerts a destination wants.

use std::sync::Arc;
use std::time::Duration;

use backup_core::port::{Alert, Notifier, Phase};
use backup_core::{Error, Severity};

/// One destination and what it wants to hear.
#[derive(Clone, Debug)]
pub struct Destination {
    /// What its owner calls it; unique, and the same after a restart.
    pub channel: String,
    /// Where to.
    pub notifier: Arc<dyn Notifier>,
    /// What it wants to hear.
    pub route: Route,
    /// After how long a program that stays reminds it of a problem; absent: never.
    pub remind_after: Option<Duration>,
}

/// What a destination wants to hear.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Route {
    /// Problems at least so urgent.
    pub severity: Severity,
    /// Only about these sources; empty: about all. A `*` stands for any text. What concerns no
    /// single source concerns everybody.
    pub sources: Vec<String>,
    /// Only these events; empty: all. A `*` stands for any text.
    pub events: Vec<String>,
    /// Whether good news goes there.
    pub on_success: bool,
    /// Whether problems go there.
    pub on_failure: bool,
    /// Whether the end of a problem goes there, if its beginning did.
    pub on_recovery: bool,
    /// Whether the other end keeps problems open by itself, so that good news must reach it
    /// also when nobody here remembers a problem.
    pub tracks: bool,
    /// Whether it measures runs: it hears of every start and every end, and of nothing twice
    /// or late.
    pub runs: bool,
}

impl Default for Route {
    /// Every problem, its end, and good news.
    fn default() -> Self {
        Self {
            severity: Severity::Warning,
            sources: Vec::new(),
            events: Vec::new(),
            on_success: true,
            on_failure: true,
            on_recovery: true,
            tracks: false,
            runs: false,
        }
    }
}

impl Route {
    /// Returns whether the destination wants this alert, as far as that can be told from the
    /// alert alone.
    #[must_use]
    pub fn wants(&self, alert: &Alert) -> bool {
        if !self.concerns(alert) {
            return false;
        }
        let urgent = self.on_failure && alert.severity >= self.severity;
        match alert.phase {
            Phase::Started => self.runs,
            Phase::News if alert.severity == Severity::Info => {
                self.on_success || self.runs || (self.tracks && alert.solves())
            }
            Phase::News => urgent,
            Phase::Open => urgent || self.runs,
            Phase::Reminder => urgent && !self.runs,
            Phase::Solved => self.on_recovery && !self.runs,
        }
    }

    /// Returns whether source and event are among those wanted.
    pub(crate) fn concerns(&self, alert: &Alert) -> bool {
        let source = alert.source.as_deref();
        source.is_none_or(|source| any(&self.sources, source)) && any(&self.events, &alert.event)
    }
}

fn any(patterns: &[String], text: &str) -> bool {
    patterns.is_empty() || patterns.iter().any(|pattern| matches(pattern, text))
}

/// Returns whether a text fits a pattern, in which `*` stands for any text, even none.
fn matches(pattern: &str, text: &str) -> bool {
    let Some((head, rest)) = pattern.split_once('*') else { return pattern == text };
    let Some(text) = text.strip_prefix(head) else { return false };
    (0..=text.len()).filter(|&at| text.is_char_boundary(at)).any(|at| matches(rest, &text[at..]))
}

/// Delivers `alert` to everyone who wants it, at the same time, and returns who could not be
/// told, by channel. It never fails: an alert does not decide how a run ends.
pub async fn announce(destinations: &[Destination], alert: &Alert) -> Vec<(String, Error)> {
    let mut running = tokio::task::JoinSet::new();
    for (position, destination) in destinations.iter().enumerate() {
        if destination.route.wants(alert) {
            let (notifier, alert) = (Arc::clone(&destination.notifier), alert.clone());
            running.spawn(async move { (position, notifier.deliver(&alert).await) });
        }
    }
    let mut missed = Vec::new();
    for (position, outcome) in running.join_all().await {
        if let (Some(destination), Err(error)) = (destinations.get(position), outcome) {
            missed.push((position, destination.channel.clone(), error));
        }
    }
    missed.sort_by_key(|(position, ..)| *position);
    missed.into_iter().map(|(_, channel, error)| (channel, error)).collect()
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;
    use async_trait::async_trait;
    use backup_core::ErrorKind;

    use crate::alert::failure;

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

    fn bad() -> Alert {
        let error = Error::new(ErrorKind::SourceUnavailable, "connect to database").hint("Look.");
        failure("backup", Some("shop"), &error, "2026-01-01T00:00:00Z".parse().unwrap())
    }

    fn good() -> Alert {
        let event = "backup.succeeded".into();
        Alert { severity: Severity::Info, event, phase: Phase::News, ..bad() }
    }

    #[tokio::test]
    async fn good_news_only_to_those_who_want_it_and_failures_are_reported() {
        let quiet = Arc::new(Heard::default());
        let broken = Arc::new(Heard(Mutex::default(), true));
        let destination = |name: &str, notifier: &Arc<Heard>, on_success| Destination {
            channel: name.into(),
            notifier: Arc::clone(notifier) as _,
            route: Route { on_success, ..Route::default() },
            remind_after: None,
        };
        let all = [destination("a", &quiet, false), destination("b", &broken, true)];
        assert_eq!(announce(&all, &good()).await.len(), 1);
        assert_eq!(announce(&all, &bad()).await[0].0, "b");
        assert_eq!(*quiet.0.lock().unwrap(), ["backup.failed"]);
        assert_eq!(broken.0.lock().unwrap().len(), 2);
    }

    #[test]
    fn routes_by_severity_source_and_event() {
        let everything = Route::default();
        assert!(everything.wants(&bad()) && everything.wants(&good()));
        let warning = Alert { severity: Severity::Warning, ..bad() };
        let pager = Route { severity: Severity::Critical, ..Route::default() };
        assert!(pager.wants(&bad()) && !pager.wants(&warning));
        let shops = Route { sources: vec!["shop*".into(), "crm".into()], ..Route::default() };
        let about = |source: Option<&str>| Alert { source: source.map(str::to_owned), ..bad() };
        assert!(shops.wants(&about(Some("shop-eu"))) && shops.wants(&about(Some("crm"))));
        assert!(!shops.wants(&about(Some("blog"))));
        assert!(shops.wants(&about(None)), "what concerns no source concerns everybody");
        let failures = Route { events: vec!["*.failed".into()], ..Route::default() };
        assert!(failures.wants(&bad()) && !failures.wants(&good()));
    }

    #[test]
    fn only_meters_of_runs_hear_of_starts_and_trackers_always_hear_of_the_end() {
        let started = Alert { phase: Phase::Started, ..good() };
        let quiet = Route { on_success: false, ..Route::default() };
        assert!(!Route::default().wants(&started) && !quiet.wants(&good()));
        let meter = Route { on_success: false, on_failure: false, runs: true, ..Route::default() };
        assert!(meter.wants(&started) && meter.wants(&good()) && meter.wants(&bad()));
        let tracker = Route { tracks: true, ..quiet };
        assert!(tracker.wants(&good()), "it may have a problem open");
        assert!(!tracker.wants(&Alert { problem: None, ..good() }));
    }

    #[test]
    fn stars_match_any_text() {
        for (pattern, text, fits) in [
            ("*", "", true),
            ("backup.*", "backup.failed", true),
            ("*.failed", "backup.failed", true),
            ("b*d", "backup.failed", true),
            ("b*x", "backup.failed", false),
            ("größe*", "größer", true),
            ("backup", "backup.failed", false),
        ] {
            assert_eq!(matches(pattern, text), fits, "{pattern} {text}");
        }
    }
}
