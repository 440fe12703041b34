//! Trying again.

use std::future::Future;
use std::ops::Range;
use std::sync::Arc;

use async_trait::async_trait;
use backon::{BackoffBuilder, ExponentialBuilder};
use backup_core::port::{NoObserver, Object, Observer, RequestCounts, Store, StoreCapabilities};
use backup_core::{Error, ErrorKind, ErrorStatus, Event, ObjectName, Result};
use bytes::Bytes;
use futures::stream::BoxStream;

use crate::options::Retry;

/// Repeats what failed temporarily. A listing that breaks off half way is repeated by its
/// adapter, page by page, not here.
pub(crate) struct Retrying<S> {
    inner: S,
    retry: Retry,
    observer: Arc<dyn Observer>,
}

impl<S: Store> Retrying<S> {
    pub(crate) fn new(inner: S, retry: Retry, observer: Option<Arc<dyn Observer>>) -> Self {
        Self { inner, retry, observer: observer.unwrap_or_else(|| Arc::new(NoObserver)) }
    }

    /// Calls `attempt` with 1, 2, … until it succeeds, fails permanently, or enough is enough.
    async fn until_final<T, F>(&self, mut attempt: impl FnMut(u32) -> F) -> Result<T>
    where
        F: Future<Output = Result<T>>,
    {
        let mut delays = backoff(self.retry).build();
        let mut number = 1;
        loop {
            let error = match attempt(number).await {
                Err(error) if error.status() == ErrorStatus::Temporary => error,
                result => return result,
            };
            let Some(delay) = delays.next() else {
                return Err(error.persistent().with("attempts", number));
            };
            tell(self.observer.as_ref(), number, &error);
            tokio::time::sleep(delay).await;
            number += 1;
        }
    }

    /// Decides a conflict that follows a lost reply: the object there may be our own.
    async fn is_ours(&self, name: &ObjectName, body: &Bytes, conflict: Error) -> Result<()> {
        match self.get(name).await {
            Ok(there) if there == body => Ok(()),
            Ok(_) => Err(conflict),
            Err(error) => Err(Error::new(ErrorKind::StoreUnavailable, "create object")
                .with("object", name)
                .hint(
                    "An earlier attempt got no answer and may have succeeded, but the object \
                     cannot be read back to see; run the command again.",
                )
                .because(error)),
        }
    }
}

/// Tells that the attempt of this number failed and is followed by another.
pub(crate) fn tell(observer: &dyn Observer, attempt: u32, error: &Error) {
    // Observers show it to people.
    tracing::debug!(%error, attempt, "a store request is tried again");
    observer.on_event(&Event::Retrying {
        operation: error.operation().to_owned(),
        attempt,
        error: error.to_string(),
    });
}

/// Returns the delays between attempts; the jitter adds up to a delay's own length.
fn backoff(retry: Retry) -> ExponentialBuilder {
    let times = usize::try_from(retry.attempts.saturating_sub(1)).unwrap_or(usize::MAX);
    ExponentialBuilder::default()
        .with_min_delay(retry.first_delay)
        .with_max_delay(retry.max_delay)
        .with_max_times(times)
        .with_jitter()
}

#[async_trait]
impl<S: Store> Store for Retrying<S> {
    fn location(&self) -> String {
        self.inner.location()
    }

    fn capabilities(&self) -> StoreCapabilities {
        self.inner.capabilities()
    }

    async fn create(&self, name: &ObjectName, body: Bytes) -> Result<()> {
        let attempts = std::sync::atomic::AtomicU32::new(0);
        let result = self
            .until_final(|number| {
                attempts.store(number, std::sync::atomic::Ordering::Relaxed);
                self.inner.create(name, body.clone())
            })
            .await;
        match result {
            Err(error) if error.kind() == ErrorKind::Conflict && attempts.into_inner() > 1 => {
                self.is_ours(name, &body, error).await
            }
            result => result,
        }
    }

    async fn get(&self, name: &ObjectName) -> Result<Bytes> {
        self.until_final(|_| self.inner.get(name)).await
    }

    async fn get_range(&self, name: &ObjectName, range: Range<u64>) -> Result<Bytes> {
        self.until_final(|_| self.inner.get_range(name, range.clone())).await
    }

    async fn stat(&self, name: &ObjectName) -> Result<Object> {
        self.until_final(|_| self.inner.stat(name)).await
    }

    async fn list(&self, prefix: &str) -> Result<BoxStream<'static, Result<Object>>> {
        self.until_final(|_| self.inner.list(prefix)).await
    }

    async fn delete(&self, name: &ObjectName) -> Result<()> {
        self.until_final(|_| self.inner.delete(name)).await
    }

    fn requests(&self) -> RequestCounts {
        self.inner.requests()
    }
}

impl<S: std::fmt::Debug> std::fmt::Debug for Retrying<S> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Retrying")
            .field("inner", &self.inner)
            .field("retry", &self.retry)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use backup_testkit::{Fault, FaultStore, MemoryStore, Operation};
    use tokio::time::Instant;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn waits_longer_each_time_and_gives_up() {
        let broken = FaultStore::new(MemoryStore::new()).with(Fault::fail_temporarily());
        let store = Retrying::new(broken.clone(), Retry::default(), None);
        let started = Instant::now();
        let error = store.get(&"a".parse().unwrap()).await.unwrap_err();
        assert_eq!(error.status(), ErrorStatus::Persistent);
        assert_eq!(broken.calls(), 6);
        // 0.25 + 0.5 + 1 + 2 + 4 seconds, each up to twice as long by jitter.
        let waited = started.elapsed().as_secs_f64();
        assert!((7.75..=15.6).contains(&waited), "{waited}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_permanent_failure_is_final_at_once() {
        let broken = FaultStore::new(MemoryStore::new()).with(Fault::fail().on(Operation::Stat));
        let store = Retrying::new(broken.clone(), Retry::default(), None);
        store.stat(&"a".parse().unwrap()).await.unwrap_err();
        assert_eq!(broken.calls(), 1);
    }
}
