//! What a restore did, while it does it.

use backup_core::port::{Observer, RestoreReport};
use backup_core::{Event, Finding};
use std::time::Instant;

/// Collects the report.
pub(super) struct Report<'a> {
    observer: &'a dyn Observer,
    pub(super) inner: RestoreReport,
    phase: Option<(String, Instant)>,
}

impl<'a> Report<'a> {
    pub(super) fn new(observer: &'a dyn Observer) -> Self {
        Self { observer, inner: RestoreReport::default(), phase: None }
    }

    /// Begins a phase; the one before is over.
    pub(super) fn phase(&mut self, name: &str) {
        self.end_phase();
        self.observer.on_event(&Event::PhaseStarted { phase: name.to_owned() });
        self.phase = Some((name.to_owned(), Instant::now()));
    }

    pub(super) fn found(&mut self, finding: Finding) {
        self.observer.on_event(&Event::Found(finding.clone()));
        self.inner.findings.push(finding);
    }

    fn end_phase(&mut self) {
        if let Some((name, begun)) = self.phase.take() {
            self.inner.phases.push((name, begun.elapsed().as_secs_f64()));
        }
    }

    pub(super) fn finish(mut self) -> RestoreReport {
        self.end_phase();
        self.inner
    }
}
