//! `COPY … FROM STDIN`: rows into the server.

use backup_core::{Error, ErrorKind, Result};
use bytes::BytesMut;
use postgres_protocol::message::backend::{COPY_DATA_TAG, Message};
use postgres_protocol::message::frontend;

use super::client::Client;
use super::error::DbError;
use super::fault;
use super::frame::HEADER;
use super::link::Incoming;

pub(super) const COPY: &str = "copy rows into the database";

/// Bytes of one `CopyData` message, sent with one call of the system where the socket has room.
const MESSAGE: usize = 128 << 10;

/// A running `COPY … FROM STDIN`. Dropped before [`CopyIn::finish`] or [`CopyIn::abort`], it gives
/// the connection up, and the server rolls the COPY back.
#[derive(Debug)]
pub struct CopyIn<'a> {
    pub(super) client: &'a mut Client,
    /// The message being filled; its header comes first.
    pub(super) message: Vec<u8>,
    pub(super) over: bool,
}

impl Client {
    /// Starts a `COPY … FROM STDIN`.
    ///
    /// # Errors
    /// The server's error, with its [`DbError`] as the cause; `Usage` if the statement is
    /// something else. The connection stays usable.
    pub async fn copy_in(&mut self, sql: &str) -> Result<CopyIn<'_>> {
        self.begin(COPY, sql).await?;
        let mut failure: Option<Error> = None;
        loop {
            let message = match self.receive(COPY).await {
                Ok(Incoming::Known(message)) => message,
                Ok(Incoming::CopyBoth) => {
                    return Err(self.violated(COPY, "replication began unasked"));
                }
                Err(lost) => return Err(failure.unwrap_or(lost)),
            };
            match message {
                Message::CopyInResponse(_) if failure.is_none() => {
                    self.link.watch(self.stall_timeout);
                    let mut message = Vec::with_capacity(MESSAGE);
                    message.resize(HEADER, 0);
                    return Ok(CopyIn { client: self, message, over: false });
                }
                Message::ErrorResponse(body) => {
                    let error = DbError::read(body.fields());
                    let error = error.map_err(|error| self.violated(COPY, error))?;
                    failure.get_or_insert_with(|| fault::statement(COPY, error));
                }
                Message::ReadyForQuery(body) => {
                    self.ready(COPY, &body)?;
                    return Err(failure.unwrap_or_else(misuse));
                }
                // Another kind of statement: let it end, then say so.
                Message::RowDescription(_)
                | Message::DataRow(_)
                | Message::CommandComplete(_)
                | Message::EmptyQueryResponse
                | Message::CopyOutResponse(_)
                | Message::CopyData(_)
                | Message::CopyDone => {
                    failure.get_or_insert_with(misuse);
                }
                _ => return Err(self.violated(COPY, "a message that answers no COPY")),
            }
        }
    }
}

impl CopyIn<'_> {
    /// Adds bytes; borders between calls mean nothing. They are sent once enough have gathered.
    ///
    /// # Errors
    /// The server's error as soon as it is known (the connection stays usable), or a lost
    /// connection.
    pub async fn write(&mut self, mut bytes: &[u8]) -> Result<()> {
        self.check()?;
        while !bytes.is_empty() {
            let room = (HEADER + MESSAGE).saturating_sub(self.message.len());
            let (now, later) = bytes.split_at(room.min(bytes.len()));
            self.message.extend_from_slice(now);
            bytes = later;
            if self.message.len() >= HEADER + MESSAGE {
                self.seal()?;
                self.send().await?;
            }
        }
        Ok(())
    }

    /// Sends the rest, ends the data, and returns the number of rows the server says it stored.
    ///
    /// # Errors
    /// The server's error (a constraint, a bad row), or a lost connection; the rows are not stored
    /// then.
    pub async fn finish(self) -> Result<u64> {
        let tag = self.complete().await?;
        let rows = tag.strip_prefix("COPY ").and_then(|count| count.parse().ok());
        rows.ok_or_else(|| fault::violation(COPY, "COPY ended without a row count"))
    }

    /// As [`CopyIn::finish`], for commands that count nothing; returns the command tag.
    pub(crate) async fn complete(mut self) -> Result<String> {
        self.check()?;
        self.seal()?;
        let mut done = BytesMut::new();
        frontend::copy_done(&mut done);
        self.message.extend_from_slice(&done);
        self.send().await?;
        self.over = true;
        // Deferred triggers and indexes may take their time now.
        self.client.link.watch(None);
        let mut tag = None;
        loop {
            match self.client.receive(COPY).await? {
                Incoming::Known(Message::CommandComplete(body)) if tag.is_none() => {
                    let said = body.tag().map_err(|error| self.client.violated(COPY, error))?;
                    tag = Some(said.to_owned());
                }
                Incoming::Known(Message::ErrorResponse(body)) => {
                    return Err(self.client.failed(COPY, &body).await);
                }
                Incoming::Known(Message::ReadyForQuery(body)) => {
                    self.client.ready(COPY, &body)?;
                    return tag.ok_or_else(|| fault::violation(COPY, "COPY ended unconfirmed"));
                }
                _ => return Err(self.client.violated(COPY, "a message after the end of COPY")),
            }
        }
    }

    /// Gives the COPY up in an orderly way: the server rolls it back, the connection stays usable.
    ///
    /// # Errors
    /// A lost connection.
    pub async fn abort(mut self, reason: &str) -> Result<()> {
        if self.over {
            return Ok(());
        }
        let mut fail = BytesMut::new();
        frontend::copy_fail(&reason.replace('\0', " "), &mut fail)
            .map_err(|error| self.client.violated(COPY, error))?;
        self.message.clear();
        self.message.extend_from_slice(&fail);
        let mut outcome = self.send().await;
        if outcome.is_ok() {
            outcome = match self.client.receive(COPY).await? {
                Incoming::Known(Message::ErrorResponse(body)) => {
                    Err(self.client.failed(COPY, &body).await)
                }
                _ => return Err(self.client.violated(COPY, "an aborted COPY went on")),
            };
        }
        // The server words every end but success as an error; what counts is the connection.
        if self.client.is_ready() { Ok(()) } else { outcome }
    }

    fn check(&self) -> Result<()> {
        if self.over {
            return Err(Error::new(ErrorKind::Failed, COPY).because("this COPY failed before"));
        }
        Ok(())
    }

    /// Completes the header of the message being filled; an empty one goes away.
    fn seal(&mut self) -> Result<()> {
        if self.message.len() == HEADER {
            self.message.clear();
            return Ok(());
        }
        let length = i32::try_from(self.message.len() - 1);
        let length = length.map_err(|error| self.client.violated(COPY, error))?;
        if let [tag, a, b, c, d, ..] = self.message.as_mut_slice() {
            *tag = COPY_DATA_TAG;
            [*a, *b, *c, *d] = length.to_be_bytes();
        }
        Ok(())
    }
}

impl Drop for CopyIn<'_> {
    fn drop(&mut self) {
        if self.client.is_busy() {
            self.client.abandon("a COPY was dropped before its end".to_owned());
        }
    }
}

fn misuse() -> Error {
    Error::new(ErrorKind::Usage, COPY)
        .because("the statement is not a COPY from the client")
        .hint("Run other statements with query, execute or copy_out.")
}
