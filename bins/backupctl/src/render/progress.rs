//! How far a run has come: pure arithmetic, so that bars and log lines agree.

use std::time::Duration;

use backup_core::{ByteSize, Event};

use super::words;

/// What is known about a run, fed by its events.
#[derive(Clone, Debug, Default)]
pub(crate) struct Progress {
    pub(crate) verb: &'static str,
    pub(crate) source: Option<String>,
    pub(crate) phase: String,
    pub(crate) done: u64,
    pub(crate) expected: Option<u64>,
    pub(crate) stored: u64,
}

impl Progress {
    /// Takes note of an event.
    pub(crate) fn note(&mut self, event: &Event) {
        match event {
            Event::RunStarted { verb, source, expected_bytes } => {
                *self = Self {
                    verb,
                    source: source.as_ref().map(ToString::to_string),
                    expected: *expected_bytes,
                    ..Self::default()
                };
            }
            Event::PhaseStarted { phase } => self.phase.clone_from(phase),
            Event::Progress { bytes } => self.done += bytes,
            Event::PackStored { bytes } => self.stored += bytes,
            _ => {}
        }
    }

    /// Returns what is being done, for people: `backup shop: copy rows`.
    pub(crate) fn title(&self) -> String {
        let mut title = self.verb.to_owned();
        for (mark, text) in [(" ", self.source.as_deref()), (": ", Some(self.phase.as_str()))] {
            if let Some(text) = text.filter(|text| !text.is_empty()) {
                title.push_str(mark);
                title.push_str(text);
            }
        }
        title
    }

    /// Returns the time left at the rate so far; nothing when it cannot be known. An estimate
    /// that has been passed is no estimate any more.
    pub(crate) fn left(&self, elapsed: Duration) -> Option<Duration> {
        let expected = self.expected.filter(|expected| *expected > self.done)?;
        if self.done == 0 || elapsed < Duration::from_secs(1) {
            return None;
        }
        let rate = self.done as f64 / elapsed.as_secs_f64();
        Some(Duration::from_secs_f64((expected - self.done) as f64 / rate))
    }

    /// Returns one log line.
    pub(crate) fn line(&self, elapsed: Duration) -> String {
        let mut line = format!("{}: {}", self.title(), ByteSize(self.done));
        if let Some(expected) = self.expected.filter(|expected| *expected > self.done) {
            line.push_str(&format!(
                " of about {} ({})",
                ByteSize(expected),
                words::percent(self.done, expected)
            ));
        }
        line.push_str(&format!(", {}", words::rate(self.done, elapsed.as_secs_f64())));
        if let Some(left) = self.left(elapsed) {
            line.push_str(&format!(", {} left", words::age(left)));
        }
        line
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn says_how_far_how_fast_and_how_long() {
        let mut progress = Progress::default();
        progress.note(&Event::RunStarted {
            verb: "backup",
            source: Some("shop".parse().unwrap()),
            expected_bytes: Some(100 << 20),
        });
        progress.note(&Event::PhaseStarted { phase: "copy rows".into() });
        progress.note(&Event::Progress { bytes: 25 << 20 });
        assert_eq!(
            progress.line(Duration::from_secs(5)),
            "backup shop: copy rows: 25.0 MiB of about 100.0 MiB (25.0%), 5.0 MiB/s, 15 s left"
        );
        progress.note(&Event::Progress { bytes: 80 << 20 });
        assert_eq!(
            progress.line(Duration::from_secs(5)),
            "backup shop: copy rows: 105.0 MiB, 21.0 MiB/s",
            "a passed estimate is dropped"
        );
    }
}
