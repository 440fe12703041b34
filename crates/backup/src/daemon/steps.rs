//! What each kind of job does.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use backup_config::{HookMoment, SourceSettings};
use backup_core::port::RunFilter;
use backup_core::{
    ErrorKind, JobKey, JobKind, Result, Run, RunState, SetPlace, SourceName, VerifyLevel,
};
use backup_ops::daemon::{Report, Verdict};
use backup_ops::forget::{self, Retention};
use backup_ops::prune;
use backup_ops::verify::{self, Request};
use backup_ops::wal;
use backup_ops::{BackupRequest, Depth, Plausibility};
use backup_retention::Plan;

use super::hook::{self, Occasion};
use super::work::{Task, Work};

impl Work {
    /// Hooks, the backup with its proof, and the retention of the source after a good one.
    pub(super) async fn backup(
        &self,
        task: &Task<'_>,
        source: &SourceName,
        report: &mut Report,
    ) -> Result<Verdict> {
        let settings = task.loaded.settings.source(source.as_str())?;
        let verdict = self.take(task, settings, &task.order.key, None, report).await?;
        if verdict == Verdict::Good {
            self.let_go(task, settings, &BTreeMap::new(), report).await;
        }
        Ok(verdict)
    }

    /// Hooks and the backup of one source with its proof; `key` is what is told to begin.
    pub(super) async fn take(
        &self,
        task: &Task<'_>,
        settings: &SourceSettings,
        key: &JobKey,
        place: Option<SetPlace>,
        report: &mut Report,
    ) -> Result<Verdict> {
        let source = &settings.name;
        let mut occasion =
            Occasion { source, run: task.order.run.to_string(), snapshot: None, error: None };
        self.hooks(task, HookMoment::Before, &occasion).await?;
        self.voice.started(key, self.clock.now()).await;
        let done = self.copy(task, settings, place, report).await;
        occasion.snapshot = report.snapshot.map(|id| id.to_string());
        let verdict = match &done {
            Ok(verdict) => *verdict,
            Err(error) => {
                occasion.error = Some(error.to_string());
                self.hooks(task, HookMoment::Failure, &occasion).await?;
                return done;
            }
        };
        if verdict == Verdict::Suspect {
            occasion.error = Some("the snapshot is suspect".into());
            self.hooks(task, HookMoment::Failure, &occasion).await?;
            return done;
        }
        self.hooks(task, HookMoment::After, &occasion).await?;
        done
    }

    /// Applies the retention of a source after a good backup of it; `taken` says whether those of
    /// the same run were good. The backup is good whatever becomes of this; it is said and tried after the next.
    pub(super) async fn let_go(
        &self,
        task: &Task<'_>,
        settings: &SourceSettings,
        taken: &BTreeMap<SourceName, bool>,
        report: &mut Report,
    ) {
        if settings.schedule.forget.is_some() || !self.repository.can_read() {
            return;
        }
        let source = &settings.name;
        let key = JobKey::of(JobKind::Forget, source);
        match self.forget_by_policy(task, source, taken, report).await {
            Ok(()) => self.voice.solved(&key, self.clock.now()).await,
            Err(error) => {
                tracing::error!(%source, %error, "retention could not be applied");
                self.voice.failed(&key, &error, self.clock.now()).await;
            }
        }
    }

    async fn hooks(
        &self,
        task: &Task<'_>,
        moment: HookMoment,
        occasion: &Occasion<'_>,
    ) -> Result<()> {
        let loaded = task.loaded;
        let hooks = &loaded.settings.hooks;
        let call = hook::call(&loaded.composer, &self.clock, hooks, moment, occasion);
        task.guard.asked.unless(call).await
    }

    async fn copy(
        &self,
        task: &Task<'_>,
        settings: &SourceSettings,
        place: Option<SetPlace>,
        report: &mut Report,
    ) -> Result<Verdict> {
        let provider = task.loaded.composer.source(settings)?;
        let request = BackupRequest {
            source: settings.name.clone(),
            kind: settings.mode,
            jobs: settings.jobs.unwrap_or_else(crate::machine::default_jobs),
            max_rate: settings.max_rate.map(|rate| rate.0),
            physical: settings.physical,
            accept_new_identity: false,
            plausibility: Plausibility::default(),
            verify: depth(settings.protection.level),
            set: place,
        };
        let receipt = task
            .guard
            .watch(|interrupt| async move {
                backup_ops::backup(
                    &self.repository,
                    provider.as_ref(),
                    &request,
                    &self.clock,
                    &task.observer,
                    &interrupt,
                )
                .await
            })
            .await?;
        let snapshot = &receipt.record.snapshot;
        report.snapshot = Some(snapshot.id);
        report.numbers.extend([
            ("read_bytes".to_owned(), snapshot.read_bytes),
            ("added_bytes".to_owned(), snapshot.added_bytes),
            ("stored_bytes".to_owned(), snapshot.stored_bytes),
            ("rows".to_owned(), snapshot.evidence.rows()),
        ]);
        self.voice.backed_up(&receipt, self.clock.now()).await;
        Ok(if snapshot.is_suspect() { Verdict::Suspect } else { Verdict::Good })
    }

    /// Reads back every snapshot of the source, and compares those of clusters with their manifests.
    pub(super) async fn verify(
        &self,
        task: &Task<'_>,
        source: &SourceName,
        report: &mut Report,
    ) -> Result<Verdict> {
        let scan = task.guard.asked.unless(self.repository.scan_snapshots()).await?;
        // Whose a manifest is that cannot be read is not known: no source is proved beside it.
        let unreadable = scan.unreadable.into_iter().next();
        let unreadable = unreadable.map(|(id, error)| error.with("snapshot", id.short()));
        let mine = scan.records.iter().filter(|record| record.snapshot.source == *source);
        let snapshots: Vec<_> = mine.map(|record| record.snapshot.id).collect();
        if snapshots.is_empty() {
            return unreadable.map_or(Ok(Verdict::Good), Err);
        }
        report.numbers.insert("snapshots".into(), snapshots.len() as u64);
        let request = Request { snapshots, depth: Depth::Read };
        let (found, files) = task
            .guard
            .watch(|interrupt| async move {
                let (clock, observer) = (&self.clock, &task.observer);
                let verifying =
                    verify::verify(&self.repository, &request, clock, observer, &interrupt);
                let mut found = verifying.await?;
                // Checksums are those that were noted: every byte has just been read.
                let comparing =
                    crate::check_clusters(&self.repository, &mut found, false, observer.as_ref());
                let files = interrupt.unless(comparing).await?;
                Ok((found, files))
            })
            .await?;
        report.numbers.insert("read_bytes".into(), found.bytes_read);
        if files > 0 {
            report.numbers.insert("files_compared".into(), files);
        }
        verify::demand(&found)?;
        let sources = BTreeSet::from([source.clone()]);
        let found = task.guard.watch(|interrupt| async move {
            let observer = &task.observer;
            wal::verify_wal(&self.repository, Some(&sources), Depth::Read, observer, &interrupt)
                .await
        });
        let found = found.await?;
        let read = found.iter().map(|verdict| verdict.read).sum();
        report.numbers.insert("wal_segments_read".into(), read);
        wal::demand_wal(&found)?;
        if let Some(error) = unreadable {
            return Err(error);
        }
        self.voice.solved(&task.order.key, self.clock.now()).await;
        Ok(Verdict::Good)
    }

    /// Applies the retention of the source.
    pub(super) async fn forget(
        &self,
        task: &Task<'_>,
        source: &SourceName,
        report: &mut Report,
    ) -> Result<Verdict> {
        if !self.last_backup_was_good(source).await? {
            tracing::warn!(%source, "nothing is forgotten: the last backup did not succeed");
            return Ok(Verdict::Good);
        }
        self.forget_by_policy(task, source, &BTreeMap::new(), report).await?;
        self.voice.solved(&task.order.key, self.clock.now()).await;
        Ok(Verdict::Good)
    }

    /// Returns whether nothing speaks against the newest backup that ended by itself.
    async fn last_backup_was_good(&self, source: &SourceName) -> Result<bool> {
        let loaded = self.loaded();
        let group = crate::group_of(&loaded.settings, source).map(|group| group.name.clone());
        let mut newest: Option<Run> = None;
        for name in [Some(source.clone()), group].into_iter().flatten() {
            let filter = RunFilter {
                source: Some(name),
                kind: Some(JobKind::Backup),
                limit: Some(20),
                ..RunFilter::default()
            };
            let ended = self.catalog.runs(&filter).await?.into_iter().find(|run| {
                !matches!(run.state, RunState::Queued | RunState::Running | RunState::Cancelled)
            });
            newest = newest.into_iter().chain(ended).max_by_key(|run| run.id);
        }
        Ok(newest.is_none_or(|run| run.state == RunState::Succeeded))
    }

    /// Forgets what the policy lets go. The plan itself refuses after a suspect snapshot, and
    /// never lets the newest verified one go.
    async fn forget_by_policy(
        &self,
        task: &Task<'_>,
        source: &SourceName,
        taken: &BTreeMap<SourceName, bool>,
        report: &mut Report,
    ) -> Result<()> {
        let settings = &task.loaded.settings;
        let owner = settings.source(source.as_str())?;
        if owner.retention.is_empty() {
            return Ok(());
        }
        let records = task.guard.asked.unless(self.repository.heads()).await?;
        // What belongs to a set with another source's goes together with that, or not at all.
        let mut able = vec![owner];
        for name in backup_ops::group::mates(&records, source) {
            let Ok(mate) = settings.source(name.as_str()) else { continue };
            // How this run went is not written down before its end.
            let good = match taken.get(&name) {
                Some(good) => *good,
                None => self.last_backup_was_good(&name).await?,
            };
            if good && !mate.retention.is_empty() {
                able.push(mate);
            }
        }
        let rule = |name: &SourceName| {
            able.iter().find(|able| able.name == *name).map(|able| Retention {
                policy: able.retention,
                required: able.protection.level,
                zone: settings.zone.clone(),
            })
        };
        let passed = forget::passed_sets(&self.repository, &records);
        let passed = task.guard.asked.unless(passed).await?;
        let plans = forget::plan(&records, &passed, rule, self.clock.now());
        let plans = forget::for_sources(plans, &records, |name| name == source);
        for plan in &plans {
            if let Some(refusal) = &plan.refused {
                tracing::warn!(%source, %refusal, "nothing is forgotten");
            }
        }
        let ids: Vec<_> = plans.iter().flat_map(Plan::forget_ids).collect();
        task.guard.asked.unless(forget::execute(&self.repository, &ids)).await?;
        report.numbers.insert("forgotten".into(), ids.len() as u64);
        Ok(())
    }

    /// Reclaims what no snapshot needs.
    pub(super) async fn prune(&self, task: &Task<'_>, report: &mut Report) -> Result<Verdict> {
        let grace = task.loaded.settings.prune.grace.as_duration();
        let pruned = task
            .guard
            .watch(|interrupt| async move {
                prune::prune(&self.repository, grace, &task.observer, &interrupt).await
            })
            .await;
        let pruned = match pruned {
            // Another prune, or what was left of a killed one: tried again soon.
            Err(error) if error.kind() == ErrorKind::Conflict => {
                return Ok(Verdict::HeldElsewhere);
            }
            pruned => pruned?,
        };
        report.numbers.insert("deleted_packs".into(), pruned.deleted_packs);
        report.numbers.insert("deleted_bytes".into(), pruned.deleted_bytes);
        prune::demand(&pruned.plan)?;
        self.prune_wal(task, grace, report).await?;
        self.voice.solved(&task.order.key, self.clock.now()).await;
        Ok(Verdict::Good)
    }

    /// Deletes the WAL that neither kept snapshots nor the window of their source need; none of a
    /// source whose last backup did not succeed.
    async fn prune_wal(&self, task: &Task<'_>, grace: Duration, report: &mut Report) -> Result<()> {
        let rule = crate::wal_retention(&task.loaded.settings, grace, None);
        let now = self.clock.now();
        let deleted = task.guard.watch(|interrupt| async move {
            let plans = wal::plan_retention(&self.repository, rule, now);
            let mut plans = interrupt.unless(plans).await?;
            for plan in &mut plans {
                if !self.last_backup_was_good(&plan.log.source).await? {
                    plan.refuse("The last backup did not succeed: all WAL stays.");
                }
                let (source, delete) = (&plan.log.source, plan.delete.len());
                tracing::info!(%source, kept = plan.kept, delete, "WAL: {}", plan.reason);
            }
            interrupt.unless(wal::retain(&self.repository, &plans)).await
        });
        let deleted = deleted.await?;
        report.numbers.insert("deleted_wal_files".into(), deleted.objects);
        report.numbers.insert("deleted_wal_bytes".into(), deleted.bytes);
        Ok(())
    }
}

/// How far a new snapshot is proved: a drill is a job of its own.
fn depth(level: VerifyLevel) -> Depth {
    match level {
        VerifyLevel::None | VerifyLevel::Exists => Depth::Exists,
        VerifyLevel::Read | VerifyLevel::Drilled => Depth::Read,
    }
}
