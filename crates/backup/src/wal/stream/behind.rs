//! How much would be lost now: measured, in bytes and seconds; pure.

use std::collections::VecDeque;
use std::time::Duration;

use backup_core::Lsn;

/// A server that was asked for a word and says nothing for so long may write all the same.
const QUIET: Duration = Duration::from_secs(10);

/// Positions of the server and when they were first heard of, until they are durable.
#[derive(Debug)]
pub(super) struct Behind {
    heard: VecDeque<(Lsn, Duration)>,
    server: Lsn,
    durable: Lsn,
    worst: Duration,
    /// Where the server's WAL ended when it was connected to. Since when it reached that far
    /// nobody knows.
    offered: Lsn,
    /// When the server last said something.
    word: Duration,
}

/// What is not durable yet.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Exposure {
    /// Bytes between the server's last word and what is stored.
    pub bytes: u64,
    /// How long the oldest of them has been waiting; while the server says nothing although it
    /// was asked, at least since its last word.
    pub age: Duration,
    /// The longest that any waited since the last report.
    pub worst: Duration,
    /// How long ago the server said something last.
    pub quiet: Duration,
    /// Whether everything is stored that the server had written when it was connected to. Until
    /// then the oldest has been waiting for longer than `age`, nobody knows how long.
    pub caught_up: bool,
}

impl Behind {
    /// Begins at time zero, connected to a server whose WAL ends at `offered`.
    pub(super) fn new(durable: Lsn, offered: Lsn) -> Self {
        let mut behind = Self {
            heard: VecDeque::new(),
            server: Lsn(0),
            durable: Lsn(0),
            worst: Duration::ZERO,
            offered,
            word: Duration::ZERO,
        };
        behind.heard(offered, Duration::ZERO);
        behind.stored(durable, Duration::ZERO);
        behind
    }

    /// The server's WAL reaches so far, at a time by the monotonic clock.
    pub(super) fn heard(&mut self, server: Lsn, now: Duration) {
        self.word = now;
        if server > self.server {
            self.server = server;
            // Close together in time they are one: the queue stays short.
            match self.heard.back_mut() {
                Some((last, at)) if now.saturating_sub(*at) < Duration::from_millis(50) => {
                    *last = server;
                }
                _ => self.heard.push_back((server, now)),
            }
        }
    }

    /// Everything up to here is durable.
    pub(super) fn stored(&mut self, durable: Lsn, now: Duration) {
        self.durable = self.durable.max(durable);
        while let Some((position, at)) = self.heard.front().copied().filter(|(p, _)| *p <= durable)
        {
            let _ = position;
            self.worst = self.worst.max(now.saturating_sub(at));
            self.heard.pop_front();
        }
    }

    pub(super) fn durable(&self) -> Lsn {
        self.durable
    }

    /// Returns what is at risk, and begins to look for the worst anew.
    pub(super) fn report(&mut self, now: Duration) -> Exposure {
        let quiet = now.saturating_sub(self.word);
        let waiting = self.heard.front().map_or(Duration::ZERO, |(_, at)| now.saturating_sub(*at));
        let age = if quiet > QUIET { waiting.max(quiet) } else { waiting };
        let worst = std::mem::take(&mut self.worst).max(age);
        let bytes = self.server.0.saturating_sub(self.durable.0);
        Exposure { bytes, age, worst, quiet, caught_up: self.durable >= self.offered }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: u64) -> Duration {
        Duration::from_secs(second)
    }

    #[test]
    fn what_waits_longest_counts() {
        let mut behind = Behind::new(Lsn(100), Lsn(100));
        let nothing = Exposure { caught_up: true, ..Exposure::default() };
        assert_eq!(behind.report(at(0)), nothing);
        behind.heard(Lsn(150), at(10));
        behind.heard(Lsn(200), at(12));
        let report = behind.report(at(15));
        assert_eq!((report.bytes, report.age, report.worst), (100, at(5), at(5)));
        behind.stored(Lsn(170), at(16));
        let report = behind.report(at(18));
        assert_eq!((report.bytes, report.age, report.worst), (30, at(6), at(6)));
        behind.stored(Lsn(200), at(19));
        behind.heard(Lsn(200), at(20));
        assert_eq!(behind.report(at(20)), Exposure { worst: at(7), ..nothing });
    }

    #[test]
    fn what_the_server_had_before_is_at_risk_although_it_has_said_nothing_yet() {
        let mut behind = Behind::new(Lsn(100), Lsn(300));
        let report = behind.report(at(5));
        assert_eq!((report.bytes, report.age, report.caught_up), (200, at(5), false));
        behind.heard(Lsn(400), at(6));
        behind.stored(Lsn(299), at(7));
        assert!(!behind.report(at(7)).caught_up);
        behind.stored(Lsn(300), at(8));
        let report = behind.report(at(8));
        assert_eq!((report.bytes, report.age, report.caught_up), (100, at(2), true));
    }

    #[test]
    fn a_server_that_says_nothing_is_not_one_that_writes_nothing() {
        let mut behind = Behind::new(Lsn(100), Lsn(100));
        behind.heard(Lsn(100), at(5));
        let report = behind.report(at(9));
        assert_eq!((report.age, report.quiet), (at(0), at(4)));
        let report = behind.report(at(45));
        assert_eq!((report.bytes, report.age, report.quiet), (0, at(40), at(40)));
        behind.heard(Lsn(100), at(46));
        assert_eq!(behind.report(at(47)).age, at(0));
    }
}
