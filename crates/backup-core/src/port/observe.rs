//! Watching a run.

use crate::Event;

/// Is told what happens. Infallible, cheap, and called from many tasks at once.
pub trait Observer: Send + Sync {
    /// Takes note of one event.
    fn on_event(&self, event: &Event);
}

/// Watches nothing.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoObserver;

impl Observer for NoObserver {
    fn on_event(&self, _event: &Event) {}
}
