//! One connection: timelines one after the other, until it breaks or is stopped.

use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::{Duration, Instant};

use backup_core::{Error, ErrorKind, Lsn, Result, WalFile, WalSegment};
use backup_ops::Interrupt;
use backup_ops::wal::{WalLog, admit};
use backup_postgres::replication::{
    Replication, WalMessage, WalStream, is_wal_removed, parse_history,
};
use backup_postgres::wal::inspect;
use backup_repository::Repository;
use futures::StreamExt;
use futures::stream::FuturesOrdered;
use tokio::task::JoinHandle;
use tokio::time::{MissedTickBehavior, interval};

use super::assemble::{Assembler, Piece};
use super::behind::Behind;
use super::position::{self, Offer, Position};
use super::{StreamNews, WalStreamRequest};

/// Segments on their way to the repository at the same time; each is in memory.
const UPLOADS: usize = 3;
/// The server gives up after a minute of silence, as a rule.
const SIGN_OF_LIFE: Duration = Duration::from_secs(5);
/// A server that says nothing for so long, although it is asked, is given up.
const SILENCE: Duration = Duration::from_secs(60);

type Tell<'a> = &'a (dyn Fn(StreamNews) + Send + Sync);

/// How the stream of one timeline ended.
enum End {
    Next(u32, Lsn),
    Shutdown,
}

pub(super) async fn run(
    repository: &Repository,
    request: &WalStreamRequest,
    interrupt: &Interrupt,
    tell: Tell<'_>,
    progress: &AtomicBool,
) -> Result<()> {
    let (mut session, log, offer) = interrupt.unless(connect(repository, request)).await?;
    let stored = position::stored(repository, &log, offer).await?;
    let mut place = position::choose(stored, offer);
    if let Some(fork) = fork(&mut session, place, offer).await? {
        place = fork;
    }
    tell(StreamNews::Started { log: log.clone(), timeline: place.timeline, from: place.start });
    loop {
        let receiver =
            Receiver { repository, request, interrupt, tell, progress, log: &log, offer };
        match receiver.timeline(&mut session, place).await {
            Ok(End::Shutdown) => return Ok(()),
            Ok(End::Next(timeline, start)) => {
                position::store_history(&mut session, repository, &log, timeline).await?;
                tell(StreamNews::Switched { timeline, from: start });
                let start = start.segment_start(offer.segment_size);
                place = Position { timeline, start, lost_from: None };
            }
            Err(error) if is_wal_removed(&error) && place.lost_from.is_none() => {
                let lost = stored.unwrap_or((place.timeline, place.start));
                place = position::after_loss(lost, offer);
                record_gap(repository, &log, offer, lost, place.start, &error).await?;
                let (from, to) = (lost.1, place.start);
                tell(StreamNews::Gap { from, to, reason: error.to_string() });
            }
            Err(error) => return Err(error),
        }
    }
}

/// Connects, makes sure that it is the right cluster, and that its slot keeps WAL.
async fn connect(
    repository: &Repository,
    request: &WalStreamRequest,
) -> Result<(Replication, WalLog, Offer)> {
    let mut session = Replication::connect(&request.connect).await?;
    let identity = answered(session.identify()).await?;
    let system = identity.system.parse().map_err(|error| {
        Error::new(ErrorKind::SourceUnavailable, "identify cluster").because(error)
    })?;
    let log = WalLog { source: request.source.clone(), system };
    admit(repository, &log, request.accept_new_identity).await?;
    let segment_size = answered(session.wal_segment_size()).await?;
    let kept =
        answered(position::ready_slot(&mut session, &request.connect, &request.slot)).await?;
    position::store_history(&mut session, repository, &log, identity.timeline).await?;
    let offer = Offer { timeline: identity.timeline, end: identity.position, kept, segment_size };
    Ok((session, log, offer))
}

/// Where stored WAL goes beyond the point at which the server's timeline left it (a server that
/// was replaced wrote on), receiving begins at that point.
async fn fork(
    session: &mut Replication,
    place: Position,
    offer: Offer,
) -> Result<Option<Position>> {
    if place.timeline == offer.timeline || offer.timeline < 2 {
        return Ok(None);
    }
    let history = answered(session.timeline_history(offer.timeline)).await?;
    let history = parse_history(&history.content)?;
    let Some(at) = history.iter().position(|branch| branch.timeline == place.timeline) else {
        return Err(Error::new(ErrorKind::Conflict, "stream WAL")
            .with("stored timeline", place.timeline)
            .with("server's timeline", offer.timeline)
            .hint(
                "The server does not descend from what is stored: it was restored from elsewhere. \
                 Give it a source of its own.",
            ));
    };
    let end = history.get(at).map_or(Lsn(0), |branch| branch.end);
    if end >= place.start {
        return Ok(None);
    }
    let timeline = history.get(at + 1).map_or(offer.timeline, |branch| branch.timeline);
    let start = end.segment_start(offer.segment_size);
    Ok(Some(Position { timeline, start, lost_from: None }))
}

async fn record_gap(
    repository: &Repository,
    log: &WalLog,
    offer: Offer,
    (timeline, from): (u32, Lsn),
    to: Lsn,
    reason: &Error,
) -> Result<()> {
    let segment = WalSegment::holding(timeline, from, offer.segment_size);
    let note = format!(
        "{{\"from\":\"{from}\",\"to\":\"{to}\",\"timeline\":{timeline},\"reason\":{}}}",
        json_text(&reason.to_string())
    );
    repository.put_wal_gap(log, segment, note.into()).await
}

/// Text as a JSON string.
fn json_text(text: &str) -> String {
    let mut out = String::from("\"");
    for character in text.chars() {
        match character {
            '"' | '\\' => out.extend(['\\', character]),
            control if control.is_control() => out.push(' '),
            other => out.push(other),
        }
    }
    out.push('"');
    out
}

struct Receiver<'a> {
    repository: &'a Repository,
    request: &'a WalStreamRequest,
    interrupt: &'a Interrupt,
    tell: Tell<'a>,
    progress: &'a AtomicBool,
    log: &'a WalLog,
    offer: Offer,
}

type Uploads = FuturesOrdered<JoinHandle<Result<Lsn>>>;

impl Receiver<'_> {
    /// Receives one timeline. However it ends, what was received is stored first.
    async fn timeline(&self, session: &mut Replication, place: Position) -> Result<End> {
        let slot = Some(self.request.slot.as_str());
        let mut stream =
            answered(session.start_physical(slot, place.start, place.timeline)).await?;
        let mut assembler = Assembler::new(place.timeline, self.offer.segment_size, place.start);
        let mut uploads = Uploads::new();
        let begun = Instant::now();
        let mut behind = Behind::new(place.start, self.offer.end);
        let ended =
            self.receive(&mut stream, &mut assembler, &mut uploads, &mut behind, begun).await;
        // The server may be gone for good: what is here is all there is of it.
        let stored = async {
            if let Some(piece) = assembler.growing() {
                uploads.push_back(self.store(piece));
            }
            while let Some(done) = uploads.next().await {
                behind.stored(joined(done)?, begun.elapsed());
            }
            Ok::<_, Error>(behind.durable())
        };
        let durable = stored.await;
        if durable.is_ok() {
            self.report(place.timeline, &mut behind, begun);
        }
        // Behind an upload that failed nothing counts as durable, whoever wants to stop meanwhile.
        if let (Ok(durable), Err(error)) = (&durable, &ended)
            && matches!(error.kind(), ErrorKind::Interrupted | ErrorKind::Terminated)
        {
            // A last word, so that the server need not keep what is stored.
            let _ = stream.send_status(assembler.next(), *durable, false).await;
            let _ = tokio::time::timeout(SIGN_OF_LIFE, stream.stop()).await;
        }
        let ended = ended?;
        durable.map(|_| ended)
    }

    async fn receive(
        &self,
        stream: &mut WalStream<'_>,
        assembler: &mut Assembler,
        uploads: &mut Uploads,
        behind: &mut Behind,
        begun: Instant,
    ) -> Result<End> {
        let mut flush = ticks(self.request.flush);
        let mut life = ticks(SIGN_OF_LIFE);
        let mut report = ticks(self.request.report);
        let timeline = assembler.timeline();
        // Since when it would have been heard if the server had said something.
        let mut listening = begun.elapsed();
        loop {
            let full = uploads.len() >= UPLOADS;
            if full {
                listening = begun.elapsed();
            }
            tokio::select! {
                biased;
                stopped = self.interrupt.requested() => return Err(stopped),
                Some(done) = uploads.next(), if !uploads.is_empty() => {
                    behind.stored(joined(done)?, begun.elapsed());
                    self.progress.store(true, Relaxed);
                    stream.send_status(assembler.next(), behind.durable(), false).await?;
                }
                _ = life.tick() => {
                    if begun.elapsed().saturating_sub(listening) > SILENCE {
                        return Err(silent());
                    }
                    // It is asked to answer: who writes nothing is told from who is not there.
                    let (write, flush) = (assembler.next(), behind.durable());
                    answered(stream.send_status(write, flush, true)).await?;
                }
                _ = report.tick() => self.report(timeline, behind, begun),
                _ = flush.tick(), if !full => {
                    if let Some(piece) = assembler.growing() {
                        uploads.push_back(self.store(piece));
                    }
                }
                message = stream.next(), if !full => { listening = begun.elapsed(); match message? {
                    WalMessage::Data { start, end, bytes, .. } => {
                        behind.heard(end, begun.elapsed());
                        for piece in assembler.push(start, bytes)? {
                            uploads.push_back(self.store(piece));
                        }
                    }
                    WalMessage::Keepalive { end, reply, .. } => {
                        behind.heard(end, begun.elapsed());
                        if reply {
                            stream.send_status(assembler.next(), behind.durable(), false).await?;
                        }
                    }
                    WalMessage::EndOfTimeline(end) => {
                        return Ok(end.next.map_or(End::Shutdown, |(next, at)| End::Next(next, at)));
                    }
                    WalMessage::Shutdown => return Ok(End::Shutdown),
                } },
            }
        }
    }

    fn report(&self, timeline: u32, behind: &mut Behind, begun: Instant) {
        let (durable, exposure) = (behind.durable(), behind.report(begun.elapsed()));
        (self.tell)(StreamNews::Report { timeline, durable, exposure });
    }

    /// Stores a piece on a task of its own; returns up to where it reaches.
    fn store(&self, piece: Piece) -> JoinHandle<Result<Lsn>> {
        tokio::spawn(store(self.repository.clone(), self.log.clone(), piece))
    }
}

/// Waits for the server's answer, but not for ever.
pub(super) async fn answered<T>(asked: impl Future<Output = Result<T>>) -> Result<T> {
    tokio::time::timeout(SILENCE, asked).await.unwrap_or_else(|_| Err(silent()))
}

fn silent() -> Error {
    Error::new(ErrorKind::SourceUnavailable, "stream WAL")
        .with("seconds", SILENCE.as_secs())
        .because("the server does not answer")
        .hint("Look at the server: is it stopped, or what lies between cut off?")
        .temporary()
}

async fn store(repository: Repository, log: WalLog, piece: Piece) -> Result<Lsn> {
    let Piece { segment, content, end, whole } = piece;
    let bytes = content.clone();
    let length = end.0.checked_rem(content.len() as u64);
    let file = if whole { WalFile::Segment(segment) } else { WalFile::Partial(segment) };
    let checked = tokio::task::spawn_blocking(move || inspect(file, &bytes)).await;
    let facts =
        checked.map_err(|error| Error::new(ErrorKind::Failed, "check WAL").because(error))??;
    if whole {
        repository.put_wal(&log, file, content, facts).await?;
    } else {
        repository.put_wal_growing(&log, segment, end, content, facts).await?;
    }
    // What it replaces is in it. Where this host may not delete, it stays and costs space.
    let before = if whole { None } else { length };
    if let Err(error) = repository.drop_grown_wal(&log, segment, before).await {
        tracing::debug!(%segment, %error, "earlier states of a segment stay");
    }
    Ok(end)
}

fn joined(done: Result<Result<Lsn>, tokio::task::JoinError>) -> Result<Lsn> {
    done.map_err(|error| Error::new(ErrorKind::Failed, "store WAL").because(error))?
}

fn ticks(period: Duration) -> tokio::time::Interval {
    let mut ticks = interval(period.max(Duration::from_millis(10)));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    // The first tick comes at once.
    ticks.reset();
    ticks
}
