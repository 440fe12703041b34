//! How everything stands.

use backup_core::{JobKey, Run};
use backup_schedule::Waiting;
use jiff::Timestamp;

/// What runs, what waits, and what comes next, at one instant.
#[derive(Clone, Debug, Default)]
pub struct Board {
    /// Runs under way, oldest first.
    pub running: Vec<Run>,
    /// Runs that were asked for and wait.
    pub queued: Vec<Run>,
    /// Jobs that are due and cannot start, and why.
    pub waiting: Vec<Waiting>,
    /// When jobs run next, of those for which that has changed since the last look; absent when a
    /// job runs only by request, or is gone. A time that has passed means that it is due.
    pub next: Vec<(JobKey, Option<Timestamp>)>,
    /// What is wrong with the memory of runs.
    pub problem: Option<String>,
    /// Whether it is stopping.
    pub stopping: bool,
}
