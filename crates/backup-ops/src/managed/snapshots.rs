//! Provider snapshots: taking one, and telling ours from others'.

use std::time::Duration;

use backup_core::port::{Ability, Intent, NativeSnapshot, NativeState};
use backup_core::{Error, ErrorKind, OwnedName, Purpose, Result, RunId, SourceName};

use super::Conductor;

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
    let platform = &conductor.platform;
    if !platform.can(Ability::CreateSnapshot) {
        return Err(platform.unsupported("create provider snapshot"));
    }
    let name = conductor.name(Purpose::Snapshot, run).to_string();
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
