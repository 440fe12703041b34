//! Physical snapshots, verified beyond their objects: files against the manifest.

use backup_core::port::Observer;
use backup_core::{Result, SnapshotKind, VerifyLevel};
use backup_postgres::physical::{ClusterCheck, check_cluster};
use backup_repository::Repository;
use backup_verification::{Problem, Report};

/// Compares every physical snapshot of a report that is sound so far with its manifest, adds what is
/// wrong to the report, and withdraws the proofs of those. With `contents` the checksums of all files are
/// computed from what is stored. Returns how many files were compared.
pub async fn check_clusters(
    repository: &Repository,
    report: &mut Report,
    contents: bool,
    observer: &dyn Observer,
) -> Result<u64> {
    let mut files = 0;
    for found in report.snapshots.iter_mut().filter(|found| found.problems.is_empty()) {
        let snapshot = repository.snapshot(found.id).await?.snapshot;
        if snapshot.kind != SnapshotKind::Physical {
            continue;
        }
        let parts = repository.reader(&snapshot).await?;
        let checked = check_cluster(&snapshot, &parts, contents, observer).await?;
        let ClusterCheck { files: compared, problems, .. } = checked;
        files += compared;
        if !problems.is_empty() {
            found.level = VerifyLevel::None;
            found.problems =
                problems.into_iter().map(|(part, message)| Problem { part, message }).collect();
            repository.withdraw_verification(found.id).await?;
        }
    }
    Ok(files)
}
