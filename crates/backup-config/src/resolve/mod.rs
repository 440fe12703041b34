//! Flags over environment over file over defaults.

mod bucket;
mod daemon;
mod files;
mod groups;
mod layer;
mod notify;
mod repository;
mod sources;
mod vendors;

use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};

use backup_core::{ByteSize, Error, Result, Secret, SnapshotKind, SourceName};
use backup_retention::Policy;
use jiff::tz::TimeZone;

use crate::file::raw::RawFile;
use crate::file::text::{FromText, Hidden};
use crate::kinds::ProviderKind;
use crate::settings::{PruneSettings, Settings};
use crate::variables::misspelt;
use crate::{ConfigFile, Environment, NotifySettings, SecretRef, Secrets};

/// What flags say; each beats environment and file.
#[derive(Clone, Debug, Default)]
pub struct Overrides {
    /// The repository's URL.
    pub repository: Option<String>,
    /// A database URL, as given to `init`.
    pub database_url: Option<Secret>,
    /// The provider of that database.
    pub provider: Option<ProviderKind>,
    /// The name of that source.
    pub source: Option<SourceName>,
    /// How sources are copied.
    pub mode: Option<SnapshotKind>,
    /// Parallel readers.
    pub jobs: Option<NonZeroUsize>,
    /// Bytes per second read from sources.
    pub max_rate: Option<ByteSize>,
    /// The whole retention policy.
    pub retention: Option<Policy>,
}

/// Where settings come from.
#[derive(Clone, Copy, Debug)]
pub struct Inputs<'a> {
    /// Flags.
    pub overrides: &'a Overrides,
    /// The environment.
    pub environment: &'a Environment,
    /// The file, if there is one.
    pub file: Option<&'a ConfigFile>,
    /// The directory where relative paths of the environment start.
    pub directory: &'a Path,
    /// Reads the database URL where a source's name or provider must be told from it.
    pub secrets: &'a Secrets,
}

impl Settings {
    /// Resolves the settings. Unknown keys and unusable values are `ConfigInvalid` and name the
    /// file with line and column, or the variable; secrets are not read, except a URL that must
    /// tell the source's name.
    pub fn load(inputs: &Inputs<'_>) -> Result<Self> {
        let file = match inputs.file {
            Some(file) => file.parse()?,
            None => RawFile::default(),
        };
        let mut resolver =
            Resolver { inputs, base: base(inputs), notes: misspelt(inputs.environment) };
        let repository = resolver.repository(&file.repository)?;
        let mut sources = resolver.sources(&file)?;
        let groups = resolver.groups(&file, &mut sources)?;
        let notify = resolver.notify(&file.notify)?;
        let hooks = resolver.hooks(&file.hook, &sources)?;
        let daemon = resolver.daemon(&file.daemon)?;
        let zone = inputs.environment.parse("BACKUP_ZONE", zone)?;
        let defaults = PruneSettings::default();
        Ok(Self {
            repository,
            sources,
            groups,
            notify,
            zone: zone.or(file.zone.map(|zone| zone.0)).unwrap_or(TimeZone::UTC),
            prune: PruneSettings {
                grace: file.prune.grace.map_or(defaults.grace, |grace| grace.0),
                schedule: file.prune.schedule.map(|schedule| schedule.0),
            },
            hooks,
            daemon,
            notes: resolver.notes,
        })
    }
}

impl NotifySettings {
    /// Returns who is told, as far as that can be read when [`Settings::load`] fails: those of
    /// the environment, and those of a file that is sound itself.
    #[must_use]
    pub fn salvage(inputs: &Inputs<'_>) -> Vec<Self> {
        let file = inputs.file.and_then(|file| file.parse().ok()).unwrap_or_default();
        let mut resolver = Resolver { inputs, base: base(inputs), notes: Vec::new() };
        resolver.notify(&file.notify).unwrap_or_default()
    }
}

/// Carries the inputs and collects notes.
struct Resolver<'a> {
    inputs: &'a Inputs<'a>,
    /// Where relative paths of the file start.
    base: PathBuf,
    notes: Vec<String>,
}

fn base(inputs: &Inputs<'_>) -> PathBuf {
    let beside = inputs.file.and_then(|file| file.path.parent());
    beside.map_or_else(|| inputs.directory.to_owned(), |parent| inputs.directory.join(parent))
}

fn zone(text: &str) -> Result<TimeZone> {
    FromText::from_text(text)
}

/// Helpers that all parts use.
impl Resolver<'_> {
    /// Adds file, line and column to an error about a value of the file.
    fn locate(&self, path: &str, error: Error) -> Error {
        match self.inputs.file {
            Some(file) => file.locate(path, error),
            None => error,
        }
    }

    /// A secret of the environment.
    fn variable(&self, name: &str) -> Result<Option<SecretRef>> {
        let found = SecretRef::from_environment(self.inputs.environment, name)?;
        Ok(found.map(|secret| secret.relative_to(self.inputs.directory)))
    }

    /// A secret of the file.
    fn written(&mut self, key: &str, value: &Hidden) -> SecretRef {
        let secret = SecretRef::parse(key, &value.0);
        self.written_as(secret)
    }

    /// A URL of the file.
    fn written_url(&mut self, key: &str, value: &Hidden) -> SecretRef {
        if value.0 == "provider" || bucket::is_bucket(&value.0) {
            // A word, or the address of a bucket: no secret.
            return SecretRef::inline(key, Secret::new(value.0.clone()));
        }
        let secret = SecretRef::parse_url(key, &value.0);
        self.written_as(secret)
    }

    fn written_as(&mut self, secret: SecretRef) -> SecretRef {
        if secret.is_inline() {
            self.notes.push(format!(
                "{} stands in the configuration file as it is; env:, file: or command: keep it \
                 out of there",
                secret.setting()
            ));
        }
        secret.relative_to(&self.base)
    }
}
