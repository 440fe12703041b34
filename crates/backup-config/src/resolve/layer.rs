//! What holds for every source: the environment's word, and the file's general tables.

use std::num::NonZeroUsize;

use backup_core::{ByteSize, Error, ErrorKind, Result, SnapshotKind, VerifyLevel};
use backup_retention::{Period, Policy};
use backup_schedule::Blackouts;

use super::Resolver;
use crate::file::raw::{
    RawAssert, RawDrill, RawProtection, RawRestore, RawRetention, RawSchedule, RawSourceWal, RawWal,
};
use crate::file::text::FromText;
use crate::settings::{
    AssertSettings, DrillSettings, Protection, RestorePreferences, Schedule, WalSettings,
};
use crate::{Cron, DrillEvery};

/// What the environment says about every source.
pub(super) struct Layer {
    pub(super) jobs: Option<NonZeroUsize>,
    pub(super) max_rate: Option<ByteSize>,
    rpo: Option<Period>,
    policy: Option<Policy>,
    daily: Option<u32>,
    weekly: Option<u32>,
    monthly: Option<u32>,
    backup: Option<Cron>,
}

impl Layer {
    /// When backups run, whatever a file says.
    pub(super) fn backup(&self) -> Option<Cron> {
        self.backup.clone()
    }

    pub(super) fn read(resolver: &Resolver<'_>) -> Result<Self> {
        let environment = resolver.inputs.environment;
        Ok(Self {
            jobs: environment.parse("BACKUP_JOBS", number)?,
            max_rate: environment.parse("BACKUP_MAX_RATE", FromText::from_text)?,
            rpo: environment.parse("BACKUP_RPO", str::parse)?,
            policy: environment.parse("BACKUP_RETENTION", str::parse)?,
            daily: environment.parse("BACKUP_RETENTION_DAYS", number)?,
            weekly: environment.parse("BACKUP_RETENTION_WEEKS", number)?,
            monthly: environment.parse("BACKUP_RETENTION_MONTHS", number)?,
            backup: environment.parse("BACKUP_CRON", str::parse)?,
        })
    }

    /// The source's policy as a whole beats the general one as a whole; single rules of the
    /// environment beat both.
    pub(super) fn retention(&self, own: &RawRetention, all: &RawRetention) -> Policy {
        let own = written_policy(own);
        let mut policy = self.policy.or(own).or(written_policy(all)).unwrap_or_default();
        policy.daily = self.daily.unwrap_or(policy.daily);
        policy.weekly = self.weekly.unwrap_or(policy.weekly);
        policy.monthly = self.monthly.unwrap_or(policy.monthly);
        policy
    }

    /// Returns how far back any moment stays within reach.
    pub(super) fn wal_window(own: &RawRetention, all: &RawRetention) -> Period {
        let written = own.wal_window.as_ref().or(all.wal_window.as_ref());
        written.map_or(Period::from_days(7), |window| window.0)
    }

    pub(super) fn protection(
        &self,
        own: &RawProtection,
        all: &RawProtection,
        every: Option<DrillEvery>,
        scheduled: Option<&Cron>,
    ) -> Protection {
        let default = Protection::default();
        let rpo = own.rpo.as_ref().or(all.rpo.as_ref()).map(|rpo| rpo.0);
        let level = own.level.as_ref().or(all.level.as_ref()).map(|level| level.0);
        let drill = own.drill_interval.as_ref().or(all.drill_interval.as_ref());
        let each = every == Some(DrillEvery::Snapshot);
        let by_default = if each { VerifyLevel::Drilled } else { default.level };
        let level = level.unwrap_or(by_default);
        let stated = drill.map(|interval| interval.0).or(every.and_then(DrillEvery::overdue_after));
        // What is drilled by the clock is overdue when the clock was not heeded.
        let scheduled = scheduled.filter(|_| stated.is_none() && !each).and_then(|cron| {
            let period = Period::from_secs(cron.longest_pause().as_secs());
            DrillEvery::Period(period).overdue_after().filter(|period| period.as_secs() > 0)
        });
        Protection {
            rpo: self.rpo.or(rpo).unwrap_or(default.rpo),
            level,
            drill_interval: stated.or(scheduled),
            drill_awaited: scheduled.is_some() && level < VerifyLevel::Drilled,
        }
    }

    pub(super) fn schedule(&self, own: &RawSchedule, all: &RawSchedule) -> Result<Schedule> {
        let pick = |of: fn(&RawSchedule) -> Option<Cron>| of(own).or_else(|| of(all));
        let windows = own.blackout.as_ref().or(all.blackout.as_ref());
        let windows = windows.into_iter().flatten().map(|window| window.0.clone()).collect();
        let jitter = own.jitter.as_ref().or(all.jitter.as_ref());
        Ok(Schedule {
            jitter: jitter.map(|jitter| jitter.0).unwrap_or_default(),
            blackouts: Blackouts::new(windows)?,
            no_catch_up: !own.catch_up.or(all.catch_up).unwrap_or(true),
            backup: self.backup.clone().or_else(|| pick(|s| s.backup.clone().map(|c| c.0))),
            verify: pick(|s| s.verify.clone().map(|c| c.0)),
            drill: pick(|s| s.drill.clone().map(|c| c.0)),
            point_drill: pick(|s| s.point_drill.clone().map(|c| c.0)),
            disaster_drill: pick(|s| s.disaster_drill.clone().map(|c| c.0)),
            forget: pick(|s| s.forget.clone().map(|c| c.0)),
        })
    }
}

/// Returns the policy of one table; none when the table says nothing.
fn written_policy(raw: &RawRetention) -> Option<Policy> {
    let mut policy = raw.policy.as_ref().map(|policy| policy.0).unwrap_or_default();
    let mut any = raw.policy.is_some();
    for (count, key) in [
        (&mut policy.last, raw.keep_last),
        (&mut policy.hourly, raw.keep_hourly),
        (&mut policy.daily, raw.keep_daily),
        (&mut policy.weekly, raw.keep_weekly),
        (&mut policy.monthly, raw.keep_monthly),
        (&mut policy.yearly, raw.keep_yearly),
    ] {
        if let Some(value) = key {
            *count = value;
            any = true;
        }
    }
    if let Some(within) = &raw.keep_within {
        policy.within = Some(within.0).filter(|within| within.as_secs() > 0);
        any = true;
    }
    any.then_some(policy)
}

/// Merges the restore preferences of a source with the general ones.
pub(super) fn restore(own: &RawRestore, all: &RawRestore) -> RestorePreferences {
    let mut roles = all.role_map.clone();
    roles.extend(own.role_map.clone());
    let flag = |own: Option<bool>, all: Option<bool>| own.or(all).unwrap_or(false);
    RestorePreferences {
        jobs: own.jobs.or(all.jobs),
        no_owner: flag(own.no_owner, all.no_owner),
        no_privileges: flag(own.no_privileges, all.no_privileges),
        create_roles: flag(own.create_roles, all.create_roles),
        role_map: roles.into_iter().collect(),
    }
}

/// Merges how drills of a source are held with how they are in general; `to` and `sheet` are left
/// to the caller, who knows where secrets are written.
pub(super) fn drill(own: &RawDrill, all: &RawDrill) -> Result<DrillSettings> {
    let period = |own: &Option<crate::file::text::Text<Period>>, all: &Option<_>| {
        own.as_ref().or(all.as_ref()).map(|period| period.0)
    };
    let every = |own: &Option<crate::file::text::Text<DrillEvery>>, all: &Option<_>| {
        own.as_ref().or(all.as_ref()).map(|every| every.0)
    };
    let asserts = all.assert.iter().chain(&own.assert).map(assert);
    Ok(DrillSettings {
        every: every(&own.every, &all.every),
        disaster: every(&own.disaster, &all.disaster),
        point: own.point.as_ref().or(all.point.as_ref()).map(|point| point.0).unwrap_or_default(),
        sheet: None,
        rto: period(&own.rto, &all.rto),
        to: None,
        smoke: own.smoke.clone().or_else(|| all.smoke.clone()),
        smoke_timeout: period(&own.smoke_timeout, &all.smoke_timeout),
        question_timeout: period(&own.question_timeout, &all.question_timeout),
        asserts: asserts.collect::<Result<_>>()?,
    })
}

/// Checks the schedules of drills against what they need. What holds for all sources and only
/// concerns clusters is left out for the others.
pub(super) fn drill_schedules(
    schedule: &mut Schedule,
    own: &RawSchedule,
    drill: &DrillSettings,
    mode: SnapshotKind,
) -> Result<()> {
    let wrong = |key| Error::new(ErrorKind::ConfigInvalid, "read configuration").with("key", key);
    if mode != SnapshotKind::Physical {
        if own.point_drill.is_some() {
            return Err(wrong("source.schedule.point_drill")
                .with("mode", mode.as_str())
                .because("points in time need a physical snapshot")
                .hint(
                    "Write backup.mode = \"physical\" into its [[source]], or leave point_drill \
                     out.",
                ));
        }
        schedule.point_drill = None;
    }
    if schedule.disaster_drill.is_some() && drill.sheet.is_none() {
        return Err(wrong("schedule.disaster_drill")
            .because("it needs a recovery key, and drill.sheet names none")
            .hint(
                "Write drill.sheet = \"file:/path/of/recovery-sheet.txt\", or a command: that \
                 fetches it.",
            ));
    }
    Ok(())
}

/// Merges how the write-ahead log of a source is received with how it is in general; nothing when
/// it is not. What holds for all sources concerns those that are copied physically.
pub(super) fn wal(
    own: &RawSourceWal,
    all: &RawWal,
    mode: SnapshotKind,
) -> Result<Option<WalSettings>> {
    let physical = mode == SnapshotKind::Physical;
    if own.stream == Some(true) && !physical {
        return Err(Error::new(ErrorKind::ConfigInvalid, "read configuration")
            .with("key", "source.wal.stream")
            .with("mode", mode.as_str())
            .because("write-ahead log recovers nothing without a physical snapshot")
            .hint(
                "Write backup.mode = \"physical\" into its [[source]], or leave wal.stream out.",
            ));
    }
    if !own.stream.or(all.stream).unwrap_or(false) || !physical {
        return Ok(None);
    }
    let period = |own: &Option<crate::file::text::Text<Period>>, all: &Option<_>, default| {
        own.as_ref().or(all.as_ref()).map_or(default, |period| period.0)
    };
    let settings = WalSettings {
        slot: own.slot.clone(),
        flush: period(&own.flush, &all.flush, Period::from_secs(10)),
        max_lag: period(&own.max_lag, &all.max_lag, Period::from_secs(300)),
    };
    let (flush, max_lag) = (settings.flush.as_secs(), settings.max_lag.as_secs());
    if flush == 0 || max_lag < flush.saturating_add(MEASURED) {
        return Err(Error::new(ErrorKind::ConfigInvalid, "read configuration")
            .with("wal.flush", settings.flush)
            .with("wal.max_lag", settings.max_lag)
            .because("a segment that grows is behind for as long as it is not stored")
            .hint(
                "Write a wal.flush of at least 1s, and a wal.max_lag that is at least 10s longer.",
            ));
    }
    Ok(Some(settings))
}

/// Seconds between storing a growing segment and the measurement that sees it, at most.
const MEASURED: u64 = 10;

fn assert(raw: &RawAssert) -> Result<AssertSettings> {
    let settings = AssertSettings {
        name: raw.name.clone().unwrap_or_else(|| raw.sql.clone()),
        sql: raw.sql.clone(),
        equals: raw.equals.as_ref().map(crate::file::raw::RawScalar::to_text),
        tolerance: raw.tolerance.unwrap_or(0.0),
        at_least: raw.at_least,
        at_most: raw.at_most,
        younger_than: raw.younger_than.as_ref().map(|period| period.0),
    };
    let asserts = settings.equals.is_some()
        || settings.at_least.is_some()
        || settings.at_most.is_some()
        || settings.younger_than.is_some();
    if asserts && settings.tolerance >= 0.0 {
        return Ok(settings);
    }
    Err(Error::new(ErrorKind::ConfigInvalid, "read configuration")
        .with("assert", settings.name.escape_debug())
        .because("it asserts nothing that could fail")
        .hint("Write equals (with a tolerance of 0 or more), at_least, at_most or younger_than."))
}

fn number<T: std::str::FromStr<Err = std::num::ParseIntError>>(text: &str) -> Result<T> {
    text.parse().map_err(|error: std::num::ParseIntError| {
        Error::new(ErrorKind::ConfigInvalid, "parse number")
            .with("text", text.escape_debug())
            .because(error)
            .hint("Write a whole number.")
    })
}
