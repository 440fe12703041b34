//! Stream: receive WAL as it is written, store it, and only then let the server forget it.
//!
//! Nothing is acknowledged that is not in the repository: there is no spool that could be lost.
//! A segment is stored when it is complete; one that grows is stored every few seconds as far as
//! it came, so that little is at risk on a quiet server too. What cannot be stored for now stays
//! on the server: its slot keeps it, and memory here is bounded.

mod assemble;
mod behind;
mod position;
mod receive;

use std::sync::Arc;
use std::time::Duration;

use backup_core::{Error, ErrorKind, ErrorStatus, Lsn, Result, SourceName};
use backup_ops::Interrupt;
use backup_ops::wal::WalLog;
use backup_postgres::{ConnectOptions, sqlstate};
use backup_repository::Repository;

pub use behind::Exposure;

/// What to receive, and how.
#[derive(Clone, Debug)]
pub struct WalStreamRequest {
    /// The source.
    pub source: SourceName,
    /// Where it is; the role needs REPLICATION.
    pub connect: ConnectOptions,
    /// The slot that keeps what is not stored yet; made when missing.
    pub slot: String,
    /// How often a growing segment is stored.
    pub flush: Duration,
    /// How often [`StreamNews::Report`] is told.
    pub report: Duration,
    /// The source is another cluster from now on, on purpose.
    pub accept_new_identity: bool,
}

/// What happens on the way.
#[derive(Clone, Debug)]
pub enum StreamNews {
    /// Receiving begins.
    Started {
        /// Whose.
        log: WalLog,
        /// The timeline.
        timeline: u32,
        /// From where on.
        from: Lsn,
    },
    /// How things stand.
    Report {
        /// The timeline.
        timeline: u32,
        /// Position up to which everything is stored.
        durable: Lsn,
        /// What is at risk.
        exposure: Exposure,
    },
    /// The server changed to another timeline.
    Switched {
        /// Which.
        timeline: u32,
        /// Where it began.
        from: Lsn,
    },
    /// WAL was lost before it was stored: a new physical snapshot is needed.
    Gap {
        /// From where on.
        from: Lsn,
        /// Where it goes on.
        to: Lsn,
        /// Why.
        reason: String,
    },
    /// It failed and is tried again.
    Retrying {
        /// After so long.
        delay: Duration,
        /// Why.
        error: Arc<Error>,
        /// Whether somebody has to mend it: waiting alone does not.
        lasting: bool,
    },
}

/// Receives until asked to stop; what can pass is tried again, for ever.
///
/// Fails only for what no retry mends: another cluster answers (`Conflict`), a wrong key, a
/// configuration that cannot work; or with the interrupt's error, after everything received was
/// stored.
pub async fn wal_stream(
    repository: &Repository,
    request: &WalStreamRequest,
    interrupt: &Interrupt,
    tell: &(dyn Fn(StreamNews) + Send + Sync),
) -> Result<()> {
    const SHORTEST: Duration = Duration::from_secs(1);
    const LONGEST: Duration = Duration::from_secs(60);
    let mut delay = SHORTEST;
    loop {
        let progress = std::sync::atomic::AtomicBool::new(false);
        let error = match receive::run(repository, request, interrupt, tell, &progress).await {
            // An orderly shutdown of the server: it comes back, or another takes its place.
            Ok(()) => Error::new(ErrorKind::SourceUnavailable, "stream WAL")
                .because("the server shut down")
                .temporary(),
            Err(error) => error,
        };
        if let Some(stopped) = interrupt.asked() {
            return Err(stopped);
        }
        if !passes(&error) {
            return Err(error);
        }
        if progress.into_inner() {
            delay = SHORTEST;
        }
        let lasting = lasts(&error);
        tell(StreamNews::Retrying { delay, error: Arc::new(error), lasting });
        tokio::select! {
            stopped = interrupt.requested() => return Err(stopped),
            () = tokio::time::sleep(delay) => {}
        }
        delay = (delay * 2).min(LONGEST);
    }
}

/// Returns whether a failure may be over by itself.
fn passes(error: &Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::SourceUnavailable | ErrorKind::StoreUnavailable | ErrorKind::Failed
    )
}

/// Returns whether a failure that is tried again stays until somebody mends it.
fn lasts(error: &Error) -> bool {
    // A slot is in use until the server notices that the connection before has gone.
    error.status() == ErrorStatus::Permanent && sqlstate(error) != Some("55006")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_only_a_person_mends_is_told_apart_although_it_is_tried_again() {
        let refused = Error::new(ErrorKind::StoreUnavailable, "write object").because("403");
        assert!(passes(&refused) && lasts(&refused));
        let away = Error::new(ErrorKind::StoreUnavailable, "write object").temporary();
        assert!(passes(&away) && !lasts(&away));
        assert!(passes(&Error::new(ErrorKind::StoreUnavailable, "x").temporary().persistent()));
        assert!(!passes(&Error::new(ErrorKind::Conflict, "stream WAL")));
    }
}
