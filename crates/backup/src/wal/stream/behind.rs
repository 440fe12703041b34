//! How much would be lost now: measured, in bytes and seconds; pure.

use std::collections::VecDeque;
use std::time::Duration;

use backup_core::Lsn;

/// Positions of the server and when they were first heard of, until they are durable.
#[derive(Debug, Default)]
pub(super) struct Behind {
    heard: VecDeque<(Lsn, Duration)>,
    server: Lsn,
    durable: Lsn,
    worst: Duration,
}

/// What is not durable yet.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Exposure {
    /// Bytes between the server's last word and what is stored.
    pub bytes: u64,
    /// How long the oldest of them has been waiting.
    pub age: Duration,
    /// The longest that any waited since the last report.
    pub worst: Duration,
}

impl Behind {
    /// The server's WAL reaches so far, at a time by the monotonic clock.
    pub(super) fn heard(&mut self, server: Lsn, now: Duration) {
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
        let age = self.heard.front().map_or(Duration::ZERO, |(_, at)| now.saturating_sub(*at));
        let worst = std::mem::take(&mut self.worst).max(age);
        Exposure { bytes: self.server.0.saturating_sub(self.durable.0), age, worst }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_waits_longest_counts() {
        let at = Duration::from_secs;
        let mut behind = Behind::default();
        behind.stored(Lsn(100), at(0));
        assert_eq!(behind.report(at(5)), Exposure::default());
        behind.heard(Lsn(150), at(10));
        behind.heard(Lsn(200), at(12));
        let report = behind.report(at(15));
        assert_eq!((report.bytes, report.age, report.worst), (100, at(5), at(5)));
        behind.stored(Lsn(170), at(16));
        let report = behind.report(at(18));
        assert_eq!((report.bytes, report.age, report.worst), (30, at(6), at(6)));
        behind.stored(Lsn(200), at(19));
        assert_eq!(behind.report(at(20)), Exposure { worst: at(7), ..Exposure::default() });
    }
}
