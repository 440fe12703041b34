//! One stream: leased, begun again when it ends, told about.

use std::panic::AssertUnwindSafe;
use std::time::Duration;

use backup_core::{Error, ErrorKind, ErrorStatus, Result, SourceName};
use backup_ops::Interrupt;
use futures::FutureExt;
use jiff::Timestamp;
use tokio::sync::Notify;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

use super::Link;
use super::standing::REPORT;
use crate::daemon::guard::{LEASE, lost_lease, while_leased};
use crate::daemon::start::Daemon;
use crate::daemon::work::Loaded;
use crate::wal::{StreamNews, WalStreamRequest, slot_name, wal_stream};

/// The pause after a stream that ended; it doubles from one to the next.
const SHORTEST: Duration = Duration::from_secs(5);
const LONGEST: Duration = Duration::from_secs(300);
/// So often it is tried to take over from another daemon.
const ELSEWHERE: Duration = Duration::from_secs(15);
/// So often it is written down how far it came.
const KEPT_EVERY: i64 = 60;

/// How a stream ended that was not asked to.
enum Ended {
    /// Another daemon receives it.
    Elsewhere,
    Failed(Error),
}

impl Daemon {
    /// Receives the WAL of a source until asked to stop; whatever ends it begins it again.
    pub(super) async fn keep_up(&self, loaded: &Loaded, source: &SourceName, stop: &Interrupt) {
        let mut pause = SHORTEST;
        loop {
            let begun = self.inner.clock.elapsed();
            let receiving = AssertUnwindSafe(Box::pin(self.receive(loaded, source, stop)));
            let ended = match receiving.catch_unwind().await {
                Ok(ended) => ended,
                Err(panic) => Ended::Failed(crate::daemon::guard::panicked("receive WAL", &*panic)),
            };
            if stop.asked().is_some() {
                break;
            }
            let wait = match ended {
                Ended::Elsewhere => {
                    let now = self.inner.clock.now();
                    self.note_stream(source, |standing| standing.leave(now));
                    // The other tells what is wrong.
                    self.withdraw("is received by another daemon", |of| of == source.as_str())
                        .await;
                    ELSEWHERE
                }
                // The store is away: nothing is wrong that waiting does not mend.
                Ended::Failed(error) if error.status() != ErrorStatus::Permanent => {
                    tracing::warn!(%source, %error, "WAL is not received; trying again");
                    let text = error.to_string();
                    self.note_stream(source, |standing| standing.retry(text));
                    SHORTEST
                }
                Ended::Failed(error) => {
                    tracing::error!(%source, %error, hint = error.remedy(), "WAL is not received");
                    let text = error.to_string();
                    self.note_stream(source, |standing| standing.link = Link::Stopped(text));
                    let now = self.inner.clock.now();
                    self.inner.work.voice.stream_failed(source, &error, now).await;
                    if self.inner.clock.elapsed().saturating_sub(begun) > LONGEST {
                        pause = SHORTEST;
                    }
                    let wait = pause;
                    pause = (pause * 2).min(LONGEST);
                    wait
                }
            };
            tokio::select! {
                _ = stop.requested() => break,
                () = self.inner.clock.sleep(wait) => {}
            }
        }
        self.keep_fresh(source).await;
    }

    async fn receive(&self, loaded: &Loaded, source: &SourceName, stop: &Interrupt) -> Ended {
        let request = match request(loaded, source) {
            Ok(request) => request,
            Err(error) => return Ended::Failed(error),
        };
        let work = &self.inner.work;
        let name = format!("wal {source}");
        let lease = stop.unless(work.repository.lease(&name, &work.holder, LEASE)).await;
        let streaming = Box::pin(self.stream(&request, stop));
        let ended = match lease {
            Ok(lease) => while_leased(lease, &self.inner.clock, streaming).await,
            Err(error) if error.kind() == ErrorKind::Conflict => {
                if self.streams().get(source).is_none_or(|known| known.link != Link::Elsewhere) {
                    tracing::info!(%source, "WAL is received by another daemon");
                }
                return Ended::Elsewhere;
            }
            // Nothing can be agreed on in such a store; the slot lets in one receiver all the same.
            Err(error) if error.kind() == ErrorKind::Unsupported => streaming.await,
            Err(error) => Err(error),
        };
        match ended {
            // This one could not renew it in time, and another daemon has begun: nothing is wrong.
            Err(error) if lost_lease(&error) => {
                tracing::warn!(%source, %error, "another daemon receives WAL from now on");
                Ended::Elsewhere
            }
            Err(error) => Ended::Failed(error),
            Ok(()) => Ended::Failed(Error::new(ErrorKind::Failed, "receive WAL")),
        }
    }

    async fn stream(&self, request: &WalStreamRequest, stop: &Interrupt) -> Result<()> {
        let (sender, news) = unbounded_channel();
        let tell = |one: StreamNews| {
            // Whoever listens ends with this function.
            let _ = sender.send(one);
        };
        let repository = &self.inner.work.repository;
        tokio::select! {
            biased;
            ended = wal_stream(repository, request, stop, &tell) => ended,
            () = self.listen(&request.source, news) => Ok(()),
        }
    }

    /// Hears what happens, and looks at what is stored when there is reason to.
    async fn listen(&self, source: &SourceName, mut news: UnboundedReceiver<StreamNews>) {
        let mut kept = Timestamp::UNIX_EPOCH;
        let look = Notify::new();
        let hearing = async {
            while let Some(one) = news.recv().await {
                let now = self.inner.clock.now();
                let mut stores = false;
                self.note_stream(source, |standing| stores = standing.hear(&one, now));
                if stores {
                    self.inner.work.voice.stream_works(source, now).await;
                    look.notify_one();
                }
                self.say(source, &one, &look, now).await;
                if now.duration_since(kept).as_secs() >= KEPT_EVERY {
                    kept = now;
                    self.keep_fresh(source).await;
                }
            }
        };
        tokio::join!(hearing, self.look_for_holes(source, &look));
    }

    async fn say(&self, source: &SourceName, news: &StreamNews, look: &Notify, now: Timestamp) {
        match news {
            StreamNews::Started { log, timeline, from } => {
                tracing::info!(%source, cluster = log.system, timeline, %from, "WAL is received");
                look.notify_one();
            }
            StreamNews::Report { durable, exposure, .. } => {
                let (bytes, age) = (exposure.bytes, exposure.age.as_secs_f64());
                tracing::debug!(%source, %durable, bytes, age, "WAL is stored");
            }
            StreamNews::Switched { timeline, from } => {
                tracing::warn!(%source, timeline, %from, "the server went over to a timeline");
            }
            StreamNews::Gap { from, to, reason } => {
                tracing::error!(%source, %from, %to, reason, "WAL is lost");
                let text = format!("WAL from {from} to {to} is lost: {reason}.");
                self.inner.work.voice.gap(source, &text, now).await;
                look.notify_one();
            }
            StreamNews::Retrying { delay, error, lasting } => {
                let seconds = delay.as_secs();
                if *lasting {
                    self.inner.work.voice.stream_failed(source, error, now).await;
                }
                tracing::warn!(%source, %error, seconds, "WAL does not arrive; trying again");
            }
        }
    }
}

fn request(loaded: &Loaded, source: &SourceName) -> Result<WalStreamRequest> {
    let settings = loaded.settings.source(source.as_str())?;
    let wal = settings.wal.as_ref().ok_or_else(|| {
        Error::new(ErrorKind::ConfigInvalid, "receive WAL").with("source", source)
    })?;
    Ok(WalStreamRequest {
        source: source.clone(),
        connect: loaded.composer.connect_options(settings)?,
        slot: wal.slot.clone().unwrap_or_else(|| slot_name(source)),
        flush: wal.flush.as_duration(),
        report: REPORT,
        accept_new_identity: false,
    })
}
