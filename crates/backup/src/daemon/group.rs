//! Groups by the daemon: sets as `backupctl backup GROUP` takes them, drilled as it drills them.

use std::collections::BTreeMap;

use backup_config::{DrillEvery, GroupSettings};
use backup_core::{
    Error, ErrorKind, JobKey, JobKind, Result, SetPlace, SnapshotKind, SourceName, VerifyLevel,
};
use backup_ops::daemon::{Order, Report, Verdict};
use backup_ops::drill::{self, DrillReceipt};
use backup_ops::group::{self, GroupStatus, MemberDrill, RecoverySet, SetDrill};
use jiff::Timestamp;

use super::drill::{HeldDrill, PROGRAM, remember};
use super::start::Daemon;
use super::work::{Task, Work};

impl Work {
    /// Takes a set. A member that fails is told, and leaves the set incomplete: the run fails; those
    /// after it are taken all the same, on their own.
    pub(super) async fn backup_group(
        &self,
        task: &Task<'_>,
        group: &GroupSettings,
        report: &mut Report,
    ) -> Result<Verdict> {
        let id = backup_repository::set_id()?;
        let mut place = Some(SetPlace::first(id, group.name.clone(), group.sources.clone()));
        let (mut failed, mut verdict) = (None, Verdict::Good);
        let mut good = Vec::new();
        let mut numbers: BTreeMap<String, u64> = BTreeMap::new();
        for name in &group.sources {
            let settings = task.loaded.settings.source(name.as_str())?;
            let key = JobKey::of(JobKind::Backup, name);
            report.snapshot = None;
            let taken = self.take(task, settings, &key, place.clone(), report).await;
            for (what, number) in std::mem::take(&mut report.numbers) {
                *numbers.entry(what).or_default() += number;
            }
            match taken {
                Ok(found) => {
                    match found {
                        Verdict::Good => good.push(name.clone()),
                        _ => verdict = found,
                    }
                    place = place.zip(report.snapshot).and_then(|(place, id)| place.next(id));
                }
                Err(error) => {
                    if matches!(error.kind(), ErrorKind::Interrupted | ErrorKind::Terminated) {
                        return Err(error);
                    }
                    self.voice.failed(&key, &error, self.clock.now()).await;
                    place = None;
                    failed.get_or_insert_with(|| error.with("source", name));
                }
            }
        }
        let taken: BTreeMap<SourceName, bool> =
            group.sources.iter().map(|name| (name.clone(), good.contains(name))).collect();
        for name in &good {
            let settings = task.loaded.settings.source(name.as_str())?;
            self.let_go(task, settings, &taken, report).await;
            for (what, number) in std::mem::take(&mut report.numbers) {
                *numbers.entry(what).or_default() += number;
            }
        }
        report.numbers = numbers;
        if let Some(error) = failed {
            return Err(error.with("incomplete set", id.short()));
        }
        self.voice.solved(&task.order.key, self.clock.now()).await;
        Ok(verdict)
    }

    /// Drills the newest complete set of a group. Receipts are stored whatever they say; a set that
    /// did not pass is the error.
    pub(super) async fn drill_group(
        &self,
        task: &Task<'_>,
        group: &GroupSettings,
        report: &mut Report,
    ) -> Result<Verdict> {
        let set = task.guard.asked.unless(self.newest_set(group)).await?;
        let set = set.ok_or_else(|| {
            Error::new(ErrorKind::NotFound, "find recovery set")
                .with("group", &group.name)
                .because("there is no complete one")
                .hint(format!("Run `backupctl backup {}`.", group.name))
        })?;
        report.snapshot = set.records().last().map(|record| record.snapshot.id);
        let composer = &task.loaded.composer;
        let member = |name: &SourceName| -> Result<MemberDrill> {
            let settings = task.loaded.settings.source(name.as_str())?;
            let record = set.records().find(|record| record.snapshot.source == *name);
            let files = record.is_some_and(|record| record.snapshot.kind == SnapshotKind::Files);
            // A server of databases takes no files: those go where they do without one.
            let to = composer.drill_url(&settings.drill)?;
            let to = to.filter(|to| !files || crate::provider::directory(to.expose()).is_some());
            let target = match &to {
                Some(to) if to.expose() == crate::DRILL_AT_PROVIDER => {
                    composer.copy_drill(Some(settings))?
                }
                _ => composer.drill_target(to.as_ref(), &settings.restore)?,
            };
            let jobs = settings.restore.jobs.unwrap_or_else(crate::machine::default_jobs);
            let request = crate::drill_request(&settings.drill, jobs, PROGRAM);
            Ok(MemberDrill { target, request })
        };
        let keys = crate::keys_asked(group);
        let how = SetDrill { member: &member, keys, holdings: crate::holdings };
        let (how, whole) = (&how, &set);
        let drilled = task
            .guard
            .watch(|interrupt| async move {
                let (clock, observer) = (&self.clock, &task.observer);
                group::drill_set(&self.repository, whole, how, clock, observer, &interrupt).await
            })
            .await?;
        let receipt = drilled.receipt;
        report.numbers.extend(super::drill::numbers(&receipt));
        let run = Some(task.order.run);
        for receipt in drilled.members {
            let Ok(name) = receipt.source.parse::<SourceName>() else { continue };
            let found = receipt.findings.iter().map(|finding| finding.message.as_str());
            self.voice.left_behind(&name, found, self.clock.now()).await;
            remember(self.catalog.as_ref(), &name, &HeldDrill { run, receipt }).await;
        }
        let held = HeldDrill { run, receipt };
        remember(self.catalog.as_ref(), &group.name, &held).await;
        drill::demand(&held.receipt)?;
        self.voice.solved(&task.order.key, self.clock.now()).await;
        Ok(Verdict::Good)
    }

    /// Whether somebody has served this job of a group since it was due.
    pub(super) async fn group_done_elsewhere(
        &self,
        order: &Order,
        group: &GroupSettings,
    ) -> Result<bool> {
        let Some(due) = order.due else { return Ok(false) };
        if !self.repository.can_read() {
            return Ok(false);
        }
        let Some(set) = self.newest_set(group).await? else { return Ok(false) };
        match order.key.kind {
            JobKind::Backup => Ok(set.begun_at() >= due && self.is_proved(&set)?),
            _ => self.set_drilled(&set, due).await,
        }
    }

    async fn set_drilled(&self, set: &RecoverySet, since: Timestamp) -> Result<bool> {
        let id = set.id.to_string();
        let receipts = self.repository.drills(|receipt: &DrillReceipt| receipt.at >= since).await?;
        let such = |receipt: &DrillReceipt| {
            receipt.at >= since && receipt.snapshot == id && receipt.verdict != "inconclusive"
        };
        Ok(receipts.iter().any(such))
    }

    /// Whether each member is proved as far as its owner asked, and a backup proves: a set that was
    /// committed and, the daemon being stopped, never proved is not done.
    fn is_proved(&self, set: &RecoverySet) -> Result<bool> {
        let loaded = self.loaded();
        for record in set.records() {
            let settings = loaded.settings.source(record.snapshot.source.as_str())?;
            if record.verified.level < settings.protection.level.min(VerifyLevel::Read) {
                return Ok(false);
            }
        }
        Ok(true)
    }

    async fn newest_set(&self, group: &GroupSettings) -> Result<Option<RecoverySet>> {
        let records = self.repository.scan_heads().await?.records;
        let all = group::sets(&records);
        Ok(group::newest_alike(&all, &group.name, &group.sources).cloned())
    }
}

impl Daemon {
    /// Has the newest complete set drilled of each group whose owner wants every one drilled.
    pub(super) async fn follow_sets(&self, groups: &[GroupStatus]) {
        let loaded = self.inner.work.loaded();
        for status in groups.iter().filter(|status| status.newest_passed.is_none()) {
            let settings = crate::group(&loaded.settings, &status.group);
            let each =
                settings.is_some_and(|group| group.drill.every == Some(DrillEvery::Snapshot));
            let Some(set) = status.newest.as_ref().filter(|_| each) else { continue };
            let key = JobKey::of(JobKind::Drill, &status.group);
            // It is stopping; the next start looks again.
            if self.inner.handle.want(key, set.id.to_string()).await.is_err() {
                return;
            }
        }
    }
}
