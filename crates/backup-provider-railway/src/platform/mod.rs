//! The control plane of one service.

mod copies;
mod facts;
mod place;
mod restore;
mod snapshots;
mod staged;
mod wait;

use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use backup_core::Result;
use backup_core::port::{
    Ability, Clock, CopyFrom, Endpoint, EndpointKind, Handle, Intent, NativeSchedule,
    NativeSnapshot, Platform, PlatformFacts, Progress, RateFacts, TemporaryCopy,
};
use tokio::sync::OnceCell;

pub use staged::StagedChanges;

use self::place::Found;
use crate::address::Address;
use crate::archive::ArchiveFiles;
use crate::client::{Client, Schedule, Token};
use crate::config::RailwayPlace;

/// A Railway service with PostgreSQL: backups of its volume, point-in-time forks, restore in
/// place.
#[derive(Clone, Debug)]
pub struct RailwayPlatform {
    client: Client,
    place: RailwayPlace,
    by_project_token: bool,
    address: Option<Address>,
    archive: Option<Arc<dyn ArchiveFiles>>,
    found: Arc<OnceCell<Found>>,
    /// What was staged for a restore when somebody was last told.
    told: Arc<Mutex<Option<StagedChanges>>>,
}

impl RailwayPlatform {
    /// Prepares calls about a service; connects to nothing. `address` is the database's URL where
    /// one is configured; else the service's variables tell it.
    pub fn new(
        base: &str,
        token: Token,
        place: RailwayPlace,
        address: Option<Address>,
        clock: Arc<dyn Clock>,
    ) -> Result<Self> {
        let by_project_token = matches!(token, Token::Project(_));
        let client = Client::new(base, token, clock)?;
        Ok(Self {
            client,
            place,
            by_project_token,
            address,
            archive: None,
            found: Arc::default(),
            told: Arc::default(),
        })
    }

    /// Looks also at the WAL archive that the service's image writes there.
    #[must_use]
    pub fn with_archive(mut self, archive: Arc<dyn ArchiveFiles>) -> Self {
        self.archive = Some(archive);
        self
    }

    /// Sets how often Railway takes backups by itself: any of `DAILY`, `WEEKLY`, `MONTHLY`; none
    /// ends it. Replaces what was set.
    pub async fn set_schedule(&self, kinds: &[&str]) -> Result<()> {
        let found = self.find().await?;
        self.client.set_schedule(found.volume()?, kinds).await
    }

    /// Returns what is staged in the environment and waits to be applied: what a commit would
    /// apply all of.
    pub async fn staged_changes(&self) -> Result<StagedChanges> {
        let found = self.find().await?;
        Ok(StagedChanges::of(&self.client.staged(&found.environment).await?.patch))
    }
}

#[async_trait]
impl Platform for RailwayPlatform {
    fn name(&self) -> &'static str {
        "railway"
    }

    fn capabilities(&self) -> &'static [Ability] {
        &[
            Ability::ListSnapshots,
            Ability::CreateSnapshot,
            Ability::DeleteSnapshot,
            Ability::LockSnapshot,
            Ability::CopyAt,
            Ability::DropCopy,
            Ability::RestoreSnapshot,
            Ability::Schedule,
        ]
    }

    async fn facts(&self) -> Result<PlatformFacts> {
        self.look().await
    }

    async fn endpoint(&self) -> Result<Endpoint> {
        let address = match &self.address {
            Some(address) => address.clone(),
            None => {
                let found = self.find().await?;
                self.address_of(&found.service.service_id).await?
            }
        };
        Ok(as_endpoint(address))
    }

    async fn copy_endpoint(&self, copy: &str) -> Result<Endpoint> {
        Ok(as_endpoint(self.address_of(copy).await?))
    }

    async fn snapshots(&self) -> Result<Vec<NativeSnapshot>> {
        self.list_snapshots().await
    }

    async fn schedules(&self) -> Result<Vec<NativeSchedule>> {
        let found = self.find().await?;
        let schedules = self.client.schedules(found.volume()?).await?;
        let told = |one: Schedule| NativeSchedule {
            often: one.kind.to_ascii_lowercase(),
            kept_seconds: one.retention_seconds,
        };
        Ok(schedules.into_iter().map(told).collect())
    }

    async fn copies(&self, prefix: &str) -> Result<Vec<TemporaryCopy>> {
        self.list_copies(prefix).await
    }

    async fn begin(&self, intent: &Intent) -> Result<Handle> {
        let handle = Handle::intended(self.name(), intent.clone(), self.client.clock().now());
        match intent {
            Intent::CreateSnapshot { name, .. } => self.begin_snapshot(handle, name).await,
            Intent::DeleteSnapshot { id } => self.begin_deletion(handle, id).await,
            Intent::ProtectSnapshot { id, protected: true } => self.lock(handle, id).await,
            Intent::Copy { name, from: CopyFrom::At(at), .. } => {
                self.begin_copy(handle, name, *at).await
            }
            Intent::DropCopy { id } => self.begin_drop(handle, id).await,
            Intent::RestoreInPlace { from: CopyFrom::Snapshot(id), .. } => {
                self.begin_restore(handle, id).await
            }
            other => Err(self.unsupported(other.verb())),
        }
    }

    async fn preview(&self, intent: &Intent) -> Result<Vec<String>> {
        match intent {
            Intent::RestoreInPlace { from: CopyFrom::Snapshot(id), .. } => {
                self.preview_restore(id).await
            }
            _ => Ok(Vec::new()),
        }
    }

    async fn poll(&self, handle: &Handle) -> Result<Progress> {
        match &handle.intent {
            Intent::CreateSnapshot { name, .. } => self.poll_snapshot(handle, name).await,
            Intent::DeleteSnapshot { id } => self.poll_deletion(handle, id).await,
            Intent::Copy { name, .. } => self.poll_copy(handle, name).await,
            Intent::RestoreInPlace { .. } => self.poll_restore(handle).await,
            Intent::DropCopy { id } => self.poll_drop(handle, id).await,
            Intent::ProtectSnapshot { .. } => Ok(Progress::Done(<_>::default())),
        }
    }

    fn rate(&self) -> Option<RateFacts> {
        Some(self.client.rate())
    }
}

fn as_endpoint(address: Address) -> Endpoint {
    Endpoint {
        url: address.url,
        kind: EndpointKind::Direct,
        credential: None,
        expires_at: None,
        findings: address.findings,
    }
}
