//! Reading the configuration of this process.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use backup_config::{
    ConfigFile, DrillEvery, Environment, Inputs, NotifySettings, Overrides, Schedule, Secrets,
    Settings, ShellRunner, SourceSettings,
};
use backup_core::{Error, ErrorKind, JobKey, JobKind, Result, SourceName, VerifyLevel};
use backup_ops::Promise;
use backup_ops::drill::DrillPromise;
use backup_ops::health::Rhythm;
use backup_ops::wal::WalRetention;
use backup_retention::Period;
use backup_schedule::{Cron, Timetable, jitter};

/// Reads `config`, or what BACKUP_CONFIG names, or `backup.toml` in the working directory, and
/// merges it with the environment and `overrides`. Errors name the variable, or file and line.
pub fn load_settings(
    config: Option<&Path>,
    environment: &Environment,
    overrides: &Overrides,
) -> Result<Settings> {
    let directory = working_directory()?;
    let file = find_file(config, environment, &directory)?;
    let secrets = Secrets::new(environment.clone(), Arc::new(ShellRunner::default()));
    Settings::load(&Inputs {
        overrides,
        environment,
        file: file.as_ref(),
        directory: &directory,
        secrets: &secrets,
    })
}

/// Returns the settings of a machine that has nothing but these variables: no file is looked
/// for, and nothing else of this process's environment counts.
pub fn settings_from_nothing(environment: &Environment) -> Result<Settings> {
    let directory = working_directory()?;
    let secrets = Secrets::new(environment.clone(), Arc::new(ShellRunner::default()));
    Settings::load(&Inputs {
        overrides: &Overrides::default(),
        environment,
        file: None,
        directory: &directory,
        secrets: &secrets,
    })
}

/// Reads who is told of failures from the same places, as far as they can be read: for telling
/// that [`load_settings`] failed. What cannot be read is left out.
#[must_use]
pub fn load_channels(config: Option<&Path>, environment: &Environment) -> Vec<NotifySettings> {
    let directory = working_directory().unwrap_or_default();
    let file = find_file(config, environment, &directory).ok().flatten();
    let secrets = Secrets::new(environment.clone(), Arc::new(ShellRunner::default()));
    NotifySettings::salvage(&Inputs {
        overrides: &Overrides::default(),
        environment,
        file: file.as_ref(),
        directory: &directory,
        secrets: &secrets,
    })
}

/// Returns what was promised about each configured source.
#[must_use]
pub fn promises(settings: &Settings) -> BTreeMap<SourceName, Promise> {
    let promise = |source: &SourceSettings| Promise {
        rpo: source.protection.rpo.as_duration(),
        level: source.protection.level,
        drill: DrillPromise {
            interval: source.protection.drill_interval.map(Period::as_duration),
            awaited: source.protection.drill_awaited,
            disaster: source
                .drill
                .disaster
                .and_then(DrillEvery::overdue_after)
                .map(Period::as_duration),
            rto: source.drill.rto.map(Period::as_duration),
        },
        backups: rhythm(JobKind::Backup, source.schedule.backup.as_ref(), source, settings)
            .or_else(|| sets_rhythm(source, settings)),
        rpo_of_both: source.native.rpo.map(Period::as_duration),
        verifications: rhythm(JobKind::Verify, source.schedule.verify.as_ref(), source, settings),
    };
    settings.sources.iter().map(|source| (source.name.clone(), promise(source))).collect()
}

/// Returns what of a source's WAL is kept; `typed` beats every configured window. Of a source that
/// nobody configured, all since its oldest physical snapshot is.
pub fn wal_retention(
    settings: &Settings,
    grace: Duration,
    typed: Option<Duration>,
) -> impl Fn(&SourceName) -> WalRetention {
    move |name| {
        let source = settings.sources.iter().find(|source| source.name == *name);
        WalRetention {
            window: typed.or(source.map(|source| source.wal_window.as_duration())),
            required: source.map_or(VerifyLevel::Read, |source| source.protection.level),
            grace,
        }
    }
}

fn rhythm(
    kind: JobKind,
    cron: Option<&Cron>,
    source: &SourceSettings,
    settings: &Settings,
) -> Option<Rhythm> {
    let key = JobKey::of(kind, &source.name);
    Some(Rhythm {
        timetable: timetable(&key, cron?, source, settings),
        blackouts: source.schedule.blackouts.clone(),
        zone: settings.zone.clone(),
    })
}

/// When a source is backed up with its group.
fn sets_rhythm(source: &SourceSettings, settings: &Settings) -> Option<Rhythm> {
    let group = crate::group_of(settings, &source.name)?;
    let key = JobKey::of(JobKind::Backup, &group.name);
    Some(Rhythm {
        timetable: shifted(&key, group.schedule.backup.as_ref()?, &group.schedule, settings),
        blackouts: group.schedule.blackouts.clone(),
        zone: settings.zone.clone(),
    })
}

/// Returns when a job of a source is due.
pub(crate) fn timetable(
    key: &JobKey,
    cron: &Cron,
    source: &SourceSettings,
    settings: &Settings,
) -> Timetable {
    shifted(key, cron, &source.schedule, settings)
}

/// Returns when a job is due that has a schedule's jitter.
pub(crate) fn shifted(
    key: &JobKey,
    cron: &Cron,
    schedule: &Schedule,
    settings: &Settings,
) -> Timetable {
    let shift = jitter(&key.to_string(), schedule.jitter.as_duration());
    Timetable { cron: cron.clone(), zone: settings.zone.clone(), shift }
}

fn working_directory() -> Result<PathBuf> {
    std::env::current_dir().map_err(|error| {
        Error::new(ErrorKind::ConfigInvalid, "find working directory").because(error)
    })
}

fn find_file(
    config: Option<&Path>,
    environment: &Environment,
    directory: &Path,
) -> Result<Option<ConfigFile>> {
    let named = environment.get("BACKUP_CONFIG")?.map(Path::new);
    ConfigFile::find(config.or(named), directory)
}
