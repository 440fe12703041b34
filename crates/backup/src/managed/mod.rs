//! Sources whose vendor has a control plane.

mod book;
mod native;
mod plane;
mod vendors;

use std::sync::Arc;

use backup_config::{ProviderKind, SourceSettings};
use backup_core::port::{
    DataPlane, DrillTarget, HandleBook, NoObserver, Observer, Platform, Provider,
};
use backup_core::{Error, ErrorKind, Result, RunId, Secret};
use backup_ops::managed::{
    BackupToRead, Conductor, CopyDrill, ManagedProvider, Patience, Strategy,
};
use backup_provider_neon::{NeonConfig, NeonDirect, NeonPlatform};
use backup_provider_planetscale::{PlanetscaleConfig, PlanetscalePlatform};

pub use book::FileBook;
use book::NoBook;
pub use native::count_native;

/// The word that makes drills use a throw-away copy at the source's provider.
pub const DRILL_AT_PROVIDER: &str = "provider";
use plane::{PostgresPlane, VitessPlane, no_drills_there};

use crate::Composer;
use crate::provider::is_mysql;

/// Those whose vendors have an API.
const HAVE_CONTROL_PLANES: [ProviderKind; 4] =
    [ProviderKind::Neon, ProviderKind::Planetscale, ProviderKind::Supabase, ProviderKind::Railway];

impl Composer {
    /// Returns the control plane of a source; nothing where it has none. Without a token it is one
    /// that can do nothing but make the address safe. Connects to nothing.
    pub fn platform(&self, settings: &SourceSettings) -> Result<Option<Arc<dyn Platform>>> {
        // Of a plain server not even the URL is read, which may be the output of a command.
        if !HAVE_CONTROL_PLANES.contains(&settings.provider) {
            return Ok(None);
        }
        let url = self.resolve(&settings.url)?;
        // What is done at a vendor's is done for PostgreSQL, and at PlanetScale's for MySQL too; other
        // engines are plain servers.
        if is_mysql(url.expose()) && settings.provider != ProviderKind::Planetscale {
            return Ok(None);
        }
        let named = |error: Error| error.with("source", &settings.name);
        self.platform_of(settings, url).map_err(named)
    }

    fn platform_of(
        &self,
        settings: &SourceSettings,
        url: Secret,
    ) -> Result<Option<Arc<dyn Platform>>> {
        Ok(match settings.provider {
            ProviderKind::Neon => Some(self.neon(settings, url)?),
            ProviderKind::Planetscale => self.planetscale(settings, url)?,
            ProviderKind::Supabase => Some(self.supabase(settings, &url)?),
            ProviderKind::Railway => self.railway(settings, &url)?,
            _ => None,
        })
    }

    /// Nothing where no token is configured: then it is a server like any other.
    fn planetscale(
        &self,
        settings: &SourceSettings,
        url: Secret,
    ) -> Result<Option<Arc<dyn Platform>>> {
        let Some(known) = &settings.planetscale else { return Ok(None) };
        let Some(token) = &known.token else { return Ok(None) };
        let needed = |value: &Option<String>, variable: &str| {
            value.clone().ok_or_else(|| {
                Error::new(ErrorKind::ConfigInvalid, "configure PlanetScale")
                    .with("missing", variable)
                    .hint("With a service token, its id, the organization and the database are needed.")
            })
        };
        let id = needed(&known.token_id, "PLANETSCALE_SERVICE_TOKEN_ID")?;
        let config = PlanetscaleConfig {
            token: Secret::new(format!("{id}:{}", self.resolve(token)?.expose())),
            organization: needed(&known.organization, "PLANETSCALE_ORGANIZATION")?,
            database: needed(&known.database, "PLANETSCALE_DATABASE")?,
            branch: known.branch.clone(),
            cluster_size: known.cluster_size.clone(),
            url,
            api_url: known.api_url.clone(),
        };
        Ok(Some(Arc::new(PlanetscalePlatform::new(config, Arc::clone(self.clock()))?)))
    }

    fn neon(&self, settings: &SourceSettings, url: Secret) -> Result<Arc<dyn Platform>> {
        let neon = settings.neon.as_ref();
        let Some(key) = neon.and_then(|neon| neon.api_key.as_ref()) else {
            return Ok(Arc::new(NeonDirect::new(url)));
        };
        let config = NeonConfig {
            api_key: self.resolve(key)?,
            project_id: neon.and_then(|neon| neon.project_id.clone()),
            url,
            api_url: neon.and_then(|neon| neon.api_url.clone()),
        };
        Ok(Arc::new(NeonPlatform::new(config, Arc::clone(self.clock()))?))
    }

    /// Returns what carries out operations at the vendor of a source; nothing where it has no
    /// control plane.
    pub fn conductor(
        &self,
        settings: &SourceSettings,
        observer: Arc<dyn Observer>,
    ) -> Result<Option<Conductor>> {
        let Some(platform) = self.platform(settings)? else { return Ok(None) };
        Ok(Some(Conductor {
            platform,
            book: self.book()?,
            clock: Arc::clone(self.clock()),
            source: settings.name.clone(),
            observer,
            patience: Patience::default(),
        }))
    }

    /// Without a place for it nothing is begun at a vendor's; whoever begins nothing needs none.
    fn book(&self) -> Result<Arc<dyn HandleBook>> {
        Ok(match self.operations_directory()? {
            Some(directory) => Arc::new(FileBook::new(directory)),
            None => Arc::new(NoBook),
        })
    }

    /// Returns the source behind its vendor's control plane; nothing where it has none.
    pub(crate) fn managed(&self, settings: &SourceSettings) -> Result<Option<Arc<dyn Provider>>> {
        let Some(conductor) = self.conductor(settings, Arc::new(NoObserver))? else {
            return Ok(None);
        };
        if settings.users && self.is_vitess(settings)? {
            return Err(Error::new(ErrorKind::ConfigInvalid, "back up accounts")
                .with("source", &settings.name)
                .because("behind Vitess nobody sees the accounts of the servers")
                .hint("Leave backup.users out for this source."));
        }
        let strategy = if settings.native.freeze { Strategy::Freeze } else { Strategy::Live };
        let native = &settings.native;
        let reading = BackupToRead {
            reuse: native.reuse.map(backup_retention::Period::as_duration),
            keep_for: Some(native.keep_for.as_duration()),
        };
        let plane = self.plane(settings)?;
        let provider = ManagedProvider::new(conductor, plane, strategy, run_id()?);
        Ok(Some(Arc::new(provider.reading(reading))))
    }

    /// Returns a place for drills on copies at the vendor's; `Unsupported` where the source's has
    /// none, or nobody configured it.
    pub fn copy_drill(&self, settings: Option<&SourceSettings>) -> Result<Arc<dyn DrillTarget>> {
        let conductor = match settings {
            Some(settings) => self.conductor(settings, Arc::new(NoObserver))?,
            None => None,
        };
        let conductor = conductor.ok_or_else(|| {
            Error::new(ErrorKind::Unsupported, "drill on a copy at the provider")
                .because("the source has no provider with an API here")
                .hint("Drill on this machine, or name a server with --to.")
        })?;
        let plane = match settings {
            Some(settings) if !self.is_vitess(settings)? => self.plane(settings)?,
            // Before a copy is made, which costs money.
            _ => return Err(no_drills_there()),
        };
        Ok(Arc::new(CopyDrill::new(conductor, plane, run_id()?)))
    }

    fn plane(&self, settings: &SourceSettings) -> Result<Arc<dyn DataPlane>> {
        if self.is_vitess(settings)? {
            return Ok(Arc::new(VitessPlane));
        }
        let (tools, password) = (self.tools().clone(), self.password()?);
        Ok(Arc::new(PostgresPlane { provider: settings.provider, tools, password }))
    }

    fn is_vitess(&self, settings: &SourceSettings) -> Result<bool> {
        Ok(settings.provider == ProviderKind::Planetscale
            && is_mysql(self.resolve(&settings.url)?.expose()))
    }
}

/// Returns an id that no other run has.
pub fn run_id() -> Result<RunId> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).map_err(|error| {
        Error::new(ErrorKind::Unsupported, "name run").because(error.to_string())
    })?;
    Ok(RunId(bytes))
}
