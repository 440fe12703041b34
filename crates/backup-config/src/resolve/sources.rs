//! The sources: those of the file, and the one of the environment.

use backup_core::port::{PhysicalAccess, PhysicalOptions};
use backup_core::{Error, ErrorKind, Result, SnapshotKind, SourceName};
use percent_encoding::percent_decode_str;

use super::Resolver;
use super::layer::{Layer, drill, drill_schedules, restore, wal};
use crate::file::raw::{RawBackup, RawFile, RawNative, RawSource};
use crate::settings::{
    NativeSettings, NeonSettings, PlanetscaleSettings, SourceSettings, unknown_source,
};
use crate::{ProviderKind, SecretRef};

/// Providers by the order in which their variables are looked for.
const DETECTION: [(ProviderKind, &[&str]); 6] = [
    (ProviderKind::Supabase, &["SUPABASE"]),
    (ProviderKind::Planetscale, &["PLANETSCALE"]),
    (ProviderKind::Neon, &["NEON"]),
    (ProviderKind::Railway, &["RAILWAY"]),
    (ProviderKind::Postgres, &["POSTGRES", "POSTGRESQL"]),
    (ProviderKind::Mysql, &["MYSQL"]),
];

/// A database that flags or environment name.
pub(super) struct Given {
    pub(super) url: SecretRef,
    pub(super) provider: Option<ProviderKind>,
}

impl Resolver<'_> {
    pub(super) fn sources(&mut self, file: &RawFile) -> Result<Vec<SourceSettings>> {
        let layer = Layer::read(self)?;
        let given = self.given()?;
        let wanted = match &self.inputs.overrides.source {
            Some(name) => Some(name.clone()),
            None => self.inputs.environment.parse("BACKUP_SOURCE", str::parse::<SourceName>)?,
        };
        if file.source.is_empty() {
            let given = match given {
                Some(given) => Some(given),
                None => self.spelt_out()?,
            };
            let Some(given) = given else { return Ok(Vec::new()) };
            let raw = RawSource::default();
            return Ok(vec![self.source(file, &raw, wanted, Some(given), &layer)?]);
        }
        let target = self.target(file, given.as_ref(), wanted.as_ref())?;
        let mut given = given;
        let mut sources: Vec<SourceSettings> = Vec::new();
        for (position, raw) in file.source.iter().enumerate() {
            let given = if target == Some(position) { given.take() } else { None };
            let name = raw.name.as_ref().map(|name| name.0.clone());
            let from_file = given.is_none();
            let source = self.source(file, raw, name, given, &layer).map_err(|error| {
                let path = format!("source.{position}.url");
                if from_file { self.locate(&path, error) } else { error }
            })?;
            if sources.iter().any(|other| other.name == source.name) {
                let error = Error::new(ErrorKind::ConfigInvalid, "read configuration")
                    .because(format!("two sources are called '{}'", source.name))
                    .hint("Give each [[source]] a name of its own.");
                return Err(self.locate(&format!("source.{position}.name"), error));
            }
            sources.push(source);
        }
        Ok(sources)
    }

    /// Returns the position of the file's source that the given database stands for.
    fn target(
        &mut self,
        file: &RawFile,
        given: Option<&Given>,
        wanted: Option<&SourceName>,
    ) -> Result<Option<usize>> {
        let names: Vec<&str> =
            file.source.iter().filter_map(|s| Some(s.name.as_ref()?.0.as_str())).collect();
        let position = match wanted {
            Some(wanted) => {
                let found = names.iter().position(|name| *name == wanted.as_str());
                Some(found.ok_or_else(|| {
                    unknown_source(ErrorKind::ConfigInvalid, wanted.as_str(), &names)
                })?)
            }
            None if file.source.len() == 1 => Some(0),
            None => None,
        };
        let Some(given) = given else { return Ok(position) };
        match position.and_then(|position| Some((position, names.get(position)?))) {
            Some((position, name)) => {
                let own = file.source.get(position);
                let written = own.is_some_and(|source| source.url.is_some());
                if written && !own.is_some_and(|source| refers_to(source, given)) {
                    self.notes.push(format!(
                        "{} takes the place of the URL of source {name}",
                        given.url.setting()
                    ));
                }
            }
            // Some source names that variable itself.
            None if file.source.iter().any(|source| refers_to(source, given)) => {}
            None => self.notes.push(format!(
                "{} is not used: the file has several sources and BACKUP_SOURCE names none",
                given.url.setting()
            )),
        }
        Ok(position)
    }

    /// Finds the database that flags or environment name.
    fn given(&self) -> Result<Option<Given>> {
        let overrides = self.inputs.overrides;
        let stated = self.inputs.environment.parse("DB_PROVIDER", str::parse::<ProviderKind>)?;
        let stated = overrides.provider.or(stated);
        if let Some(url) = &overrides.database_url {
            let url = SecretRef::inline("database URL", url.clone());
            return Ok(Some(Given { url, provider: stated }));
        }
        for (provider, prefixes) in DETECTION {
            if stated.is_some_and(|stated| stated != provider) {
                continue;
            }
            for prefix in prefixes {
                for suffix in ["DB_URL", "DATABASE_URL"] {
                    if let Some(url) = self.variable(&format!("{prefix}_{suffix}"))? {
                        return Ok(Some(Given { url, provider: Some(provider) }));
                    }
                }
                if let Some(url) = self.database_of_parts(&format!("{prefix}_"))? {
                    return Ok(Some(Given { url, provider: Some(provider) }));
                }
            }
        }
        if let Some(given) = self.given_path(stated)? {
            return Ok(Some(given));
        }
        let url = self.variable("DATABASE_URL")?;
        Ok(url.map(|url| Given { url, provider: stated }))
    }

    /// Finds a database that is spelt out in DB_HOST and its like: names that many programs read,
    /// so that they never take the place of what a file says.
    fn spelt_out(&self) -> Result<Option<Given>> {
        let stated = self.inputs.environment.parse("DB_PROVIDER", str::parse::<ProviderKind>)?;
        let provider = self.inputs.overrides.provider.or(stated);
        Ok(self.database_of_parts("")?.map(|url| Given { url, provider }))
    }

    /// Resolves one source: `given` beats its own URL and provider.
    fn source(
        &mut self,
        file: &RawFile,
        raw: &RawSource,
        name: Option<SourceName>,
        given: Option<Given>,
        layer: &Layer,
    ) -> Result<SourceSettings> {
        let shown = name.as_ref().map_or_else(String::new, |name| format!(" of {name}"));
        let written = raw.provider.as_ref().map(|provider| provider.0);
        let (url, provider) = match given {
            Some(given) => (given.url, given.provider.or(written)),
            None if raw.path.is_some() => self.path(raw, written)?,
            None => {
                let url = raw.url.as_ref().ok_or_else(|| {
                    Error::new(ErrorKind::ConfigInvalid, format!("find URL{shown}"))
                        .because("none is configured")
                        .hint("Write url = \"env:DATABASE_URL\" into its [[source]].")
                })?;
                (self.written_url(&format!("source.url{shown}"), url), written)
            }
        };
        let provider = match provider {
            Some(provider) => provider,
            None => self.provider_of(&url)?,
        };
        let name = match name {
            Some(name) => name,
            None => {
                let text = self.inputs.secrets.resolve(&url)?;
                SourceName::from_database(&database_of(text.expose()))
            }
        };
        let overrides = self.inputs.overrides;
        let or = |a: &RawBackup| {
            (a.mode.as_ref().map(|m| m.0), a.jobs, a.max_rate.as_ref().map(|r| r.0))
        };
        let ((mode, jobs, rate), (all_mode, all_jobs, all_rate)) =
            (or(&raw.backup), or(&file.backup));
        let default_mode = if provider == ProviderKind::Files {
            SnapshotKind::Files
        } else {
            SnapshotKind::Logical
        };
        let mut drill = drill(&raw.drill, &file.drill)?;
        drill.to = match (&raw.drill.to, &file.drill.to) {
            (Some(to), _) => Some(self.written_url("source.drill.to", to)),
            (None, Some(to)) => Some(self.written_url("drill.to", to)),
            (None, None) => None,
        };
        drill.sheet = match (&raw.drill.sheet, &file.drill.sheet) {
            (Some(sheet), _) => Some(self.written("source.drill.sheet", sheet)),
            (None, Some(sheet)) => Some(self.written("drill.sheet", sheet)),
            (None, None) => None,
        };
        let mut schedule = layer.schedule(&raw.schedule, &file.schedule)?;
        // Files are copied in one way only, whatever holds for databases.
        let all_mode = all_mode.filter(|_| provider != ProviderKind::Files);
        let configured = mode.or(all_mode).unwrap_or(default_mode);
        drill_schedules(&mut schedule, &raw.schedule, &drill, configured)?;
        Ok(SourceSettings {
            mode: overrides.mode.unwrap_or(configured),
            jobs: overrides.jobs.or(layer.jobs).or(jobs).or(all_jobs),
            max_rate: overrides.max_rate.or(layer.max_rate).or(rate).or(all_rate),
            physical: physical(&raw.backup, &file.backup),
            users: users(&raw.backup, &file.backup, provider)?,
            retention: overrides
                .retention
                .unwrap_or_else(|| layer.retention(&raw.retention, &file.retention)),
            wal_window: Layer::wal_window(&raw.retention, &file.retention),
            protection: layer.protection(
                &raw.protection,
                &file.protection,
                drill.every,
                schedule.drill.as_ref(),
            ),
            schedule,
            restore: restore(&raw.restore, &file.restore),
            drill,
            wal: wal(&raw.wal, &file.wal, configured)?,
            neon: self.neon(raw, provider)?,
            planetscale: self.planetscale(raw, provider)?,
            supabase: self.supabase(raw, provider)?,
            railway: self.railway(raw, provider)?,
            files: self.files(raw, provider)?,
            native: native(&raw.native, provider)?,
            name,
            provider,
            url,
        })
    }

    fn neon(&mut self, raw: &RawSource, provider: ProviderKind) -> Result<Option<NeonSettings>> {
        if provider != ProviderKind::Neon {
            return Ok(None);
        }
        let api_key = match self.variable("NEON_API_KEY")? {
            Some(key) => Some(key),
            None => raw.neon.api_key.as_ref().map(|key| self.written("source.neon.api_key", key)),
        };
        let project_id = self.inputs.environment.get("NEON_PROJECT_ID")?.map(str::to_owned);
        Ok(Some(NeonSettings {
            api_key,
            project_id: project_id.or_else(|| raw.neon.project_id.clone()),
            api_url: self.text("NEON_API_URL", raw.neon.api_url.as_ref())?,
        }))
    }

    fn planetscale(
        &mut self,
        raw: &RawSource,
        provider: ProviderKind,
    ) -> Result<Option<PlanetscaleSettings>> {
        if provider != ProviderKind::Planetscale {
            return Ok(None);
        }
        let raw = &raw.planetscale;
        let token = match self.variable("PLANETSCALE_SERVICE_TOKEN")? {
            Some(token) => Some(token),
            None => raw.token.as_ref().map(|token| self.written("source.planetscale.token", token)),
        };
        Ok(Some(PlanetscaleSettings {
            token_id: self.text("PLANETSCALE_SERVICE_TOKEN_ID", raw.token_id.as_ref())?,
            token,
            organization: self.text("PLANETSCALE_ORGANIZATION", raw.organization.as_ref())?,
            database: self.text("PLANETSCALE_DATABASE", raw.database.as_ref())?,
            branch: self.text("PLANETSCALE_BRANCH", raw.branch.as_ref())?,
            cluster_size: raw.cluster_size.clone(),
            api_url: self.text("PLANETSCALE_API_URL", raw.api_url.as_ref())?,
        }))
    }

    /// A text of the environment, else of the file.
    pub(super) fn text(&self, variable: &str, written: Option<&String>) -> Result<Option<String>> {
        let given = self.inputs.environment.get(variable)?.map(str::to_owned);
        Ok(given.or_else(|| written.cloned()))
    }

    /// Tells the provider from a URL that can be read without side effects. One that cannot may
    /// not be needed in this run; whoever uses it finds out.
    fn provider_of(&self, url: &SecretRef) -> Result<ProviderKind> {
        let Some(text) = self.inputs.secrets.peek(url) else {
            return Ok(ProviderKind::Postgres);
        };
        if let Some(provider) = ProviderKind::from_host(text.expose()) {
            return Ok(provider);
        }
        let scheme = text.expose().split_once("://").map_or("", |(scheme, _)| scheme);
        ProviderKind::from_scheme(scheme).ok_or_else(|| {
            // The URL itself is a secret, and what stands before `://` may be half of one.
            Error::new(ErrorKind::ConfigInvalid, "tell the provider from the URL")
                .with("setting", url.setting())
                .because("its scheme is none of postgres, postgresql, mysql, mariadb, file, s3, azure and gs")
                .hint("Write the URL as postgres://user@host/database, or set DB_PROVIDER.")
        })
    }
}

/// Whether a source's URL is written as the variable that was given. `env:NAME` covers NAME_FILE and
/// NAME_COMMAND, so that is the same one.
fn refers_to(source: &RawSource, given: &Given) -> bool {
    let own = source.url.as_ref().and_then(|own| own.0.strip_prefix("env:")).map(str::trim);
    own.is_some_and(|variable| {
        let rest = given.url.setting().strip_prefix(variable);
        matches!(rest, Some("" | "_FILE" | "_COMMAND"))
    })
}

fn native(raw: &RawNative, provider: ProviderKind) -> Result<NativeSettings> {
    if raw.schedule.is_some() && !provider.takes_snapshots() {
        return Err(Error::new(ErrorKind::ConfigInvalid, "read configuration")
            .with("key", "source.native.schedule")
            .with("provider", provider)
            .because("nobody can ask this provider for a snapshot")
            .hint("Leave it out, and write schedule.backup for snapshots in the repository."));
    }
    let default = NativeSettings::default();
    Ok(NativeSettings {
        freeze: raw.freeze.unwrap_or(default.freeze),
        reuse: raw.reuse.as_ref().map(|period| period.0),
        schedule: raw.schedule.as_ref().map(|cron| cron.0.clone()),
        retention: raw.retention.as_ref().map(|policy| policy.0),
        keep_for: raw.keep_for.as_ref().map_or(default.keep_for, |period| period.0),
        rpo: raw.rpo.as_ref().map(|period| period.0),
    })
}

/// PostgreSQL's roles are always kept, whatever this says; files have none, and what PlanetScale
/// has are no accounts of a server.
fn users(own: &RawBackup, all: &RawBackup, provider: ProviderKind) -> Result<bool> {
    let none = matches!(provider, ProviderKind::Files | ProviderKind::Planetscale);
    if own.users == Some(true) && none {
        return Err(Error::new(ErrorKind::ConfigInvalid, "read configuration")
            .with("key", "source.backup.users")
            .with("provider", provider)
            .because("it keeps the accounts of a MySQL or MariaDB server")
            .hint("Leave it out."));
    }
    Ok(!none && own.users.or(all.users).unwrap_or_default())
}

/// Each key of the source beats the general one.
fn physical(own: &RawBackup, all: &RawBackup) -> PhysicalOptions {
    let from = own.physical_from.as_ref().or(all.physical_from.as_ref());
    PhysicalOptions {
        from: from.map_or(PhysicalAccess::Auto, |from| from.0),
        full_read: own.full_read.or(all.full_read).unwrap_or_default(),
    }
}

/// Returns the database's name in a URL; where it names none, the user's, as servers do. Of a bucket
/// it is the last part of its prefix, or the bucket.
fn database_of(url: &str) -> String {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let rest = rest.split(['?', '#']).next().unwrap_or_default();
    let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
    let path = path.trim_end_matches('/').rsplit('/').next().unwrap_or_default();
    let user = authority.rsplit_once('@').map_or("", |(userinfo, _)| userinfo);
    let user = user.split(':').next().unwrap_or_default();
    let whole = if super::bucket::is_bucket(url) { authority } else { user };
    let name = if path.is_empty() { whole } else { path };
    percent_decode_str(name).decode_utf8_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_the_database_in_every_kind_of_url() {
        for (url, database) in [
            ("postgres://app:p%40ss@db:5432/shop?sslmode=require", "shop"),
            ("postgresql:///shop?host=/tmp", "shop"),
            ("postgres://a,b:5432/my%20shop", "my shop"),
            ("postgres://app@db", "app"),
            ("postgres://app:pw@db/", "app"),
            ("mysql://root@h/crm", "crm"),
            ("file:///srv/uploads/", "uploads"),
            ("s3://shop/uploads/?endpoint=https://h", "uploads"),
            ("gs://shop-uploads", "shop-uploads"),
        ] {
            assert_eq!(database_of(url), database, "{url}");
        }
    }
}
