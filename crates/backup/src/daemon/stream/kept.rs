//! What is known of streams beyond restarts, reloads and the streams themselves.

use std::time::Duration;

use backup_core::port::{Alert, OpenProblem, Phase};
use backup_core::{Severity, SourceName};
use jiff::Timestamp;

use super::standing::Seen;
use super::{Link, StreamStanding};
use crate::daemon::start::Daemon;

/// Where it is written down when everything was stored last.
const FRESH: &str = "wal fresh";

/// Where it is written down what was seen of what is stored.
const SEEN: &str = "wal seen";

/// Problems of streams begin like this, and end with the source.
const FAILED: &str = "wal/";
const GAP: &str = "wal_gap/";

impl Daemon {
    /// Writes down when everything was stored last, so that a restart does not forget it.
    pub(super) async fn keep_fresh(&self, source: &SourceName) {
        let fresh = self.streams().get(source).and_then(StreamStanding::fresh_at);
        let Some(fresh) = fresh else { return };
        self.keep(FRESH, source, fresh.to_string()).await;
    }

    /// Writes down which holes there are.
    pub(super) async fn keep_seen(&self, source: &SourceName) {
        let seen = self.streams().get(source).map(StreamStanding::seen);
        if let Some(Ok(text)) = seen.map(|seen| serde_json::to_string(&seen)) {
            self.keep(SEEN, source, text).await;
        }
    }

    async fn keep(&self, space: &str, source: &SourceName, text: String) {
        if let Err(error) = self.inner.catalog.put(space, &[(source.to_string(), Some(text))]).await
        {
            tracing::debug!(%source, %error, "how WAL is stored could not be kept");
        }
    }

    /// Returns how a stream stood when the daemon ended.
    pub(super) async fn remembered(
        &self,
        source: &SourceName,
        max_lag: Duration,
    ) -> StreamStanding {
        let kept =
            async |space| self.inner.catalog.get(space, source.as_str()).await.ok().flatten();
        let fresh = kept(FRESH).await.and_then(|text| text.parse().ok());
        let seen: Option<Seen> = kept(SEEN).await.and_then(|text| serde_json::from_str(&text).ok());
        let mut standing = StreamStanding::new(self.inner.clock.now(), max_lag, fresh);
        standing.recall(seen.unwrap_or_default());
        let open = self.inner.work.voice.desk().problems().await;
        if let Some(why) = failed(&open, source.as_str()) {
            standing.link = Link::Stopped(why);
        }
        standing
    }

    /// Ends the problems of streams that are not received here; why not is said of each.
    pub(super) async fn withdraw(&self, why: &str, gone: impl Fn(&str) -> bool) {
        let desk = self.inner.work.voice.desk();
        let alerts = over(&desk.problems().await, why, gone, self.inner.clock.now());
        if !alerts.is_empty() {
            desk.tell(&alerts).await;
        }
    }
}

/// Returns why the WAL of a source was not received, if that is not over. Pure.
fn failed(open: &[OpenProblem], source: &str) -> Option<String> {
    let ours = |problem: &&OpenProblem| problem.key.strip_prefix(FAILED) == Some(source);
    let body = &open.iter().find(ours)?.alert.body;
    Some(body.lines().next().unwrap_or_default().to_owned())
}

/// Returns what ends the problems of streams whose sources are `gone`. Pure.
fn over(open: &[OpenProblem], why: &str, gone: impl Fn(&str) -> bool, at: Timestamp) -> Vec<Alert> {
    let ended = |problem: &OpenProblem| {
        let key = problem.key.as_str();
        let source = key.strip_prefix(FAILED).or_else(|| key.strip_prefix(GAP))?;
        gone(source).then(|| Alert {
            severity: Severity::Info,
            event: "wal.restored".into(),
            source: Some(source.to_owned()),
            title: format!("WAL of {source} {why}"),
            body: String::new(),
            at,
            facts: Vec::new(),
            problem: Some(problem.key.clone()),
            phase: Phase::Solved,
        })
    };
    open.iter().filter_map(ended).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use backup_core::{Error, ErrorKind};
    use backup_ops::alert;

    use super::*;

    fn open(verb: &str, source: &str) -> OpenProblem {
        let error = Error::new(ErrorKind::Conflict, "stream WAL").hint("Look.");
        let alert = alert::failure(verb, Some(source), &error, Timestamp::UNIX_EPOCH);
        let key = alert.problem.clone().unwrap();
        OpenProblem { key, since: alert.at, alert, told: BTreeMap::new() }
    }

    #[test]
    fn problems_end_with_the_stream_that_had_them() {
        let problems = [
            open("wal", "shop"),
            open("wal_gap", "shop"),
            open("wal", "a"),
            open("backup", "shop"),
        ];
        let alerts =
            over(&problems, "is not received", |source| source == "shop", Timestamp::UNIX_EPOCH);
        let keys: Vec<_> = alerts.iter().map(|alert| alert.problem.as_deref().unwrap()).collect();
        assert_eq!(keys, ["wal/shop", "wal_gap/shop"]);
        assert!(alerts.iter().all(|alert| alert.phase == Phase::Solved));
        assert_eq!(alerts[0].title, "WAL of shop is not received");
    }

    #[test]
    fn what_was_wrong_is_known_after_a_restart() {
        let problems = [open("wal_gap", "shop"), open("wal", "a")];
        assert_eq!(failed(&problems, "a").as_deref(), Some("stream WAL"));
        assert_eq!(failed(&problems, "shop"), None);
    }
}
