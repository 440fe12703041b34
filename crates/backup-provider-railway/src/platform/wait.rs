//! Looking at workflows: how often, and what their words mean.

use std::time::Duration;

use backup_core::Result;
use backup_core::port::{Handle, Progress};
use jiff::Timestamp;

use super::RailwayPlatform;

/// How long a workflow may not be visible yet after it was started.
const INVISIBLE: Duration = Duration::from_secs(120);

/// What the id of a workflow is kept under.
pub(super) const WORKFLOW: &str = "workflow ";
/// What the id of the deployment before is kept under.
pub(super) const DEPLOYMENT: &str = "deployment before ";

/// Returns what to wait for: a workflow, where Railway told its id.
pub(super) fn for_workflow(id: Option<String>) -> Vec<String> {
    id.into_iter().map(|id| format!("{WORKFLOW}{id}")).collect()
}

/// Returns what a handle keeps under a word.
pub(super) fn kept<'a>(handle: &'a Handle, word: &str) -> Option<&'a str> {
    handle.waits.iter().find_map(|wait| wait.strip_prefix(word))
}

/// What a workflow came to.
pub(super) enum Outcome {
    Running(Progress),
    Complete,
    Failed(String),
    /// Railway does not know it: it has forgotten, or never told its id.
    Unknown,
}

impl RailwayPlatform {
    pub(super) async fn workflow(&self, handle: &Handle) -> Result<Outcome> {
        let age = self.age(handle);
        let Some(id) = kept(handle, WORKFLOW) else { return Ok(Outcome::Unknown) };
        let found = self.client.workflow(id).await?;
        Ok(match found.status.as_str() {
            "Complete" => Outcome::Complete,
            "Error" => Outcome::Failed(found.error.unwrap_or_else(|| "no reason given".to_owned())),
            "NotFound" if age >= INVISIBLE => Outcome::Unknown,
            other => Outcome::Running(self.running(handle, other)),
        })
    }

    /// Goes on; the longer it has, the less often it is looked at: a free account has 100
    /// requests in an hour.
    pub(super) fn running(&self, handle: &Handle, state: &str) -> Progress {
        let look_again =
            (self.age(handle) / 4).clamp(Duration::from_secs(5), Duration::from_secs(60));
        Progress::Running { state: state.to_ascii_lowercase(), look_again }
    }

    /// Whether something that is not there may still appear.
    pub(super) fn may_appear(&self, handle: &Handle) -> bool {
        self.age(handle) < INVISIBLE
    }

    fn age(&self, handle: &Handle) -> Duration {
        since(handle.begun_at, self.client.clock().now())
    }
}

fn since(begun: Timestamp, now: Timestamp) -> Duration {
    Duration::try_from(now.duration_since(begun)).unwrap_or_default()
}
