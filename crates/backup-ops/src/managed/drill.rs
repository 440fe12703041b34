//! Drills on a copy at the vendor's.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use backup_core::port::{
    Ability, CopyFrom, DataPlane, DrillOptions, DrillTarget, Endpoint, IndexCheck, Intent,
    PartSource, RestoreReport, Restored, Scratch,
};
use backup_core::{ErrorStatus, Finding, FindingKind, Purpose, Result, RunId, Secret, Snapshot};

use super::Conductor;
use super::lease::Lease;
use super::leftovers::LEFTOVER_AGE;

/// How long a copy may live if nobody drops it.
const COPY_LIFE: Duration = Duration::from_secs(24 * 3600);
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

    async fn open_on(
        &self,
        lease: &Lease,
        snapshot: &Snapshot,
        options: &DrillOptions,
    ) -> Result<(Endpoint, Box<dyn Scratch>)> {
        let endpoint = self.conductor.platform.copy_endpoint(lease.id()).await?;
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

    async fn sweep(&self) -> Result<Vec<String>> {
        let mut findings = self.conductor.resume().await?;
        findings.extend(self.conductor.sweep(LEFTOVER_AGE).await?);
        let dropped = |finding: &Finding| finding.kind == FindingKind::Note;
        Ok(findings.into_iter().filter(dropped).map(|finding| finding.message).collect())
    }

    async fn open(&self, snapshot: &Snapshot, options: &DrillOptions) -> Result<Box<dyn Scratch>> {
        let platform = &self.conductor.platform;
        if !platform.can(Ability::CopyNow) {
            return Err(platform.unsupported("make throw-away copy"));
        }
        let name = self.conductor.name(Purpose::Drill, self.run).to_string();
        let expires_at = self.conductor.clock.now().checked_add(COPY_LIFE).ok();
        let intent = Intent::Copy { name, from: CopyFrom::Now, expires_at };
        let lease = self.conductor.lease(intent).await?;
        match self.open_on(&lease, snapshot, options).await {
            Ok((endpoint, scratch)) => Ok(Box::new(CopyScratch {
                conductor: self.conductor.clone(),
                scratch,
                endpoint,
                lease,
            })),
            Err(error) => {
                // The error that matters is the first; what stays is in the book.
                if let Err(stays) = lease.end().await {
                    tracing::warn!(error = %stays, "a copy at the provider could not be dropped");
                }
                Err(error)
            }
        }
    }
}

/// A throw-away database on a throw-away copy.
struct CopyScratch {
    conductor: Conductor,
    scratch: Box<dyn Scratch>,
    endpoint: Endpoint,
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

    async fn remove(self: Box<Self>) -> Result<()> {
        let Self { conductor, scratch, endpoint, lease } = *self;
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
