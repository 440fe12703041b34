//! Drills on a copy at the vendor's.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use backup_core::port::{
    Ability, ColumnSink, CopyFrom, DataPlane, DrillOptions, DrillTarget, Endpoint, IndexCheck,
    Intent, PartSource, RestoreReport, Restored, Scratch,
};
use backup_core::{
    Error, ErrorKind, ErrorStatus, Event, Finding, Purpose, Result, RunId, Secret, Snapshot,
};
use jiff::SignedDuration;

use super::Conductor;
use super::lease::Lease;
use super::leftovers::LEFT_BEHIND;
use super::renewal::Renewal;
use super::snapshots::newest_native;

/// How long a copy may live if nobody drops it.
const COPY_LIFE: Duration = Duration::from_secs(24 * 3600);
/// How far the newest moment that a vendor can restore lies behind now, where it does not say so.
const HISTORY_LAG: SignedDuration = SignedDuration::from_mins(5);
/// How often a server that sleeps is knocked at.
const KNOCKS: u32 = 6;

/// Restores into a throw-away database on a throw-away copy at the vendor's: the same platform,
/// extensions and version as the source, and no other database within reach.
#[derive(Clone, Debug)]
pub struct CopyDrill {
    conductor: Conductor,
    plane: Arc<dyn DataPlane>,
    run: RunId,
}

impl CopyDrill {
    /// Takes the vendor, what speaks to its databases, and the id of this run.
    #[must_use]
    pub fn new(conductor: Conductor, plane: Arc<dyn DataPlane>, run: RunId) -> Self {
        Self { conductor, plane, run }
    }

    /// Returns what the copy is made from: the database as it is now; where the vendor cannot do
    /// that, its newest snapshot, or else the latest moment of its history. A drill fills a database of
    /// its own on it, so that the age of what else is there does not matter.
    async fn from(&self) -> Result<CopyFrom> {
        let platform = &self.conductor.platform;
        if !platform.can(Ability::DropCopy) {
            return Err(platform.unsupported("make throw-away copy"));
        }
        if platform.can(Ability::CopyNow) {
            return Ok(CopyFrom::Now);
        }
        if platform.can(Ability::CopySnapshot)
            && let Some(newest) = newest_native(&platform.snapshots().await?)
        {
            return Ok(CopyFrom::Snapshot(newest.id.clone()));
        }
        if platform.can(Ability::CopyAt) {
            let window = platform.window().await?;
            let latest = window.and_then(|window| window.latest);
            let usual = self.conductor.clock.now().checked_sub(HISTORY_LAG).ok();
            if let Some(at) = latest.or(usual) {
                return Ok(CopyFrom::At(at));
            }
        }
        Err(Error::new(ErrorKind::NotFound, "make throw-away copy")
            .with("provider", platform.name())
            .because("there is no snapshot at the provider that it could be made from")
            .hint("Take one first, `backupctl backup --native`, or drill on this machine."))
    }

    async fn open_on(
        &self,
        lease: &Lease,
        snapshot: &Snapshot,
        options: &DrillOptions,
    ) -> Result<(Endpoint, Box<dyn Scratch>)> {
        let endpoint = self.conductor.platform.drill_endpoint(lease.id()).await?;
        let server = self.plane.drills(&endpoint)?;
        let mut pause = Duration::from_secs(1);
        let mut attempt = 1;
        loop {
            match server.open(snapshot, options).await {
                Ok(scratch) => return Ok((endpoint, scratch)),
                Err(error) if attempt >= KNOCKS || error.status() == ErrorStatus::Permanent => {
                    return Err(error);
                }
                Err(_) => {
                    self.conductor.clock.sleep(pause).await;
                    (attempt, pause) = (attempt + 1, pause * 2);
                }
            }
        }
    }
}

#[async_trait]
impl DrillTarget for CopyDrill {
    fn describe(&self) -> String {
        format!("a throw-away copy at {}", self.conductor.platform.name())
    }

    async fn sweep(&self) -> Result<Vec<Finding>> {
        Ok(self.conductor.tidy().await)
    }

    async fn open(&self, snapshot: &Snapshot, options: &DrillOptions) -> Result<Box<dyn Scratch>> {
        let from = self.from().await?;
        // It may take hours, and says that it goes on.
        let conductor =
            Conductor { observer: Arc::clone(&options.observer), ..self.conductor.clone() };
        let name = conductor.name(Purpose::Drill, self.run).to_string();
        let expires_at = conductor.clock.now().checked_add(COPY_LIFE).ok();
        let intent = Intent::Copy { name: name.clone(), from, expires_at };
        let lease = conductor.lease(intent).await?;
        match self.open_on(&lease, snapshot, options).await {
            Ok((endpoint, scratch)) => Ok(Box::new(CopyScratch {
                conductor: self.conductor.clone(),
                _renewal: Renewal::of(&self.conductor, &endpoint),
                scratch,
                endpoint,
                lease,
            })),
            Err(error) => {
                // The error that matters is the first; what stays is in the book, and costs money.
                match lease.end().await {
                    Ok(()) => Err(error),
                    Err(stays) => {
                        let text = format!(
                            "{LEFT_BEHIND}{name}, which costs money; it is not known to be dropped: {stays}"
                        );
                        options.observer.on_event(&Event::Found(Finding::warning(text)));
                        Err(error.with("left behind", name))
                    }
                }
            }
        }
    }
}

/// A throw-away database on a throw-away copy.
struct CopyScratch {
    conductor: Conductor,
    scratch: Box<dyn Scratch>,
    endpoint: Endpoint,
    _renewal: Renewal,
    lease: Lease,
}

#[async_trait]
impl Scratch for CopyScratch {
    fn location(&self) -> String {
        format!("{} on the copy {}", self.scratch.location(), self.lease.name())
    }

    fn server_version(&self) -> String {
        self.scratch.server_version()
    }

    fn url(&self) -> Secret {
        self.scratch.url()
    }

    async fn restore(
        &mut self,
        snapshot: &Snapshot,
        parts: Arc<dyn PartSource>,
    ) -> Result<RestoreReport> {
        self.scratch.restore(snapshot, parts).await
    }

    async fn examine(
        &mut self,
        snapshot: &Snapshot,
        parts: &Arc<dyn PartSource>,
    ) -> Result<Restored> {
        self.scratch.examine(snapshot, parts).await
    }

    async fn check_indexes(&mut self) -> Result<IndexCheck> {
        self.scratch.check_indexes().await
    }

    async fn ask(&mut self, sql: &str, limit: Duration) -> Result<Option<String>> {
        self.scratch.ask(sql, limit).await
    }

    async fn ask_column(
        &mut self,
        sql: &str,
        limit: Duration,
        values: &mut dyn ColumnSink,
    ) -> Result<()> {
        self.scratch.ask_column(sql, limit, values).await
    }

    fn is_billed(&self) -> bool {
        true
    }

    async fn remove(self: Box<Self>) -> Result<()> {
        let Self { conductor, scratch, endpoint, lease, .. } = *self;
        let removed = scratch.remove().await;
        if let Err(error) = conductor.platform.release(&endpoint).await {
            tracing::warn!(%error, "a credential for this run could not be revoked; it ends by itself");
        }
        // With the copy goes everything that was on it.
        lease.end().await?;
        if let Err(error) = removed {
            tracing::debug!(%error, "the database went with its copy");
        }
        Ok(())
    }
}
