//! An observer that remembers.

use std::sync::Mutex;

use backup_core::Event;
use backup_core::port::Observer;

use crate::sync::lock;

/// Keeps every event it is told, in order.
#[derive(Debug, Default)]
pub struct Recorder {
    events: Mutex<Vec<Event>>,
}

impl Recorder {
    /// Creates one that knows nothing yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Returns what was told so far.
    #[must_use]
    pub fn events(&self) -> Vec<Event> {
        lock(&self.events).clone()
    }
}

impl Observer for Recorder {
    fn on_event(&self, event: &Event) {
        lock(&self.events).push(event.clone());
    }
}
