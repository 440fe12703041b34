//! The contract of [`Platform`].

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use backup_core::port::{
    Ability, Clock, CopyFrom, Done, EndpointKind, Handle, Intent, NativeState, Platform, Progress,
};
use backup_core::{ErrorKind, OwnedName, Purpose, SourceName};

use crate::FakeClock;

/// A platform that is tried, with the world it lives in.
#[async_trait]
pub trait PlatformCase: Send + Sync {
    /// Returns the platform as a process that has just started sees it.
    fn platform(&self) -> Arc<dyn Platform>;

    /// Returns the time of that world.
    fn clock(&self) -> Arc<FakeClock>;

    /// Returns what must be shown nowhere: tokens and passwords.
    fn secrets(&self) -> Vec<String>;

    /// Lets the next change happen and lose its answer; returns whether that can be done here.
    async fn lose_next_answer(&self) -> bool {
        false
    }

    /// Whether things are billed while they are there, so that nothing may be left behind.
    async fn nothing_left_of(&self, name: &str) -> bool {
        let _ = name;
        true
    }
}

/// Holds a platform to its contract: what it declares works, once, whatever is lost on the way;
/// what it does not declare is refused.
///
/// # Panics
/// When it breaks the contract.
pub async fn platform(case: &dyn PlatformCase) {
    quiet(case).await;
    undeclared(case).await;
    let platform = case.platform();
    if platform.can(Ability::CreateSnapshot) {
        snapshots(case).await;
    }
    if platform.can(Ability::CopyNow) {
        copies(case, CopyFrom::Now, 3).await;
    }
    if platform.can(Ability::CopySnapshot) && platform.can(Ability::CreateSnapshot) {
        let id = create(case, &name(case, Purpose::Snapshot, 4)).await;
        copies(case, CopyFrom::Snapshot(id.clone()), 5).await;
        finish(case, Intent::DeleteSnapshot { id }).await;
    }
}

/// Reading changes nothing and shows no secret.
async fn quiet(case: &dyn PlatformCase) {
    let platform = case.platform();
    let facts = platform.facts().await;
    assert!(facts.is_ok(), "facts: {facts:?}");
    let endpoint = platform.endpoint().await;
    let Ok(endpoint) = endpoint else {
        assert!(endpoint.is_ok(), "endpoint: {endpoint:?}");
        return;
    };
    assert!(matches!(endpoint.kind, EndpointKind::Direct | EndpointKind::SessionPooler));
    let shown = format!("{platform:?} {facts:?} {endpoint:?}");
    for secret in case.secrets() {
        assert!(!shown.contains(&secret), "a secret is shown: {shown}");
    }
    assert!(platform.release(&endpoint).await.is_ok());
    assert!(platform.release(&endpoint).await.is_ok(), "given back already is given back");
}

/// What is not declared fails at once.
async fn undeclared(case: &dyn PlatformCase) {
    let platform = case.platform();
    let id = || "no-such-thing".to_owned();
    let at = case.clock().now();
    let intents = [
        (
            Ability::CreateSnapshot,
            Intent::CreateSnapshot { name: name(case, Purpose::Snapshot, 1), expires_at: None },
        ),
        (Ability::DeleteSnapshot, Intent::DeleteSnapshot { id: id() }),
        (Ability::ProtectSnapshot, Intent::ProtectSnapshot { id: id(), protected: false }),
        (
            Ability::CopyNow,
            Intent::Copy {
                name: name(case, Purpose::Freeze, 1),
                from: CopyFrom::Now,
                expires_at: None,
            },
        ),
        (
            Ability::CopyAt,
            Intent::Copy {
                name: name(case, Purpose::Freeze, 1),
                from: CopyFrom::At(at),
                expires_at: None,
            },
        ),
        (
            Ability::CopySnapshot,
            Intent::Copy {
                name: name(case, Purpose::Freeze, 1),
                from: CopyFrom::Snapshot(id()),
                expires_at: None,
            },
        ),
        (Ability::DropCopy, Intent::DropCopy { id: id() }),
        (
            Ability::RestoreAt,
            Intent::RestoreInPlace {
                from: CopyFrom::At(at),
                keep_as: name(case, Purpose::Before, 1),
            },
        ),
        (
            Ability::RestoreSnapshot,
            Intent::RestoreInPlace {
                from: CopyFrom::Snapshot(id()),
                keep_as: name(case, Purpose::Before, 1),
            },
        ),
    ];
    for (ability, intent) in intents {
        if !platform.can(ability) {
            let refused = platform.begin(&intent).await.map_err(|error| error.kind());
            assert_eq!(refused.err(), Some(ErrorKind::Unsupported), "{ability:?} is not declared");
        }
    }
}

async fn snapshots(case: &dyn PlatformCase) {
    let platform = case.platform();
    let wanted = name(case, Purpose::Snapshot, 2);
    let id = create(case, &wanted).await;
    if platform.can(Ability::ListSnapshots) {
        let listed = platform.snapshots().await.unwrap_or_default();
        let own: Vec<_> = listed.iter().filter(|snapshot| snapshot.name == wanted).collect();
        assert_eq!(own.len(), 1, "exactly one snapshot of that name: {listed:?}");
        assert_eq!(own[0].id, id);
        assert_eq!(own[0].state, NativeState::Ready);
        if platform.can(Ability::ExpireSnapshot) {
            assert!(own[0].expires_at.is_some(), "its expiry is heeded: {own:?}");
        }
    }
    // Asked again, after its end or by another process, it is the same one.
    assert_eq!(create(case, &wanted).await, id, "asked again, it is the same snapshot");
    if platform.can(Ability::ProtectSnapshot) {
        for protected in [true, false] {
            finish(case, Intent::ProtectSnapshot { id: id.clone(), protected }).await;
            let listed = platform.snapshots().await.unwrap_or_default();
            let own = listed.iter().find(|snapshot| snapshot.id == id);
            assert_eq!(own.map(|own| own.protected), Some(protected));
        }
    }
    if platform.can(Ability::DeleteSnapshot) {
        finish(case, Intent::DeleteSnapshot { id: id.clone() }).await;
        let listed = platform.snapshots().await.unwrap_or_default();
        assert!(listed.iter().all(|snapshot| snapshot.id != id), "deleted is gone: {listed:?}");
        finish(case, Intent::DeleteSnapshot { id }).await;
    }
    if case.lose_next_answer().await {
        let wanted = name(case, Purpose::Snapshot, 6);
        let id = create(case, &wanted).await;
        let listed = platform.snapshots().await.unwrap_or_default();
        let own = listed.iter().filter(|snapshot| snapshot.name == wanted).count();
        assert_eq!(own, 1, "a lost answer makes no second snapshot: {listed:?}");
        if platform.can(Ability::DeleteSnapshot) {
            finish(case, Intent::DeleteSnapshot { id }).await;
        }
    }
}

async fn copies(case: &dyn PlatformCase, from: CopyFrom, run: u32) {
    let platform = case.platform();
    let wanted = name(case, Purpose::Freeze, run);
    let later = case.clock().now().checked_add(jiff::SignedDuration::from_hours(24)).ok();
    let intent = Intent::Copy { name: wanted.clone(), from, expires_at: later };
    let lost = case.lose_next_answer().await;
    let id = made(finish(case, intent.clone()).await, &intent);
    assert_eq!(
        made(finish(case, intent.clone()).await, &intent),
        id,
        "asked again, it is the same copy"
    );
    let endpoint = platform.copy_endpoint(&id).await;
    assert!(endpoint.is_ok(), "a copy can be connected to: {endpoint:?}");
    if let Ok(endpoint) = endpoint {
        assert!(platform.release(&endpoint).await.is_ok());
    }
    let listed = platform.copies(&OwnedName::prefix(&source())).await.unwrap_or_default();
    let own = listed.iter().filter(|copy| copy.name == wanted).count();
    assert_eq!(own, 1, "exactly one copy of that name (lost answer: {lost}): {listed:?}");
    finish(case, Intent::DropCopy { id: id.clone() }).await;
    let listed = platform.copies(&OwnedName::prefix(&source())).await.unwrap_or_default();
    assert!(listed.iter().all(|copy| copy.id != id), "dropped is gone: {listed:?}");
    finish(case, Intent::DropCopy { id }).await;
    assert!(case.nothing_left_of(&wanted).await, "something of {wanted} is left");
}

async fn create(case: &dyn PlatformCase, wanted: &str) -> String {
    let expires_at = case
        .platform()
        .can(Ability::ExpireSnapshot)
        .then(|| case.clock().now().checked_add(jiff::SignedDuration::from_hours(48)).ok())
        .flatten();
    let intent = Intent::CreateSnapshot { name: wanted.to_owned(), expires_at };
    made(finish(case, intent.clone()).await, &intent)
}

fn made(done: Done, intent: &Intent) -> String {
    assert!(done.id.is_some(), "{} names what it made", intent.verb());
    done.id.unwrap_or_default()
}

/// Begins in one process and waits in others, each of which knows nothing but the handle.
async fn finish(case: &dyn PlatformCase, intent: Intent) -> Done {
    let verb = intent.verb();
    let begun = case.platform().begin(&intent).await;
    assert!(begun.is_ok(), "{verb}: {begun:?}");
    let Ok(mut handle) = begun else { return Done::default() };
    assert_eq!(handle.intent, intent, "{verb}: the handle says what was wanted");
    for _ in 0..500 {
        let text = serde_json::to_string(&handle).unwrap_or_default();
        for secret in case.secrets() {
            assert!(!text.contains(&secret), "{verb}: the handle holds a secret");
        }
        let read = serde_json::from_str::<Handle>(&text);
        assert!(read.as_ref().is_ok_and(|read| *read == handle), "{verb}: {read:?}");
        handle = read.unwrap_or(handle);
        match case.platform().poll(&handle).await {
            Ok(Progress::Done(done)) => return done,
            Ok(Progress::Running { look_again, .. }) => {
                assert!(look_again > Duration::ZERO, "{verb}: a pause between looks");
                case.clock().sleep(look_again).await;
            }
            other => {
                assert!(matches!(other, Ok(Progress::Done(_))), "{verb}: {other:?}");
                return Done::default();
            }
        }
    }
    assert_eq!("still running", "done", "{verb} never ends");
    Done::default()
}

fn name(case: &dyn PlatformCase, purpose: Purpose, run: u32) -> String {
    OwnedName::new(&source(), purpose, case.clock().now(), run).to_string()
}

fn source() -> SourceName {
    SourceName::from_database("conformance")
}
