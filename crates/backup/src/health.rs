//! Space and keys of a repository, measured.

use backup_core::port::Catalog;
use backup_ops::SourceStatus;
use backup_ops::health::{KeyFacts, RepositoryHealth};
use backup_repository::Repository;
use jiff::Timestamp;

use crate::daemon::sizes;

/// Looks at the space of a repository (its `url`, where the store can tell), how it grew as far as
/// a daemon remembers, and its keys. What cannot be looked at is left out, and logged.
pub async fn repository_health(
    repository: &Repository,
    url: &str,
    memory: Option<&dyn Catalog>,
    sources: &[SourceStatus],
    now: Timestamp,
) -> RepositoryHealth {
    let keys = match repository.key_standing().await {
        Ok(standing) => Some(KeyFacts::from(&standing)),
        Err(error) => {
            tracing::warn!(%error, "the keys could not be looked at");
            None
        }
    };
    let growth = match memory {
        Some(catalog) => sizes(catalog).await.unwrap_or_else(|error| {
            tracing::warn!(%error, "how the repository grew could not be read");
            Vec::new()
        }),
        None => Vec::new(),
    };
    let newest = sources.iter().filter_map(|source| source.newest.as_ref());
    let largest = newest.map(|record| record.snapshot.stored_bytes).max().unwrap_or_default();
    let room = crate::machine::room(url);
    RepositoryHealth::judge(room, &growth, largest, keys.as_ref(), now)
}
