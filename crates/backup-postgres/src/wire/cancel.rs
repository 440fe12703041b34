//! Cancel requests: a second connection that names the first.

use std::fmt;
use std::io;

use backup_core::Result;
use bytes::BytesMut;
use postgres_protocol::message::frontend;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::fault;
use super::startup::Dial;

/// Cancels what a [`Client`](crate::Client) is doing, from anywhere, any number of times.
#[derive(Clone)]
pub struct CancelToken {
    pub(crate) dial: Dial,
    pub(crate) process_id: i32,
    pub(crate) secret_key: i32,
}

impl CancelToken {
    /// Asks the server to cancel the running statement, and returns once the request was received.
    /// The statement then fails with SQLSTATE 57014, unless it had ended already.
    ///
    /// # Errors
    /// `SourceUnavailable` if the server cannot be reached.
    pub async fn cancel(&self) -> Result<()> {
        let limit = self.dial.options.connect_timeout;
        let request = self.request();
        match limit {
            Some(limit) => tokio::time::timeout(limit, request)
                .await
                .unwrap_or_else(|_| Err(fault::unreachable(&self.dial.options, late()))),
            None => request.await,
        }
    }

    async fn request(&self) -> Result<()> {
        let mut transport = self.dial.again().await?;
        let mut request = BytesMut::new();
        frontend::cancel_request(self.process_id, self.secret_key, &mut request);
        let sent = async {
            transport.write_all(&request).await?;
            transport.flush().await?;
            // The server closes the connection once it has passed the request on.
            let mut end = [0; 1];
            match transport.read(&mut end).await {
                Ok(_) => Ok(()),
                // Closing without goodbye is its custom.
                Err(error) if ended(&error) => Ok(()),
                Err(error) => Err(error),
            }
        };
        sent.await.map_err(|error| fault::unreachable(&self.dial.options, error))
    }
}

fn ended(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::UnexpectedEof | io::ErrorKind::ConnectionReset)
}

fn late() -> io::Error {
    io::Error::new(io::ErrorKind::TimedOut, "the server did not answer in time")
}

impl fmt::Debug for CancelToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CancelToken").field("process_id", &self.process_id).finish_non_exhaustive()
    }
}
