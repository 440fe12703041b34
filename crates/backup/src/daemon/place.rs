//! Whether the open repository is still the one that lies at its place.

use std::time::Duration;

use backup_core::Result;
use backup_core::port::Clock;
use backup_repository::Repository;
use tokio::sync::Mutex;

/// For so long an answer is good.
const GOOD: Duration = Duration::from_secs(1);

/// Looks no more often than is worth it.
#[derive(Default)]
pub(super) struct Place {
    found: Mutex<Option<Duration>>,
}

impl Place {
    /// Returns whether it is, as of a second ago at most.
    pub(super) async fn is_kept(&self, repository: &Repository, clock: &dyn Clock) -> Result<bool> {
        let mut found = self.found.lock().await;
        let now = clock.elapsed();
        if found.is_some_and(|at| now.saturating_sub(at) < GOOD) {
            return Ok(true);
        }
        *found = None;
        let kept = repository.is_there().await?;
        *found = kept.then_some(now);
        Ok(kept)
    }
}

#[cfg(test)]
pub(super) mod tests {
    use std::sync::Arc;

    use backup_core::ErrorKind;
    use backup_core::port::Store;
    use backup_crypto::KeySecret;
    use backup_repository::{NewKey, Settings};
    use backup_testkit::{FakeClock, MemoryStore};

    use super::*;

    pub(in crate::daemon) async fn repository(
        store: Arc<dyn Store>,
        clock: &Arc<FakeClock>,
    ) -> Repository {
        let secret = KeySecret::KeyFile(crate::generate_key_file().unwrap());
        let key = NewKey { secret, label: "test".into() };
        let clock = Arc::clone(clock) as Arc<dyn Clock>;
        Repository::init(store, clock, vec![key], Settings::default()).await.unwrap()
    }

    #[tokio::test]
    async fn another_repository_at_the_same_place_is_noticed_within_a_second() {
        let clock = Arc::new(FakeClock::manual(jiff::Timestamp::UNIX_EPOCH));
        let (store, other) = (Arc::new(MemoryStore::new()), Arc::new(MemoryStore::new()));
        let mine = repository(Arc::clone(&store) as _, &clock).await;
        let theirs = repository(Arc::clone(&other) as _, &clock).await;
        let config = "config".parse().unwrap();
        let place = Place::default();
        assert!(place.is_kept(&mine, &*clock).await.unwrap());
        store.delete(&config).await.unwrap();
        store.create(&config, theirs.store().get(&config).await.unwrap()).await.unwrap();
        assert!(place.is_kept(&mine, &*clock).await.unwrap(), "not looked at again yet");
        clock.advance(GOOD);
        assert!(!place.is_kept(&mine, &*clock).await.unwrap());
        store.delete(&config).await.unwrap();
        let error = place.is_kept(&mine, &*clock).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::StoreUnavailable);
    }
}
