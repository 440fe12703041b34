//! A physical snapshot, at a point in time, as a server that is thrown away.

use std::num::NonZeroUsize;
use std::sync::Arc;

use async_trait::async_trait;
use backup_core::port::{DrillOptions, Observer, RecoveryAction, RestoreReport, WalFiles};
use backup_core::{Result, Snapshot, SourceName, WalFile};
use backup_ops::wal::{RecoveryPlan, WalLog};
use backup_postgres::scratch::{Recovery, ScratchCluster};
use backup_postgres::tools::ToolPaths;
use backup_repository::Repository;

/// Gives a throw-away server the WAL of one log.
struct StoredWal {
    repository: Repository,
    log: WalLog,
}

#[async_trait]
impl WalFiles for StoredWal {
    async fn fetch(&self, file: WalFile) -> Result<Option<Vec<u8>>> {
        crate::wal::read_wal(&self.repository, &self.log, file).await
    }
}

/// Returns what brings a throw-away server to the point of a plan, and opens it there. WAL is
/// fetched by this process: the server needs neither the repository nor its keys.
#[must_use]
pub fn scratch_recovery(
    repository: &Repository,
    source: &SourceName,
    plan: &RecoveryPlan,
) -> Recovery {
    let log = WalLog { source: source.clone(), system: plan.base.system };
    let files = StoredWal { repository: repository.clone(), log };
    Recovery {
        settings: crate::recovery::settings(plan, None, RecoveryAction::Promote),
        files: Some(Arc::new(files)),
    }
}

/// Restores a physical snapshot into a folder for temporary files, brings it to the point of
/// `plan` (without one: to the end of the snapshot) and starts it there, open for reading and
/// writing, on a Unix socket that only its user reaches. The report says how far it came and how
/// long each phase took.
///
/// [`ScratchCluster::connect`] leads to its databases. End it with [`ScratchCluster::remove`];
/// dropping it kills the server and removes the folder as well.
///
/// Fails with `Integrity` or `Failed` where the snapshot or the stored WAL is bad, with
/// `StoreUnavailable` where the repository cannot be read, and otherwise with what this machine
/// lacks and the remedy. Nothing is left behind then.
pub async fn scratch_cluster(
    repository: &Repository,
    tools: &ToolPaths,
    snapshot: &Snapshot,
    plan: Option<&RecoveryPlan>,
    jobs: NonZeroUsize,
    observer: &Arc<dyn Observer>,
) -> Result<(ScratchCluster, RestoreReport)> {
    let recovery = plan.map(|plan| scratch_recovery(repository, &snapshot.source, plan));
    let parts = repository.reader(snapshot).await?;
    let mut cluster = ScratchCluster::prepare(tools, &tools.temporary(), snapshot).await?;
    let options = DrillOptions { jobs, observer: Arc::clone(observer) };
    let restored = cluster.restore(snapshot, parts, &recovery.unwrap_or_default(), &options).await;
    let reached = restored.and_then(|report| {
        if let (Some(plan), Some(replay)) = (plan, &report.replay) {
            plan.demand(replay.position)?;
        }
        Ok(report)
    });
    match reached {
        Ok(report) => Ok((cluster, report)),
        Err(error) => {
            // The error that matters is the first.
            let _ = cluster.remove().await;
            Err(error)
        }
    }
}
