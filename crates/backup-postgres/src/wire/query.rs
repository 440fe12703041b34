//! Statements by the simple query protocol.

use std::sync::Arc;

use backup_core::{Error, ErrorKind, Result};
use bytes::BytesMut;
use postgres_protocol::message::backend::{DataRowBody, Message};
use postgres_protocol::message::frontend;

use super::client::Client;
use super::error::DbError;
use super::fault;
use super::link::Incoming;
use super::row::{self, Row};

const QUERY: &str = "run query";

/// How a row is read.
type ReadRow = fn(&Arc<[String]>, &DataRowBody) -> Result<Row, String>;

/// What a statement brought.
#[derive(Default)]
struct Answer {
    rows: Vec<Row>,
    tag: String,
}

impl Client {
    /// Runs one or more statements and returns the last one's command tag (`INSERT 0 5`); rows
    /// are dropped.
    ///
    /// # Errors
    /// The server's error, with its [`DbError`] as the cause; the connection stays usable.
    pub async fn execute(&mut self, sql: &str) -> Result<String> {
        Ok(self.simple(sql, Row::read).await?.tag)
    }

    /// Runs one or more statements and returns the rows of the last one that has any, in memory.
    ///
    /// # Errors
    /// The server's error, with its [`DbError`] as the cause; the connection stays usable.
    pub async fn query(&mut self, sql: &str) -> Result<Vec<Row>> {
        Ok(self.simple(sql, Row::read).await?.rows)
    }

    /// As [`Client::query`], for values that need not be UTF-8.
    pub(crate) async fn query_bytes(&mut self, sql: &str) -> Result<Vec<Row>> {
        Ok(self.simple(sql, Row::read_bytes).await?.rows)
    }

    async fn simple(&mut self, sql: &str, read: ReadRow) -> Result<Answer> {
        self.begin(QUERY, sql).await?;
        let mut answer = Answer::default();
        let mut columns: Option<Arc<[String]>> = None;
        let mut failure: Option<Error> = None;
        loop {
            let message = match self.receive(QUERY).await {
                Ok(Incoming::Known(message)) => message,
                Ok(Incoming::CopyBoth) => {
                    return Err(self.violated(QUERY, "replication began unasked"));
                }
                // The server's last word is worth more than the closed connection after it.
                Err(lost) => return Err(failure.unwrap_or(lost)),
            };
            match message {
                Message::RowDescription(body) => {
                    let names = row::column_names(&body).map_err(|e| self.violated(QUERY, e))?;
                    columns = Some(names);
                    answer.rows.clear();
                }
                Message::DataRow(body) => {
                    let row = columns.as_ref().map_or_else(
                        || Err("a row came before its description".to_owned()),
                        |columns| read(columns, &body),
                    );
                    answer.rows.push(row.map_err(|error| self.violated(QUERY, error))?);
                }
                Message::CommandComplete(body) => {
                    let tag = body.tag().map_err(|error| self.violated(QUERY, error))?;
                    tag.clone_into(&mut answer.tag);
                    columns = None;
                }
                Message::EmptyQueryResponse => answer.tag.clear(),
                Message::ErrorResponse(body) => {
                    let error = DbError::read(body.fields());
                    let error = error.map_err(|error| self.violated(QUERY, error))?;
                    failure.get_or_insert_with(|| fault::statement(QUERY, error));
                }
                Message::CopyInResponse(_) => {
                    failure.get_or_insert_with(|| misuse("copy_in"));
                    self.refuse_copy("no data follows").await?;
                }
                Message::CopyOutResponse(_) => {
                    failure.get_or_insert_with(|| misuse("copy_out"));
                }
                Message::CopyData(_) | Message::CopyDone if failure.is_some() => {}
                Message::ReadyForQuery(body) => {
                    self.ready(QUERY, &body)?;
                    return failure.map_or(Ok(answer), Err);
                }
                _ => return Err(self.violated(QUERY, "a message that answers no query")),
            }
        }
    }

    /// Answers a request for COPY data with a refusal.
    pub(crate) async fn refuse_copy(&mut self, reason: &str) -> Result<()> {
        let mut message = BytesMut::new();
        frontend::copy_fail(&reason.replace('\0', " "), &mut message)
            .map_err(|error| self.violated(QUERY, error))?;
        self.link.send(&message).await.map_err(|error| self.broken(QUERY, error))
    }
}

fn misuse(call: &str) -> Error {
    Error::new(ErrorKind::Usage, QUERY)
        .because("the statement copies data")
        .hint(format!("Run COPY statements with {call}."))
}
