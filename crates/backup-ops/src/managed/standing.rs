//! How a source stands with what its vendor keeps counted in.

use std::time::Duration;

use backup_core::SourceName;
use backup_core::port::{Ability, NativeSnapshot, Platform, Window};
use jiff::Timestamp;

use super::snapshots::{is_ours, newest_native};
use crate::status::{SourceStatus, Standing};

/// What a vendor keeps of a source.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NativeStanding {
    /// The vendor, in configuration's word.
    pub provider: String,
    /// Whether its list was read; else nothing is known of its snapshots.
    pub listed: bool,
    /// The newest snapshot that can be restored, whoever made it.
    pub newest: Option<NativeSnapshot>,
    /// How many there are.
    pub snapshots: usize,
    /// How many of them are ours.
    pub ours: usize,
    /// How far back any moment can be restored.
    pub window: Option<Window>,
    /// Why that is not known, where it is not.
    pub error: Option<String>,
    /// When the vendor said so, where that was not just now.
    pub told_at: Option<Timestamp>,
}

impl NativeStanding {
    /// What is counted of a vendor that cannot be asked: nothing, and why.
    #[must_use]
    pub fn unknown(provider: &str, error: impl Into<String>) -> Self {
        let (provider, error) = (provider.to_owned(), Some(error.into()));
        Self { provider, error, ..Self::default() }
    }

    /// Returns this, with the snapshots that were there when the list was read before: that it cannot be
    /// read now says nothing about them.
    #[must_use]
    pub fn after(self, before: Self) -> Self {
        Self { error: self.error, window: self.window.or(before.window), ..before }
    }

    /// Returns the age of the newest.
    #[must_use]
    pub fn age(&self, now: Timestamp) -> Option<Duration> {
        let newest = self.newest.as_ref()?;
        Some(Duration::try_from(now.duration_since(newest.created_at)).unwrap_or_default())
    }
}

/// Looks at what a vendor keeps; reads only. Nothing where it cannot list snapshots; that it
/// cannot be asked now is part of the answer.
pub async fn look(platform: &dyn Platform, source: &SourceName) -> Option<NativeStanding> {
    if !platform.can(Ability::ListSnapshots) {
        return None;
    }
    let mut standing = NativeStanding { provider: platform.name().to_owned(), ..<_>::default() };
    match platform.snapshots().await {
        Ok(snapshots) => {
            standing.listed = true;
            standing.newest = newest_native(&snapshots).cloned();
            standing.snapshots = snapshots.len();
            standing.ours = snapshots.iter().filter(|one| is_ours(&one.name, source)).count();
        }
        Err(error) => standing.error = Some(error.to_string()),
    }
    match platform.window().await {
        Ok(window) => standing.window = window,
        Err(error) => {
            standing.error.get_or_insert_with(|| error.to_string());
        }
    }
    Some(standing)
}

/// Counts the vendor's snapshots in: with an RPO over both, the newest of either must be young
/// enough. They never make up for the repository's own promise: nobody has read them, and they
/// die with the account.
pub fn count_in(status: &mut SourceStatus, native: NativeStanding, now: Timestamp) {
    if let Some(rpo) = status.promise.rpo_of_both {
        let ages = [status.age, native.age(now)];
        let youngest = ages.into_iter().flatten().min();
        if youngest.is_none_or(|age| age > rpo) {
            let minutes = |age: Duration| format!("{} min", age.as_secs() / 60);
            let what = match (youngest, native.listed) {
                (Some(age), true) => format!("the newest is {} old", minutes(age)),
                (Some(age), false) => {
                    format!("the newest that is known is {} old", minutes(age))
                }
                (None, true) => "there is none".to_owned(),
                (None, false) => "whether there is one is not known".to_owned(),
            };
            let told =
                native.told_at.and_then(|at| Duration::try_from(now.duration_since(at)).ok());
            let told = told.filter(|age| age.as_secs() >= 60);
            let told = told.map(|age| format!("as {} said {} ago", native.provider, minutes(age)));
            let why: Vec<String> = native.error.iter().cloned().chain(told).collect();
            let why = if why.is_empty() { String::new() } else { format!(" ({})", why.join("; ")) };
            status.reasons.push(format!(
                "Of snapshots in the repository and at {}, {what}; at most {} was promised{why}.",
                native.provider,
                minutes(rpo)
            ));
            status.standing = status.standing.max(Standing::Unprotected);
        }
    }
    status.native = Some(native);
}
