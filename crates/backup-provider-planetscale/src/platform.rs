//! The control plane behind the port.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use backup_core::port::{
    Ability, Clock, Endpoint, EndpointKind, Handle, Intent, NativeSchedule, NativeSnapshot,
    NativeState, Platform, PlatformFacts, Progress, RateFacts, TemporaryCopy, Window,
};
use backup_core::{Error, ErrorKind, Finding, OwnedName, Result, Secret};
use jiff::{SignedDuration, Timestamp};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::json;

use crate::answers::{Backup, Database, Policy, Role};
use crate::client::Client;
use crate::config::{DIRECT_PORT, Kind, PlanetscaleConfig, database_of, is_fuzzy};
use crate::mysql::Reading;

const MYSQL_ABILITIES: &[Ability] = &[
    Ability::ListSnapshots,
    Ability::CreateSnapshot,
    Ability::ExpireSnapshot,
    Ability::DeleteSnapshot,
    Ability::ProtectSnapshot,
    Ability::CopySnapshot,
    Ability::DropCopy,
    Ability::ShortLivedCredential,
];
const ABILITIES: &[Ability] = &[
    Ability::ListSnapshots,
    Ability::CreateSnapshot,
    Ability::ExpireSnapshot,
    Ability::DeleteSnapshot,
    Ability::ProtectSnapshot,
    Ability::CopyAt,
    Ability::CopySnapshot,
    Ability::DropCopy,
    Ability::ShortLivedCredential,
];
/// How long a role for one run lives unless it is renewed, which a run does while it reads: what a
/// killed one leaves behind ends soon.
pub(crate) const ROLE_LIFE: SignedDuration = SignedDuration::from_hours(1);
/// What a dump's role is a member of.
const READER: &str = "pg_read_all_data";
/// The role that owns a cluster.
const OWNER: &str = "postgres";
/// How far the newest moment that can be restored lies behind now.
const LAG: SignedDuration = SignedDuration::from_mins(5);

/// One source at PlanetScale.
#[derive(Clone, Debug)]
pub struct PlanetscalePlatform {
    pub(crate) client: Client,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) config: Arc<PlanetscaleConfig>,
    pub(crate) kind: Kind,
    /// Copies that were ready here, and whether they were production branches from the beginning:
    /// what somebody made one since is never dropped.
    pub(crate) born: Arc<Mutex<BTreeMap<String, bool>>>,
}

impl PlanetscalePlatform {
    /// Takes a configuration; connects to nothing. `ConfigInvalid` where the token cannot be used.
    pub fn new(config: PlanetscaleConfig, clock: Arc<dyn Clock>) -> Result<Self> {
        if !config.token.expose().contains(':') {
            return Err(Error::new(ErrorKind::ConfigInvalid, "read service token")
                .with("provider", "planetscale")
                .because("it is not of the form ID:TOKEN")
                .hint("Set PLANETSCALE_SERVICE_TOKEN_ID and PLANETSCALE_SERVICE_TOKEN."));
        }
        let client = Client::new(&config, Arc::clone(&clock))?;
        let kind = Kind::of(&config.url);
        Ok(Self { client, clock, config: Arc::new(config), kind, born: Arc::default() })
    }

    /// Returns when PlanetScale makes backups by itself.
    pub async fn policies(&self) -> Result<Vec<Policy>> {
        Ok(self.client.policies().await?)
    }

    /// Returns the source's branch.
    pub(crate) async fn branch_name(&self) -> Result<String> {
        match &self.config.branch {
            Some(branch) => Ok(branch.clone()),
            None => Ok(self.client.database().await?.default_branch),
        }
    }

    async fn findings(&self, database: &Database, branch: &str) -> Result<Vec<Finding>> {
        let plan = database.plan.as_deref().unwrap_or("unknown");
        let mut findings = vec![Finding::note(format!(
            "PlanetScale database {}, branch {branch}, plan {plan}; the service token may read it",
            self.config.database
        ))];
        if database.kind != self.kind.word() {
            findings.push(Finding::suspect(format!(
                "the database is of kind {}, but the URL is one of {}: nothing can be dumped so",
                database.kind,
                self.kind.word()
            )));
        }
        if self.kind == Kind::Mysql {
            findings.extend(self.mysql_findings(branch).await?);
        }
        if database.state != "ready" {
            findings.push(Finding::warning(format!("the database is {}", database.state)));
        }
        if database.at_backup_restore_branches_limit {
            findings.push(Finding::warning(
                "no more branches can be restored from backups: the plan's limit is reached, delete one first",
            ));
        }
        findings.push(match self.client.policies().await {
            Ok(policies) if policies.is_empty() => {
                Finding::warning("PlanetScale makes no backups by itself")
            }
            Ok(policies) => {
                let words: Vec<String> = policies
                    .iter()
                    .map(|policy| {
                        format!(
                            "{}, kept {} {}",
                            policy.told().often,
                            policy.retention_value,
                            policy.retention_unit
                        )
                    })
                    .collect();
                Finding::note(format!("PlanetScale makes backups by itself: {}", words.join("; ")))
            }
            Err(error) => {
                Finding::warning(format!("backup policies cannot be read: {}", Error::from(error)))
            }
        });
        let left = self.copies("backupctl-").await?;
        let temporary = |copy: &&TemporaryCopy| {
            OwnedName::parse(&copy.name).is_some_and(|name| name.purpose().is_temporary())
        };
        if let Some(oldest) = left.iter().filter(temporary).map(|copy| &copy.name).min() {
            findings.push(Finding::warning(format!(
                "{} branches of earlier runs are there, {oldest} among them; each is a cluster that is billed",
                left.iter().filter(temporary).count()
            )));
        }
        findings.push(Finding::warning(
            "backups at PlanetScale die with the database there; only snapshots in the repository do not",
        ));
        Ok(findings)
    }

    /// Makes a role for one run, of which it is a member, and returns the way in with it.
    async fn way_to(&self, branch: &str, member_of: &str) -> Result<Endpoint> {
        let name = format!("backupctl-{}", self.clock.now().strftime("%Y%m%dt%H%M%S"));
        let body = json!({
            "name": name,
            "ttl": ROLE_LIFE.as_secs(),
            "inherited_roles": [member_of],
        });
        // A second one, should the answer be lost, ends by itself.
        let role: Role = self.client.create_role(branch, &body).await?;
        let Some(password) = role.password.filter(|password| !password.is_empty()) else {
            return Err(Error::new(ErrorKind::SourceUnavailable, "create role")
                .with("provider", "planetscale")
                .because("its password was not handed out")
                .hint("The service token needs connect_branch or connect_production_branch."));
        };
        let database = database_of(&self.config.url).unwrap_or(role.database_name);
        let escape = |text: &str| utf8_percent_encode(text, NON_ALPHANUMERIC).to_string();
        let (host, query) = address(&role.access_host_url);
        let url = format!(
            "postgresql://{}:{}@{host}/{}?{query}",
            escape(&role.username),
            escape(&password),
            escape(&database)
        );
        Ok(Endpoint {
            url: Secret::new(url),
            kind: EndpointKind::Direct,
            credential: Some(format!("{branch}/{}", role.id)),
            expires_at: role.expires_at,
            findings: vec![Finding::note(
                "read through a role that was made for this run, on the direct port 5432: 6432 is a pooler in \
                 transaction mode",
            )],
        })
    }
}

/// Branch and id of the role that an endpoint goes in with.
fn credential(endpoint: &Endpoint) -> Option<(&str, &str)> {
    endpoint.credential.as_deref().and_then(|id| id.rsplit_once('/'))
}

/// Host and port, always the direct one, and what else a URL needs.
fn address(host: &str) -> (String, String) {
    let (host, query) = host.split_once('?').unwrap_or((host, "sslmode=verify-full"));
    let named = host.rsplit_once(':').map_or(host, |(name, _)| name);
    match host.rsplit_once(':') {
        // Not the vendor's own address: a tunnel, or a test.
        Some((_, port)) if !named.ends_with(".psdb.cloud") => {
            (format!("{named}:{port}"), query.to_owned())
        }
        _ => (format!("{named}:{DIRECT_PORT}"), query.to_owned()),
    }
}

pub(crate) fn state(word: &str) -> NativeState {
    match word {
        "success" => NativeState::Ready,
        "pending" | "running" => NativeState::Running,
        "failed" | "canceled" | "ignored" => NativeState::Failed,
        other => NativeState::Other(other.to_owned()),
    }
}

fn native(backup: Backup) -> NativeSnapshot {
    NativeSnapshot {
        state: state(&backup.state),
        automatic: backup.required || backup.backup_policy.is_some(),
        id: backup.id,
        name: backup.name,
        created_at: backup.started_at.unwrap_or(backup.created_at),
        expires_at: backup.expires_at,
        bytes: backup.size,
        protected: backup.protected,
    }
}

#[async_trait]
impl Platform for PlanetscalePlatform {
    fn name(&self) -> &'static str {
        "planetscale"
    }

    fn capabilities(&self) -> &'static [Ability] {
        match self.kind {
            Kind::Postgres => ABILITIES,
            Kind::Mysql => MYSQL_ABILITIES,
        }
    }

    fn needs_copy(&self) -> bool {
        self.kind == Kind::Mysql && !is_fuzzy(&self.config.url)
    }

    async fn facts(&self) -> Result<PlatformFacts> {
        let database = self.client.database().await?;
        let branch = self.config.branch.clone().unwrap_or_else(|| database.default_branch.clone());
        let findings = self.findings(&database, &branch).await?;
        let (organization, cluster) = (&self.config.organization, &self.config.database);
        let inside = match self.kind {
            Kind::Mysql => self.keyspace(),
            Kind::Postgres => database_of(&self.config.url).unwrap_or_default(),
        };
        Ok(PlatformFacts {
            location: format!("planetscale {organization}/{cluster}/{branch}/{inside}"),
            system: format!("planetscale:{organization}/{cluster}/{branch}"),
            plan: database.plan,
            server_major: None,
            window: self.window().await?,
            findings,
        })
    }

    async fn endpoint(&self) -> Result<Endpoint> {
        let branch = self.branch_name().await?;
        match self.kind {
            Kind::Postgres => self.way_to(&branch, READER).await,
            Kind::Mysql => self.mysql_way(&branch, Reading::Live).await,
        }
    }

    async fn copy_endpoint(&self, copy: &str) -> Result<Endpoint> {
        match self.kind {
            Kind::Postgres => self.way_to(copy, READER).await,
            Kind::Mysql => self.mysql_way(copy, Reading::Copy).await,
        }
    }

    /// The role acts as the cluster's owner: the right to make databases is none that is inherited.
    async fn drill_endpoint(&self, copy: &str) -> Result<Endpoint> {
        if self.kind == Kind::Mysql {
            return Err(self.unsupported("drill on a copy at the provider"));
        }
        let endpoint = self.way_to(copy, OWNER).await?;
        let url = endpoint.url.expose();
        let join = if url.contains('?') { '&' } else { '?' };
        let url = Secret::new(format!("{url}{join}options=-c%20role%3D{OWNER}"));
        Ok(Endpoint { url, ..endpoint })
    }

    async fn renew(&self, endpoint: &Endpoint) -> Result<Option<Timestamp>> {
        let Some((branch, role)) = credential(endpoint) else { return Ok(None) };
        if self.kind == Kind::Mysql {
            return Ok(self.client.renew_password(branch, role).await?.expires_at);
        }
        Ok(self.client.renew_role(branch, role).await?.expires_at)
    }

    async fn schedules(&self) -> Result<Vec<NativeSchedule>> {
        Ok(self.client.policies().await?.iter().map(Policy::told).collect())
    }

    async fn release(&self, endpoint: &Endpoint) -> Result<()> {
        let Some((branch, role)) = credential(endpoint) else { return Ok(()) };
        if self.kind == Kind::Mysql {
            return Ok(self.client.delete_password(branch, role).await?);
        }
        Ok(self.client.delete_role(branch, role).await?)
    }

    async fn snapshots(&self) -> Result<Vec<NativeSnapshot>> {
        let branch = self.branch_name().await?;
        let all = self.client.backups(&branch).await?;
        let mut found: Vec<NativeSnapshot> = all.into_iter().map(native).collect();
        found.sort_by_key(|backup| std::cmp::Reverse(backup.created_at));
        Ok(found)
    }

    async fn copies(&self, prefix: &str) -> Result<Vec<TemporaryCopy>> {
        let branches = self.client.branches(prefix).await?;
        let named = branches.into_iter().filter(|branch| branch.name.starts_with(prefix));
        let copies = named.map(|branch| TemporaryCopy {
            id: branch.name.clone(),
            name: branch.name,
            created_at: branch.created_at,
            expires_at: None,
            costs: true,
        });
        Ok(copies.collect())
    }

    async fn window(&self) -> Result<Option<Window>> {
        if self.kind == Kind::Mysql {
            return Ok(None);
        }
        let branch = self.branch_name().await?;
        let backups = self.client.backups(&branch).await?;
        let ready = backups.iter().filter(|backup| backup.state == "success");
        let earliest = ready.filter_map(|backup| backup.completed_at).min();
        let latest = self.clock.now().checked_sub(LAG).ok();
        Ok(earliest.map(|earliest| Window { earliest, latest }))
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
    use super::address;

    #[test]
    fn the_address_is_always_the_direct_one() {
        let verified = "sslmode=verify-full".to_owned();
        let direct = "a-eu.horizon.psdb.cloud:5432".to_owned();
        assert_eq!(address("a-eu.horizon.psdb.cloud"), (direct.clone(), verified.clone()));
        assert_eq!(address("a-eu.horizon.psdb.cloud:6432"), (direct, verified.clone()));
        assert_eq!(address("127.0.0.1:5433"), ("127.0.0.1:5433".to_owned(), verified));
    }
}
