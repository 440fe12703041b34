//! The contract of [`Store`], check by check.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use backup_core::port::{Object, Store};
use backup_core::{ObjectName, Result};
use bytes::Bytes;
use futures::{StreamExt, TryStreamExt, stream};

use super::checks;

/// A check that a store did not pass.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// The check's name.
    pub check: &'static str,
    /// What was seen.
    pub reason: String,
}

/// Runs every check on an empty place in `store`; leaves nothing behind.
///
/// # Panics
/// When a check fails; the message names all that did.
pub async fn store(store: Arc<dyn Store>) {
    let location = store.location();
    let failures = check_store(store).await;
    assert!(failures.is_empty(), "{location} breaks the contract: {failures:#?}");
}

/// Runs every check and returns the failures, for tests of the suite itself.
pub async fn check_store(store: Arc<dyn Store>) -> Vec<Failure> {
    let mut failures = Vec::new();
    for (check, run) in CHECKS {
        let place = Place { store: Arc::clone(&store), prefix: format!("conformance/{check}/") };
        if let Err(reason) = run(&place).await {
            failures.push(Failure { check, reason });
        }
        place.clear().await;
    }
    failures
}

pub(super) type Outcome = Result<(), String>;
type Check = for<'a> fn(&'a Place) -> Pin<Box<dyn Future<Output = Outcome> + Send + 'a>>;

const CHECKS: [(&str, Check); 12] = [
    ("an-object-comes-back-whole", |p| Box::pin(checks::comes_back_whole(p))),
    ("an-object-appears-whole-or-not-at-all", |p| Box::pin(checks::appears_whole(p))),
    ("creating-what-exists-changes-nothing", |p| Box::pin(checks::refuses_existing(p))),
    ("a-race-has-one-winner", |p| Box::pin(checks::race_has_one_winner(p))),
    ("ranges-are-exact", |p| Box::pin(checks::ranges_are_exact(p))),
    ("objects-may-be-empty", |p| Box::pin(checks::may_be_empty(p))),
    ("objects-may-be-large", |p| Box::pin(checks::may_be_large(p))),
    ("listings-are-complete", |p| Box::pin(checks::listings_are_complete(p))),
    ("deleting-is-idempotent", |p| Box::pin(checks::deleting_is_idempotent(p))),
    ("only-absence-is-not-found", |p| Box::pin(checks::absence_is_not_found(p))),
    ("every-allowed-name-works", |p| Box::pin(checks::every_name_works(p))),
    ("times-and-counts-are-sane", |p| Box::pin(checks::times_and_counts(p))),
];

/// A store and the part of its namespace that belongs to one check.
pub(super) struct Place {
    pub(super) store: Arc<dyn Store>,
    pub(super) prefix: String,
}

impl Place {
    pub(super) fn name(&self, short: &str) -> ObjectName {
        let name = format!("{}{short}", self.prefix).parse();
        #[allow(clippy::expect_used, reason = "the names are written above")]
        name.expect("a check uses an invalid name")
    }

    pub(super) async fn create(&self, short: &str, body: Bytes) -> Outcome {
        said(self.store.create(&self.name(short), body).await)
    }

    pub(super) async fn get(&self, short: &str) -> Result<Bytes, String> {
        said(self.store.get(&self.name(short)).await)
    }

    pub(super) async fn list(&self, short: &str) -> Result<Vec<Object>, String> {
        let listing = said(self.store.list(&format!("{}{short}", self.prefix)).await)?;
        said(listing.try_collect().await)
    }

    /// Deletes everything here; a store that cannot has failed a check already.
    async fn clear(&self) {
        let objects = self.list("").await.unwrap_or_default();
        let deletions =
            objects.iter().map(|object| self.store.delete(&object.name)).collect::<Vec<_>>();
        stream::iter(deletions).buffer_unordered(16).for_each(|_| std::future::ready(())).await;
    }
}

/// Says an error with all it knows.
pub(super) fn said<T>(result: Result<T>) -> Result<T, String> {
    result.map_err(|error| format!("{error:?}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Fault, FaultStore, MemoryStore, Operation};

    #[tokio::test(flavor = "multi_thread")]
    async fn honest_stores_pass_and_are_left_clean() {
        let memory = MemoryStore::new();
        store(Arc::new(memory.clone())).await;
        assert_eq!(memory.names(""), []);
        store(Arc::new(MemoryStore::new().without_create_if_absent())).await;
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn every_dishonesty_is_found() {
        let temporary = || Fault::fail_temporarily().on(Operation::Stat);
        for (fault, check) in [
            (Fault::lie(), "an-object-comes-back-whole"),
            (Fault::tear(9), "an-object-appears-whole-or-not-at-all"),
            (Fault::corrupt(7), "an-object-comes-back-whole"),
            (Fault::short_read(1), "ranges-are-exact"),
            (Fault::hide_new(1), "listings-are-complete"),
            (Fault::lie().on(Operation::Delete), "deleting-is-idempotent"),
            (temporary(), "only-absence-is-not-found"),
            (
                Fault::fail().under("conformance/every-allowed-name-works/."),
                "every-allowed-name-works",
            ),
        ] {
            let shown = format!("{fault:?}");
            let broken = FaultStore::new(MemoryStore::new()).with(fault);
            let failures = check_store(Arc::new(broken)).await;
            assert!(failures.iter().any(|f| f.check == check), "{shown}: {failures:?}");
        }
    }
}
