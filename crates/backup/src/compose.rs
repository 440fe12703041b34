//! From settings to open things.

use std::num::NonZeroU64;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use backup_config::{
    AzureSettings, CredentialSettings, DeltaMode, Environment, KeyRef, NotifySettings,
    ProviderKind, RepositorySettings, Secrets, ShellRunner, SourceSettings,
};
use backup_core::port::{Clock, Observer, Provider, Store};
use backup_core::{ByteSize, Error, Result, Secret, SnapshotKind};
use backup_crypto::KeySecret;
use backup_ops::alert::Destination;
use backup_postgres::ConnectOptions;
use backup_postgres::tools::ToolPaths;
use backup_provider_mysql::MysqlProvider;
use backup_provider_postgres::DirectoryProvider;
use backup_repository::{NewKey, Repository, Settings};
use backup_storage::{AzureCredentials, CreateIfAbsent, Credentials, StoreOptions};

use crate::provider::{
    at, connect_options, directory, hosted, is_mysql, mysql_options, refuse_other_engines,
    refuse_unknown_engines,
};
use crate::store::open_store;
use crate::wal::WriterPass;

/// Builds what settings describe. Secrets are read here, at the moment they are used.
#[derive(Clone, Debug)]
pub struct Composer {
    secrets: Secrets,
    environment: Environment,
    clock: Arc<dyn Clock>,
    tools: ToolPaths,
    /// Where a daemon of this configuration keeps what it remembers.
    state: Option<PathBuf>,
}

impl Composer {
    /// Builds with secrets of this environment; `_COMMAND` secrets run a shell.
    #[must_use]
    pub fn new(environment: Environment, clock: Arc<dyn Clock>) -> Self {
        Self {
            secrets: Secrets::new(environment.clone(), Arc::new(ShellRunner::default())),
            environment,
            clock,
            tools: ToolPaths::system(),
            state: None,
        }
    }

    /// Writes operations under way at vendors down below this directory, whatever the environment
    /// says.
    #[must_use]
    pub fn with_state(mut self, directory: Option<PathBuf>) -> Self {
        self.state = directory;
        self
    }

    /// Looks for PostgreSQL's programs there.
    #[must_use]
    pub fn with_tools(mut self, tools: ToolPaths) -> Self {
        self.tools = tools;
        self
    }

    /// Returns the environment it builds with.
    #[must_use]
    pub(crate) fn environment(&self) -> &Environment {
        &self.environment
    }

    /// Returns where PostgreSQL's programs are looked for.
    #[must_use]
    pub fn tools(&self) -> &ToolPaths {
        &self.tools
    }

    /// Reads what opens a repository.
    pub fn key_secret(&self, key: &KeyRef) -> Result<KeySecret> {
        let secret = self.secrets.resolve(key.secret())?;
        Ok(match key {
            KeyRef::Passphrase(_) => KeySecret::Passphrase(secret),
            KeyRef::KeyFile(_) => KeySecret::KeyFile(secret),
        })
    }

    /// Opens the repository; fails as [`Repository::open`] does. With `probe` the store is
    /// asked whether it refuses what exists, which writes a few small objects; without, it is
    /// believed to: enough for everything but leases.
    pub async fn open(
        &self,
        settings: &RepositorySettings,
        secret: &KeySecret,
        probe: bool,
        observer: Arc<dyn Observer>,
    ) -> Result<Repository> {
        let store = self.store(settings, probe, observer).await?;
        Repository::open(store, Arc::clone(&self.clock), secret, repository_settings(settings))
            .await
    }

    /// Opens the repository to add objects, which takes milliseconds where a passphrase was
    /// given before on this machine; see [`WriterPass`]. Fails as [`Repository::open`] does.
    pub async fn open_to_write(
        &self,
        settings: &RepositorySettings,
        secret: &KeySecret,
        observer: Arc<dyn Observer>,
    ) -> Result<Repository> {
        let store = self.store(settings, false, observer).await?;
        let (clock, run) = (Arc::clone(&self.clock), repository_settings(settings));
        let config = Repository::read_config(&store).await?;
        let pass = WriterPass::of(&settings.url, &config, secret);
        if let Some(keys) = pass.as_ref().and_then(WriterPass::read) {
            let (store, clock) = (Arc::clone(&store), Arc::clone(&clock));
            if let Ok(repository) = Repository::with_keys(store, clock, &config, keys, run.clone())
            {
                return Ok(repository);
            }
        }
        let repository = Repository::open(store, clock, secret, run).await?;
        if let Some(pass) = pass {
            pass.keep(&repository.writing_keys()?);
        }
        Ok(repository)
    }

    /// Creates a repository with its first key; `Conflict` when one is there.
    pub async fn create(
        &self,
        settings: &RepositorySettings,
        key: NewKey,
        observer: Arc<dyn Observer>,
    ) -> Result<Repository> {
        let store = self.store(settings, true, observer).await?;
        let run = repository_settings(settings);
        Repository::init(store, Arc::clone(&self.clock), vec![key], run).await
    }

    /// Opens the store that a repository lies in; `probe` as in [`Composer::open`].
    pub async fn store(
        &self,
        settings: &RepositorySettings,
        probe: bool,
        observer: Arc<dyn Observer>,
    ) -> Result<Arc<dyn Store>> {
        let mut options = self.store_options(settings, observer)?;
        options.create_if_absent =
            if probe { CreateIfAbsent::Probe } else { CreateIfAbsent::Known(true) };
        open_store(&settings.url, &options).await
    }

    /// Returns the provider of a source; connects to nothing. An engine that this version does
    /// not speak is `Unsupported`.
    pub fn source(&self, settings: &SourceSettings) -> Result<Arc<dyn Provider>> {
        let url = self.secrets.resolve(&settings.url)?;
        if settings.provider == ProviderKind::Files {
            return self.files(settings, url.expose());
        }
        refuse_unknown_engines(url.expose())
            .map_err(|error| error.with("source", &settings.name))?;
        // Files of a cluster are read from the server itself, whatever its vendor offers.
        if settings.mode != SnapshotKind::Physical
            && let Some(managed) = self.managed(settings)?
        {
            return Ok(managed);
        }
        let password = self.password_of(url.expose())?;
        let named = |error: Error| error.with("source", &settings.name);
        if settings.users && is_mysql(url.expose()) {
            let connect = mysql_options(url.expose(), password).map_err(named)?;
            return Ok(Arc::new(MysqlProvider::from_options(connect).with_accounts(true)));
        }
        hosted(settings.provider, url.expose(), password, &self.tools).map_err(named)
    }

    /// Returns how to connect to a source that is PostgreSQL.
    pub fn connect_options(&self, settings: &SourceSettings) -> Result<ConnectOptions> {
        let url = self.secrets.resolve(&settings.url)?;
        let named = |error: Error| error.with("source", &settings.name);
        refuse_other_engines(url.expose()).map_err(named)?;
        connect_options(url.expose(), self.password()?).map_err(named)
    }

    /// Returns the provider of a place to restore into; connects to nothing.
    pub fn target(&self, url: &str) -> Result<Arc<dyn Provider>> {
        if let Some(directory) = directory(url) {
            return Ok(Arc::new(DirectoryProvider::new(directory)));
        }
        refuse_unknown_engines(url)?;
        at(url, self.password_of(url)?, &self.tools)
    }

    /// Returns who is told. A channel that cannot be prepared is an error; `ConfigInvalid` names
    /// it.
    pub fn destinations(&self, settings: &[NotifySettings]) -> Result<Vec<Destination>> {
        crate::channel::destinations(settings, &self.secrets, &self.clock)
    }

    /// Returns who is told, as [`Composer::destinations`] does; a channel that cannot be
    /// prepared takes part and fails when it is to deliver.
    #[must_use]
    pub fn announcers(&self, settings: &[NotifySettings]) -> Vec<Destination> {
        crate::channel::announcers(settings, &self.secrets, &self.clock)
    }

    /// Reads a secret.
    pub fn secret(&self, reference: &backup_config::SecretRef) -> Result<Secret> {
        self.secrets.resolve(reference)
    }

    /// Returns a passphrase to add: BACKUP_NEW_PASSPHRASE, or its `_FILE` or `_COMMAND`.
    pub fn new_passphrase(&self) -> Result<Option<Secret>> {
        let found = self.given("BACKUP_NEW_PASSPHRASE")?;
        found.map(|reference| self.secrets.resolve(&reference)).transpose()
    }

    /// Returns the secret that a variable of the environment holds or names.
    pub(crate) fn given(&self, variable: &str) -> Result<Option<backup_config::SecretRef>> {
        backup_config::SecretRef::from_environment(&self.environment, variable)
    }

    /// Reads a secret.
    pub(crate) fn resolve(&self, secret: &backup_config::SecretRef) -> Result<Secret> {
        self.secrets.resolve(secret)
    }

    /// Returns the clock.
    pub(crate) fn clock(&self) -> &Arc<dyn Clock> {
        &self.clock
    }

    /// Returns where operations under way at vendors are written down; nothing where nobody says
    /// where anything may be kept.
    pub(crate) fn operations_directory(&self) -> Result<Option<PathBuf>> {
        let below = |variable: &str, path: &str| {
            let found = self.environment.get(variable)?;
            // systemd may name several.
            let first = found.and_then(|found| found.split(':').next());
            Ok::<_, Error>(
                first.filter(|first| !first.is_empty()).map(|first| Path::new(first).join(path)),
            )
        };
        if let Some(state) = &self.state {
            return Ok(Some(state.join("operations")));
        }
        for (variable, path) in [
            ("BACKUPD_STATE", "operations"),
            ("STATE_DIRECTORY", "operations"),
            ("XDG_STATE_HOME", "backupctl/operations"),
            ("HOME", ".local/state/backupctl/operations"),
        ] {
            if let Some(found) = below(variable, path)? {
                return Ok(Some(found));
            }
        }
        Ok(None)
    }

    /// Returns the password that libpq would use for a URL without one.
    pub(crate) fn password(&self) -> Result<Option<Secret>> {
        Ok(self.environment.get("PGPASSWORD")?.map(Secret::new))
    }

    /// Returns the password that the engine's own programs would use for a URL without one.
    pub(crate) fn password_of(&self, url: &str) -> Result<Option<Secret>> {
        if is_mysql(url) {
            return Ok(self.environment.get("MYSQL_PWD")?.map(Secret::new));
        }
        self.password()
    }

    fn store_options(
        &self,
        settings: &RepositorySettings,
        observer: Arc<dyn Observer>,
    ) -> Result<StoreOptions> {
        let mut options = StoreOptions { observer: Some(observer), ..StoreOptions::default() };
        if let Some(timeout) = settings.timeout {
            options.timeout = timeout.as_duration();
        }
        if let Some(attempts) = settings.attempts {
            options.retry.attempts = attempts;
        }
        if let Some(requests) = settings.max_requests {
            options.max_requests = requests.get();
        }
        let rate = |size: ByteSize| NonZeroU64::new(size.0);
        options.upload_rate = settings.upload_rate.and_then(rate);
        options.download_rate = settings.download_rate.and_then(rate);
        options.near = settings.near;
        options.region.clone_from(&settings.region);
        options.endpoint.clone_from(&settings.endpoint);
        options.ca_file.clone_from(&settings.ca_file);
        options.credentials = self.credentials(settings.credentials.as_ref())?;
        options.azure = Some(self.azure(&settings.azure)?);
        Ok(options)
    }

    pub(crate) fn credentials(
        &self,
        keys: Option<&CredentialSettings>,
    ) -> Result<Option<Credentials>> {
        let Some(keys) = keys else { return Ok(None) };
        let token = keys.session_token.as_ref().map(|token| self.secrets.resolve(token));
        Ok(Some(Credentials {
            access_key_id: keys.access_key_id.clone(),
            secret_access_key: self.secrets.resolve(&keys.secret_access_key)?,
            session_token: token.transpose()?,
        }))
    }

    pub(crate) fn azure(&self, keys: &AzureSettings) -> Result<AzureCredentials> {
        let secret =
            |secret: &Option<_>| secret.as_ref().map(|s| self.secrets.resolve(s)).transpose();
        Ok(AzureCredentials {
            account: keys.account.clone(),
            key: secret(&keys.key)?,
            sas_token: secret(&keys.sas_token)?,
        })
    }
}

fn repository_settings(settings: &RepositorySettings) -> Settings {
    Settings {
        delta: match settings.delta {
            DeltaMode::Auto => backup_repository::DeltaMode::Auto,
            DeltaMode::On => backup_repository::DeltaMode::On,
            DeltaMode::Off => backup_repository::DeltaMode::Off,
        },
        ..Settings::default()
    }
}
