//! Provider snapshots: taking one, and telling ours from others'.

use std::time::Duration;

use backup_core::port::{Ability, Intent, NativeSnapshot, NativeState};
use backup_core::{Error, ErrorKind, OwnedName, Purpose, Result, RunId, SourceName};
use backup_retention::Policy;
use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::Conductor;
use super::retention::{NativePlan, plan_native};

/// A provider snapshot that was taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NativeReceipt {
    /// As the vendor lists it.
    pub snapshot: NativeSnapshot,
    /// What to know.
    pub notes: Vec<String>,
}

/// Takes a provider snapshot, waits for its end, and looks for it in the vendor's own list: a
/// snapshot that is not listed, or not ready, is an error. It expires after `keep_for` where the
/// vendor can do that.
pub async fn take_snapshot(
    conductor: &Conductor,
    run: RunId,
    keep_for: Option<Duration>,
) -> Result<NativeReceipt> {
    let name = conductor.name(Purpose::Snapshot, run).to_string();
    take_named(conductor, name, keep_for).await
}

/// Takes a provider snapshot unless one of ours was begun at `since` or later, by whatever process:
/// that one is waited for and is the answer. So a run that is repeated makes no second.
pub async fn take_or_adopt(
    conductor: &Conductor,
    run: RunId,
    keep_for: Option<Duration>,
    since: Timestamp,
) -> Result<NativeReceipt> {
    let platform = &conductor.platform;
    if platform.can(Ability::CreateSnapshot) && platform.can(Ability::ListSnapshots) {
        let listed = platform.snapshots().await?;
        if let Some(there) = begun_since(&listed, &conductor.source, since) {
            return take_named(conductor, there.name.clone(), keep_for).await;
        }
    }
    take_snapshot(conductor, run, keep_for).await
}

/// Returns the newest snapshot that we began for the source at that time or later, by its name, and
/// that did not fail.
fn begun_since<'a>(
    listed: &'a [NativeSnapshot],
    source: &SourceName,
    since: Timestamp,
) -> Option<&'a NativeSnapshot> {
    let begun = |one: &NativeSnapshot| {
        let name = OwnedName::parse(&one.name)?;
        // Names hold whole seconds.
        let young = name.at().as_second() >= since.as_second();
        (is_ours(&one.name, source) && young && one.state != NativeState::Failed).then(|| name.at())
    };
    listed
        .iter()
        .filter_map(|one| Some((begun(one)?, one)))
        .max_by_key(|(at, _)| *at)
        .map(|(_, one)| one)
}

/// Takes one of that name, or goes on with what is there.
pub(super) async fn take_named(
    conductor: &Conductor,
    name: String,
    keep_for: Option<Duration>,
) -> Result<NativeReceipt> {
    let platform = &conductor.platform;
    if !platform.can(Ability::CreateSnapshot) {
        return Err(platform.unsupported("create provider snapshot"));
    }
    let expires_at = keep_for
        .filter(|_| platform.can(Ability::ExpireSnapshot))
        .and_then(|keep| conductor.clock.now().checked_add(keep).ok());
    let done = conductor.run(Intent::CreateSnapshot { name: name.clone(), expires_at }).await?;
    let listed = platform.snapshots().await?;
    let found = listed.into_iter().find(|snapshot| snapshot.name == name);
    let doubt = |reason: String| {
        Error::new(ErrorKind::Suspect, "create provider snapshot")
            .with("provider", platform.name())
            .with("snapshot", &name)
            .because(reason)
            .hint("The provider said it was done; do not count on it, look at its console.")
    };
    match found {
        Some(snapshot) if snapshot.state == NativeState::Ready => {
            Ok(NativeReceipt { snapshot, notes: done.notes })
        }
        Some(snapshot) => {
            Err(doubt(format!("the provider lists it as {}", snapshot.state.as_str())))
        }
        None => Err(doubt("the provider does not list it".to_owned())),
    }
}

/// Applies a policy to the provider snapshots of a source, and returns what became of them: only what
/// is gone is among the forgotten. One that cannot be deleted stands in no other's way. With `dry_run`
/// nothing is deleted; where the vendor deletes none for us, all stay.
pub async fn retain_snapshots(
    conductor: &Conductor,
    policy: &Policy,
    zone: &TimeZone,
    dry_run: bool,
) -> Result<NativePlan> {
    let platform = &conductor.platform;
    let snapshots = conductor.snapshots().await?;
    let now = conductor.clock.now();
    let mut plan = plan_native(&snapshots, &conductor.source, policy, zone, now);
    if !platform.can(Ability::DeleteSnapshot) {
        for stays in std::mem::take(&mut plan.forget) {
            plan.spare(stays, format!("{} deletes none for others", platform.name()));
        }
    }
    if dry_run {
        return Ok(plan);
    }
    let begun = conductor.clock.elapsed();
    for going in std::mem::take(&mut plan.forget) {
        let hurried = conductor.hurried(conductor.patience, begun);
        match hurried.run(Intent::DeleteSnapshot { id: going.id.clone() }).await {
            Ok(_) => plan.forget.push(going),
            Err(error) => {
                plan.failed.push(format!("{} ({}): {error}", going.id, going.name));
                plan.spare(going, format!("could not be deleted: {error}"));
            }
        }
    }
    Ok(plan)
}

/// Returns whether a name says that we made this provider snapshot for that source.
#[must_use]
pub fn is_ours(name: &str, source: &SourceName) -> bool {
    OwnedName::parse(name)
        .is_some_and(|name| name.is_of(source) && name.purpose() == Purpose::Snapshot)
}

/// Returns the newest provider snapshot that can be restored, whoever made it.
#[must_use]
pub fn newest_native(snapshots: &[NativeSnapshot]) -> Option<&NativeSnapshot> {
    let ready = snapshots.iter().filter(|snapshot| snapshot.state == NativeState::Ready);
    ready.max_by_key(|snapshot| snapshot.created_at)
}
