//! TOML and environment into typed settings.
//!
//! **What it is.** [`Settings::load`] merges flags ([`Overrides`]), the [`Environment`] and
//! `backup.toml` ([`ConfigFile`]), in that order of precedence, into one resolved value; errors
//! name the variable, or the file with line and column, and suggest what was probably meant.
//! Secrets stay references ([`SecretRef`]) until [`Secrets::resolve`] reads them.
//! `docs/configuration.md` lists every key and variable; [`schema`] is the file's JSON Schema,
//! [`template`] a file to start from.
//!
//! **What it is not.** It opens nothing, connects to nothing, and reads the process environment
//! only in [`Environment::from_process`].
//!
//! ```
//! use std::path::Path;
//! use std::sync::Arc;
//!
//! use backup_config::{Environment, Inputs, Overrides, Secrets, Settings, ShellRunner};
//!
//! let environment = Environment::from_pairs([
//!     ("BACKUP_REPOSITORY", "file:///var/backups"),
//!     ("BACKUP_PASSPHRASE", "correct horse battery staple"),
//!     ("DATABASE_URL", "postgres://app@localhost/shop"),
//! ]);
//! let secrets = Secrets::new(environment.clone(), Arc::new(ShellRunner::default()));
//! let settings = Settings::load(&Inputs {
//!     overrides: &Overrides::default(),
//!     environment: &environment,
//!     file: None,
//!     directory: Path::new("/"),
//!     secrets: &secrets,
//! })?;
//! assert_eq!(settings.source("shop")?.provider.as_str(), "postgres");
//! let key = settings.repository()?.key()?;
//! assert_eq!(secrets.resolve(key.secret())?.expose(), "correct horse battery staple");
//! # Ok::<(), backup_core::Error>(())
//! ```

mod channel;
mod command;
mod environment;
mod file;
mod group;
mod kinds;
mod nearest;
mod reference;
mod resolve;
mod secret;
mod settings;
mod template;
mod variables;

pub use backup_schedule::Cron;
pub use channel::{ChannelSettings, NotifySettings};
pub use command::{CommandRunner, ShellRunner};
pub use environment::Environment;
pub use file::{ConfigFile, FILE_NAME, schema};
pub use group::{GroupDrillSettings, GroupSettings, KeysSettings};
pub use kinds::{DeltaMode, DrillEvery, DrillPoint, HookMoment, NotifyKind, ProviderKind};
pub use reference::reference;
pub use resolve::{Inputs, Overrides};
pub use secret::{SecretRef, Secrets};
pub use settings::{
    AssertSettings, AzureSettings, BucketSettings, CredentialSettings, DaemonSettings,
    DrillSettings, FilesSettings, HookAction, HookSettings, KeyRef, NativeSettings, NeonSettings,
    PlanetscaleSettings, Protection, PruneSettings, RailwaySettings, RepositorySettings,
    RestorePreferences, Schedule, Settings, SourceSettings, SupabaseSettings, TlsPaths,
    WalSettings,
};
pub use template::{TemplateFacts, template};
