//! Why a snapshot is kept or forgotten, and why a plan was refused.

use std::fmt;

use backup_core::{SetId, SnapshotId, VerifyLevel};
use serde::{Serialize, Serializer};

use crate::Rule;

/// Why a snapshot is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum KeepReason {
    /// It is pinned.
    Pinned,
    /// It is the newest of its source that can be trusted.
    Newest,
    /// It is the newest that was proved at least so far.
    NewestVerified(VerifyLevel),
    /// A rule selects it, for the hour, day, week … of that label.
    Rule(Rule, String),
    /// A rule selects it among the verified ones: unverified snapshots do not replace it.
    VerifiedRule(Rule, String),
    /// A rule selects it when days with unusually many snapshots are left aside.
    UncrowdedRule(Rule, String),
    /// It claims to be from the future, so no rule can judge it.
    Future,
    /// Its time contradicts its place in the history, so no rule can judge it.
    Disordered,
    /// It was stored long after it was finished, so no rule can judge it.
    StoredLate,
    /// It is suspect, and no newer snapshot has been verified.
    SuspectUnreplaced,
    /// Another member of its recovery set is kept.
    Set(SetId),
    /// It belongs to the newest complete recovery set of a group.
    NewestSet(SetId),
    /// It belongs to the newest recovery set of a group that passed its drill.
    PassedSet(SetId),
    /// The policy has no rules.
    NoRules,
    /// The plan was refused.
    Refused,
}

impl fmt::Display for KeepReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Pinned => f.write_str("pinned"),
            Self::Newest => f.write_str("newest"),
            Self::NewestVerified(level) => write!(f, "newest at level {}", level.as_str()),
            Self::Rule(rule, label) => selected(f, *rule, label),
            Self::VerifiedRule(rule, label) => {
                selected(f, *rule, label)?;
                f.write_str(" among verified")
            }
            Self::UncrowdedRule(rule, label) => {
                selected(f, *rule, label)?;
                f.write_str(" without crowded days")
            }
            Self::Future => f.write_str("time lies in the future"),
            Self::Disordered => f.write_str("time contradicts its sequence"),
            Self::StoredLate => f.write_str("stored over a day after it was finished"),
            Self::SuspectUnreplaced => f.write_str("suspect, nothing newer is verified"),
            Self::Set(id) => write!(f, "belongs to set {}, of which something is kept", id.short()),
            Self::NewestSet(id) => {
                write!(f, "belongs to set {}, the newest of its group", id.short())
            }
            Self::PassedSet(id) => {
                write!(f, "belongs to set {}, the newest that passed its drill", id.short())
            }
            Self::NoRules => f.write_str("the policy keeps everything"),
            Self::Refused => f.write_str("nothing may be forgotten now"),
        }
    }
}

fn selected(f: &mut fmt::Formatter<'_>, rule: Rule, label: &str) -> fmt::Result {
    write!(f, "{} {label}", rule.as_str())
}

/// Why a snapshot is forgotten.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ForgetReason {
    /// Another snapshot stands for the same hour, day, week …
    Represented {
        /// The one that is kept.
        by: SnapshotId,
        /// Under which rule.
        rule: Rule,
        /// For which hour, day, week …
        label: String,
    },
    /// It is older than every rule reaches.
    Expired,
    /// It is suspect, and a newer snapshot has been verified.
    SuspectReplaced,
}

impl fmt::Display for ForgetReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Represented { by, rule, label } => {
                write!(f, "{} stands for {} {label}", by.short(), rule.as_str())
            }
            Self::Expired => f.write_str("older than every rule"),
            Self::SuspectReplaced => f.write_str("suspect, a newer one is verified"),
        }
    }
}

/// Why nothing may be forgotten.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Refusal {
    /// The last run failed.
    AfterFailedRun,
    /// The newest snapshot is suspect.
    AfterSuspectRun(SnapshotId),
    /// The records are of more than one source: a mistake of the caller.
    SeveralSources,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AfterFailedRun => f.write_str(
                "the last run failed; back up successfully first, or forget snapshots by id",
            ),
            Self::AfterSuspectRun(id) => write!(
                f,
                "the newest snapshot {} is suspect; look at it and back up again first, or \
                 forget snapshots by id",
                id.short()
            ),
            Self::SeveralSources => f.write_str("the records are of more than one source"),
        }
    }
}

macro_rules! serialize_as_text {
    ($($name:ident),*) => {$(
        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }
    )*};
}

serialize_as_text!(KeepReason, ForgetReason, Refusal);
