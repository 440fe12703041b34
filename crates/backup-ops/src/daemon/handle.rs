//! Talking to a supervisor while it runs.

use std::num::NonZeroUsize;
use std::time::Duration;

use backup_core::{Error, ErrorKind, JobKey, Result, Run, RunId};
use backup_schedule::Job;
use tokio::sync::{mpsc, oneshot};

/// Asks a running supervisor; cheap to clone.
#[derive(Clone, Debug)]
pub struct Handle(mpsc::Sender<Command>);

#[derive(Debug)]
pub(super) enum Command {
    Request { key: JobKey, actor: Option<String>, answer: oneshot::Sender<Result<Run>> },
    Want { key: JobKey, what: String, answer: oneshot::Sender<Result<bool>> },
    Cancel { run: RunId, actor: Option<String>, answer: oneshot::Sender<Result<Run>> },
    Replace { jobs: Vec<Job>, concurrency: NonZeroUsize, patience: Duration },
}

/// What a supervisor listens to.
#[derive(Debug)]
pub struct Commands(pub(super) mpsc::Receiver<Command>);

/// Returns both ends.
#[must_use]
pub fn handle() -> (Handle, Commands) {
    let (sender, receiver) = mpsc::channel(64);
    (Handle(sender), Commands(receiver))
}

impl Handle {
    /// Asks for a run as soon as may be. It is written down when this returns; `NotFound` when
    /// there is no such job, `Conflict` when it waits or runs already.
    pub async fn request(&self, key: JobKey, actor: Option<String>) -> Result<Run> {
        self.ask(|answer| Command::Request { key, actor, answer }).await
    }

    /// Has a job run when it may, because of something that happened: once for each, however
    /// often this is called and however often the program is started again. It is written down
    /// when this returns. Returns whether a run of the job waits or is under way now.
    pub async fn want(&self, key: JobKey, what: String) -> Result<bool> {
        self.ask(|answer| Command::Want { key, what, answer }).await
    }

    /// Asks a run to stop and returns it as it is then; `NotFound` when none of that id waits or
    /// runs.
    pub async fn cancel(&self, run: RunId, actor: Option<String>) -> Result<Run> {
        self.ask(|answer| Command::Cancel { run, actor, answer }).await
    }

    /// Exchanges the jobs, how many run at a time, and how long runs have to stop. Runs under way
    /// end as they began.
    pub async fn replace(
        &self,
        jobs: Vec<Job>,
        concurrency: NonZeroUsize,
        patience: Duration,
    ) -> Result<()> {
        let sent = self.0.send(Command::Replace { jobs, concurrency, patience }).await;
        sent.map_err(|_| stopped())
    }

    async fn ask<T>(
        &self,
        command: impl FnOnce(oneshot::Sender<Result<T>>) -> Command,
    ) -> Result<T> {
        let (answer, answered) = oneshot::channel();
        self.0.send(command(answer)).await.map_err(|_| stopped())?;
        answered.await.map_err(|_| stopped())?
    }
}

fn stopped() -> Error {
    Error::new(ErrorKind::Terminated, "ask the daemon")
        .because("it is stopping")
        .hint("Ask again when it runs.")
}
