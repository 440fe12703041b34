//! Credentials that end by themselves, kept alive for as long as they are used.

use std::time::Duration;

use backup_core::port::Endpoint;
use jiff::Timestamp;
use tokio::task::JoinHandle;

use super::Conductor;

/// The shortest pause between two renewals.
const LEAST: Duration = Duration::from_secs(60);

/// Renews the credential of an endpoint when half of its time is over, again and again, until this is
/// dropped; of one that does not end nothing is renewed. A process that dies renews nothing, and what
/// it used ends soon.
#[derive(Debug)]
pub(super) struct Renewal(Option<JoinHandle<()>>);

impl Renewal {
    pub(super) fn of(conductor: &Conductor, endpoint: &Endpoint) -> Self {
        let Ok(runtime) = tokio::runtime::Handle::try_current() else { return Self(None) };
        let Some(first) = endpoint.expires_at.filter(|_| endpoint.credential.is_some()) else {
            return Self(None);
        };
        let (conductor, endpoint) = (conductor.clone(), endpoint.clone());
        Self(Some(runtime.spawn(async move {
            let mut ends = first;
            loop {
                conductor.clock.sleep(pause(ends, conductor.clock.now())).await;
                match conductor.platform.renew(&endpoint).await {
                    Ok(Some(later)) => ends = later,
                    Ok(None) => return,
                    // Half of what is left is still there to try again in.
                    Err(error) => {
                        tracing::warn!(%error, "a credential for this run could not be renewed");
                    }
                }
            }
        })))
    }
}

/// Half of what is left.
fn pause(ends: Timestamp, now: Timestamp) -> Duration {
    (Duration::try_from(ends.duration_since(now)).unwrap_or_default() / 2).max(LEAST)
}

impl Drop for Renewal {
    fn drop(&mut self) {
        if let Some(task) = &self.0 {
            task.abort();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_is_always_time_for_another_try() {
        let at = |text: &str| text.parse::<Timestamp>().unwrap();
        let now = at("2026-01-01T00:00:00Z");
        assert_eq!(pause(at("2026-01-01T01:00:00Z"), now), Duration::from_secs(1800));
        assert_eq!(pause(at("2026-01-01T00:00:10Z"), now), LEAST);
        assert_eq!(pause(at("2025-12-31T00:00:00Z"), now), LEAST);
    }
}
