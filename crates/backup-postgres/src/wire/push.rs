//! Writing COPY data while listening.

use std::future::poll_fn;
use std::io;
use std::task::Poll;
use std::time::Duration;

use backup_core::{Error, Result};
use postgres_protocol::message::backend::Message;

use super::copy_in::{COPY, CopyIn};
use super::error::DbError;
use super::frame::{self, HEADER};
use super::link::Incoming;

/// How long to listen to a server that no longer reads.
const LAST_WORDS: Duration = Duration::from_secs(2);

impl CopyIn<'_> {
    /// Sends the messages gathered, listening meanwhile: a server that fails says so at once, and
    /// one that blocks on telling us something would never read on.
    pub(super) async fn send(&mut self) -> Result<()> {
        // Were this future dropped halfway, the stream would end inside a message.
        self.over = true;
        self.client.link.heard();
        let mut written = 0;
        let mut failure = None;
        loop {
            match self.step(&mut written, failure.is_none()).await {
                Ok(Step::Heard) => self.heed(&mut failure)?,
                Ok(Step::Sent) => break,
                Err(error) => return Err(self.last_words(failure, error).await),
            }
        }
        self.message.clear();
        self.message.resize(HEADER, 0);
        // Having failed, the server ignores the rest of the data.
        if let Some(error) = failure {
            return Err(self.client.settle(COPY, error).await);
        }
        self.over = false;
        Ok(())
    }

    /// Listens first, without waiting, then writes until the socket is full.
    async fn step(&mut self, written: &mut usize, listen: bool) -> io::Result<Step> {
        let (link, message) = (&mut self.client.link, &self.message);
        poll_fn(|cx| {
            if listen && let Poll::Ready(heard) = link.poll_fill(cx) {
                return Poll::Ready(heard.map(|()| Step::Heard));
            }
            link.poll_send(cx, message, written).map_ok(|()| Step::Sent)
        })
        .await
    }

    /// Handles what the server said during the COPY: notices, or the error that ends it.
    fn heed(&mut self, failure: &mut Option<DbError>) -> Result<()> {
        while failure.is_none() {
            let message = match self.client.link.take(frame::MAX_OTHER) {
                Ok(Some(Incoming::Known(message))) => message,
                Ok(Some(Incoming::CopyBoth)) => {
                    return Err(self.client.violated(COPY, "replication began unasked"));
                }
                Ok(None) => return Ok(()),
                Err(error) => return Err(self.client.broken(COPY, error)),
            };
            match self.client.session.observe(message) {
                Ok(None) => {}
                Ok(Some(Message::ErrorResponse(body))) => {
                    let error = DbError::read(body.fields());
                    *failure = Some(error.map_err(|error| self.client.violated(COPY, error))?);
                }
                Ok(Some(_)) => {
                    return Err(self.client.violated(COPY, "a message that belongs into no COPY"));
                }
                Err(error) => return Err(self.client.broken(COPY, error)),
            }
        }
        Ok(())
    }

    /// The connection broke; what the server said before is worth more than how.
    async fn last_words(&mut self, said: Option<DbError>, error: io::Error) -> Error {
        let mut said = said;
        let listen = async {
            while said.is_none() {
                self.heed(&mut said)?;
                if said.is_none() && self.client.link.fill().await.is_err() {
                    break;
                }
            }
            Ok::<(), Error>(())
        };
        let _ = tokio::time::timeout(LAST_WORDS, listen).await;
        match said {
            Some(said) => self.client.dismissed(COPY, said),
            None => self.client.broken(COPY, error),
        }
    }
}

/// What became possible.
enum Step {
    Sent,
    Heard,
}
