//! Receiving WAL: one stream for each source that asks for it, kept up, leased, watched.

mod holes;
mod kept;
mod standing;
mod task;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use backup_core::{ErrorKind, SourceName};
use backup_ops::{Interrupt, Interrupter, SourceStatus, Standing, interrupt};
use jiff::Timestamp;
use tokio::task::JoinHandle;

use super::start::Daemon;
use super::work::Loaded;

pub use standing::{Link, StreamStanding};

/// So often it is looked at whether something changed.
const WATCH: Duration = Duration::from_secs(1);

/// A stream under way.
struct Stream {
    interrupter: Interrupter,
    task: JoinHandle<()>,
}

impl Daemon {
    /// Returns how receiving stands, of every source whose WAL is received.
    #[must_use]
    pub fn streams(&self) -> BTreeMap<SourceName, StreamStanding> {
        self.inner.scene.streams.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Receives the WAL of every source that asks for it until `stop` is asked for; then every
    /// stream stores what it has received, and the slots keep the rest. A new configuration begins
    /// all of them anew.
    pub(super) async fn receive_all(&self, stop: &Interrupt) {
        let mut loaded = self.inner.work.loaded();
        let mut streams = self.begin_streams(&loaded).await;
        let mut known = BTreeMap::new();
        loop {
            tokio::select! {
                biased;
                _ = stop.requested() => break,
                () = self.inner.clock.sleep(WATCH) => {}
            }
            let newest = self.inner.work.loaded();
            if !Arc::ptr_eq(&loaded, &newest) {
                self.end_streams(streams, &loaded).await;
                loaded = newest;
                streams = self.begin_streams(&loaded).await;
            }
            let words = self.words();
            if words != known {
                known = words;
                // How sources stand depends on it.
                self.inner.scene.stirred.notify_one();
            }
        }
        self.end_streams(streams, &loaded).await;
    }

    /// Every source whose WAL is to be received stands as it was seen last, until it is seen
    /// again. Problems of those whose WAL is not any more are over.
    pub(super) async fn expect_streams(&self, loaded: &Loaded) {
        let known = self.streams();
        let mut standings = BTreeMap::new();
        for source in &loaded.settings.sources {
            let Some(wal) = &source.wal else { continue };
            let max_lag = wal.max_lag.as_duration();
            let standing = match known.get(&source.name) {
                Some(standing) => standing.clone().renewed(max_lag),
                None => self.remembered(&source.name, max_lag).await,
            };
            standings.insert(source.name.clone(), standing);
        }
        let received: BTreeSet<String> = standings.keys().map(ToString::to_string).collect();
        *self.inner.scene.streams.lock().unwrap_or_else(PoisonError::into_inner) = standings;
        self.withdraw("is not received here any more", |source| !received.contains(source)).await;
    }

    async fn begin_streams(&self, loaded: &Arc<Loaded>) -> Vec<Stream> {
        self.expect_streams(loaded).await;
        let mut streams = Vec::new();
        for source in loaded.settings.sources.iter().filter(|source| source.wal.is_some()) {
            let (interrupter, interrupt) = interrupt();
            let (daemon, loaded, source) = (self.clone(), Arc::clone(loaded), source.name.clone());
            let task =
                tokio::spawn(async move { daemon.keep_up(&loaded, &source, &interrupt).await });
            streams.push(Stream { interrupter, task });
        }
        streams
    }

    async fn end_streams(&self, streams: Vec<Stream>, loaded: &Loaded) {
        for stream in &streams {
            stream.interrupter.request(ErrorKind::Terminated);
        }
        let mut patience =
            self.inner.clock.sleep(loaded.settings.daemon.stop_timeout.as_duration());
        for mut stream in streams {
            tokio::select! {
                biased;
                // How it ended was said by itself.
                _ = &mut stream.task => {}
                () = &mut patience => {
                    stream.task.abort();
                    patience = self.inner.clock.sleep(Duration::ZERO);
                }
            }
        }
    }

    /// Returns what is wrong with each stream, in words that stay the same while it lasts.
    fn words(&self) -> BTreeMap<SourceName, Vec<&'static str>> {
        let now = self.inner.clock.now();
        let word = |standing: &StreamStanding| {
            standing.troubles(now).into_iter().map(|trouble| trouble.word).collect()
        };
        self.streams().iter().map(|(name, standing)| (name.clone(), word(standing))).collect()
    }

    /// Sources whose WAL is not received as promised are at risk.
    pub(super) fn judge_streams(&self, sources: &mut [SourceStatus], now: Timestamp) {
        let streams = self.streams();
        for source in sources {
            let Some(stream) = streams.get(&source.source) else { continue };
            let troubles = stream.troubles(now);
            if troubles.is_empty() || source.standing == Standing::NeverBackedUp {
                continue;
            }
            source.standing = source.standing.max(Standing::AtRisk);
            source.reasons.extend(troubles.into_iter().map(|trouble| trouble.reason));
        }
    }

    /// Changes what is known of a stream.
    fn note_stream(&self, source: &SourceName, change: impl FnOnce(&mut StreamStanding)) {
        let streams = self.inner.scene.streams.lock();
        if let Some(standing) = streams.unwrap_or_else(PoisonError::into_inner).get_mut(source) {
            change(standing);
        }
    }
}
