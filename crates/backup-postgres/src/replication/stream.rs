//! The stream of WAL: `START_REPLICATION … PHYSICAL`.

use std::future::poll_fn;
use std::io;
use std::task::Poll;

use backup_core::{Lsn, Result};
use jiff::Timestamp;
use postgres_protocol::message::backend::Message;

use super::message::{self, WalMessage};
use super::{Replication, slot};
use crate::wire::{Client, Incoming, Row, column_names, frame};

const STREAM: &str = "stream WAL";
const COPY_DATA: u8 = b'd';
const COPY_DONE: &[u8] = &[b'c', 0, 0, 0, 4];

/// A running stream. Every call may be dropped and made again: nothing is lost, and nothing
/// half sent. Dropped before its end, it gives the connection up.
#[derive(Debug)]
pub struct WalStream<'a> {
    client: &'a mut Client,
    /// Bytes to be sent, and how many of them were.
    outbox: Vec<u8>,
    sent: usize,
    stage: Stage,
}

/// Where a timeline ended and which one goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TimelineEnd {
    /// The timeline to follow next: the server's word, not this one plus one. `None`: the
    /// stream was stopped by us and the timeline goes on.
    pub next: Option<(u32, Lsn)>,
}

#[derive(Debug)]
enum Stage {
    Streaming,
    /// Data has ended; what is said after it.
    Ending {
        columns: Option<std::sync::Arc<[String]>>,
        end: TimelineEnd,
        confirmed: bool,
    },
    Ended(TimelineEnd),
    Shutdown,
}

impl Replication {
    /// Starts streaming a timeline from `position` (the start of a segment, to get whole ones).
    ///
    /// A timeline that the server has left already ends with [`WalMessage::EndOfTimeline`],
    /// at once if `position` is where it was left.
    ///
    /// # Errors
    /// The server's error: see [`is_wal_removed`](super::is_wal_removed) for WAL that is gone;
    /// a position in the server's future, an unknown timeline, a slot in use.
    pub async fn start_physical(
        &mut self,
        slot: Option<&str>,
        position: Lsn,
        timeline: u32,
    ) -> Result<WalStream<'_>> {
        let slot = match slot {
            Some(name) => format!("SLOT {} ", slot::checked(name)?),
            None => String::new(),
        };
        let sql = format!("START_REPLICATION {slot}PHYSICAL {position} TIMELINE {timeline}");
        let client = &mut self.client;
        client.begin(STREAM, &sql).await?;
        let stage = match client.receive(STREAM).await? {
            Incoming::CopyBoth => Stage::Streaming,
            Incoming::Known(Message::ErrorResponse(body)) => {
                return Err(client.failed(STREAM, &body).await);
            }
            // Nothing is left of this timeline: the server says at once how it goes on.
            Incoming::Known(Message::RowDescription(body)) => {
                let columns = column_names(&body).map_err(|e| client.violated(STREAM, e))?;
                ending(Some(columns))
            }
            Incoming::Known(_) => {
                return Err(client.violated(STREAM, "a message that begins no stream"));
            }
        };
        client.link.watch(client.stall_timeout);
        Ok(WalStream { client, outbox: Vec::new(), sent: 0, stage })
    }
}

fn ending(columns: Option<std::sync::Arc<[String]>>) -> Stage {
    Stage::Ending { columns, end: TimelineEnd { next: None }, confirmed: false }
}

impl WalStream<'_> {
    /// Returns the next message. After the end it keeps returning the end.
    ///
    /// # Errors
    /// The server's error, a lost connection, or silence beyond the stall timeout.
    pub async fn next(&mut self) -> Result<WalMessage> {
        loop {
            match &self.stage {
                Stage::Ended(end) => return Ok(WalMessage::EndOfTimeline(*end)),
                Stage::Shutdown => return Ok(WalMessage::Shutdown),
                Stage::Streaming | Stage::Ending { .. } => {}
            }
            if let Some(message) = self.take().await? {
                return Ok(message);
            }
        }
    }

    /// Tells the server what was written and what is durable. Never report as flushed what a
    /// crash could still lose: the server forgets it.
    ///
    /// # Errors
    /// A lost connection.
    pub async fn send_status(&mut self, write: Lsn, flush: Lsn, reply: bool) -> Result<()> {
        if !matches!(self.stage, Stage::Streaming) {
            return Ok(());
        }
        let status = message::status(write, flush, Timestamp::now(), reply);
        self.outbox.push(COPY_DATA);
        self.outbox.extend_from_slice(&[0, 0, 0, 38]);
        self.outbox.extend_from_slice(&status);
        self.push().await
    }

    /// Ends the stream in an orderly way; the connection can be used again. WAL that arrives
    /// meanwhile is dropped.
    ///
    /// # Errors
    /// The server's error, or a lost connection.
    pub async fn stop(mut self) -> Result<()> {
        if matches!(self.stage, Stage::Streaming) {
            self.outbox.extend_from_slice(COPY_DONE);
            self.push().await?;
        }
        // The server answers our end of data with its own; ours is not sent twice.
        loop {
            match self.stage {
                Stage::Ended(_) | Stage::Shutdown => return Ok(()),
                Stage::Streaming => match self.receive().await? {
                    Incoming::Known(Message::CopyDone) => self.stage = ending(None),
                    Incoming::Known(Message::CopyData(_)) => {}
                    incoming => drop(self.handle(incoming).await?),
                },
                Stage::Ending { .. } => drop(self.take().await?),
            }
        }
    }

    /// Takes in one message; returns one for the caller, if it is for the caller.
    async fn take(&mut self) -> Result<Option<WalMessage>> {
        let incoming = self.receive().await?;
        self.handle(incoming).await
    }

    async fn handle(&mut self, incoming: Incoming) -> Result<Option<WalMessage>> {
        let Incoming::Known(message) = incoming else {
            return Err(self.client.violated(STREAM, "the stream began twice"));
        };
        if let Message::ErrorResponse(body) = message {
            return Err(self.client.failed(STREAM, &body).await);
        }
        match &mut self.stage {
            Stage::Streaming => match message {
                Message::CopyData(body) => match message::parse(body.into_bytes()) {
                    Some(message) => Ok(Some(message)),
                    None => Err(self.client.violated(STREAM, "a malformed replication message")),
                },
                Message::CopyDone => {
                    self.outbox.extend_from_slice(COPY_DONE);
                    self.stage = ending(None);
                    Ok(None)
                }
                // Without an end of the data before it: the server stops.
                Message::CommandComplete(_) => {
                    self.client.lose("the server shut down".to_owned());
                    self.stage = Stage::Shutdown;
                    Ok(None)
                }
                _ => Err(self.client.violated(STREAM, "a message that belongs into no stream")),
            },
            Stage::Ending { columns, end, confirmed } => match message {
                Message::RowDescription(body) if !*confirmed => match column_names(&body) {
                    Ok(names) => {
                        *columns = Some(names);
                        Ok(None)
                    }
                    Err(error) => Err(self.client.violated(STREAM, error)),
                },
                Message::DataRow(body) if columns.is_some() => {
                    let columns = columns.take().unwrap_or_default();
                    let next = Row::read(&columns, &body).ok().and_then(|row| next_of(&row));
                    end.next = next;
                    match next {
                        Some(_) => Ok(None),
                        None => Err(self.client.violated(STREAM, "an unreadable timeline")),
                    }
                }
                // Some majors confirm twice.
                Message::CommandComplete(_) => {
                    *confirmed = true;
                    Ok(None)
                }
                Message::ReadyForQuery(body) if *confirmed => {
                    let end = *end;
                    self.client.ready(STREAM, &body)?;
                    self.stage = Stage::Ended(end);
                    Ok(None)
                }
                // What was under way when we ended the stream.
                Message::CopyData(_) => Ok(None),
                _ => Err(self.client.violated(STREAM, "a message after the end of the stream")),
            },
            Stage::Ended(_) | Stage::Shutdown => Ok(None),
        }
    }

    /// Waits for the next message, sending meanwhile what is left to be sent.
    async fn receive(&mut self) -> Result<Incoming> {
        loop {
            match self.client.link.take(frame::MAX_OTHER) {
                Ok(Some(Incoming::Known(message))) => match self.client.session.observe(message) {
                    Ok(Some(message)) => return Ok(Incoming::Known(message)),
                    Ok(None) => continue,
                    Err(error) => return Err(self.client.broken(STREAM, error)),
                },
                Ok(Some(incoming)) => return Ok(incoming),
                Ok(None) => {}
                Err(error) => return Err(self.client.broken(STREAM, error)),
            }
            self.client.link.heard();
            let (link, outbox, sent) = (&mut self.client.link, &mut self.outbox, &mut self.sent);
            let moved: io::Result<()> = poll_fn(|cx| {
                if !outbox.is_empty()
                    && let Poll::Ready(done) = link.poll_send(cx, outbox, sent)
                {
                    done?;
                    outbox.clear();
                    *sent = 0;
                }
                link.poll_fill(cx)
            })
            .await;
            moved.map_err(|error| self.client.broken(STREAM, error))?;
        }
    }

    /// Sends what is to be sent.
    async fn push(&mut self) -> Result<()> {
        let (link, outbox, sent) = (&mut self.client.link, &self.outbox, &mut self.sent);
        link.heard();
        let pushed = poll_fn(|cx| link.poll_send(cx, outbox, sent)).await;
        pushed.map_err(|error| self.client.broken(STREAM, error))?;
        self.outbox.clear();
        self.sent = 0;
        Ok(())
    }
}

fn next_of(row: &Row) -> Option<(u32, Lsn)> {
    Some((row.by_name("next_tli")?.parse().ok()?, row.by_name("next_tli_startpos")?.parse().ok()?))
}

impl Drop for WalStream<'_> {
    fn drop(&mut self) {
        if self.client.is_busy() {
            self.client.abandon("a stream of WAL was dropped before its end".to_owned());
        }
    }
}
