//! Ends a run that stalls, loses its lease, or is asked to stop; all in the same orderly way.

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use backup_core::port::{Clock, Observer};
use backup_core::{Error, ErrorKind, Event, Result};
use backup_ops::{Interrupt, interrupt};
use backup_repository::Lease;

/// How long a run has to stop once it is asked; then it is dropped, which ends its sessions too.
const SETTLE: Duration = Duration::from_secs(20);

/// Notes when something last moved, and passes on what happens.
pub(super) struct Movement {
    inner: Arc<dyn Observer>,
    clock: Arc<dyn Clock>,
    last: AtomicU64,
}

impl Movement {
    pub(super) fn new(inner: Arc<dyn Observer>, clock: Arc<dyn Clock>) -> Arc<Self> {
        let now = millis(clock.elapsed());
        Arc::new(Self { inner, clock, last: now.into() })
    }

    /// Waits until nothing has moved for `limit`, and returns the error to end with.
    async fn stalled(&self, limit: Duration) -> Error {
        loop {
            let last = Duration::from_millis(self.last.load(Ordering::Relaxed));
            let quiet = self.clock.elapsed().saturating_sub(last);
            if quiet >= limit {
                return Error::new(ErrorKind::Failed, "finish run")
                    .with("seconds without movement", limit.as_secs())
                    .because("it stalled")
                    .hint(
                        "The server's session was ended. Look at the server, the store and what \
                         lies between; daemon.stall_timeout is the limit.",
                    );
            }
            self.clock.sleep(limit - quiet).await;
        }
    }
}

impl Observer for Movement {
    fn on_event(&self, event: &Event) {
        self.last.store(millis(self.clock.elapsed()), Ordering::Relaxed);
        self.inner.on_event(event);
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// What may end a run.
pub(super) struct Guard<'a> {
    pub(super) clock: &'a Arc<dyn Clock>,
    pub(super) asked: &'a Interrupt,
    pub(super) movement: &'a Movement,
    pub(super) stall: Duration,
}

impl Guard<'_> {
    /// Runs `work` to its end, or asks it to stop when it stalls or somebody asks, and returns
    /// why.
    pub(super) async fn watch<T, F: Future<Output = Result<T>>>(
        &self,
        work: impl FnOnce(Interrupt) -> F,
    ) -> Result<T> {
        let (interrupter, interrupt) = interrupt();
        let mut work = pin!(work(interrupt));
        let reason = tokio::select! {
            biased;
            done = &mut work => return done,
            error = self.asked.requested() => error,
            error = self.movement.stalled(self.stall) => error,
        };
        let kind = match reason.kind() {
            ErrorKind::Terminated => ErrorKind::Terminated,
            _ => ErrorKind::Interrupted,
        };
        interrupter.request(kind);
        tokio::select! {
            biased;
            done = &mut work => match done {
                // It came to its end in that very moment.
                Ok(done) => Ok(done),
                Err(error) if error.kind() == kind => Err(reason),
                Err(error) => Err(error),
            },
            () = self.clock.sleep(SETTLE) => Err(reason),
        }
    }
}

/// Returns the error that a panic comes to: a fault of the program, and never silence.
#[must_use]
pub fn panicked(what: &'static str, panic: &(dyn std::any::Any + Send)) -> Error {
    let text = panic.downcast_ref::<&str>().copied();
    let said = text.or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    Error::new(ErrorKind::Failed, what)
        .because(format!("the program failed: {}", said.unwrap_or("it did not say why")))
        .hint("This is a fault of the program. Its log has more; please report it.")
}

/// How long a lease lasts; it is renewed three times as often.
pub(super) const LEASE: Duration = Duration::from_secs(180);

/// What fails where another program has taken the lease.
const KEEP: &str = "keep lease";

/// Whether work ended because another program has taken its lease.
pub(super) fn lost_lease(error: &Error) -> bool {
    error.operation() == KEEP
}

/// Runs `work` while the lease is held, then gives it back. A lease that is lost ends the work.
pub(super) async fn while_leased<T>(
    mut lease: Lease,
    clock: &Arc<dyn Clock>,
    work: impl Future<Output = Result<T>>,
) -> Result<T> {
    let renewing = async {
        loop {
            clock.sleep(LEASE / 3).await;
            match lease.renew().await {
                Ok(()) => {}
                Err(error) if error.kind() == ErrorKind::Conflict => return error,
                // The store is away: the work finds out itself, or the lease is renewed next time.
                Err(error) => tracing::warn!(%error, "a lease could not be renewed"),
            }
        }
    };
    let done = tokio::select! {
        biased;
        done = work => done,
        error = renewing => Err(Error::new(ErrorKind::Failed, KEEP).because(error)),
    };
    if let Err(error) = lease.release().await {
        tracing::debug!(%error, "a lease could not be given back; it lapses");
    }
    done
}

#[cfg(test)]
mod tests {
    use backup_crypto::KeySecret;
    use backup_repository::{NewKey, Repository, Settings};
    use backup_testkit::{FakeClock, MemoryStore};

    use super::*;

    #[tokio::test]
    async fn who_loses_a_lease_says_so_and_takes_nothing_from_who_has_it() {
        let time = Arc::new(FakeClock::manual(jiff::Timestamp::UNIX_EPOCH));
        let store = Arc::new(MemoryStore::new().with_clock(Arc::clone(&time) as _));
        let secret = KeySecret::KeyFile(crate::generate_key_file().unwrap());
        let key = NewKey { secret, label: "test".into() };
        let clock = Arc::clone(&time) as Arc<dyn Clock>;
        let repository =
            Repository::init(store, clock, vec![key], Settings::default()).await.unwrap();
        let lease = async |holder| repository.lease("wal shop", holder, LEASE).await;
        let mine = lease("one").await.unwrap();
        assert_eq!(lease("two").await.unwrap_err().kind(), ErrorKind::Conflict);
        // This machine slept for longer than the lease lasts.
        time.advance(LEASE + Duration::from_secs(1));
        let mut theirs = lease("two").await.unwrap();
        let awake: Arc<dyn Clock> = Arc::new(FakeClock::default());
        let work = std::future::pending::<Result<()>>();
        let error = while_leased(mine, &awake, work).await.unwrap_err();
        assert!(lost_lease(&error), "{error}");
        theirs.renew().await.unwrap();
        assert_eq!(lease("three").await.unwrap_err().kind(), ErrorKind::Conflict);
        let failed = while_leased(theirs, &awake, async {
            Err::<(), _>(Error::new(ErrorKind::Conflict, "stream WAL"))
        });
        assert!(!lost_lease(&failed.await.unwrap_err()), "it failed for another reason");
        assert!(lease("three").await.is_ok(), "it was given back");
    }
}
