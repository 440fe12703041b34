//! A vendor in memory.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use backup_core::port::{
    Ability, Clock, Done, Endpoint, EndpointKind, Handle, Intent, NativeSnapshot, NativeState,
    Platform, PlatformFacts, Progress, TemporaryCopy,
};
use backup_core::{Error, ErrorKind, Result, Secret};

use crate::FakeClock;
use crate::sync::lock;

/// A [`Platform`] without a network: what it makes takes half a minute of its clock.
#[derive(Clone, Debug)]
pub struct MemoryPlatform {
    clock: Arc<FakeClock>,
    state: Arc<Mutex<State>>,
}

#[derive(Debug, Default)]
struct State {
    snapshots: Vec<NativeSnapshot>,
    copies: Vec<TemporaryCopy>,
    count: u32,
    slow: bool,
    deaf: bool,
    failing: bool,
    spoiling: bool,
    /// Which snapshots are locked; the list does not tell.
    locked: Vec<String>,
    guarding: bool,
    unlisted: bool,
    undeleting: bool,
    /// Looks that fail for now before one succeeds.
    blind: u32,
}

const PACE: jiff::SignedDuration = jiff::SignedDuration::from_secs(30);

impl MemoryPlatform {
    /// Makes a vendor that has nothing yet.
    #[must_use]
    pub fn new(clock: Arc<FakeClock>) -> Self {
        Self { clock, state: Arc::default() }
    }

    /// From now on changes happen, and their answers are lost.
    pub fn lose_answers(&self, lose: bool) {
        lock(&self.state).deaf = lose;
    }

    /// From now on operations take an hour.
    pub fn be_slow(&self, slow: bool) {
        lock(&self.state).slow = slow;
    }

    /// From now on operations fail.
    pub fn fail_operations(&self, fail: bool) {
        lock(&self.state).failing = fail;
    }

    /// From now on copies turn out badly; whatever else is done does not.
    pub fn spoil_copies(&self, spoil: bool) {
        lock(&self.state).spoiling = spoil;
    }

    /// From now on locked snapshots are not deleted; until then they are, like others.
    pub fn guard_locks(&self, guard: bool) {
        lock(&self.state).guarding = guard;
    }

    /// From now on its list cannot be read.
    pub fn fail_lists(&self, fail: bool) {
        lock(&self.state).unlisted = fail;
    }

    /// From now on snapshots cannot be deleted by anybody.
    pub fn delete_none(&self, none: bool) {
        lock(&self.state).undeleting = none;
    }

    /// Locks a snapshot as a person does who uses the vendor's console.
    pub fn lock_snapshot(&self, id: &str) {
        lock(&self.state).locked.push(id.to_owned());
    }

    /// So many looks at operations fail for now.
    pub fn fail_looks(&self, count: u32) {
        lock(&self.state).blind = count;
    }

    /// Adds a copy that is there already.
    pub fn add_copy(&self, name: &str, created_at: jiff::Timestamp) {
        let id = format!("copy-of-{name}");
        let copy =
            TemporaryCopy { id, name: name.to_owned(), created_at, expires_at: None, costs: true };
        lock(&self.state).copies.push(copy);
    }

    /// Returns the names of all copies.
    #[must_use]
    pub fn copy_names(&self) -> Vec<String> {
        lock(&self.state).copies.iter().map(|copy| copy.name.clone()).collect()
    }

    fn make(&self, intent: &Intent) -> Option<String> {
        let now = self.clock.now();
        let mut state = lock(&self.state);
        state.count += 1;
        let fresh = format!("id-{}", state.count);
        match intent {
            Intent::CreateSnapshot { name, expires_at } => {
                if let Some(there) = state.snapshots.iter().find(|one| one.name == *name) {
                    return Some(there.id.clone());
                }
                state.snapshots.push(NativeSnapshot {
                    id: fresh.clone(),
                    name: name.clone(),
                    created_at: now,
                    expires_at: *expires_at,
                    state: NativeState::Ready,
                    bytes: None,
                    protected: false,
                    automatic: false,
                });
                Some(fresh)
            }
            Intent::Copy { name, expires_at, .. } => {
                if let Some(there) = state.copies.iter().find(|one| one.name == *name) {
                    return Some(there.id.clone());
                }
                let (id, name) = (fresh.clone(), name.clone());
                state.copies.push(TemporaryCopy {
                    id,
                    name,
                    created_at: now,
                    expires_at: *expires_at,
                    costs: true,
                });
                Some(fresh)
            }
            Intent::DeleteSnapshot { id } => {
                state.snapshots.retain(|one| one.id != *id);
                None
            }
            Intent::DropCopy { id } => {
                state.copies.retain(|one| one.id != *id);
                None
            }
            Intent::ProtectSnapshot { id, .. } => {
                state.locked.push(id.clone());
                None
            }
            Intent::RestoreInPlace { .. } => None,
        }
    }
}

#[async_trait]
impl Platform for MemoryPlatform {
    fn name(&self) -> &'static str {
        "memory"
    }

    fn capabilities(&self) -> &'static [Ability] {
        if lock(&self.state).undeleting {
            return &[Ability::ListSnapshots, Ability::CreateSnapshot];
        }
        &[
            Ability::ListSnapshots,
            Ability::CreateSnapshot,
            Ability::ExpireSnapshot,
            Ability::DeleteSnapshot,
            Ability::LockSnapshot,
            Ability::CopyNow,
            Ability::CopySnapshot,
            Ability::DropCopy,
        ]
    }

    async fn facts(&self) -> Result<PlatformFacts> {
        Ok(PlatformFacts { location: "memory".into(), system: "memory:1".into(), ..<_>::default() })
    }

    async fn endpoint(&self) -> Result<Endpoint> {
        Ok(Endpoint {
            url: Secret::new("postgres://nobody@localhost/nothing"),
            kind: EndpointKind::Direct,
            credential: None,
            expires_at: None,
            findings: Vec::new(),
        })
    }

    async fn copy_endpoint(&self, copy: &str) -> Result<Endpoint> {
        if lock(&self.state).copies.iter().any(|one| one.id == copy) {
            return self.endpoint().await;
        }
        Err(Error::new(ErrorKind::NotFound, "find copy"))
    }

    async fn snapshots(&self) -> Result<Vec<NativeSnapshot>> {
        let state = lock(&self.state);
        if state.unlisted {
            let error = Error::new(ErrorKind::SourceUnavailable, "list snapshots").temporary();
            return Err(error.because("503, on purpose"));
        }
        Ok(state.snapshots.clone())
    }

    async fn copies(&self, prefix: &str) -> Result<Vec<TemporaryCopy>> {
        let state = lock(&self.state);
        Ok(state.copies.iter().filter(|one| one.name.starts_with(prefix)).cloned().collect())
    }

    async fn begin(&self, intent: &Intent) -> Result<Handle> {
        let able = match intent {
            Intent::ProtectSnapshot { protected, .. } => *protected,
            Intent::RestoreInPlace { .. } => false,
            Intent::Copy { from, .. } => !matches!(from, backup_core::port::CopyFrom::At(_)),
            _ => true,
        };
        if !able {
            return Err(self.unsupported(intent.verb()));
        }
        if let Intent::DeleteSnapshot { id } = intent {
            let state = lock(&self.state);
            if state.guarding && state.locked.contains(id) {
                return Err(Error::new(ErrorKind::Conflict, intent.verb()).because("it is locked"));
            }
        }
        let made = self.make(intent);
        if lock(&self.state).deaf {
            return Err(Error::new(ErrorKind::SourceUnavailable, intent.verb()).temporary());
        }
        let handle = Handle::intended("memory", intent.clone(), self.clock.now());
        Ok(handle.begun(vec!["op".into()], made))
    }

    async fn poll(&self, handle: &Handle) -> Result<Progress> {
        {
            let mut state = lock(&self.state);
            if state.blind > 0 {
                state.blind -= 1;
                let error = Error::new(ErrorKind::SourceUnavailable, handle.intent.verb());
                return Err(error.because("503, on purpose").temporary().persistent());
            }
        }
        let spoilt = lock(&self.state).spoiling && matches!(handle.intent, Intent::Copy { .. });
        if lock(&self.state).failing || spoilt {
            return Ok(Progress::Failed { reason: "on purpose".into() });
        }
        let pace = if lock(&self.state).slow { PACE * 120 } else { PACE };
        if self.clock.now().duration_since(handle.begun_at) < pace {
            let look_again = Duration::from_secs(10);
            return Ok(Progress::Running { state: "running".into(), look_again });
        }
        Ok(Progress::Done(Done { id: handle.made.clone(), notes: Vec::new() }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::conformance::{PlatformCase, platform};

    #[async_trait]
    impl PlatformCase for MemoryPlatform {
        fn platform(&self) -> Arc<dyn Platform> {
            Arc::new(self.clone())
        }

        fn clock(&self) -> Arc<FakeClock> {
            Arc::clone(&self.clock)
        }

        fn secrets(&self) -> Vec<String> {
            Vec::new()
        }
    }

    #[tokio::test]
    async fn the_vendor_in_memory_keeps_the_contract() {
        let vendor = MemoryPlatform::new(Arc::new(FakeClock::default()));
        platform(&vendor).await;
        assert_eq!(vendor.copy_names(), Vec::<String>::new());
    }
}
