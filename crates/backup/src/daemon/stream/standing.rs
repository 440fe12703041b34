//! How receiving the WAL of a source stands, and what is wrong with it. Pure.

use std::time::Duration;

use backup_core::{Lsn, WalSegment};
use backup_ops::wal::{WalStatus, Window};
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use crate::wal::StreamNews;

/// So often it is said how much is at risk.
pub(super) const REPORT: Duration = Duration::from_secs(5);

/// Who was too far behind is so until this has passed without it.
const CALM: Duration = Duration::from_secs(30);

/// What was seen of stored WAL, written down so that a restart does not forget it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Seen {
    holes: Vec<String>,
    gaps: u64,
    #[serde(default)]
    baseless: bool,
}

/// Whether WAL arrives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Link {
    /// It has not begun yet.
    Starting,
    /// It arrives.
    Streaming,
    /// It does not for now, and why; that may pass.
    Retrying(String),
    /// It does not, and somebody must do something about it; tried again all the same.
    Stopped(String),
    /// Another daemon receives it.
    Elsewhere,
}

/// How receiving the WAL of a source stands.
#[derive(Clone, Debug)]
pub struct StreamStanding {
    /// Whether it arrives.
    pub link: Link,
    /// The timeline and the position up to which everything is stored.
    pub durable: Option<(u32, Lsn)>,
    /// Bytes that the server had written and that were not stored, when it was last heard of.
    pub lag_bytes: Option<u64>,
    /// Holes that no snapshot makes up for, a sentence each.
    pub holes: Vec<String>,
    /// How many holes there are.
    pub gaps: u64,
    /// What can be recovered, by snapshot, oldest first; as of the last look at what is stored.
    pub windows: Vec<Window>,
    /// WAL is stored of a cluster of which no physical snapshot is.
    baseless: bool,
    begun: Timestamp,
    max_lag: Duration,
    /// When it was too far behind last.
    behind_at: Option<Timestamp>,
    /// The cluster whose WAL arrives.
    system: Option<u64>,
    segment_size: u64,
    /// Where receiving began.
    from: Option<Lsn>,
    /// Whether something was stored since, or nothing was left to be stored.
    stores: bool,
    /// Everything that the server had written by then is stored.
    fresh_at: Option<Timestamp>,
    heard_at: Option<Timestamp>,
}

/// Something wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Trouble {
    /// Stays the same while it lasts.
    pub(super) word: &'static str,
    pub(super) reason: String,
}

impl StreamStanding {
    /// Nothing is known but, from before a restart, when everything was stored last.
    pub(super) fn new(begun: Timestamp, max_lag: Duration, fresh_at: Option<Timestamp>) -> Self {
        Self {
            link: Link::Starting,
            durable: None,
            lag_bytes: None,
            holes: Vec::new(),
            gaps: 0,
            windows: Vec::new(),
            baseless: false,
            begun,
            max_lag,
            behind_at: None,
            system: None,
            segment_size: 0,
            from: None,
            stores: false,
            fresh_at,
            heard_at: None,
        }
    }

    /// The same under another configuration: what was wrong is, until it is seen not to be.
    pub(super) fn renewed(mut self, max_lag: Duration) -> Self {
        self.max_lag = max_lag;
        if !matches!(self.link, Link::Stopped(_)) {
            self.link = Link::Starting;
        }
        self
    }

    /// Returns what is worth knowing after a restart.
    pub(super) fn seen(&self) -> Seen {
        Seen { holes: self.holes.clone(), gaps: self.gaps, baseless: self.baseless }
    }

    /// Takes over what was seen before a restart.
    pub(super) fn recall(&mut self, seen: Seen) {
        Seen { holes: self.holes, gaps: self.gaps, baseless: self.baseless } = seen;
    }

    /// Returns the cluster whose WAL arrives, once it is known.
    pub(super) fn system(&self) -> Option<u64> {
        self.system
    }

    /// Takes in what happens; returns whether WAL is stored from now on that was not before: to
    /// be connected is not enough.
    pub(super) fn hear(&mut self, news: &StreamNews, now: Timestamp) -> bool {
        let stopped = matches!(self.link, Link::Stopped(_));
        if self.behind(now) > self.max_lag {
            self.behind_at = Some(now);
        }
        match news {
            StreamNews::Started { log, from, .. } => {
                self.system = Some(log.system);
                (self.from, self.stores) = (Some(*from), false);
                if !stopped {
                    self.link = Link::Streaming;
                }
            }
            StreamNews::Report { timeline, durable, exposure } => {
                let stores = exposure.caught_up || self.from.is_some_and(|from| *durable > from);
                // What had to be mended is, when something is stored again.
                if stores || !stopped {
                    self.link = Link::Streaming;
                }
                self.durable = Some((*timeline, *durable));
                self.lag_bytes = Some(exposure.bytes);
                self.heard_at = Some(before(now, exposure.quiet));
                if exposure.caught_up {
                    self.fresh_at = Some(before(now, exposure.age.max(exposure.quiet)));
                }
                return stores && !std::mem::replace(&mut self.stores, stores);
            }
            StreamNews::Retrying { error, lasting: true, .. } => {
                self.link = Link::Stopped(error.to_string());
            }
            StreamNews::Retrying { error, .. } => self.retry(error.to_string()),
            // What is lost was not stored.
            StreamNews::Gap { to, .. } => self.from = Some(*to),
            StreamNews::Switched { .. } => {}
        }
        false
    }

    /// It does not arrive for now; what somebody has to mend is not mended by that.
    pub(super) fn retry(&mut self, why: String) {
        if !matches!(self.link, Link::Stopped(_)) {
            self.link = Link::Retrying(why);
        }
    }

    /// Another daemon receives it: how far behind that is, is not known here.
    pub(super) fn leave(&mut self, now: Timestamp) {
        self.link = Link::Elsewhere;
        self.begun = now;
        (self.fresh_at, self.heard_at, self.behind_at) = (None, None, None);
    }

    /// Takes over what is stored; nothing where nothing is.
    pub(super) fn look(&mut self, status: Option<&WalStatus>) {
        let remedies = 1;
        let holes = status.map(|status| status.holes.as_slice()).unwrap_or_default();
        self.holes = holes.get(..holes.len().saturating_sub(remedies)).unwrap_or_default().to_vec();
        self.gaps = status.map_or(0, |status| status.missing.len() as u64);
        self.windows = status.map(|status| status.windows.clone()).unwrap_or_default();
        self.segment_size = status.map_or(0, |status| status.inventory.segment_size);
        self.baseless = status.is_some_and(|status| status.windows.is_empty());
    }

    /// Returns when everything that the server had written was stored, as far as is known.
    #[must_use]
    pub fn fresh_at(&self) -> Option<Timestamp> {
        self.fresh_at
    }

    /// Returns how much would be lost if the server were lost now: measured while WAL arrives,
    /// and growing with the clock while nothing is heard. Nothing when it was never known.
    #[must_use]
    pub fn lag(&self, now: Timestamp) -> Option<Duration> {
        let fresh = since(self.fresh_at?, now);
        let quiet = since(self.heard_at.unwrap_or(self.begun), now);
        let current = self.link == Link::Streaming && quiet <= REPORT * 3;
        // Nothing was waiting, and nothing is known to have been written since.
        let idle = current && self.lag_bytes == Some(0);
        Some(if idle { Duration::ZERO } else { fresh })
    }

    /// Returns the newest segment that is stored up to its end or in part.
    #[must_use]
    pub fn segment(&self) -> Option<String> {
        let (timeline, Lsn(position)) = self.durable.filter(|_| self.segment_size > 0)?;
        let last = Lsn(position.saturating_sub(1));
        Some(WalSegment::holding(timeline, last, self.segment_size).to_string())
    }

    /// Returns the newest unbroken range of instants that can be recovered.
    #[must_use]
    pub fn window(&self) -> Option<(Timestamp, Timestamp)> {
        let newest = self.windows.last().filter(|_| self.gaps == 0)?;
        let same = |window: &&Window| window.end == newest.end;
        let from = self.windows.iter().filter(same).map(|window| window.from).min()?;
        Some((from, self.fresh_at?.max(newest.from)))
    }

    /// Returns what is wrong.
    pub(super) fn troubles(&self, now: Timestamp) -> Vec<Trouble> {
        let mut troubles = Vec::new();
        let mut wrong = |word, reason| troubles.push(Trouble { word, reason });
        if self.link == Link::Elsewhere {
            return troubles;
        }
        if let Link::Stopped(why) = &self.link {
            wrong("stopped", format!("Write-ahead log is not received: {why}."));
        }
        let behind = self.behind(now);
        let just = self.behind_at.is_some_and(|at| since(at, now) < CALM);
        if behind > self.max_lag || just {
            let why = match &self.link {
                Link::Retrying(why) => format!(" ({why})"),
                _ => String::new(),
            };
            let is = if behind > self.max_lag { "is" } else { "was too far behind just now, is" };
            wrong(
                "behind",
                format!(
                    "Write-ahead log {is} {} behind; at most {} was promised{why}.",
                    length(behind),
                    length(self.max_lag)
                ),
            );
        }
        if !self.holes.is_empty() {
            let holes = self.holes.join(" ");
            wrong(
                "gap",
                format!(
                    "{holes} Nothing after it can be recovered to a point in time before a new physical snapshot."
                ),
            );
        }
        if self.baseless {
            wrong(
                "baseless",
                "No physical snapshot of this cluster is stored: write-ahead log alone recovers \
                 nothing."
                    .to_owned(),
            );
        }
        troubles
    }

    /// Returns how far behind it is; from the beginning at least, where nothing was ever known.
    fn behind(&self, now: Timestamp) -> Duration {
        self.lag(now).unwrap_or_else(|| since(self.begun, now))
    }
}

/// Time that has passed; a clock that was set back is no age.
fn since(then: Timestamp, now: Timestamp) -> Duration {
    Duration::try_from(now.duration_since(then)).unwrap_or(Duration::ZERO)
}

fn before(now: Timestamp, age: Duration) -> Timestamp {
    let age = SignedDuration::try_from(age).unwrap_or(SignedDuration::MAX);
    now.checked_sub(age).unwrap_or(Timestamp::MIN)
}

fn length(duration: Duration) -> String {
    match duration.as_secs() {
        seconds @ 0..=119 => format!("{seconds} s"),
        seconds @ 120..=7199 => format!("{} min", seconds / 60),
        seconds => format!("{} h", seconds / 3600),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use backup_core::{Error, ErrorKind};
    use backup_ops::wal::WalLog;

    use super::*;
    use crate::wal::Exposure;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + second).unwrap()
    }

    fn report(bytes: u64, age: u64) -> StreamNews {
        let age = Duration::from_secs(age);
        let exposure = Exposure { bytes, age, worst: age, caught_up: true, ..Exposure::default() };
        StreamNews::Report { timeline: 1, durable: Lsn(100), exposure }
    }

    /// A report before everything is stored that was there when it was connected to.
    fn trailing(durable: u64, age: u64) -> StreamNews {
        let exposure = Exposure { bytes: 7, age: Duration::from_secs(age), ..Exposure::default() };
        StreamNews::Report { timeline: 1, durable: Lsn(durable), exposure }
    }

    fn started(from: u64) -> StreamNews {
        let log = WalLog { source: "shop".parse().unwrap(), system: 1 };
        StreamNews::Started { log, timeline: 1, from: Lsn(from) }
    }

    fn retrying(lasting: bool) -> StreamNews {
        let error = Arc::new(Error::new(ErrorKind::StoreUnavailable, "store WAL"));
        StreamNews::Retrying { delay: Duration::from_secs(1), error, lasting }
    }

    fn words(standing: &StreamStanding, now: Timestamp) -> Vec<&'static str> {
        standing.troubles(now).iter().map(|trouble| trouble.word).collect()
    }

    #[test]
    fn lag_is_measured_while_wal_arrives_and_grows_while_nothing_is_heard() {
        let minute = Duration::from_secs(60);
        let mut standing = StreamStanding::new(at(0), minute, None);
        assert_eq!(standing.lag(at(1)), None);
        standing.hear(&report(0, 0), at(5));
        assert_eq!(standing.lag(at(9)), Some(Duration::ZERO));
        standing.hear(&report(7, 3), at(10));
        assert_eq!(standing.lag(at(10)), Some(Duration::from_secs(3)));
        assert_eq!(standing.lag(at(12)), Some(Duration::from_secs(5)));
        standing.hear(&report(0, 0), at(15));
        // Nothing is heard any more, although nobody said that the stream broke.
        assert_eq!(standing.lag(at(45)), Some(Duration::from_secs(30)));
        standing.hear(&retrying(false), at(46));
        assert_eq!(standing.lag(at(47)), Some(Duration::from_secs(32)));
        assert_eq!(words(&standing, at(75)), Vec::<&str>::new());
        assert_eq!(words(&standing, at(76)), ["behind"]);
        assert!(standing.troubles(at(76))[0].reason.contains("(store WAL)"));
        standing.hear(&report(0, 0), at(80));
        assert_eq!(words(&standing, at(109)), ["behind"], "not in and out with every report");
        assert!(standing.troubles(at(109))[0].reason.contains("just now"));
        standing.hear(&report(0, 0), at(110));
        assert_eq!(words(&standing, at(110)), Vec::<&str>::new());
    }

    #[test]
    fn what_never_arrived_is_behind_from_the_beginning_or_from_before_the_restart() {
        let minute = Duration::from_secs(60);
        let fresh = StreamStanding::new(at(0), minute, None);
        assert_eq!((words(&fresh, at(60)), words(&fresh, at(61))), (vec![], vec!["behind"]));
        let mut again = StreamStanding::new(at(0), minute, Some(at(-50)));
        assert_eq!(again.lag(at(5)), Some(Duration::from_secs(55)));
        assert_eq!(words(&again, at(11)), ["behind"]);
        again.link = Link::Elsewhere;
        assert_eq!(words(&again, at(1000)), Vec::<&str>::new());
        again.link = Link::Stopped("another cluster answers".into());
        assert_eq!(words(&again, at(1)), ["stopped"]);
    }

    #[test]
    fn wal_that_is_received_and_never_stored_is_behind_however_often_it_is_begun_again() {
        let minute = Duration::from_secs(60);
        let mut standing = StreamStanding::new(at(0), minute, Some(at(0)));
        for round in 0..4 {
            let begun = 20 * round;
            standing.hear(&started(100), at(begun));
            assert!(!standing.hear(&trailing(100, 5), at(begun + 5)), "nothing is stored");
            standing.hear(&retrying(false), at(begun + 10));
        }
        assert_eq!(standing.lag(at(75)), Some(Duration::from_secs(75)));
        assert_eq!((words(&standing, at(75)), standing.fresh_at()), (vec!["behind"], Some(at(0))));
        // Away for six hours: connected is not caught up.
        let mut standing = StreamStanding::new(at(0), minute, Some(at(-21_600)));
        standing.hear(&started(100), at(1));
        assert!(standing.hear(&trailing(200, 5), at(6)), "it is being stored");
        assert!(!standing.hear(&trailing(300, 5), at(11)), "as before");
        assert_eq!(words(&standing, at(11)), ["behind"]);
        standing.hear(&report(0, 0), at(16));
        assert_eq!((words(&standing, at(46)), standing.fresh_at()), (vec![], Some(at(16))));
    }

    #[test]
    fn what_a_person_has_to_mend_is_mended_when_something_is_stored() {
        let mut standing = StreamStanding::new(at(0), Duration::from_secs(3600), None);
        standing.hear(&started(100), at(0));
        standing.hear(&retrying(true), at(1));
        standing.hear(&started(100), at(2));
        assert!(!standing.hear(&trailing(100, 1), at(7)));
        standing.hear(&retrying(false), at(8));
        assert_eq!(words(&standing, at(8)), ["stopped"], "connecting mends nothing");
        let to = Lsn(900);
        standing.hear(&StreamNews::Gap { from: Lsn(100), to, reason: String::new() }, at(9));
        assert!(!standing.hear(&trailing(900, 1), at(10)), "what is lost is not stored");
        assert!(standing.hear(&trailing(950, 1), at(15)));
        assert_eq!((words(&standing, at(15)), &standing.link), (vec![], &Link::Streaming));
    }

    #[test]
    fn a_server_that_says_nothing_is_no_idle_server() {
        let mut standing = StreamStanding::new(at(0), Duration::from_secs(60), None);
        let silent = |quiet| {
            let quiet = Duration::from_secs(quiet);
            let exposure = Exposure { quiet, age: quiet, caught_up: true, ..Exposure::default() };
            StreamNews::Report { timeline: 1, durable: Lsn(100), exposure }
        };
        standing.hear(&silent(4), at(4));
        assert_eq!(standing.lag(at(5)), Some(Duration::ZERO), "it is asked every five seconds");
        standing.hear(&silent(50), at(50));
        assert_eq!(standing.lag(at(50)), Some(Duration::from_secs(50)));
        standing.hear(&silent(65), at(65));
        assert_eq!(words(&standing, at(65)), ["behind"]);
    }

    #[test]
    fn holes_and_what_has_to_be_mended_outlast_restarts_and_reloads() {
        let mut standing = StreamStanding::new(at(0), Duration::from_secs(60), Some(at(0)));
        let seen = Seen { holes: vec!["WAL is missing.".into()], gaps: 1, baseless: true };
        standing.recall(seen.clone());
        assert_eq!((words(&standing, at(1)), standing.gaps), (vec!["gap", "baseless"], 1));
        assert_eq!(standing.seen(), seen);
        standing.hear(&retrying(true), at(2));
        let again = standing.renewed(Duration::from_secs(300));
        assert_eq!(words(&again, at(200)), ["stopped", "gap", "baseless"]);
        let mut again = again;
        again.look(None);
        assert_eq!(words(&again, at(200)), ["stopped"]);
    }

    #[test]
    fn who_takes_over_is_not_behind_since_it_received_last_itself() {
        let mut standing = StreamStanding::new(at(0), Duration::from_secs(60), Some(at(-50)));
        standing.leave(at(9_000));
        standing.hear(&started(100), at(9_010));
        assert_eq!(words(&standing, at(9_011)), Vec::<&str>::new());
        assert_eq!(words(&standing, at(9_061)), ["behind"], "and does not catch up");
    }
}
