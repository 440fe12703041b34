//! A transport with its inbox: reads messages, writes bytes, and notices silence.

use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::BytesMut;
use postgres_protocol::message::backend::Message;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep};

use super::frame::{self, Peek};
use super::inbox::Inbox;
use super::transport::Transport;

/// The tag of `CopyBothResponse`, which `postgres-protocol` does not know.
const COPY_BOTH_RESPONSE_TAG: u8 = b'W';

/// A message of the server.
pub(crate) enum Incoming {
    /// Any that `postgres-protocol` knows.
    Known(Message),
    /// Replication begins: data flows both ways.
    CopyBoth,
}

pub(crate) struct Link {
    pub(crate) transport: Transport,
    pub(crate) inbox: Inbox,
    /// The longest silence that is borne while an operation watches for it.
    stall: Option<Duration>,
    alarm: Option<Pin<Box<Sleep>>>,
}

impl Link {
    pub(crate) fn new(transport: Transport) -> Self {
        Self { transport, inbox: Inbox::new(), stall: None, alarm: None }
    }

    /// Bears this much silence from now on.
    pub(crate) fn watch(&mut self, stall: Option<Duration>) {
        self.stall = stall;
        self.alarm = None;
    }

    /// Closes the socket at once.
    pub(crate) fn close(&mut self) {
        self.transport = Transport::Closed;
    }

    /// Reads the next message, whose length outside of data may not exceed `limit`. Safe to drop:
    /// bytes that arrived stay in the inbox.
    pub(crate) async fn receive(&mut self, limit: usize) -> io::Result<Incoming> {
        loop {
            if let Some(message) = self.take(limit)? {
                return Ok(message);
            }
            self.fill().await?;
        }
    }

    /// Takes the next message if it has arrived in whole.
    pub(crate) fn take(&mut self, limit: usize) -> io::Result<Option<Incoming>> {
        let unread = self.inbox.unread();
        let Peek::Whole { tag, total } = frame::peek(unread, limit).map_err(invalid)? else {
            return Ok(None);
        };
        let mut message = BytesMut::from(&unread[..total]);
        self.inbox.consume(total);
        if tag == COPY_BOTH_RESPONSE_TAG {
            return Ok(Some(Incoming::CopyBoth));
        }
        let parsed = Message::parse(&mut message).map_err(invalid)?;
        parsed.map(|m| Some(Incoming::Known(m))).ok_or_else(|| invalid("a message is cut short"))
    }

    /// Waits for bytes and puts them into the inbox; the end of the stream is an error, because
    /// only we may end it.
    pub(crate) async fn fill(&mut self) -> io::Result<()> {
        self.heard();
        poll_fn(|cx| self.poll_fill(cx)).await
    }

    /// Polls for bytes. Registers the waker for both the socket and the alarm.
    pub(crate) fn poll_fill(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut buf = ReadBuf::new(self.inbox.room());
        match Pin::new(&mut self.transport).poll_read(cx, &mut buf) {
            Poll::Pending => {
                ready!(self.poll_alarm(cx));
                return Poll::Ready(Err(self.silence()));
            }
            Poll::Ready(read) => read?,
        }
        let count = buf.filled().len();
        self.heard();
        if count == 0 {
            return Poll::Ready(Err(io::Error::new(
                io::ErrorKind::UnexpectedEof,
                "the server closed the connection",
            )));
        }
        self.inbox.arrived(count);
        Poll::Ready(Ok(()))
    }

    /// Writes everything and pushes it out.
    pub(crate) async fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.heard();
        let mut written = 0;
        poll_fn(|cx| self.poll_send(cx, bytes, &mut written)).await
    }

    /// Polls a write of `bytes` from `written` on, then a flush.
    pub(crate) fn poll_send(
        &mut self,
        cx: &mut Context<'_>,
        bytes: &[u8],
        written: &mut usize,
    ) -> Poll<io::Result<()>> {
        while let Some(rest) = bytes.get(*written..).filter(|rest| !rest.is_empty()) {
            match Pin::new(&mut self.transport).poll_write(cx, rest) {
                Poll::Pending => return self.poll_silence(cx),
                Poll::Ready(count) => match count? {
                    0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                    count => *written += count,
                },
            }
            self.heard();
        }
        match Pin::new(&mut self.transport).poll_flush(cx) {
            Poll::Pending => self.poll_silence(cx),
            Poll::Ready(flushed) => Poll::Ready(flushed),
        }
    }

    fn poll_silence(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_alarm(cx));
        Poll::Ready(Err(self.silence()))
    }

    /// Polls the alarm, setting it if it is not set. Pending for ever without a limit.
    fn poll_alarm(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let Some(stall) = self.stall else { return Poll::Pending };
        self.alarm.get_or_insert_with(|| Box::pin(tokio::time::sleep(stall))).as_mut().poll(cx)
    }

    /// Puts the alarm off: something moved, or a wait begins.
    pub(crate) fn heard(&mut self) {
        if let (Some(stall), Some(alarm)) = (self.stall, self.alarm.as_mut()) {
            alarm.as_mut().reset(Instant::now() + stall);
        }
    }

    fn silence(&self) -> io::Error {
        let seconds = self.stall.unwrap_or_default().as_secs_f64();
        io::Error::new(
            io::ErrorKind::TimedOut,
            format!("no byte moved for {seconds} seconds (the stall timeout)"),
        )
    }
}

pub(crate) fn invalid(reason: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, reason)
}
