//! What every verb needs, opened when it is first asked for.

use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::path::Path;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use backup::config::{
    DrillSettings, Environment, GroupSettings, KeyRef, Overrides, RepositorySettings,
    RestorePreferences, Settings, SourceSettings,
};
use backup::daemon::{remembered, state_directory};
use backup::ops::alert::Destination;
use backup::ops::forget::Retention;
use backup::ops::group::{self, GroupStatus, RecoverySet};
use backup::ops::prune::DEFAULT_GRACE;
use backup::ops::report::Promised;
use backup::ops::{Interrupt, Promise, Selector, SourceStatus};
use backup::repository::Repository;
use backup::retention::Policy;
use backup::{Composer, KeySecret};
use backup_core::port::{Catalog, Clock, Observer, PhysicalOptions, Provider};
use backup_core::{
    Error, ErrorKind, HeadRecord, Result, SnapshotKind, SnapshotRecord, SourceName, VerifyLevel,
};
use jiff::tz::TimeZone;
use tokio::sync::OnceCell;

use crate::args::GlobalArgs;
use crate::prompt;
use crate::render::screen::Screen;
use crate::render::watch;

/// One run of one command.
pub(crate) struct Session {
    pub(crate) screen: Arc<Screen>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) interrupt: Interrupt,
    global: GlobalArgs,
    overrides: Overrides,
    probe: bool,
    environment: Environment,
    settings: OnceLock<Settings>,
    repository: OnceCell<Repository>,
    destinations: OnceLock<Vec<Destination>>,
    announcers: OnceLock<Vec<Destination>>,
}

/// A source, resolved.
pub(crate) struct ChosenSource {
    pub(crate) name: SourceName,
    pub(crate) provider: Arc<dyn Provider>,
    pub(crate) kind: SnapshotKind,
    pub(crate) jobs: Option<NonZeroUsize>,
    pub(crate) max_rate: Option<u64>,
    pub(crate) physical: PhysicalOptions,
}

/// What `backup` takes at once.
pub(crate) enum Job<'a> {
    /// One source.
    Source(&'a SourceSettings),
    /// The members of a group, as one recovery set.
    Group(&'a GroupSettings),
}

impl Session {
    /// Creates a run; `probe` says that it is worth finding out what the store really does.
    pub(crate) fn new(
        global: GlobalArgs,
        overrides: Overrides,
        probe: bool,
        screen: Arc<Screen>,
        interrupt: Interrupt,
    ) -> Self {
        Self {
            screen,
            clock: backup::system_clock(),
            interrupt,
            global,
            overrides,
            probe,
            environment: Environment::from_process(),
            settings: OnceLock::new(),
            repository: OnceCell::new(),
            destinations: OnceLock::new(),
            announcers: OnceLock::new(),
        }
    }

    /// Returns a run of a machine that has nothing but these variables: no file, no other
    /// environment, nothing remembered.
    pub(crate) fn bare(&self, environment: Environment) -> Result<Self> {
        let settings = backup::settings_from_nothing(&environment)?;
        let mut bare = Self::new(
            self.global.clone(),
            Overrides::default(),
            false,
            Arc::clone(&self.screen),
            self.interrupt.clone(),
        );
        bare.environment = environment;
        bare.settings = OnceLock::from(settings);
        Ok(bare)
    }

    /// Returns the settings, read once; notes are said once.
    pub(crate) fn settings(&self) -> Result<&Settings> {
        if let Some(settings) = self.settings.get() {
            return Ok(settings);
        }
        let settings = backup::load_settings(
            self.global.config.as_deref(),
            &self.environment,
            &self.overrides,
        )?;
        for note in &settings.notes {
            self.screen.say(&format!("note: {note}"));
        }
        Ok(self.settings.get_or_init(|| settings))
    }

    /// Returns what turns settings into open things.
    pub(crate) fn composer(&self) -> Composer {
        let state = self.settings.get().and_then(|settings| settings.daemon.state.clone());
        Composer::new(self.environment.clone(), Arc::clone(&self.clock)).with_state(state)
    }

    /// Returns an observer that shows what happens.
    pub(crate) fn observer(&self) -> Arc<dyn Observer> {
        watch(&self.screen)
    }

    /// Returns the repository, opened once.
    pub(crate) async fn repository(&self) -> Result<&Repository> {
        self.repository
            .get_or_try_init(|| async {
                let settings = self.settings()?.repository()?;
                let secret = self.secret(settings)?;
                let composer = self.composer();
                composer.open(settings, &secret, self.probe, self.observer()).await
            })
            .await
    }

    /// Returns the repository, opened to add objects only: faster, see
    /// [`Composer::open_to_write`].
    pub(crate) async fn writing_repository(&self) -> Result<&Repository> {
        self.repository
            .get_or_try_init(|| async {
                let settings = self.settings()?.repository()?;
                let secret = self.secret(settings)?;
                self.composer().open_to_write(settings, &secret, self.observer()).await
            })
            .await
    }

    /// Returns the environment of this run.
    pub(crate) fn environment(&self) -> &Environment {
        &self.environment
    }

    /// Returns the file that settings were said to be in.
    pub(crate) fn config(&self) -> Option<&std::path::Path> {
        self.global.config.as_deref()
    }

    /// Returns the source that BACKUP_SOURCE names, where nothing else does.
    pub(crate) fn source_variable(&self) -> Result<Option<SourceName>> {
        self.environment.get("BACKUP_SOURCE")?.map(str::parse).transpose()
    }

    /// Returns what opens the repository: what is configured, else what a person types.
    fn secret(&self, settings: &RepositorySettings) -> Result<KeySecret> {
        let found = settings.key().and_then(|key| self.composer().key_secret(key));
        match found {
            Err(error) if prompt::possible() => {
                self.screen.say(&format!("{error}"));
                prompt::hidden("Passphrase: ").map(KeySecret::Passphrase)
            }
            found => found,
        }
    }

    /// Returns the passphrase or key that a new repository gets, and what to call it.
    pub(crate) fn first_secret(&self) -> Result<(KeySecret, &'static str)> {
        let found = self.settings()?.repository()?.key().and_then(|key| {
            let label = if matches!(key, KeyRef::KeyFile(_)) { "key file" } else { "passphrase" };
            Ok((self.composer().key_secret(key)?, label))
        });
        match found {
            Err(error) if prompt::possible() => {
                self.screen.say(&format!("{error}"));
                let passphrase = prompt::twice("Passphrase for the new repository")?;
                Ok((KeySecret::Passphrase(passphrase), "passphrase"))
            }
            found => found,
        }
    }

    /// Returns what BACKUP_REPOSITORY would be; holds no secret.
    pub(crate) fn repository_url(&self) -> Result<String> {
        Ok(self.settings()?.repository()?.url.clone())
    }

    /// Returns every snapshot, by source and sequence.
    pub(crate) async fn records(&self) -> Result<Vec<SnapshotRecord>> {
        let repository = self.repository().await?;
        self.interrupt.unless(repository.snapshots()).await
    }

    /// Returns the snapshot that is meant. Others that are damaged do not stand in its way, but
    /// are said.
    pub(crate) async fn select(&self, selector: &Selector) -> Result<SnapshotRecord> {
        let repository = self.repository().await?;
        let scan = self.interrupt.unless(repository.scan_snapshots()).await?;
        for (id, error) in scan.unreadable {
            if matches!(selector, Selector::Prefix(digits) if id.to_string().starts_with(&digits.to_ascii_lowercase()))
            {
                return Err(error);
            }
            self.screen.warn(&format!("snapshot {} is passed over: {error}", id.short()));
        }
        backup::ops::select(&scan.records, selector).cloned()
    }

    /// Returns the configured sources of these names, or all. Nothing is resolved yet, so that
    /// one that is set up wrongly does not stand in the way of the others.
    pub(crate) fn sources(&self, names: &[SourceName]) -> Result<Vec<&SourceSettings>> {
        let names: Vec<String> = names.iter().map(ToString::to_string).collect();
        self.settings()?.select(&names)
    }

    /// Returns what these names mean, of sources and groups, or everything: then the members of a
    /// group are taken with it, where its first one stands.
    pub(crate) fn jobs(&self, names: &[SourceName]) -> Result<Vec<Job<'_>>> {
        let settings = self.settings()?;
        if !names.is_empty() {
            let job = |name: &SourceName| match backup::group(settings, name) {
                Some(group) => Ok(Job::Group(group)),
                None => settings.source(name.as_str()).map(Job::Source),
            };
            return names.iter().map(job).collect();
        }
        let mut jobs = Vec::new();
        for source in self.sources(&[])? {
            let group = settings.groups.iter().find(|group| group.sources.contains(&source.name));
            match group {
                None => jobs.push(Job::Source(source)),
                Some(group) if group.sources.first() == Some(&source.name) => {
                    jobs.push(Job::Group(group));
                }
                Some(_) => {}
            }
        }
        Ok(jobs)
    }

    /// Returns the recovery set that is meant; nothing where a snapshot is.
    pub(crate) async fn set(&self, selector: &Selector) -> Result<Option<RecoverySet>> {
        let settings = self.settings()?;
        let is_source = |name: &SourceName| settings.sources.iter().any(|s| s.name == *name);
        let snapshot = match selector {
            Selector::Latest => true,
            Selector::LatestOf(name) => is_source(name),
            Selector::SetOf(..) => false,
            // Nobody calls a group like the digits of an id, unless it is configured.
            Selector::Prefix(text) => {
                let known = settings.groups.iter().any(|group| group.name.as_str() == text);
                let digits = text.bytes().all(|b| b.is_ascii_hexdigit());
                !known && (digits || text.parse().is_ok_and(|name| is_source(&name)))
            }
        };
        if snapshot {
            return Ok(None);
        }
        let (heads, sets) = self.sets().await?;
        let known = |name: &SourceName| {
            is_source(name) || heads.iter().any(|head| head.snapshot.source == *name)
        };
        Ok(group::pick(&sets, selector, known)?.cloned())
    }

    /// Returns selectors of single snapshots: a recovery set stands for those of its members.
    pub(crate) async fn expand(&self, selectors: &[Selector]) -> Result<Vec<Selector>> {
        let mut all = Vec::with_capacity(selectors.len());
        for selector in selectors {
            match self.set(selector).await? {
                Some(set) => {
                    let ids = set.records().map(|record| record.snapshot.id.to_string());
                    all.extend(ids.map(Selector::Prefix));
                }
                None => all.push(selector.clone()),
            }
        }
        Ok(all)
    }

    /// Returns every snapshot in short, and the recovery sets they make. Damaged ones are passed
    /// over and said.
    pub(crate) async fn sets(&self) -> Result<(Vec<HeadRecord>, Vec<RecoverySet>)> {
        let repository = self.repository().await?;
        let scan = self.interrupt.unless(repository.scan_heads()).await?;
        for (id, error) in &scan.unreadable {
            self.screen.warn(&format!("snapshot {} is passed over: {error}", id.short()));
        }
        let sets = group::sets(&scan.records);
        Ok((scan.records, sets))
    }

    /// Resolves a source: reads its URL and finds who speaks to it; connects to nothing.
    pub(crate) fn choose(&self, source: &SourceSettings) -> Result<ChosenSource> {
        Ok(ChosenSource {
            name: source.name.clone(),
            provider: self.composer().source(source)?,
            kind: source.mode,
            jobs: source.jobs,
            max_rate: source.max_rate.map(|rate| rate.0),
            physical: source.physical,
        })
    }

    /// Returns a provider for a place to restore into.
    pub(crate) fn target(&self, url: &str) -> Result<Arc<dyn Provider>> {
        self.composer().target(url)
    }

    /// Returns a provider for a place to restore a snapshot of that kind into.
    pub(crate) fn place(&self, url: &str, kind: SnapshotKind) -> Result<Arc<dyn Provider>> {
        self.composer().place(url, kind)
    }

    /// Says so when a URL on the command line holds a password.
    pub(crate) fn warn_about_argv(&self, flag: &str, url: &str) {
        let on_argv = std::env::args_os().any(|word| word.to_string_lossy().contains(url));
        if on_argv && backup::has_password(url) {
            self.screen.warn(&format!(
                "{flag} holds a password, which other users of this machine can read while \
                 this runs; pass it by environment instead"
            ));
        }
    }

    /// Asks the providers of configured sources what they keep, and judges by that too.
    pub(crate) async fn count_natives(
        &self,
        sources: impl Iterator<Item = &mut SourceStatus>,
    ) -> Result<()> {
        let (composer, settings) = (&self.composer(), self.settings()?);
        let counting = async {
            for status in sources {
                backup::count_native(composer, settings, status, self.clock.now()).await;
            }
            Ok(())
        };
        self.interrupt.unless(counting).await
    }

    /// Returns how sources and groups stand: these, or all that are configured or stored.
    pub(crate) async fn standings(
        &self,
        names: &[SourceName],
    ) -> Result<(Vec<SourceStatus>, Vec<GroupStatus>)> {
        let promises = self.promises()?;
        let groups = backup::group_promises(self.settings()?);
        let repository = self.repository().await?;
        let now = self.clock.now();
        let work = backup::ops::standings(repository, &promises, &groups, now);
        let (mut sources, mut groups) = self.interrupt.unless(work).await?;
        let known = |name: &SourceName| {
            sources.iter().any(|source| source.source == *name)
                || groups.iter().any(|group| group.group == *name)
        };
        if let Some(absent) = names.iter().find(|name| !known(name)) {
            return Err(Error::new(ErrorKind::NotFound, "find source")
                .with("source", absent)
                .hint("Run `backupctl status` to see every source."));
        }
        // With a group its members are shown.
        let members: Vec<SourceName> = groups
            .iter()
            .filter(|group| names.contains(&group.group))
            .flat_map(|group| group.promise.members.clone())
            .collect();
        let asked = |name: &SourceName| names.is_empty() || names.contains(name);
        groups.retain(|group| asked(&group.group));
        sources.retain(|source| asked(&source.source) || members.contains(&source.source));
        Ok((sources, groups))
    }

    /// Returns what the daemon of this repository remembers: of this directory, or of where it
    /// usually is. Nothing where none was named and none is found; one that was named and cannot
    /// be looked at is an error.
    pub(crate) async fn memory(&self, named: Option<&Path>) -> Result<Option<Arc<dyn Catalog>>> {
        let repository = self.repository().await?.id();
        if let Some(directory) = named {
            return remembered(directory, repository).await.map(Some);
        }
        let Ok(directory) = state_directory(self.settings()?, &self.environment) else {
            return Ok(None);
        };
        match remembered(&directory, repository).await {
            Ok(catalog) => Ok(Some(catalog)),
            // No daemon ever ran here, or one of another repository does.
            Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::Conflict) => {
                Ok(None)
            }
            Err(error) => {
                self.screen.warn(&format!("what the daemon remembers is left out: {error}"));
                Ok(None)
            }
        }
    }

    fn promises(&self) -> Result<BTreeMap<SourceName, Promise>> {
        Ok(backup::promises(self.settings()?))
    }

    /// Returns what was promised to each configured source, and what holds for others, in the
    /// words of a report.
    pub(crate) fn promised(&self) -> Result<(BTreeMap<SourceName, Promised>, Promised)> {
        let promised = |source: &SourceSettings| Promised {
            rpo_seconds: source.protection.rpo.as_duration().as_secs(),
            level: source.protection.level,
            drill_interval_seconds: source
                .protection
                .drill_interval
                .map(|p| p.as_duration().as_secs()),
            rto_seconds: source.drill.rto.map(|period| period.as_duration().as_secs()),
            retention: source.retention.to_string(),
        };
        let sources = &self.settings()?.sources;
        let default = Promise::default();
        let otherwise = Promised {
            rpo_seconds: default.rpo.as_secs(),
            level: default.level,
            drill_interval_seconds: None,
            rto_seconds: None,
            retention: "everything".into(),
        };
        let named = sources.iter().map(|source| (source.name.clone(), promised(source))).collect();
        Ok((named, otherwise))
    }

    /// Returns what is to be kept of a source: what was typed, else what is configured; nothing
    /// when nobody said.
    pub(crate) fn retention(
        &self,
        source: &SourceName,
        typed: Option<Policy>,
    ) -> Option<Retention> {
        let settings = self.settings().ok()?;
        let configured = settings.sources.iter().find(|known| known.name == *source);
        let policy = typed.or_else(|| configured.map(|source| source.retention))?;
        if policy.is_empty() {
            return None;
        }
        Some(Retention {
            policy,
            required: configured.map_or(VerifyLevel::Read, |source| source.protection.level),
            zone: settings.zone.clone(),
        })
    }

    /// Returns how restores of a source behave, where somebody configured it.
    pub(crate) fn restore_preferences(&self, source: &SourceName) -> RestorePreferences {
        let settings = self.settings().ok();
        let source = settings.and_then(|s| s.sources.iter().find(|known| known.name == *source));
        source.map(|source| source.restore.clone()).unwrap_or_default()
    }

    /// Returns how drills of a source are held, where somebody configured it.
    pub(crate) fn drill_settings(&self, source: &SourceName) -> DrillSettings {
        let settings = self.settings().ok();
        let source = settings.and_then(|s| s.sources.iter().find(|known| known.name == *source));
        source.map(|source| source.drill.clone()).unwrap_or_default()
    }

    /// Returns how long what is unneeded stays.
    pub(crate) fn grace(&self) -> Duration {
        self.settings().map_or(DEFAULT_GRACE, |settings| settings.prune.grace.as_duration())
    }

    /// Returns where days begin.
    pub(crate) fn zone(&self) -> TimeZone {
        self.settings().map_or(TimeZone::UTC, |settings| settings.zone.clone())
    }

    /// Returns who is told; fails when a channel cannot be used.
    pub(crate) fn destinations(&self) -> Result<Vec<Destination>> {
        if let Some(destinations) = self.destinations.get() {
            return Ok(destinations.clone());
        }
        let made = self.composer().destinations(&self.settings()?.notify)?;
        Ok(self.destinations.get_or_init(|| made).clone())
    }

    /// Returns who is told, as far as that can be read when the settings are broken; a channel
    /// that cannot be used takes part, and fails when it is to deliver: it must not silence the
    /// others.
    pub(crate) fn announcers(&self) -> Vec<Destination> {
        let made = || match self.settings() {
            Ok(settings) => self.composer().announcers(&settings.notify),
            Err(_) => {
                let config = self.global.config.as_deref();
                let channels = backup::load_channels(config, &self.environment);
                self.composer().announcers(&channels)
            }
        };
        self.announcers.get_or_init(made).clone()
    }
}
