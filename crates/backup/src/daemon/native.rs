//! Provider snapshots by the clock: taken once for each due time, whatever ends this program meanwhile,
//! and kept by their policy.

use std::sync::Arc;

use backup_config::SourceSettings;
use backup_core::port::{Ability, RunFilter};
use backup_core::{Error, ErrorKind, Event, Result, RunState, SourceName, Trigger};
use backup_ops::daemon::{Order, Report, Verdict};
use backup_ops::managed::{self, Conductor};
use jiff::Timestamp;

use super::work::{Task, Work};

/// Attempts of one run that are looked back at.
const LOOKED_AT: u32 = 20;

impl Work {
    /// Ends what earlier runs left at the provider, takes a snapshot there, or goes on with the one
    /// that an earlier attempt began, and applies the policy to those that we took.
    pub(super) async fn native(
        &self,
        task: &Task<'_>,
        source: &SourceName,
        report: &mut Report,
    ) -> Result<Verdict> {
        let settings = task.loaded.settings.source(source.as_str())?;
        let conductor = self.at_provider(task, settings)?;
        let since = self.since(task.order).await?;
        let keep_for = Some(settings.native.keep_for.as_duration());
        let (conductor, run) = (&conductor, task.order.run);
        let taking = task.guard.watch(|interrupt| async move {
            let taking = async {
                let found = conductor.settle().await;
                for finding in &found {
                    task.observer.on_event(&Event::Found(finding.clone()));
                }
                let told = found.iter().map(|finding| finding.message.as_str());
                self.voice.left_behind(source, told, self.clock.now()).await;
                match since {
                    Some(since) => managed::take_or_adopt(conductor, run, keep_for, since).await,
                    None => managed::take_snapshot(conductor, run, keep_for).await,
                }
            };
            interrupt.unless(taking).await
        });
        let receipt = taking.await?;
        // What it said before is not the newest any more.
        self.natives.ask_anew(source);
        let snapshot = &receipt.snapshot;
        tracing::info!(%source, id = snapshot.id, name = snapshot.name, "provider snapshot");
        report.numbers.extend(snapshot.bytes.map(|bytes| ("provider_bytes".to_owned(), bytes)));
        // The snapshot is good whatever becomes of this; it is said and tried after the next.
        let failed = match self.retain(task, settings, conductor, report).await {
            Err(error)
                if matches!(error.kind(), ErrorKind::Interrupted | ErrorKind::Terminated) =>
            {
                return Err(error);
            }
            retained => retained.err(),
        };
        if let Some(error) = &failed {
            tracing::error!(%source, %error, "provider snapshots could not be deleted");
        }
        self.voice.native_retention(source, failed.as_ref(), self.clock.now()).await;
        self.voice.solved(&task.order.key, self.clock.now()).await;
        Ok(Verdict::Good)
    }

    fn at_provider(&self, task: &Task<'_>, settings: &SourceSettings) -> Result<Conductor> {
        let found = task.loaded.composer.conductor(settings, Arc::clone(&task.observer))?;
        found.filter(|conductor| conductor.platform.can(Ability::CreateSnapshot)).ok_or_else(|| {
            Error::new(ErrorKind::Unsupported, "create provider snapshot")
                .with("source", &settings.name)
                .with("provider", settings.provider)
                .because("its API is not configured here, or takes none")
                .hint("Set the provider's token for backupd; docs/providers says which.")
        })
    }

    /// Applies the policy as far as it can be; returns what stands in its way.
    async fn retain(
        &self,
        task: &Task<'_>,
        settings: &SourceSettings,
        conductor: &Conductor,
        report: &mut Report,
    ) -> Result<()> {
        let Some(policy) = settings.native.retention else { return Ok(()) };
        let zone = &task.loaded.settings.zone;
        let planned = task.guard.watch(|interrupt| async move {
            let retaining = managed::retain_snapshots(conductor, &policy, zone, false);
            interrupt.unless(retaining).await
        });
        let plan = planned.await?;
        if let Some(refusal) = &plan.refused {
            tracing::warn!(source = %settings.name, %refusal, "no provider snapshot is deleted");
        }
        report.numbers.insert("forgotten".into(), plan.forget.len() as u64);
        plan.failure().map_or(Ok(()), Err)
    }

    /// From when on a snapshot of ours is what this run is about: its due time, or when the first of
    /// its attempts began. Whoever asks for one wants another one.
    async fn since(&self, order: &Order) -> Result<Option<Timestamp>> {
        if order.due.is_some() || order.trigger != Trigger::Retry {
            return Ok(order.due);
        }
        let mut since = None;
        let filter = RunFilter {
            source: order.key.source.clone(),
            kind: Some(order.key.kind),
            limit: Some(LOOKED_AT),
            ..RunFilter::default()
        };
        let earlier = self.catalog.runs(&filter).await?;
        for run in earlier.iter().filter(|run| run.id != order.run) {
            if !matches!(run.state, RunState::Failed | RunState::Interrupted) {
                break;
            }
            since = Some(run.started_at);
            if run.trigger != Trigger::Retry {
                break;
            }
        }
        Ok(since)
    }
}
