//! Words of the configuration: providers, modes, levels.

use std::fmt;
use std::str::FromStr;

use backup_core::port::PhysicalAccess;
use backup_core::{Error, ErrorKind, Result, Severity, SnapshotKind, VerifyLevel};
use backup_retention::Period;

use crate::nearest::nearest;

/// Which platform hosts a source.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ProviderKind {
    /// A PostgreSQL server, whoever runs it.
    Postgres,
    /// Neon.
    Neon,
    /// Supabase.
    Supabase,
    /// Railway.
    Railway,
    /// PlanetScale.
    Planetscale,
    /// A MySQL or MariaDB server.
    Mysql,
    /// A directory tree or a bucket.
    Files,
}

impl ProviderKind {
    pub(crate) const WORDS: [(&str, Self); 9] = [
        ("postgres", Self::Postgres),
        ("postgresql", Self::Postgres),
        ("generic", Self::Postgres),
        ("neon", Self::Neon),
        ("supabase", Self::Supabase),
        ("railway", Self::Railway),
        ("planetscale", Self::Planetscale),
        ("mysql", Self::Mysql),
        ("files", Self::Files),
    ];

    /// Returns the word used in configuration.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        Self::WORDS.iter().find(|(_, kind)| *kind == self).map_or("", |(word, _)| word)
    }

    /// Returns whether its vendor takes snapshots when it is asked to.
    #[must_use]
    pub fn takes_snapshots(self) -> bool {
        matches!(self, Self::Neon | Self::Railway | Self::Planetscale)
    }

    /// Returns the provider that a URL's scheme stands for, when nothing else names one.
    #[must_use]
    pub fn from_scheme(scheme: &str) -> Option<Self> {
        match scheme.to_ascii_lowercase().as_str() {
            "postgres" | "postgresql" => Some(Self::Postgres),
            "mysql" | "mariadb" => Some(Self::Mysql),
            "file" | "s3" | "gs" | "azure" | "azblob" => Some(Self::Files),
            _ => None,
        }
    }
}

impl ProviderKind {
    /// Returns the provider that a connection URL's host belongs to, where only one has such
    /// hosts.
    #[must_use]
    pub fn from_host(url: &str) -> Option<Self> {
        let (scheme, rest) = url.split_once("://")?;
        let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
        let host = authority.rsplit('@').next().unwrap_or_default();
        let host = host.split(':').next().unwrap_or_default().to_ascii_lowercase();
        let ends = |domain: &str| host.strip_suffix(domain).is_some_and(|rest| rest.ends_with('.'));
        let engine = Self::from_scheme(scheme)?;
        let hosts = |kind: Self| match engine {
            Self::Postgres => true,
            Self::Mysql => kind == Self::Planetscale,
            _ => false,
        };
        let found = HOSTS.iter().find(|(domain, kind)| hosts(*kind) && ends(domain));
        found.map(|(_, kind)| *kind)
    }
}

/// Domains that belong to one vendor's databases.
const HOSTS: [(&str, ProviderKind); 8] = [
    ("neon.tech", ProviderKind::Neon),
    ("neon.build", ProviderKind::Neon),
    ("supabase.co", ProviderKind::Supabase),
    ("pooler.supabase.com", ProviderKind::Supabase),
    ("psdb.cloud", ProviderKind::Planetscale),
    ("rlwy.net", ProviderKind::Railway),
    ("proxy.railway.app", ProviderKind::Railway),
    ("railway.internal", ProviderKind::Railway),
];

impl fmt::Display for ProviderKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl FromStr for ProviderKind {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        word("provider", text, &Self::WORDS)
    }
}

/// Whether changed chunks are stored as deltas.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum DeltaMode {
    /// Where bases are near.
    #[default]
    Auto,
    /// Always.
    On,
    /// Never.
    Off,
}

/// How often something is drilled.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum DrillEvery {
    /// Each snapshot, when it was taken.
    Snapshot,
    /// After so long.
    Period(Period),
}

impl DrillEvery {
    const WORDS: [(&str, Self); 7] = [
        ("snapshot", Self::Snapshot),
        ("every snapshot", Self::Snapshot),
        ("daily", Self::Period(Period::from_days(1))),
        ("weekly", Self::Period(Period::from_days(7))),
        ("monthly", Self::Period(Period::from_days(31))),
        ("quarterly", Self::Period(Period::from_days(92))),
        ("yearly", Self::Period(Period::from_days(366))),
    ];

    /// Returns how long ago the last one may be before it is overdue: a twelfth longer than the
    /// period, so that a weekly drill may start late. Nothing for every snapshot: then the
    /// newest itself must have been drilled.
    #[must_use]
    pub fn overdue_after(self) -> Option<Period> {
        match self {
            Self::Snapshot => None,
            Self::Period(period) => {
                Some(Period::from_secs(period.as_secs() + period.as_secs() / 12))
            }
        }
    }
}

impl FromStr for DrillEvery {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        if let Ok(period) = text.parse::<Period>()
            && period.as_secs() > 0
        {
            return Ok(Self::Period(period));
        }
        word("interval", text, &Self::WORDS)
    }
}

/// To which point a cluster is brought by a drill.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum DrillPoint {
    /// The end of the WAL that is stored.
    #[default]
    Latest,
    /// So long before the drill begins.
    Before(Period),
}

impl FromStr for DrillPoint {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        if let Ok(period) = text.parse::<Period>()
            && period.as_secs() > 0
        {
            return Ok(Self::Before(period));
        }
        word("point", text, &[("latest", Self::Latest)])
            .map_err(|error| error.hint("Write `latest`, or a length of time such as 6h."))
    }
}

/// Where alerts go.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum NotifyKind {
    /// An incoming webhook of Slack.
    Slack,
    /// Any URL that takes JSON.
    Webhook,
    /// Mail.
    Email,
    /// PagerDuty.
    PagerDuty,
    /// Issues on GitHub.
    Github,
    /// A webhook of Discord.
    Discord,
    /// A workflow of Microsoft Teams.
    Teams,
    /// Pings of healthchecks.io and its like.
    Healthchecks,
}

impl NotifyKind {
    /// Returns the word used in configuration.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        NOTIFY_KINDS.iter().find(|(_, kind)| *kind == self).map_or("", |(word, _)| word)
    }
}

/// When a hook is called.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum HookMoment {
    /// Before a backup reads anything.
    Before,
    /// After a good backup.
    After,
    /// After a backup that failed or is suspect.
    Failure,
}

impl HookMoment {
    /// Returns the word used in configuration.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Before => "before",
            Self::After => "after",
            Self::Failure => "failure",
        }
    }
}

pub(crate) const HOOK_MOMENTS: [(&str, HookMoment); 3] = [
    ("before", HookMoment::Before),
    ("after", HookMoment::After),
    ("failure", HookMoment::Failure),
];
pub(crate) const DELTA_MODES: [(&str, DeltaMode); 3] =
    [("auto", DeltaMode::Auto), ("on", DeltaMode::On), ("off", DeltaMode::Off)];
pub(crate) const NOTIFY_KINDS: [(&str, NotifyKind); 8] = [
    ("slack", NotifyKind::Slack),
    ("webhook", NotifyKind::Webhook),
    ("email", NotifyKind::Email),
    ("pagerduty", NotifyKind::PagerDuty),
    ("github", NotifyKind::Github),
    ("discord", NotifyKind::Discord),
    ("teams", NotifyKind::Teams),
    ("healthchecks", NotifyKind::Healthchecks),
];
pub(crate) const SEVERITIES: [(&str, Severity); 3] =
    [("info", Severity::Info), ("warning", Severity::Warning), ("critical", Severity::Critical)];
pub(crate) const MODES: [(&str, SnapshotKind); 3] = [
    ("logical", SnapshotKind::Logical),
    ("physical", SnapshotKind::Physical),
    ("files", SnapshotKind::Files),
];
pub(crate) const PLACES: [(&str, PhysicalAccess); 3] = [
    ("auto", PhysicalAccess::Auto),
    ("local", PhysicalAccess::Local),
    ("remote", PhysicalAccess::Remote),
];
pub(crate) const LEVELS: [(&str, VerifyLevel); 4] = [
    ("none", VerifyLevel::None),
    ("exists", VerifyLevel::Exists),
    ("read", VerifyLevel::Read),
    ("drilled", VerifyLevel::Drilled),
];

/// Finds a word in its table; an unknown one is an error that suggests the nearest.
pub(crate) fn word<T: Copy>(what: &str, text: &str, table: &[(&'static str, T)]) -> Result<T> {
    let found = table.iter().find(|(word, _)| word.eq_ignore_ascii_case(text.trim()));
    found.map(|(_, value)| *value).ok_or_else(|| {
        let known: Vec<&str> = table.iter().map(|(word, _)| *word).collect();
        let meant = nearest(text, known.iter().copied())
            .map(|word| format!("Did you mean '{word}'? "))
            .unwrap_or_default();
        Error::new(ErrorKind::ConfigInvalid, format!("parse {what}"))
            .with("text", text.escape_debug())
            .hint(format!("{meant}Known are {}.", known.join(", ")))
    })
}
