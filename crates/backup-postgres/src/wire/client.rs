//! One session: its state, and the rule that a session is never used out of step.

use std::time::Duration;

use backup_core::{Error, ErrorKind, Result};
use bytes::BytesMut;
use postgres_protocol::message::backend::{ErrorResponseBody, Message, ReadyForQueryBody};
use postgres_protocol::message::frontend;

use super::cancel::CancelToken;
use super::error::DbError;
use super::link::{Incoming, Link};
use super::session::{Session, TransactionStatus, version_num};
use super::{fault, frame, startup};
use crate::connect::ConnectOptions;

/// How long an abandoned statement's cancellation may take.
const CANCEL_PATIENCE: Duration = Duration::from_secs(10);

/// A connection to a PostgreSQL server.
///
/// One statement at a time. When a call's future, a [`CopyOut`](crate::CopyOut) or a
/// [`CopyIn`](crate::CopyIn) is dropped halfway, the connection is given up: the statement is
/// cancelled on the server and every later call fails saying so.
pub struct Client {
    pub(crate) link: Link,
    pub(crate) session: Session,
    state: State,
    cancel: CancelToken,
    pub(crate) stall_timeout: Option<Duration>,
}

enum State {
    Ready,
    /// Between a statement and its `ReadyForQuery`.
    Busy(&'static str),
    Lost(String),
}

impl Client {
    /// Connects, secures the connection, logs in, and waits until the server is ready.
    ///
    /// # Errors
    /// `SourceUnavailable` with a remedy (temporary where waiting may help), or `ConfigInvalid`
    /// for options that cannot work.
    pub async fn connect(options: &ConnectOptions) -> Result<Self> {
        let (link, session, cancel) = startup::connect(options).await?;
        Ok(Self {
            link,
            session,
            state: State::Ready,
            cancel,
            stall_timeout: options.stall_timeout,
        })
    }

    /// Returns the server's version as a number, `150004` for 15.4; 0 if it does not say.
    #[must_use]
    pub fn server_version_num(&self) -> u32 {
        self.parameter("server_version").map_or(0, version_num)
    }

    /// Returns a parameter that the server reports by itself, such as `server_version`.
    #[must_use]
    pub fn parameter(&self, name: &str) -> Option<&str> {
        self.session.parameters.get(name).map(String::as_str)
    }

    /// Returns the server process of this session, as in `pg_stat_activity`.
    #[must_use]
    pub fn process_id(&self) -> i32 {
        self.session.process_id
    }

    /// Returns where the session stands after the last statement.
    #[must_use]
    pub fn transaction_status(&self) -> TransactionStatus {
        self.session.transaction
    }

    /// Returns and forgets the notices and warnings since the last call, at most the latest 256.
    pub fn take_notices(&mut self) -> Vec<DbError> {
        self.session.notices.drain(..).collect()
    }

    /// Returns a handle that cancels whatever this session is doing, from anywhere.
    #[must_use]
    pub fn cancel_token(&self) -> CancelToken {
        self.cancel.clone()
    }

    /// Says goodbye and closes the connection.
    pub async fn close(mut self) {
        if matches!(self.state, State::Ready) {
            let mut message = BytesMut::new();
            frontend::terminate(&mut message);
            let goodbye = async {
                if self.link.send(&message).await.is_ok() {
                    let _ = tokio::io::AsyncWriteExt::shutdown(&mut self.link.transport).await;
                }
            };
            // A server that does not read must not keep us.
            let _ = tokio::time::timeout(Duration::from_secs(2), goodbye).await;
        }
    }

    /// Sends a statement, if the session is in step.
    pub(crate) async fn begin(&mut self, operation: &'static str, sql: &str) -> Result<()> {
        if let State::Busy(left) = self.state {
            self.abandon(format!("it was left in the middle of \"{left}\""));
        }
        if let State::Lost(reason) = &self.state {
            return Err(Error::new(ErrorKind::Failed, operation)
                .hint("Open a new connection.")
                .because(format!("the connection was given up: {reason}")));
        }
        let mut message = BytesMut::new();
        frontend::query(sql, &mut message).map_err(|_| {
            Error::new(ErrorKind::Usage, operation).because("the statement holds a zero byte")
        })?;
        self.state = State::Busy(operation);
        self.link.watch(None);
        self.link.send(&message).await.map_err(|error| self.broken(operation, error))
    }

    /// Reads the next message that is not about the session itself.
    pub(crate) async fn receive(&mut self, operation: &'static str) -> Result<Incoming> {
        loop {
            match self.link.receive(frame::MAX_OTHER).await {
                Ok(Incoming::Known(message)) => match self.session.observe(message) {
                    Ok(Some(message)) => return Ok(Incoming::Known(message)),
                    Ok(None) => {}
                    Err(error) => return Err(self.broken(operation, error)),
                },
                Ok(Incoming::CopyBoth) => return Ok(Incoming::CopyBoth),
                Err(error) => return Err(self.broken(operation, error)),
            }
        }
    }

    /// The statement has ended and the session is in step again.
    pub(crate) fn ready(
        &mut self,
        operation: &'static str,
        body: &ReadyForQueryBody,
    ) -> Result<()> {
        self.session.transaction = match body.status() {
            b'I' => TransactionStatus::Idle,
            b'T' => TransactionStatus::Active,
            b'E' => TransactionStatus::Failed,
            status => {
                return Err(self.violated(operation, format!("transaction status {status:#04x}")));
            }
        };
        self.link.watch(None);
        self.state = State::Ready;
        Ok(())
    }

    /// The connection broke: notes it and returns the error.
    pub(crate) fn broken(&mut self, operation: &'static str, error: std::io::Error) -> Error {
        // A protocol error or a stall leaves the server at work; a closed connection does not.
        match error.kind() {
            std::io::ErrorKind::InvalidData | std::io::ErrorKind::InvalidInput => {
                return self.violated(operation, error);
            }
            std::io::ErrorKind::TimedOut => self.abandon(error.to_string()),
            _ => {
                self.link.close();
                self.state = State::Lost(error.to_string());
            }
        }
        fault::lost(operation, error)
    }

    /// The server broke the protocol: gives the connection up and returns the error.
    pub(crate) fn violated(
        &mut self,
        operation: &'static str,
        what: impl std::fmt::Display,
    ) -> Error {
        let what = what.to_string();
        self.abandon(what.clone());
        fault::violation(operation, what)
    }

    /// The server ended a statement with an error: waits until the session is in step again, and
    /// returns that error.
    pub(crate) async fn failed(
        &mut self,
        operation: &'static str,
        body: &ErrorResponseBody,
    ) -> Error {
        match DbError::read(body.fields()) {
            Ok(error) => self.settle(operation, error).await,
            Err(error) => self.violated(operation, error),
        }
    }

    /// Waits until the session is in step again after `error`, and returns it.
    pub(crate) async fn settle(&mut self, operation: &'static str, error: DbError) -> Error {
        loop {
            match self.link.receive(frame::MAX_OTHER).await {
                Ok(Incoming::Known(Message::ReadyForQuery(body))) => {
                    let ready = self.ready(operation, &body);
                    return ready.err().unwrap_or_else(|| fault::statement(operation, error));
                }
                Ok(Incoming::Known(message)) => {
                    if self.session.observe(message).is_err() {
                        return self.dismissed(operation, error);
                    }
                }
                // A fatal error is the last word before the server closes the connection.
                Ok(Incoming::CopyBoth) | Err(_) => return self.dismissed(operation, error),
            }
        }
    }

    /// The server ended the session by itself.
    pub(crate) fn lose(&mut self, reason: String) {
        self.link.close();
        self.state = State::Lost(reason);
    }

    /// The server closed the session with this error.
    pub(crate) fn dismissed(&mut self, operation: &'static str, error: DbError) -> Error {
        self.lose(error.to_string());
        fault::statement(operation, error)
    }

    /// Returns whether a statement has begun and not ended.
    pub(crate) fn is_busy(&self) -> bool {
        matches!(self.state, State::Busy(_))
    }

    /// Returns whether the next statement may begin.
    pub(crate) fn is_ready(&self) -> bool {
        matches!(self.state, State::Ready)
    }

    /// Gives the connection up: closes it, and cancels what the server still does for it.
    pub(crate) fn abandon(&mut self, reason: String) {
        let busy = self.is_busy();
        self.link.close();
        self.state = State::Lost(reason);
        if busy && let Ok(runtime) = tokio::runtime::Handle::try_current() {
            let cancel = self.cancel.clone();
            // Best effort: there is nobody left to report to.
            runtime.spawn(async move {
                let _ = tokio::time::timeout(CANCEL_PATIENCE, cancel.cancel()).await;
            });
        }
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        if self.is_busy() {
            self.abandon("it was dropped".to_owned());
        }
    }
}

impl std::fmt::Debug for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Client")
            .field("process_id", &self.session.process_id)
            .field("transaction", &self.session.transaction)
            .finish_non_exhaustive()
    }
}
