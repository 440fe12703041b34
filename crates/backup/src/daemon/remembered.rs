//! What a daemon remembers, for those who look at it from outside, and for itself.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use backup_catalog::SqliteCatalog;
use backup_core::port::{Catalog, RunFilter};
use backup_core::{Error, ErrorKind, JobKind, RepositoryId, Result, SourceName};
use backup_ops::SourceStatus;
use backup_ops::health::{Ended, GrowthPoint};
use backup_repository::{KnownHead, Repository};
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

/// The space of the catalog that holds what the daemon knows of itself.
pub(super) const OWN: &str = "daemon";
/// The key that names the repository it is about.
pub(super) const REPOSITORY: &str = "repository";
/// The space that holds one size of the repository a day.
const SIZES: &str = "repository sizes";
/// Sizes that are kept.
const KEPT: usize = 400;
/// How far back runs are looked at.
pub(super) const LOOK_BACK: SignedDuration = SignedDuration::from_hours(90 * 24);

/// Opens what the daemon of that directory remembers, to look at it; it may run meanwhile.
///
/// `NotFound` where no daemon ever ran, `Conflict` when it is about another repository.
pub async fn remembered(directory: &Path, repository: RepositoryId) -> Result<Arc<dyn Catalog>> {
    let catalog = SqliteCatalog::look(&directory.join("catalog.db"))?;
    let known = catalog.get(OWN, REPOSITORY).await?;
    if known.as_deref() != Some(&repository.to_string()) {
        return Err(Error::new(ErrorKind::Conflict, "look at the daemon's memory")
            .with("directory", directory.display())
            .with("its repository", known.as_deref().unwrap_or("not said"))
            .with("repository", repository)
            .hint("Name the directory of the daemon that backs up into this repository."));
    }
    Ok(Arc::new(catalog))
}

/// Adds to each source how many of its backups went well.
pub async fn hear_runs(
    catalog: &dyn Catalog,
    sources: &mut [SourceStatus],
    now: Timestamp,
) -> Result<()> {
    let ended = ended(catalog, now).await?;
    for source in sources {
        source.health.hear(ended.get(&source.source).map_or(&[], Vec::as_slice), now);
    }
    Ok(())
}

/// Returns the backups of the last ninety days that ended, by source.
pub(super) async fn ended(
    catalog: &dyn Catalog,
    now: Timestamp,
) -> Result<BTreeMap<SourceName, Vec<Ended>>> {
    let mut filter = RunFilter {
        kind: Some(JobKind::Backup),
        since: now.checked_sub(LOOK_BACK).ok(),
        limit: Some(PAGE),
        ..RunFilter::default()
    };
    let mut all: BTreeMap<SourceName, Vec<Ended>> = BTreeMap::new();
    loop {
        let page = catalog.runs(&filter).await?;
        for run in &page {
            if let Some((source, ended)) = run.job.source.clone().zip(Ended::of(run)) {
                all.entry(source).or_default().push(ended);
            }
        }
        match page.last() {
            Some(last) if page.len() == PAGE as usize => filter.before = Some(last.id),
            _ => return Ok(all),
        }
    }
}

/// Runs read at once.
const PAGE: u32 = 5_000;

/// The space that holds manifests in short, by snapshot.
const HEADS: &str = "snapshot heads";

/// Gives the repository's handle what an earlier run of the daemon has read, so that it reads only
/// what is new. What cannot be read from the catalog is read from the repository.
pub(super) async fn recall(catalog: &dyn Catalog, repository: &Repository) {
    match catalog.all(HEADS).await {
        Ok(kept) => {
            let heads = kept.iter().filter_map(|(_, text)| serde_json::from_str(text).ok());
            repository.recall_heads(heads);
        }
        Err(error) => tracing::warn!(%error, "what was read before is read again"),
    }
}

/// Keeps what was read since.
pub(super) async fn retain(catalog: &dyn Catalog, repository: &Repository) {
    let changes = repository.head_changes();
    if changes.is_empty() {
        return;
    }
    let text = |head: &KnownHead| serde_json::to_string(head).ok();
    let values: Vec<(String, Option<String>)> =
        changes.iter().map(|(id, head)| (id.to_string(), head.as_ref().and_then(text))).collect();
    if let Err(error) = catalog.put(HEADS, &values).await {
        // It costs the next start reading them again.
        tracing::warn!(%error, "what was read could not be kept");
    }
}

#[derive(Serialize, Deserialize)]
struct Size {
    at: Timestamp,
    stored_bytes: u64,
}

/// Remembers what the repository takes: the last size of each day.
pub async fn remember_size(catalog: &dyn Catalog, point: GrowthPoint) -> Result<()> {
    let day = point.at.strftime("%Y-%m-%d").to_string();
    let size = Size { at: point.at, stored_bytes: point.stored_bytes };
    let text = serde_json::to_string(&size)
        .map_err(|error| Error::new(ErrorKind::Failed, "write size").because(error))?;
    let known = catalog.all(SIZES).await?;
    let surplus = known.len().saturating_sub(KEPT);
    let mut values: Vec<(String, Option<String>)> =
        known.into_iter().take(surplus).map(|(day, _)| (day, None)).collect();
    values.push((day, Some(text)));
    catalog.put(SIZES, &values).await
}

/// Returns the sizes that are remembered, oldest first.
pub async fn sizes(catalog: &dyn Catalog) -> Result<Vec<GrowthPoint>> {
    let kept = catalog.all(SIZES).await?;
    kept.iter()
        .map(|(_, text)| {
            let size: Size = serde_json::from_str(text)
                .map_err(|error| Error::new(ErrorKind::Failed, "read size").because(error))?;
            Ok(GrowthPoint { at: size.at, stored_bytes: size.stored_bytes })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_size_a_day_is_kept_for_so_many_days() {
        let catalog = SqliteCatalog::in_memory().unwrap();
        let first: Timestamp = "2024-01-01T03:00:00Z".parse().unwrap();
        for hour in (0..24 * 450).step_by(12) {
            let at = first + SignedDuration::from_hours(hour);
            let point = GrowthPoint { at, stored_bytes: hour as u64 };
            remember_size(&catalog, point).await.unwrap();
        }
        let kept = sizes(&catalog).await.unwrap();
        assert!((KEPT..=KEPT + 1).contains(&kept.len()), "{}", kept.len());
        assert!(kept.windows(2).all(|pair| pair[0].at < pair[1].at));
        assert_eq!(kept.last().unwrap().stored_bytes, 24 * 450 - 12);
    }

    #[tokio::test]
    async fn only_the_memory_of_this_repository_is_looked_at() {
        let folder = tempfile::tempdir().unwrap();
        let id = RepositoryId([7; 16]);
        let open = || remembered(folder.path(), id);
        assert_eq!(open().await.unwrap_err().kind(), ErrorKind::NotFound);
        let file = folder.path().join("catalog.db");
        let (catalog, _) = SqliteCatalog::open(&file, Timestamp::now()).unwrap();
        assert_eq!(open().await.unwrap_err().kind(), ErrorKind::Conflict);
        catalog.put(OWN, &[(REPOSITORY.into(), Some(id.to_string()))]).await.unwrap();
        let seen = open().await.unwrap();
        assert!(seen.runs(&RunFilter::default()).await.unwrap().is_empty());
        let refused = seen.put(OWN, &[("a".into(), None)]).await;
        assert!(refused.is_err(), "it is only looked at");
    }
}
