//! What a drill of the daemon restores, from where, and into what.

use std::cmp::Reverse;
use std::sync::Arc;

use backup_config::{DrillPoint as Point, SourceSettings};
use backup_core::port::{DrillTarget, NoObserver};
use backup_core::{Error, ErrorKind, JobKind, Result, Secret, Snapshot, SnapshotKind, SourceName};
use backup_crypto::KeySecret;
use backup_ops::drill::{DrillPoint, DrillRequest};
use backup_ops::wal::{RecoveryBase, RecoveryGoal, RecoveryPlan, TimelineChoice, find_recovery};
use backup_ops::{Selector, select};
use backup_repository::Repository;

use super::PROGRAM;
use crate::Composer;
use crate::daemon::work::{Task, Work};

/// A drill that is to be held.
pub(super) struct Subject {
    pub(super) repository: Repository,
    pub(super) snapshot: Snapshot,
    pub(super) target: Arc<dyn DrillTarget>,
    pub(super) request: DrillRequest,
}

impl Work {
    /// Finds what the job of this task drills.
    pub(super) async fn subject(&self, task: &Task<'_>, source: &SourceName) -> Result<Subject> {
        let settings = task.loaded.settings.source(source.as_str())?;
        match task.order.key.kind {
            JobKind::PointDrill => self.at_point(&task.loaded.composer, settings).await,
            JobKind::DisasterDrill => self.with_nothing(&task.loaded.composer, settings).await,
            _ => self.newest(&task.loaded.composer, settings).await,
        }
    }

    /// The newest snapshot of the source that is not suspect.
    async fn newest(&self, composer: &Composer, settings: &SourceSettings) -> Result<Subject> {
        let to = composer.drill_url(&settings.drill)?;
        let target = match &to {
            Some(to) if to.expose() == crate::DRILL_AT_PROVIDER => {
                composer.copy_drill(Some(settings))?
            }
            _ => composer.drill_target(to.as_ref(), &settings.restore)?,
        };
        Ok(Subject {
            snapshot: newest(&self.repository, &settings.name).await?,
            target,
            request: request(settings),
            repository: self.repository.clone(),
        })
    }

    /// The cluster at a point in time: the snapshot from which stored WAL leads there.
    async fn at_point(&self, composer: &Composer, settings: &SourceSettings) -> Result<Subject> {
        let (snapshot, plan) = self.way(&settings.name, settings.drill.point).await?;
        let recovery = crate::scratch_recovery(&self.repository, &settings.name, &plan);
        let to = server(composer, settings)?;
        let mut request = request(settings);
        request.point = Some(DrillPoint::of(&plan));
        Ok(Subject {
            target: composer.drill_target_at(to.as_ref(), &settings.restore, recovery)?,
            repository: self.repository.clone(),
            snapshot,
            request,
        })
    }

    async fn way(&self, source: &SourceName, point: Point) -> Result<(Snapshot, RecoveryPlan)> {
        let records = self.repository.scan_heads().await?.records;
        let mut heads: Vec<_> = records
            .iter()
            .map(|record| &record.snapshot)
            .filter(|head| head.source == *source && head.kind == SnapshotKind::Physical)
            .filter(|head| !head.is_suspect())
            .collect();
        heads.sort_by_key(|head| Reverse(head.finished_at));
        let mut snapshots = Vec::new();
        for head in heads {
            snapshots.push(self.repository.snapshot(head.id).await?.snapshot);
        }
        let bases: Vec<RecoveryBase> = snapshots.iter().filter_map(RecoveryBase::of).collect();
        if bases.is_empty() {
            return Err(Error::new(ErrorKind::NotFound, "plan recovery")
                .with("source", source)
                .because("no physical snapshot of it is stored")
                .hint("Points in time need one: `backupctl backup --mode physical`."));
        }
        let goal = match point {
            Point::Latest => RecoveryGoal::Latest,
            Point::Before(period) => RecoveryGoal::Time(
                self.clock.now().checked_sub(period.as_duration()).map_err(|error| {
                    Error::new(ErrorKind::ConfigInvalid, "plan recovery")
                        .with("drill.point", period)
                        .because(error)
                        .hint("Name a shorter time.")
                })?,
            ),
        };
        let latest = TimelineChoice::Latest;
        let plan = find_recovery(&self.repository, source, &bases, latest, &goal).await?;
        let base = snapshots.into_iter().find(|snapshot| snapshot.id == plan.base.snapshot);
        let base = base.ok_or_else(|| Error::new(ErrorKind::Failed, "plan recovery"))?;
        Ok((base, plan))
    }

    /// The newest snapshot of the source by what a new machine would have: the recovery key, the
    /// repository's URL, the store's own credentials. Nothing else that is configured counts but
    /// where drills restore to.
    async fn with_nothing(
        &self,
        composer: &Composer,
        settings: &SourceSettings,
    ) -> Result<Subject> {
        let sheet = settings.drill.sheet.as_ref().ok_or_else(|| {
            Error::new(ErrorKind::ConfigInvalid, "find recovery key")
                .with("source", &settings.name)
                .because("drill.sheet names none")
                .hint("Write drill.sheet = \"file:/path/of/recovery-sheet.txt\".")
        })?;
        let key = composer.secret(sheet)?;
        let configured = self.loaded().settings.repository()?.url.clone();
        let url = crate::repository_on_sheet(key.expose()).unwrap_or(configured);
        let environment = crate::bare_environment(composer.environment(), &url, None)?;
        let found = crate::settings_from_nothing(&environment)?;
        let bare = Composer::new(environment, Arc::clone(&self.clock))
            .with_tools(composer.tools().clone());
        let key = KeySecret::KeyFile(key);
        let repository = bare.open(found.repository()?, &key, false, Arc::new(NoObserver)).await?;
        let to = server(composer, settings)?;
        let nothing = backup_config::DrillSettings::default();
        let mut request = crate::drill_request(&nothing, crate::machine::default_jobs(), PROGRAM);
        request.disaster = true;
        Ok(Subject {
            snapshot: newest(&repository, &settings.name).await?,
            target: bare.drill_target(to.as_ref(), &settings.restore)?,
            repository,
            request,
        })
    }
}

/// Returns the server that drills restore to; none where they go to a copy at the provider, which
/// has neither points in time nor a place on a machine that has nothing.
fn server(composer: &Composer, settings: &SourceSettings) -> Result<Option<Secret>> {
    let to = composer.drill_url(&settings.drill)?;
    Ok(to.filter(|to| to.expose() != crate::DRILL_AT_PROVIDER))
}

async fn newest(repository: &Repository, source: &SourceName) -> Result<Snapshot> {
    let records = repository.scan_heads().await?.records;
    let newest = select(&records, &Selector::LatestOf(source.clone()))?.snapshot.id;
    Ok(repository.snapshot(newest).await?.snapshot)
}

fn request(settings: &SourceSettings) -> DrillRequest {
    let jobs = settings.restore.jobs.unwrap_or_else(crate::machine::default_jobs);
    crate::drill_request(&settings.drill, jobs, PROGRAM)
}
