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
mod tests;
