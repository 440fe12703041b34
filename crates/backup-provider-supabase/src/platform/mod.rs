//! The control plane of one project.

mod direct;
mod facts;
mod restore;
mod server;

use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use backup_core::port::{
    Ability, Clock, Endpoint, EndpointKind, Handle, Intent, NativeSnapshot, NativeState, Platform,
    PlatformFacts, Progress, RateFacts, Window,
};
use backup_core::{Error, ErrorKind, Result, Secret};

pub use direct::SupabaseDirect;
pub use server::{Restarts, ServerClock};

use crate::address::{Address, Way};
use crate::client::{Backup, Backups, Client};

/// A Supabase project: its own backups looked at, and put back to a moment in its place.
///
/// Supabase's API takes no snapshot on demand, deletes none, and makes no copy to restore into:
/// what it does not offer is not declared.
#[derive(Clone, Debug)]
pub struct SupabasePlatform {
    client: Client,
    address: Address,
    server: Arc<dyn Restarts>,
    /// Whether a project that is being restored has been seen at it, by this process.
    seen: Arc<Mutex<bool>>,
}

impl SupabasePlatform {
    /// Prepares calls about the project that `address` leads to, or that is named; connects to
    /// nothing. `ConfigInvalid` where neither names one.
    pub fn new(
        base: &str,
        token: Secret,
        project: Option<&str>,
        address: Address,
        clock: Arc<dyn Clock>,
    ) -> Result<Self> {
        let Some(project) = project.or(address.project.as_deref()) else {
            return Err(Error::new(ErrorKind::ConfigInvalid, "prepare provider's API")
                .with("provider", "supabase")
                .because("the database URL does not tell the project")
                .hint("Set supabase.project_ref, or SUPABASE_PROJECT_REF."));
        };
        let client = Client::new(base, token, project, clock)?;
        let server = Arc::new(ServerClock::new(address.connect.clone()));
        Ok(Self { client, address, server, seen: Arc::default() })
    }

    /// Asks that instead of the project's own server when it was started.
    #[must_use]
    pub fn with_server(mut self, server: Arc<dyn Restarts>) -> Self {
        self.server = server;
        self
    }

    fn saw_restore(&self) -> bool {
        *self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn set_saw_restore(&self, seen: bool) {
        *self.seen.lock().unwrap_or_else(PoisonError::into_inner) = seen;
    }
}

#[async_trait]
impl Platform for SupabasePlatform {
    fn name(&self) -> &'static str {
        "supabase"
    }

    fn capabilities(&self) -> &'static [Ability] {
        &[Ability::ListSnapshots, Ability::RestoreAt]
    }

    async fn facts(&self) -> Result<PlatformFacts> {
        facts::read(&self.client, &self.address).await
    }

    async fn endpoint(&self) -> Result<Endpoint> {
        Ok(endpoint(&self.address))
    }

    async fn snapshots(&self) -> Result<Vec<NativeSnapshot>> {
        let found = self.client.backups().await?;
        let mut snapshots: Vec<NativeSnapshot> =
            found.backups.iter().map(native).collect::<Result<_>>()?;
        snapshots.sort_by_key(|one| std::cmp::Reverse(one.created_at));
        Ok(snapshots)
    }

    async fn window(&self) -> Result<Option<Window>> {
        Ok(window(&self.client.backups().await?))
    }

    async fn begin(&self, intent: &Intent) -> Result<Handle> {
        match intent {
            Intent::RestoreInPlace { from, .. } => self.begin_restore(intent, from).await,
            _ => Err(self.unsupported(intent.verb())),
        }
    }

    async fn poll(&self, handle: &Handle) -> Result<Progress> {
        match &handle.intent {
            Intent::RestoreInPlace { .. } => self.poll_restore(handle).await,
            other => Err(self.unsupported(other.verb())),
        }
    }

    fn rate(&self) -> Option<RateFacts> {
        Some(self.client.rate())
    }
}

fn endpoint(address: &Address) -> Endpoint {
    Endpoint {
        url: address.url.clone(),
        kind: match address.way {
            Way::SessionPooler => EndpointKind::SessionPooler,
            Way::Direct | Way::Other => EndpointKind::Direct,
        },
        credential: None,
        expires_at: None,
        findings: address.findings.clone(),
    }
}

fn window(found: &Backups) -> Option<Window> {
    let physical = found.physical_backup_data;
    let earliest = physical.earliest().filter(|_| found.pitr_enabled)?;
    Some(Window { earliest, latest: physical.latest() })
}

fn native(backup: &Backup) -> Result<NativeSnapshot> {
    let created_at = backup.inserted_at.parse().map_err(|error| {
        Error::new(ErrorKind::Failed, "read list of backups")
            .with("provider", "supabase")
            .with("inserted_at", &backup.inserted_at)
            .because(format!("{error}"))
    })?;
    let kind = if backup.is_physical_backup { "physical" } else { "logical" };
    Ok(NativeSnapshot {
        id: backup.id.to_string(),
        name: format!("daily {kind} backup"),
        created_at,
        expires_at: None,
        state: match backup.status.as_str() {
            "COMPLETED" => NativeState::Ready,
            "PENDING" => NativeState::Running,
            "FAILED" | "CANCELLED" => NativeState::Failed,
            other => NativeState::Other(other.to_ascii_lowercase()),
        },
        bytes: None,
        protected: false,
        automatic: true,
    })
}
