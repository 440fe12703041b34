//! A person or a supervisor asks a run to stop.

use backup_core::{Error, ErrorKind};
use tokio::sync::watch;

/// Asks; keep it where signals arrive.
#[derive(Debug)]
pub struct Interrupter(watch::Sender<Option<ErrorKind>>);

/// Listens; hand clones to operations. Stopping is orderly: the server's session is ended,
/// what is stored stays usable, nothing is committed.
#[derive(Clone, Debug)]
pub struct Interrupt(watch::Receiver<Option<ErrorKind>>);

/// Returns both ends. Dropping the [`Interrupter`] means that nobody will ask.
#[must_use]
pub fn interrupt() -> (Interrupter, Interrupt) {
    let (sender, receiver) = watch::channel(None);
    (Interrupter(sender), Interrupt(receiver))
}

impl Interrupter {
    /// Asks every listener to stop; `kind` is `Interrupted` or `Terminated`. Asking again
    /// changes nothing.
    pub fn request(&self, kind: ErrorKind) {
        self.0.send_if_modified(|asked| {
            let first = asked.is_none();
            asked.get_or_insert(kind);
            first
        });
    }
}

impl Interrupt {
    /// Returns a listener that is never asked.
    #[must_use]
    pub fn never() -> Self {
        interrupt().1
    }

    /// Returns the error to end with, if stopping was asked for.
    #[must_use]
    pub fn asked(&self) -> Option<Error> {
        (*self.0.borrow()).map(stopped)
    }

    /// Waits until stopping is asked for and returns the error to end with; waits for ever
    /// when nobody asks.
    pub async fn requested(&self) -> Error {
        let mut receiver = self.0.clone();
        loop {
            if let Some(kind) = *receiver.borrow_and_update() {
                return stopped(kind);
            }
            if receiver.changed().await.is_err() {
                std::future::pending::<()>().await;
            }
        }
    }

    /// Runs `work` unless stopping is asked for first; then drops it and returns the error.
    pub async fn unless<T>(
        &self,
        work: impl Future<Output = backup_core::Result<T>>,
    ) -> backup_core::Result<T> {
        tokio::select! {
            biased;
            error = self.requested() => Err(error),
            done = work => done,
        }
    }
}

fn stopped(kind: ErrorKind) -> Error {
    let by = if kind == ErrorKind::Terminated { "terminated" } else { "interrupted" };
    Error::new(kind, format!("{by} before the end"))
        .hint("Run the same command again; what was done is not done twice.")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn stops_work_and_keeps_the_first_word() {
        let (interrupter, interrupt) = interrupt();
        assert!(interrupt.asked().is_none());
        assert_eq!(interrupt.unless(async { Ok(1) }).await.unwrap(), 1);
        interrupter.request(ErrorKind::Terminated);
        interrupter.request(ErrorKind::Interrupted);
        let error = interrupt.unless(std::future::pending::<backup_core::Result<()>>()).await;
        assert_eq!(error.unwrap_err().kind(), ErrorKind::Terminated);
    }

    #[tokio::test]
    async fn a_dropped_interrupter_interrupts_nothing() {
        assert_eq!(Interrupt::never().unless(async { Ok(2) }).await.unwrap(), 2);
    }
}
