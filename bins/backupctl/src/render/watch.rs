//! Showing a run as it goes: a bar on a terminal, a line now and then elsewhere.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use backup_core::port::Observer;
use backup_core::{Event, FindingKind};
use indicatif::{ProgressBar, ProgressStyle};

use super::progress::Progress;
use super::screen::Screen;

/// The first log line comes after this long; later ones wait longer and longer.
const FIRST: Duration = Duration::from_secs(5);
/// No log line is further from the one before.
const LAST: Duration = Duration::from_secs(60);

/// Returns an observer that shows the run on `screen`.
pub(crate) fn watch(screen: &Arc<Screen>) -> Arc<dyn Observer> {
    Arc::new(Watch { screen: Arc::clone(screen), state: Mutex::new(State::new()) })
}

struct Watch {
    screen: Arc<Screen>,
    state: Mutex<State>,
}

struct State {
    progress: Progress,
    began: Instant,
    next_line: Duration,
    pause: Duration,
    bar: Option<ProgressBar>,
}

impl State {
    fn new() -> Self {
        Self {
            progress: Progress::default(),
            began: Instant::now(),
            next_line: FIRST,
            pause: FIRST,
            bar: None,
        }
    }
}

impl Observer for Watch {
    fn on_event(&self, event: &Event) {
        match event {
            Event::Found(finding) if finding.kind != FindingKind::Note => {
                self.screen.say(&super::finding(finding));
            }
            Event::Found(finding) if self.screen.verbose() > 0 => {
                self.screen.say(&super::finding(finding));
            }
            Event::Retrying { operation, attempt, error } => {
                self.screen.say(&format!("retrying {operation} (attempt {attempt}): {error}"));
            }
            _ => {}
        }
        let Ok(mut state) = self.state.lock() else { return };
        if matches!(event, Event::RunStarted { .. }) {
            finish(&mut state);
            *state = State::new();
        }
        state.progress.note(event);
        match self.screen.bars() {
            Some(bars) => {
                let bar = state.bar.get_or_insert_with(|| bars.add(ProgressBar::no_length()));
                let bar = bar.clone();
                draw(&bar, &state.progress, event);
            }
            None => self.line(&mut state, event),
        }
        if matches!(event, Event::RunFinished { .. }) {
            finish(&mut state);
        }
    }
}

impl Watch {
    fn line(&self, state: &mut State, event: &Event) {
        let elapsed = state.began.elapsed();
        let due = matches!(event, Event::Progress { .. }) && elapsed >= state.next_line;
        let phase = matches!(event, Event::PhaseStarted { .. }) && self.screen.verbose() > 0;
        if due {
            state.pause = (state.pause * 2).min(LAST);
            state.next_line = elapsed + state.pause;
        }
        if due || phase {
            self.screen.say(&state.progress.line(elapsed));
        }
    }
}

fn finish(state: &mut State) {
    if let Some(bar) = state.bar.take() {
        bar.finish_and_clear();
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        if let Ok(mut state) = self.state.lock() {
            finish(&mut state);
        }
    }
}

const KNOWN: &str = "{msg} [{bar:24}] {bytes}/{total_bytes} {bytes_per_sec} ETA {eta}";
const UNKNOWN: &str = "{msg} {spinner} {bytes} {bytes_per_sec}";

fn draw(bar: &ProgressBar, progress: &Progress, event: &Event) {
    match event {
        Event::RunStarted { .. } => {
            let (template, length) = match progress.expected.filter(|bytes| *bytes > 0) {
                Some(expected) => (KNOWN, Some(expected)),
                None => (UNKNOWN, None),
            };
            if let Ok(style) = ProgressStyle::with_template(template) {
                bar.set_style(style.progress_chars("=> "));
            }
            if let Some(length) = length {
                bar.set_length(length);
            }
            bar.set_message(progress.title());
            bar.enable_steady_tick(Duration::from_millis(200));
        }
        Event::PhaseStarted { .. } => bar.set_message(progress.title()),
        Event::Progress { .. } => {
            // Estimates are estimates: the bar grows with what really comes.
            if progress.expected.is_some_and(|expected| progress.done > expected) {
                bar.set_length(progress.done);
            }
            bar.set_position(progress.done);
        }
        _ => {}
    }
}
