//! Holes in stored WAL, and the snapshot that makes up for them.

use std::collections::BTreeSet;
use std::time::Duration;

use backup_core::{ErrorKind, JobKey, JobKind, Lsn, Result, Run, SourceName};
use backup_ops::wal::{self, WalStatus};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::{Notify, broadcast};

use super::StreamStanding;
use crate::daemon::start::Daemon;

/// What is stored is looked at so often while nothing happens.
const LOOK: Duration = Duration::from_secs(3600);
/// Segments are stored several at a time: what is missing for a moment is not lost.
const SETTLE: Duration = Duration::from_secs(5);
/// Snapshots are asked for no more often than this, whatever is missing.
const ONCE_IN: i64 = 3600;

/// Where it is written down for which holes a snapshot was asked for.
const SPACE: &str = "wal bases";

/// Stands for no timeline but for a cluster without any snapshot; its number is the position.
const FIRST: u32 = 0;

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

    /// Notes that one was asked for. The first of a cluster puts off none for a hole.
    fn note(&mut self, missing: BTreeSet<(u32, u64)>, now: Timestamp) {
        if missing.iter().any(|(timeline, _)| *timeline != FIRST) {
            self.at = now;
        }
        self.holes.extend(missing);
    }
}

/// Returns for what a snapshot is needed: holes, or that there is none. Pure.
fn lacking(status: &WalStatus) -> BTreeSet<(u32, u64)> {
    if status.windows.is_empty() {
        return [(FIRST, status.log.system)].into();
    }
    status.missing.iter().map(|(timeline, Lsn(at))| (*timeline, *at)).collect()
}

impl Daemon {
    /// Looks at what is stored, at once and when there is reason to, and asks for a snapshot when
    /// WAL is missing that none makes up for, or when there is none at all. Goes on for ever.
    pub(super) async fn look_for_holes(&self, source: &SourceName, look: &Notify) {
        let mut changes = self.inner.scene.changes.subscribe();
        loop {
            if let Err(error) = self.look_at_wal(source).await {
                tracing::warn!(%source, %error, "stored WAL could not be looked at");
            }
            tokio::select! {
                () = look.notified() => {}
                () = self.inner.clock.sleep(LOOK) => {}
                () = backed_up(&mut changes, source) => {}
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
        self.keep_seen(source).await;
        let now = self.inner.clock.now();
        let voice = &self.inner.work.voice;
        let Some(status) = status else {
            voice.gap_closed(source, now).await;
            return Ok(());
        };
        if status.missing.is_empty() {
            voice.gap_closed(source, now).await;
        } else {
            voice.gap(source, &status.holes.join("\n"), now).await;
        }
        self.ask_for_base(source, lacking(&status), now).await
    }

    /// Returns what is stored of the cluster that is received now; nothing when nothing is.
    async fn stored_wal(&self, source: &SourceName) -> Result<Option<WalStatus>> {
        let repository = &self.inner.work.repository;
        let all = match wal::status(repository, Some(source), self.inner.clock.now()).await {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            all => all?,
        };
        // Others are of clusters that the source was before.
        let system = self.streams().get(source).and_then(StreamStanding::system);
        let own =
            all.into_iter().filter(|one| system.is_none_or(|system| one.log.system == system));
        Ok(own.max_by_key(|status| status.newest.as_ref().map(|run| run.stored_at)))
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
                tracing::warn!(%source, run = %run.id, "a physical snapshot that WAL follows is taken");
                asked.note(missing, now);
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
        asked.note([(FIRST, 7)].into(), at(0));
        assert!(asked.is_due(&one, at(0)), "the first of a cluster is not for a hole");
        assert!(!asked.is_due(&[(FIRST, 7)].into(), at(90_000)), "once for each cluster");
        asked.note(one.clone(), at(0));
        assert!(!asked.is_due(&one, at(90_000)), "it failed, and the schedule goes on");
        assert!(!asked.is_due(&two, at(60)), "not again so soon");
        assert!(asked.is_due(&two, at(3_600)));
    }
}
