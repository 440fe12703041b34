//! The control plane behind the port.

use std::sync::Arc;

use async_trait::async_trait;
use backup_core::port::{
    Ability, Clock, Endpoint, EndpointKind, Handle, Intent, NativeSchedule, NativeSnapshot,
    NativeState, Platform, PlatformFacts, Progress, RateFacts, TemporaryCopy, Window,
};
use backup_core::{Error, ErrorKind, Finding, OwnedName, Purpose, Result, Secret};
use backup_http::ApiError;
use jiff::SignedDuration;
use tokio::sync::OnceCell;

use crate::answers::{Branch, Project, ScheduleItem, Snapshot};
use crate::client::Client;
use crate::config::{
    Address, NeonConfig, at_host, direct_url, pooled_finding, with_credentials_of,
};

const ABILITIES: &[Ability] = &[
    Ability::ListSnapshots,
    Ability::CreateSnapshot,
    Ability::ExpireSnapshot,
    Ability::DeleteSnapshot,
    Ability::CopyNow,
    Ability::CopyAt,
    Ability::CopySnapshot,
    Ability::DropCopy,
    Ability::RestoreAt,
    Ability::RestoreSnapshot,
    Ability::KeepBefore,
    Ability::Schedule,
];
/// How many projects are searched for an endpoint, where none is named.
const SEARCHED: usize = 50;

/// One source at Neon.
#[derive(Clone, Debug)]
pub struct NeonPlatform {
    pub(crate) client: Client,
    pub(crate) clock: Arc<dyn Clock>,
    address: Address,
    url: Secret,
    project: Arc<OnceCell<String>>,
}

impl NeonPlatform {
    /// Takes a configuration; connects to nothing. `ConfigInvalid` where the URL or the key cannot
    /// be used.
    pub fn new(config: NeonConfig, clock: Arc<dyn Clock>) -> Result<Self> {
        let client = Client::new(&config.api_key, config.api_url.as_deref(), Arc::clone(&clock))?;
        let address = Address::of(&config.url).ok_or_else(|| {
            Error::new(ErrorKind::ConfigInvalid, "read the source's URL")
                .with("provider", "neon")
                .hint("Copy the connection string from Neon's console, with role and database.")
        })?;
        let project = Arc::new(OnceCell::new_with(config.project_id));
        Ok(Self { client, clock, address, url: config.url, project })
    }

    /// Returns when Neon takes snapshots by itself.
    pub async fn schedule(&self) -> Result<Vec<ScheduleItem>> {
        let (project, branch) = self.place().await?;
        Ok(self.client.schedule(&project, &branch.id).await?)
    }

    /// Replaces when Neon takes snapshots by itself; an empty list ends that.
    pub async fn set_schedule(&self, items: &[ScheduleItem]) -> Result<()> {
        let (project, branch) = self.place().await?;
        Ok(self.client.set_schedule(&project, &branch.id, items).await?)
    }

    /// Returns the project: named, the only one, or the one that has the endpoint.
    pub(crate) async fn project(&self) -> Result<&str> {
        self.project.get_or_try_init(|| self.find_project()).await.map(String::as_str)
    }

    async fn find_project(&self) -> Result<String> {
        let projects = self.client.projects().await?;
        if let [only] = projects.as_slice() {
            return Ok(only.id.clone());
        }
        if let Some(endpoint) = &self.address.endpoint {
            for project in projects.iter().take(SEARCHED) {
                let endpoints = self.client.endpoints(&project.id).await?;
                if endpoints.iter().any(|known| known.id == *endpoint) {
                    return Ok(project.id.clone());
                }
            }
        }
        let names: Vec<String> = projects
            .iter()
            .take(10)
            .map(|project| format!("{} ({})", project.id, project.name))
            .collect();
        Err(Error::new(ErrorKind::ConfigInvalid, "find project")
            .with("provider", "neon")
            .with("projects", if names.is_empty() { "none".to_owned() } else { names.join(", ") })
            .hint(
                "Set NEON_PROJECT_ID to the source's project; the API key must be able to see it.",
            ))
    }

    /// Returns the project and the source's branch as it is now: a restore in place gives the
    /// same endpoint another branch.
    pub(crate) async fn place(&self) -> Result<(String, Branch)> {
        let project = self.project().await?.to_owned();
        let branch = match &self.address.endpoint {
            Some(endpoint) => {
                let endpoints = self.client.endpoints(&project).await?;
                let found = endpoints.into_iter().find(|known| known.id == *endpoint);
                let found = found.ok_or_else(|| {
                    Error::new(ErrorKind::NotFound, "find endpoint")
                        .with("provider", "neon")
                        .with("project", &project)
                        .with("endpoint", endpoint)
                        .hint("The source's URL names an endpoint that is not in this project.")
                })?;
                self.client.branch(&project, &found.branch_id).await?
            }
            None => {
                let branches = self.client.branches(&project, "").await?;
                branches.into_iter().find(|branch| branch.is_default).ok_or_else(|| {
                    Error::new(ErrorKind::NotFound, "find default branch").with("project", &project)
                })?
            }
        };
        Ok((project, branch))
    }

    fn window_of(&self, project: &Project, branch: &Branch) -> Window {
        let kept = SignedDuration::from_secs(project.history_retention_seconds);
        let earliest = self.clock.now().saturating_sub(kept).unwrap_or(branch.created_at);
        Window { earliest: earliest.max(branch.created_at), latest: None }
    }

    async fn findings(&self, project: &Project, branch: &Branch) -> Result<Vec<Finding>> {
        let plan = project.owner.as_ref().and_then(|owner| owner.subscription_type.as_deref());
        let hours = project.history_retention_seconds / 3600;
        let mut findings = vec![
            Finding::note(format!(
                "Neon project {} ({}), branch {}, plan {}; the API key may read it",
                project.name,
                project.id,
                branch.name,
                plan.unwrap_or("unknown")
            )),
            Finding::note(format!(
                "any moment of the last {hours} h can be restored to a new branch"
            )),
        ];
        if project.history_retention_seconds == 0 {
            findings.push(Finding::warning(
                "the project keeps no history: no point in time can be restored",
            ));
        }
        if branch.parent_id.is_some() {
            findings.push(Finding::warning(format!(
                "{} is not a root branch: Neon takes snapshots and restores in place for root branches only",
                branch.name
            )));
        }
        if branch.restore_status.as_deref() == Some("restored") {
            findings.push(Finding::warning(format!(
                "{} is a snapshot's restore that was not finalized: no point in time can be restored yet",
                branch.name
            )));
        }
        if !project.store_passwords {
            findings.push(Finding::note(
                "the project stores no passwords: the source's own URL is used for copies",
            ));
        }
        let manual = self.client.snapshots(&project.id).await?;
        let manual = manual.iter().filter(|snapshot| snapshot.manual != Some(false)).count();
        let most = if plan.is_some_and(|plan| plan.starts_with("free")) { 1 } else { 100 };
        let text =
            format!("{manual} manual snapshots, {most} are included in the plan by Neon's word");
        findings.push(if manual >= most { Finding::warning(text) } else { Finding::note(text) });
        if branch.parent_id.is_none() {
            findings.push(match self.client.schedule(&project.id, &branch.id).await {
                Ok(items) if items.is_empty() => {
                    Finding::note("Neon takes no snapshots by a schedule")
                }
                Ok(items) => {
                    let words: Vec<String> = items.iter().map(|item| item.told().often).collect();
                    Finding::note(format!("Neon takes snapshots by itself: {}", words.join(", ")))
                }
                Err(error) => Finding::note(format!(
                    "the snapshot schedule cannot be read: {}",
                    Error::from(error)
                )),
            });
        }
        findings.push(Finding::warning(
            "branches and snapshots at Neon die with the project; only snapshots in the repository do not",
        ));
        Ok(findings)
    }

    /// Returns the way to a branch, with a compute made for it where it has none.
    async fn way_to(&self, project: &str, branch: &str) -> Result<Secret> {
        let endpoints = self.client.endpoints(project).await?;
        let mut own = endpoints.iter().filter(|endpoint| endpoint.branch_id == branch);
        if !own.any(|endpoint| endpoint.kind == "read_write") {
            match self.client.create_endpoint(project, branch).await {
                Ok(()) => {}
                // There is one already: it was made before an answer was lost.
                Err(error) if error.status() == Some(409) => {}
                Err(error) => return Err(error.into()),
            }
        }
        let Address { role, database, .. } = &self.address;
        let url = match self.client.uri(project, branch, role, database).await {
            // A branch has the roles of its parent, with their passwords.
            Ok(url) => with_credentials_of(url.expose(), self.url.expose()),
            Err(error) if is_about_passwords(&error) => {
                let endpoints = self.client.endpoints(project).await?;
                let own = endpoints.iter().find(|endpoint| endpoint.branch_id == branch);
                let host = own.and_then(|own| own.host.as_deref()).ok_or(error)?;
                at_host(self.url.expose(), host)
            }
            Err(error) => return Err(error.into()),
        };
        Ok(Secret::new(verified(&direct_url(&url).0)))
    }
}

/// Whether Neon refuses a connection string because it keeps no passwords.
fn is_about_passwords(error: &ApiError) -> bool {
    error.status() == Some(412)
        || matches!(error.status(), Some(400 | 404 | 422))
            && error.message().is_some_and(|text| text.to_ascii_lowercase().contains("password"))
}

/// Neon hands out `sslmode=require`, which believes any certificate; its own are public ones.
fn verified(url: &str) -> String {
    let host = url.split_once("://").map_or(url, |(_, rest)| rest);
    let host = host.split(['/', '?']).next().unwrap_or_default();
    let host = host.rsplit('@').next().unwrap_or_default();
    let public = host.split(':').next().unwrap_or_default().ends_with(".neon.tech");
    if public && !url.contains("hostaddr=") {
        return url.replace("sslmode=require", "sslmode=verify-full");
    }
    url.to_owned()
}

/// Returns whether a snapshot is of what stood in the branch's place before: a restore in place gives
/// the branch another id. It is one of ours, and its branch is gone or was kept under a name that
/// says so; any other branch of the project is another database.
fn is_former(snapshot: &Snapshot, branch: &Branch, branches: &[Branch]) -> bool {
    let id = snapshot.source_branch_id.as_deref();
    let kept = branches.iter().find(|known| Some(known.id.as_str()) == id);
    let stood_here = |kept: &Branch| {
        kept.name == format!("{} (old)", branch.name)
            || OwnedName::parse(&kept.name).is_some_and(|name| name.purpose() == Purpose::Before)
    };
    OwnedName::parse(&snapshot.name).is_some() && kept.is_none_or(stood_here)
}

fn native(snapshot: Snapshot) -> NativeSnapshot {
    NativeSnapshot {
        id: snapshot.id,
        name: snapshot.name,
        created_at: snapshot.created_at,
        expires_at: snapshot.expires_at,
        // Neon lists no state: what is listed can be restored.
        state: NativeState::Ready,
        bytes: snapshot.full_size,
        protected: false,
        automatic: snapshot.manual == Some(false),
    }
}

#[async_trait]
impl Platform for NeonPlatform {
    fn name(&self) -> &'static str {
        "neon"
    }

    fn capabilities(&self) -> &'static [Ability] {
        ABILITIES
    }

    async fn facts(&self) -> Result<PlatformFacts> {
        let (id, branch) = self.place().await?;
        let project = self.client.project(&id).await?;
        let findings = self.findings(&project, &branch).await?;
        Ok(PlatformFacts {
            location: format!("neon {}/{}/{}", project.id, branch.name, self.address.database),
            // Not the branch's id: that changes when a snapshot is restored in place.
            system: format!("neon:{}/{}", project.id, branch.name),
            plan: project.owner.as_ref().and_then(|owner| owner.subscription_type.clone()),
            server_major: Some(project.pg_version),
            window: Some(self.window_of(&project, &branch)),
            findings,
        })
    }

    async fn endpoint(&self) -> Result<Endpoint> {
        let (url, rewritten) = direct_url(self.url.expose());
        let findings = rewritten.then(pooled_finding).into_iter().collect();
        let url = Secret::new(url);
        Ok(Endpoint {
            url,
            kind: EndpointKind::Direct,
            credential: None,
            expires_at: None,
            findings,
        })
    }

    async fn copy_endpoint(&self, copy: &str) -> Result<Endpoint> {
        let project = self.project().await?;
        let url = self.way_to(project, copy).await?;
        Ok(Endpoint {
            url,
            kind: EndpointKind::Direct,
            credential: None,
            expires_at: None,
            findings: Vec::new(),
        })
    }

    async fn snapshots(&self) -> Result<Vec<NativeSnapshot>> {
        let (project, branch) = self.place().await?;
        let all = self.client.snapshots(&project).await?;
        let others = |snapshot: &Snapshot| {
            snapshot.source_branch_id.as_ref().is_some_and(|id| *id != branch.id)
        };
        let branches = if all.iter().any(others) {
            self.client.branches(&project, "").await?
        } else {
            Vec::new()
        };
        let of_source =
            |snapshot: &Snapshot| !others(snapshot) || is_former(snapshot, &branch, &branches);
        let mut found: Vec<NativeSnapshot> =
            all.iter().filter(|snapshot| of_source(snapshot)).cloned().map(native).collect();
        found.sort_by_key(|snapshot| std::cmp::Reverse(snapshot.created_at));
        Ok(found)
    }

    async fn copies(&self, prefix: &str) -> Result<Vec<TemporaryCopy>> {
        let project = self.project().await?;
        let branches = self.client.branches(project, prefix).await?;
        let named = branches.into_iter().filter(|branch| branch.name.starts_with(prefix));
        let copies = named.map(|branch| TemporaryCopy {
            id: branch.id,
            name: branch.name,
            created_at: branch.created_at,
            expires_at: branch.expires_at,
            costs: true,
        });
        Ok(copies.collect())
    }

    async fn schedules(&self) -> Result<Vec<NativeSchedule>> {
        let (project, branch) = self.place().await?;
        // Of other branches Neon takes none.
        if branch.parent_id.is_some() {
            return Ok(Vec::new());
        }
        let items = self.client.schedule(&project, &branch.id).await?;
        Ok(items.iter().map(ScheduleItem::told).collect())
    }

    async fn window(&self) -> Result<Option<Window>> {
        let (id, branch) = self.place().await?;
        let project = self.client.project(&id).await?;
        Ok(Some(self.window_of(&project, &branch)))
    }

    async fn begin(&self, intent: &Intent) -> Result<Handle> {
        self.start(intent).await
    }

    async fn poll(&self, handle: &Handle) -> Result<Progress> {
        self.look(handle).await
    }

    fn rate(&self) -> Option<RateFacts> {
        Some(self.client.api.rate())
    }
}

#[cfg(test)]
mod tests {
    use super::verified;

    #[test]
    fn certificates_of_public_hosts_are_verified() {
        let url =
            "postgresql://a:b@ep-x.eu.aws.neon.tech/d?sslmode=require&channel_binding=require";
        assert!(verified(url).contains("sslmode=verify-full&channel_binding=require"));
        for same in [
            "postgresql://a:b@ep-x.eu.aws.neon.tech/d?sslmode=verify-full",
            "postgresql://a:b@proxy.internal/d?sslmode=require",
            "postgresql://a:b@proxy.internal/x.neon.tech?sslmode=require",
        ] {
            assert_eq!(verified(same), same);
        }
    }
}
