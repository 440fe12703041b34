//! What can be seen of a daemon while it runs.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use backup_config::GroupSettings;
use backup_core::{JobKey, JobKind, Run, SourceName};
use backup_ops::SourceStatus;
use backup_ops::daemon::{Board, Watcher};
use backup_ops::group::GroupStatus;
use backup_ops::health::{Ended, RepositoryHealth};
use jiff::Timestamp;
use tokio::sync::{Notify, broadcast, watch};

use super::stream::StreamStanding;

use super::remembered::LOOK_BACK;

/// Everything at one instant, and each run as it changes.
#[derive(Debug)]
pub(super) struct Scene {
    pub(super) board: watch::Sender<Arc<Board>>,
    pub(super) changes: broadcast::Sender<Run>,
    pub(super) sources: watch::Sender<Arc<Vec<SourceStatus>>>,
    pub(super) groups: watch::Sender<Arc<Vec<GroupStatus>>>,
    /// When the newest drill of each source was that has been seen.
    pub(super) drilled: Mutex<BTreeMap<SourceName, Timestamp>>,
    pub(super) repository: watch::Sender<Option<Arc<RepositoryHealth>>>,
    /// Backups that ended in the last ninety days, by source.
    ended: Mutex<BTreeMap<SourceName, Vec<Ended>>>,
    /// How the sources stood by what the repository says, when it could be read.
    stored: Mutex<Arc<Vec<SourceStatus>>>,
    /// How receiving WAL stands, of every source whose WAL is received.
    pub(super) streams: Mutex<BTreeMap<SourceName, StreamStanding>>,
    /// Something happened that sources are to be judged by.
    pub(super) stirred: Notify,
    next: Mutex<BTreeMap<JobKey, Timestamp>>,
    problems: Mutex<Problems>,
}

/// What is wrong with the daemon itself.
#[derive(Clone, Debug, Default)]
pub(super) struct Problems {
    pub(super) catalog: Option<String>,
    pub(super) configuration: Option<String>,
    /// Why it cannot be judged.
    pub(super) repository: Option<String>,
    /// Why it cannot be measured.
    pub(super) measuring: Option<String>,
}

impl Default for Scene {
    fn default() -> Self {
        Self {
            board: watch::Sender::default(),
            changes: broadcast::Sender::new(1024),
            sources: watch::Sender::default(),
            groups: watch::Sender::default(),
            drilled: Mutex::default(),
            repository: watch::Sender::default(),
            ended: Mutex::default(),
            stored: Mutex::default(),
            streams: Mutex::default(),
            stirred: Notify::new(),
            next: Mutex::default(),
            problems: Mutex::default(),
        }
    }
}

impl Scene {
    pub(super) fn next(&self) -> Vec<(JobKey, Timestamp)> {
        let next = self.next.lock().unwrap_or_else(PoisonError::into_inner);
        next.iter().map(|(key, at)| (key.clone(), *at)).collect()
    }

    /// Takes what is remembered of backups that ended.
    pub(super) fn remember(&self, ended: BTreeMap<SourceName, Vec<Ended>>) {
        *self.ended.lock().unwrap_or_else(PoisonError::into_inner) = ended;
    }

    /// Adds to each source what is known of its runs.
    pub(super) fn hear(
        &self,
        sources: &mut [SourceStatus],
        groups: &[GroupSettings],
        now: Timestamp,
    ) {
        let since = now.checked_sub(LOOK_BACK).unwrap_or(Timestamp::MIN);
        let board = self.board.borrow().clone();
        let mut ended = self.ended.lock().unwrap_or_else(PoisonError::into_inner);
        for source in sources {
            let own = ended.entry(source.source.clone()).or_default();
            own.retain(|run| run.at >= since);
            source.health.hear(own, now);
            // Its own backup, or its group's.
            let group = groups.iter().find(|group| group.sources.contains(&source.source));
            let names = [Some(&source.source), group.map(|group| &group.name)];
            let keys = names.map(|name| name.map(|name| JobKey::of(JobKind::Backup, name)));
            if board.running.iter().any(|run| keys.iter().flatten().any(|key| run.job == *key)) {
                source.health.running();
            }
        }
    }

    pub(super) fn stored(&self) -> Arc<Vec<SourceStatus>> {
        Arc::clone(&self.stored.lock().unwrap_or_else(PoisonError::into_inner))
    }

    pub(super) fn keep_stored(&self, sources: &[SourceStatus]) {
        *self.stored.lock().unwrap_or_else(PoisonError::into_inner) = Arc::new(sources.to_vec());
    }

    /// Notes what is wrong, or that it is not any more.
    pub(super) fn note(&self, change: impl FnOnce(&mut Problems)) {
        change(&mut self.problems.lock().unwrap_or_else(PoisonError::into_inner));
    }

    /// Returns what is wrong, a sentence each.
    pub(super) fn problems(&self) -> Vec<String> {
        let repository = self.repository_problems();
        let about = |text: String| format!("repository: {text}");
        self.own_problems().into_iter().chain(repository.into_iter().map(about)).collect()
    }

    /// Returns what is wrong with the repository, a sentence each.
    pub(super) fn repository_problems(&self) -> Vec<String> {
        let known = self.problems.lock().unwrap_or_else(PoisonError::into_inner).clone();
        known.repository.into_iter().chain(known.measuring).collect()
    }

    /// Returns what is wrong with the daemon itself, a sentence each.
    pub(super) fn own_problems(&self) -> Vec<String> {
        let known = self.problems.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let written = self.board.borrow().problem.clone();
        let about = |what: &str, text: Option<String>| text.map(|text| format!("{what}: {text}"));
        [
            about("catalog", known.catalog),
            about("catalog", written),
            about("configuration", known.configuration),
        ]
        .into_iter()
        .flatten()
        .collect()
    }
}

impl Watcher for Scene {
    fn changed(&self, run: &Run) {
        if let Some((source, run)) = run.job.source.clone().zip(Ended::of(run)) {
            let mut ended = self.ended.lock().unwrap_or_else(PoisonError::into_inner);
            ended.entry(source).or_default().push(run);
        }
        // Nobody may be listening.
        let _ = self.changes.send(run.clone());
    }

    fn looked(&self, board: &Arc<Board>) {
        let mut next = self.next.lock().unwrap_or_else(PoisonError::into_inner);
        for (key, at) in &board.next {
            match at {
                Some(at) => next.insert(key.clone(), *at),
                None => next.remove(key),
            };
        }
        drop(next);
        self.board.send_replace(Arc::clone(board));
    }
}
