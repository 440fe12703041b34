//! Holes in stored WAL, and the snapshot that makes up for them.

use std::collections::BTreeSet;
use std::time::Duration;

use backup_core::{ErrorKind, JobKey, JobKind, Lsn, Result, Run, SourceName};
use backup_ops::wal::{self, WalStatus};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::{Notify, broadcast};

use crate::daemon::start::Daemon;

/// What is stored is looked at so often while nothing happens.
const LOOK: Duration = Duration::from_secs(3600);
/// Segments are stored several at a time: what is missing for a moment is not lost.
const SETTLE: Duration = Duration::from_secs(5);
/// Snapshots are asked for no more often than this, whatever is missing.
const ONCE_IN: i64 = 3600;

/// Where it is written down for which holes a snapshot was asked for.
const SPACE: &str = "wal bases";

/// Who asks for them.
const ACTOR: &str = "wal gap";

/// For what a snapshot was asked for.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Asked {
    at: Timestamp,
    /// Timelines and positions at which holes begin.
    holes: BTreeSet<(u32, u64)>,
}

impl Asked {
    /// Whether these holes are a reason to ask again. Pure.
    fn is_due(&self, missing: &BTreeSet<(u32, u64)>, now: Timestamp) -> bool {
        !missing.is_subset(&self.holes) && now.duration_since(self.at).as_secs() >= ONCE_IN
    }
}

impl Daemon {
    /// Looks at what is stored when there is reason to, and asks for a snapshot when WAL is missing
    /// that none makes up for. Goes on for ever.
    pub(super) async fn look_for_holes(&self, source: &SourceName, look: &Notify) {
        let mut changes = self.inner.scene.changes.subscribe();
        loop {
            tokio::select! {
                () = look.notified() => {}
                () = self.inner.clock.sleep(LOOK) => {}
                () = backed_up(&mut changes, source) => {}
            }
            if let Err(error) = self.look_at_wal(source).await {
                tracing::warn!(%source, %error, "stored WAL could not be looked at");
            }
        }
    }

    async fn look_at_wal(&self, source: &SourceName) -> Result<()> {
        let mut status = self.stored_wal(source).await?;
        if status.as_ref().is_some_and(|status| !status.missing.is_empty()) {
            self.inner.clock.sleep(SETTLE).await;
            status = self.stored_wal(source).await?;
        }
        self.note_stream(source, |standing| standing.look(status.as_ref()));
        let now = self.inner.clock.now();
        let voice = &self.inner.work.voice;
        let Some(status) = status.filter(|status| !status.missing.is_empty()) else {
            voice.gap_closed(source, now).await;
            return Ok(());
        };
        voice.gap(source, &status.holes.join("\n"), now).await;
        let place = |(timeline, Lsn(at)): &(u32, Lsn)| (*timeline, *at);
        self.ask_for_base(source, status.missing.iter().map(place).collect(), now).await
    }

    /// Returns what is stored of the cluster that is received now; nothing when nothing is.
    async fn stored_wal(&self, source: &SourceName) -> Result<Option<WalStatus>> {
        let repository = &self.inner.work.repository;
        let all = match wal::status(repository, Some(source), self.inner.clock.now()).await {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            all => all?,
        };
        // Others are of clusters that the source was before.
        Ok(all.into_iter().max_by_key(|status| status.newest.as_ref().map(|run| run.stored_at)))
    }

    /// Asks for a backup of the source, once for each hole.
    async fn ask_for_base(
        &self,
        source: &SourceName,
        missing: BTreeSet<(u32, u64)>,
        now: Timestamp,
    ) -> Result<()> {
        let catalog = &self.inner.catalog;
        let kept = catalog.get(SPACE, source.as_str()).await?;
        let mut asked: Asked =
            kept.and_then(|text| serde_json::from_str(&text).ok()).unwrap_or_default();
        if !asked.is_due(&missing, now) {
            return Ok(());
        }
        let job = JobKey::of(JobKind::Backup, source);
        match self.request(job, Some(ACTOR.to_owned())).await {
            Ok(run) => {
                tracing::warn!(%source, run = %run.id, "WAL is missing: a new physical snapshot is taken");
                asked.at = now;
                asked.holes.extend(missing);
                let text = serde_json::to_string(&asked).ok();
                catalog.put(SPACE, &[(source.to_string(), text)]).await
            }
            // One runs or waits; when it has ended this is looked at again.
            Err(error) if error.kind() == ErrorKind::Conflict => Ok(()),
            Err(error) => Err(error),
        }
    }
}

/// Waits until a backup of the source has ended.
async fn backed_up(changes: &mut broadcast::Receiver<Run>, source: &SourceName) {
    let job = JobKey::of(JobKind::Backup, source);
    loop {
        match changes.recv().await {
            Ok(run) if run.job == job && run.ended_at.is_some() => return,
            Ok(_) => {}
            Err(RecvError::Lagged(_)) => return,
            // The daemon ends.
            Err(RecvError::Closed) => std::future::pending().await,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_snapshot_is_asked_for_once_for_a_hole_and_never_in_a_loop() {
        let at = |second: i64| Timestamp::from_second(1_800_000_000 + second).unwrap();
        let one = BTreeSet::from([(1, 100)]);
        let two = BTreeSet::from([(1, 100), (1, 900)]);
        let mut asked = Asked::default();
        assert!(asked.is_due(&one, at(0)));
        asked = Asked { at: at(0), holes: one.clone() };
        assert!(!asked.is_due(&one, at(90_000)), "it failed, and the schedule goes on");
        assert!(!asked.is_due(&two, at(60)), "not again so soon");
        assert!(asked.is_due(&two, at(3_600)));
    }
}
