//! What a restore reports.

use std::time::Instant;

use backup_core::port::{Observer, RestoreReport};
use backup_core::{Event, Finding};

/// What is reported, while it grows.
pub(super) struct Report<'a> {
    pub(super) inner: RestoreReport,
    observer: &'a dyn Observer,
    phase: Option<(String, Instant)>,
}

impl<'a> Report<'a> {
    pub(super) fn new(observer: &'a dyn Observer) -> Self {
        Self { inner: RestoreReport::default(), observer, phase: None }
    }

    pub(super) fn phase(&mut self, name: &str) {
        self.end_phase();
        self.observer.on_event(&Event::PhaseStarted { phase: name.to_owned() });
        self.phase = Some((name.to_owned(), Instant::now()));
    }

    fn end_phase(&mut self) {
        if let Some((name, began)) = self.phase.take() {
            self.inner.phases.push((name, began.elapsed().as_secs_f64()));
        }
    }

    pub(super) fn found(&mut self, findings: Vec<Finding>) {
        for finding in findings {
            self.observer.on_event(&Event::Found(finding.clone()));
            self.inner.findings.push(finding);
        }
    }

    pub(super) fn finish(mut self) -> RestoreReport {
        self.end_phase();
        self.inner
    }
}
