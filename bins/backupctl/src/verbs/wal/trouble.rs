//! Whom a stream wakes, and when: once for a trouble, and once when it is over. Pure.

use std::time::Duration;

use backup::ops::alert;
use backup::wal::StreamNews;
use backup_core::port::{Alert, Phase};
use backup_core::{Lsn, Severity, SourceName};
use jiff::Timestamp;

/// What passes by itself is told when it has lasted for so long.
const PATIENCE: Duration = Duration::from_secs(300);

/// Remembers what was told of a stream.
#[derive(Debug, Default)]
pub(super) struct Trouble {
    /// Up to where WAL was stored, as far as was heard.
    stored: Option<Lsn>,
    /// Since when nothing more was stored, by the time of this process.
    since: Option<Duration>,
    told: bool,
}

impl Trouble {
    /// Hears what happens, at a moment of this process and of the clock; returns what to tell.
    pub(super) fn hear(
        &mut self,
        source: &SourceName,
        news: &StreamNews,
        (elapsed, now): (Duration, Timestamp),
    ) -> Option<Alert> {
        match news {
            StreamNews::Retrying { error, lasting, .. } => {
                let since = *self.since.get_or_insert(elapsed);
                let due = *lasting || elapsed.saturating_sub(since) >= PATIENCE;
                if !due || std::mem::replace(&mut self.told, true) {
                    return None;
                }
                Some(alert::failure("wal", Some(source.as_str()), error, now))
            }
            StreamNews::Report { durable, .. } => {
                // To be connected is not enough. What is heard first is where it begins.
                if self.stored.replace(*durable).is_none_or(|before| *durable <= before) {
                    return None;
                }
                self.since = None;
                std::mem::take(&mut self.told).then(|| over(source, now))
            }
            StreamNews::Gap { from, to, reason } => {
                let title = format!("WAL of {source} was lost; a new physical snapshot is needed");
                let text = format!("WAL of {source} from {from} to {to} is lost: {reason}.");
                let found = alert::finding("wal_gap", Some(source.as_str()), title, text, now);
                Some(Alert { event: "wal.gap".into(), ..found })
            }
            StreamNews::Started { .. } | StreamNews::Switched { .. } => None,
        }
    }
}

fn over(source: &SourceName, now: Timestamp) -> Alert {
    let name = Some(source.as_str());
    Alert {
        severity: Severity::Info,
        event: "wal.restored".into(),
        source: name.map(str::to_owned),
        title: format!("WAL of {source} is received"),
        body: String::new(),
        at: now,
        facts: Vec::new(),
        problem: Some(alert::problem("wal", name)),
        phase: Phase::Solved,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use backup::wal::Exposure;
    use backup_core::{Error, ErrorKind};

    use super::*;

    fn retrying(lasting: bool) -> StreamNews {
        let error = Error::new(ErrorKind::StoreUnavailable, "write object").because("403");
        StreamNews::Retrying { delay: Duration::from_secs(1), error: Arc::new(error), lasting }
    }

    fn stored(at: u64) -> StreamNews {
        StreamNews::Report { timeline: 1, durable: Lsn(at), exposure: Exposure::default() }
    }

    fn told(news: &[(u64, StreamNews)]) -> Vec<String> {
        let source = "shop".parse().unwrap();
        let mut trouble = Trouble::default();
        let hear = |(second, news): &(u64, StreamNews)| {
            let moment = (Duration::from_secs(*second), Timestamp::UNIX_EPOCH);
            let alert = trouble.hear(&source, news, moment)?;
            assert!(alert.problem.is_some_and(|problem| problem.ends_with("/shop")));
            Some(alert.event)
        };
        news.iter().filter_map(hear).collect()
    }

    #[test]
    fn what_lasts_is_told_once_and_its_end_too() {
        let news = [
            (0, stored(5)),
            (1, retrying(true)),
            (9, retrying(true)),
            // Connected again, and nothing is stored.
            (10, stored(5)),
            (11, retrying(true)),
            (20, stored(5)),
            (30, stored(6)),
            (40, stored(7)),
            (50, retrying(true)),
        ];
        assert_eq!(told(&news), ["wal.failed", "wal.restored", "wal.failed"]);
    }

    #[test]
    fn what_passes_is_told_when_it_does_not() {
        let news = |last| [(0, stored(5)), (1, retrying(false)), (last, retrying(false))];
        assert_eq!(told(&news(300)), [""; 0]);
        assert_eq!(told(&news(301)), ["wal.failed"]);
        let passed =
            [(1, retrying(false)), (90, stored(5)), (91, stored(6)), (310, retrying(false))];
        assert_eq!(told(&passed), [""; 0]);
        let gap = StreamNews::Gap { from: Lsn(1), to: Lsn(2), reason: "x".into() };
        assert_eq!(told(&[(0, gap)]), ["wal.gap"]);
    }
}
