//! What happens inside runs, as it happens: told to listeners, noted for the run's page.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use backup::daemon::Feed;
use backup_api::view::{LiveEvent, LiveKind, LogLevel, LogLine, Phase, Run};
use backup_core::{ByteSize, Event, FindingKind, RunId, SourceName};
use futures::stream::{self, BoxStream, StreamExt};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use tokio::sync::broadcast;
use tokio::sync::broadcast::error::RecvError;

/// Progress is told no more often than this.
const OFTEN: Duration = Duration::from_millis(250);
/// Lines of a log that are kept.
const LINES: usize = 2000;
/// Runs whose notes are kept in memory.
const RUNS: usize = 64;

/// Listeners and notes.
pub(crate) struct Live {
    events: broadcast::Sender<LiveEvent>,
    sequence: AtomicU64,
    notes: Mutex<BTreeMap<RunId, Notes>>,
}

/// What was noted about a run.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Notes {
    pub(super) phases: Vec<Phase>,
    pub(super) log: Vec<LogLine>,
    #[serde(skip)]
    pub(super) done_bytes: u64,
    #[serde(skip)]
    pub(super) stored_bytes: u64,
    #[serde(skip)]
    pub(super) expected_bytes: Option<u64>,
    #[serde(skip)]
    told: Option<Instant>,
}

impl Live {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self {
            events: broadcast::Sender::new(1024),
            sequence: AtomicU64::new(0),
            notes: Mutex::default(),
        })
    }

    /// Returns what the daemon is to call.
    pub(crate) fn feed(self: &Arc<Self>) -> Feed {
        let live = Arc::clone(self);
        Arc::new(move |run, event| live.happened(run, event, Timestamp::now()))
    }

    fn subscribe(&self) -> broadcast::Receiver<LiveEvent> {
        self.events.subscribe()
    }

    /// Returns what happens from now on; a listener that is too slow misses some of it.
    pub(super) fn stream(&self) -> BoxStream<'static, LiveEvent> {
        stream::unfold(self.subscribe(), |mut events| async move {
            loop {
                match events.recv().await {
                    Ok(event) => return Some((event, events)),
                    Err(RecvError::Lagged(_)) => {}
                    Err(RecvError::Closed) => return None,
                }
            }
        })
        .boxed()
    }

    pub(super) fn notes(&self, run: RunId) -> Option<Notes> {
        self.lock().get(&run).cloned()
    }

    /// Tells how a run stands.
    pub(super) fn tell_run(&self, run: Run, at: Timestamp) {
        let (id, source) = (run.id.clone(), run.source.clone());
        self.tell(Some(id), source, LiveKind::Run { run }, at);
    }

    /// Tells that the fleet looks different.
    pub(super) fn tell_fleet(&self, at: Timestamp) {
        self.tell(None, None, LiveKind::Fleet, at);
    }

    fn tell(&self, run: Option<String>, source: Option<SourceName>, what: LiveKind, at: Timestamp) {
        let sequence = self.sequence.fetch_add(1, Ordering::Relaxed) + 1;
        // Nobody may be listening.
        let _ = self.events.send(LiveEvent { sequence, at, run, source, what });
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeMap<RunId, Notes>> {
        self.notes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn happened(&self, run: RunId, event: &Event, at: Timestamp) {
        let mut all = self.lock();
        while all.len() >= RUNS && !all.contains_key(&run) {
            all.pop_first();
        }
        let notes = all.entry(run).or_default();
        let told = notes.hear(event, at);
        drop(all);
        if let Some(what) = told {
            self.tell(Some(run.to_string()), None, what, at);
        }
    }
}

impl Notes {
    /// Notes an event; returns what to tell.
    fn hear(&mut self, event: &Event, at: Timestamp) -> Option<LiveKind> {
        let line = match event {
            Event::RunStarted { expected_bytes, .. } => {
                self.expected_bytes = *expected_bytes;
                return None;
            }
            Event::Progress { bytes } => {
                self.done_bytes += bytes;
                if self.told.is_some_and(|told| told.elapsed() < OFTEN) {
                    return None;
                }
                self.told = Some(Instant::now());
                return Some(LiveKind::Progress {
                    done_bytes: self.done_bytes,
                    expected_bytes: self.expected_bytes,
                    phase: self.phases.last().map(|phase| phase.name.clone()),
                });
            }
            Event::PackStored { bytes } => {
                self.stored_bytes += bytes;
                return None;
            }
            Event::PhaseStarted { phase } => {
                self.end_phase(at);
                let name = plain(phase);
                self.phases.push(Phase { name: name.clone(), started_at: at, finished_at: None });
                (LogLevel::Info, name)
            }
            Event::PartFinished { part, rows, bytes } => {
                let rows = rows.map_or_else(String::new, |rows| format!("{rows} rows, "));
                (LogLevel::Info, format!("{part}: {rows}{}", ByteSize(*bytes)))
            }
            Event::Retrying { operation, attempt, error } => {
                (LogLevel::Warning, format!("{operation}: attempt {attempt} failed: {error}"))
            }
            Event::Found(finding) => {
                let level = match finding.kind {
                    FindingKind::Note => LogLevel::Info,
                    FindingKind::Warning | FindingKind::Suspect => LogLevel::Warning,
                };
                (level, finding.message.clone())
            }
            Event::SnapshotCommitted { snapshot } => {
                (LogLevel::Info, format!("committed snapshot {}", snapshot.short()))
            }
            Event::RunFinished { error, .. } => {
                self.end_phase(at);
                match error {
                    Some(error) => (LogLevel::Error, error.clone()),
                    None => (LogLevel::Info, "done".to_owned()),
                }
            }
            _ => return None,
        };
        let (level, message) = line;
        let line = LogLine { at, level, message: plain(&message) };
        if self.log.len() >= LINES {
            self.log.remove(0);
        }
        self.log.push(line.clone());
        Some(LiveKind::Log { line })
    }

    fn end_phase(&mut self, at: Timestamp) {
        if let Some(last) = self.phases.last_mut() {
            last.finished_at.get_or_insert(at);
        }
    }
}

fn plain(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_is_noted_in_phases_and_lines() {
        let live = Live::new();
        let mut heard = live.subscribe();
        let feed = live.feed();
        let run = RunId([7; 16]);
        feed(run, &Event::RunStarted { verb: "backup", source: None, expected_bytes: Some(100) });
        feed(run, &Event::PhaseStarted { phase: "copy\nrows".into() });
        feed(run, &Event::Progress { bytes: 40 });
        feed(run, &Event::Progress { bytes: 40 });
        feed(run, &Event::PackStored { bytes: 9 });
        feed(run, &Event::PhaseStarted { phase: "commit".into() });
        let notes = live.notes(run).unwrap();
        assert_eq!((notes.done_bytes, notes.stored_bytes), (80, 9));
        assert_eq!(notes.expected_bytes, Some(100));
        assert_eq!(notes.phases[0].name, "copy rows");
        assert!(notes.phases[0].finished_at.is_some() && notes.phases[1].finished_at.is_none());
        let kinds: Vec<_> =
            std::iter::from_fn(|| heard.try_recv().ok()).map(|event| event.what.as_str()).collect();
        assert_eq!(kinds, ["log", "progress", "log"], "the second progress comes too soon");
        for number in 0..200_u8 {
            feed(RunId([number; 16]), &Event::PackStored { bytes: 1 });
        }
        assert!(live.lock().len() <= RUNS);
    }
}
