//! `COPY … TO STDOUT`: rows out of the server, as fast as they arrive.

use backup_core::{Error, ErrorKind, Result};
use postgres_protocol::message::backend::Message;

use super::client::Client;
use super::error::DbError;
use super::link::Incoming;
use super::{fault, frame};

const COPY: &str = "copy rows from the database";

/// A batch is returned once it has this many bytes. Servers send 8 KiB at a time; handing on each
/// of those would wake the caller a hundred times per megabyte.
const BATCH: usize = 128 << 10;

/// A running `COPY … TO STDOUT`. Dropped before its end, it gives the connection up.
#[derive(Debug)]
pub struct CopyOut<'a> {
    client: &'a mut Client,
    /// Bytes of the current message that have yet to come.
    pending: usize,
    stage: Stage,
    columns: usize,
    binary: bool,
}

#[derive(Debug)]
enum Stage {
    Data,
    /// Everything was received and confirmed.
    Ended {
        rows: u64,
    },
    /// An error was returned.
    Failed,
}

impl Client {
    /// Starts a `COPY … TO STDOUT`.
    ///
    /// # Errors
    /// The server's error, with its [`DbError`] as the cause; `Usage` if the statement is
    /// something else. The connection stays usable.
    pub async fn copy_out(&mut self, sql: &str) -> Result<CopyOut<'_>> {
        self.begin(COPY, sql).await?;
        self.link.watch(self.stall_timeout);
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
                Message::CopyOutResponse(body) if failure.is_none() => {
                    let columns = body.column_formats();
                    let columns = fallible_iterator::FallibleIterator::count(columns);
                    let columns = columns.map_err(|error| self.violated(COPY, error))?;
                    let binary = body.format() == 1;
                    let stage = Stage::Data;
                    return Ok(CopyOut { client: self, pending: 0, stage, columns, binary });
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
                Message::CopyInResponse(_) => {
                    failure.get_or_insert_with(misuse);
                    self.refuse_copy("no data follows").await?;
                }
                // Another kind of statement: let it end, then say so.
                Message::RowDescription(_)
                | Message::DataRow(_)
                | Message::CommandComplete(_)
                | Message::EmptyQueryResponse => {
                    failure.get_or_insert_with(misuse);
                }
                _ => return Err(self.violated(COPY, "a message that answers no COPY")),
            }
        }
    }
}

impl CopyOut<'_> {
    /// Appends the next rows to `buf` and returns true, or returns false once the server has
    /// confirmed that all were sent. Batches hold at least 128 KiB but for the last one; their
    /// borders are not row borders. Safe to drop and call again: no byte is lost.
    ///
    /// # Errors
    /// The server's error, a lost connection, or data that ends without the confirmation. What is
    /// in `buf` must not be taken for the whole then.
    pub async fn read(&mut self, buf: &mut Vec<u8>) -> Result<bool> {
        match self.stage {
            Stage::Data => {}
            Stage::Ended { .. } => return Ok(false),
            Stage::Failed => {
                return Err(Error::new(ErrorKind::Failed, COPY).because("this COPY failed before"));
            }
        }
        let before = buf.len();
        loop {
            let unread = self.client.link.inbox.unread();
            let scan = match frame::scan_copy_data(unread, self.pending, buf) {
                Ok(scan) => scan,
                Err(error) => {
                    self.stage = Stage::Failed;
                    return Err(self.client.violated(COPY, error));
                }
            };
            self.pending = scan.pending;
            self.client.link.inbox.consume(scan.consumed);
            if scan.other {
                if buf.len() > before {
                    return Ok(true);
                }
                match self.control(buf).await {
                    Ok(Some(rows)) => {
                        self.stage = Stage::Ended { rows };
                        return Ok(false);
                    }
                    Ok(None) => continue,
                    Err(error) => {
                        self.stage = Stage::Failed;
                        return Err(error);
                    }
                }
            }
            if buf.len() - before >= BATCH {
                return Ok(true);
            }
            if let Err(error) = self.client.link.fill().await {
                self.stage = Stage::Failed;
                return Err(self.client.broken(COPY, error));
            }
        }
    }
}

impl CopyOut<'_> {
    /// Returns the number of rows the server says it sent, once [`CopyOut::read`] returned false.
    #[must_use]
    pub fn rows(&self) -> Option<u64> {
        match self.stage {
            Stage::Ended { rows } => Some(rows),
            Stage::Data | Stage::Failed => None,
        }
    }

    /// Returns the number of columns.
    #[must_use]
    pub fn columns(&self) -> usize {
        self.columns
    }

    /// Returns whether the rows are in the binary format.
    #[must_use]
    pub fn is_binary(&self) -> bool {
        self.binary
    }

    /// Handles what is not data. Returns the row count if everything ended well, `None` if the
    /// data goes on.
    async fn control(&mut self, buf: &mut Vec<u8>) -> Result<Option<u64>> {
        match self.client.receive(COPY).await? {
            // Notices may stand between rows; the row after one arrives here.
            Incoming::Known(Message::CopyData(body)) => {
                buf.extend_from_slice(body.data());
                Ok(None)
            }
            Incoming::Known(Message::CopyDone) => self.confirmation().await.map(Some),
            Incoming::Known(Message::ErrorResponse(body)) => {
                Err(self.client.failed(COPY, &body).await)
            }
            _ => Err(self.client.violated(COPY, "a message that belongs into no COPY")),
        }
    }

    /// After the data: the count, then readiness, nothing else.
    async fn confirmation(&mut self) -> Result<u64> {
        let mut rows = None;
        loop {
            let message = match self.client.receive(COPY).await? {
                Incoming::Known(message) => message,
                Incoming::CopyBoth => {
                    return Err(self.client.violated(COPY, "replication began unasked"));
                }
            };
            match message {
                Message::CommandComplete(body) if rows.is_none() => {
                    let tag = body.tag().map_err(|error| self.client.violated(COPY, error))?;
                    let count = tag.strip_prefix("COPY ").and_then(|count| count.parse().ok());
                    rows = count;
                    if rows.is_none() {
                        return Err(self.client.violated(COPY, "COPY ended without a row count"));
                    }
                }
                Message::ErrorResponse(body) => return Err(self.client.failed(COPY, &body).await),
                Message::ReadyForQuery(body) => {
                    self.client.ready(COPY, &body)?;
                    return rows.ok_or_else(|| fault::violation(COPY, "COPY ended unconfirmed"));
                }
                _ => return Err(self.client.violated(COPY, "a message after the end of COPY")),
            }
        }
    }
}

impl Drop for CopyOut<'_> {
    fn drop(&mut self) {
        if self.client.is_busy() {
            self.client.abandon("a COPY was dropped before its end".to_owned());
        }
    }
}

fn misuse() -> Error {
    Error::new(ErrorKind::Usage, COPY)
        .because("the statement is not a COPY to the client")
        .hint("Run other statements with query, execute or copy_in.")
}
