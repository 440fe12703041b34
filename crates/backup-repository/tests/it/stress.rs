//! Many hosts at once: writers of two sources, pruners, forgetters and a moving clock.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use backup_core::port::NoObserver;
use backup_core::{ErrorKind, Snapshot, SnapshotId};
use backup_crypto::KeySecret;
use backup_repository::{PruneOptions, Repository};
use backup_testkit::{FakeClock, Fault, FaultStore, MemoryStore, Operation};

use crate::world::{Database, back_up_slowly, init, key_file, open_at, read, rows};

const HOUR: Duration = Duration::from_secs(3600);

/// Reproducible randomness.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % sides
    }
}

type Committed = Arc<Mutex<BTreeMap<SnapshotId, (Snapshot, Database)>>>;

#[derive(Clone)]
struct World {
    store: Arc<MemoryStore>,
    clock: Arc<FakeClock>,
    secret: KeySecret,
    committed: Committed,
}

impl World {
    async fn host(&self) -> Repository {
        open_at(self.store.clone(), self.clock.clone(), &self.secret).await.unwrap()
    }

    /// Few contents, so that the same ones come back, are dropped, and are differences to each
    /// other.
    fn database(dice: &mut Dice) -> Database {
        let segment = |place: u64, dice: &mut Dice| {
            let mut text = rows(150, place);
            let state = dice.roll(4) as usize;
            for at in (state * 97..text.len()).step_by(1500) {
                text[at] = b'A' + state as u8;
            }
            (place, text)
        };
        let table = (0..3).map(|place| segment(place, dice)).collect();
        [(("table/a", false), table), (("schema", true), [(0, rows(5, dice.roll(3)))].into())]
            .into()
    }

    async fn write(self, seed: u64) {
        let mut dice = Dice(seed);
        // An index that comes late stands for a while before its writer takes it back.
        let pause = Fault::slow(Duration::from_millis(15)).on(Operation::Stat).under("packs/");
        let store = FaultStore::around(self.store.clone()).with(pause);
        let host = open_at(Arc::new(store), self.clock.clone(), &self.secret).await.unwrap();
        for _ in 0..3 {
            let database = Self::database(&mut dice);
            let source = if dice.roll(2) == 0 { "shop" } else { "copy-of-shop" };
            let clock = self.clock.clone();
            let mut pause = Dice(seed ^ 77);
            let wait = move || {
                let minutes = [0, 0, 1, 20, 90][pause.roll(5) as usize];
                clock.advance(Duration::from_secs(60 * minutes));
            };
            match back_up_slowly(&host, source, &database, wait).await {
                Ok(snapshot) => {
                    let mut committed = self.committed.lock().unwrap();
                    committed.insert(snapshot.id, (snapshot, database));
                }
                // Overtaken by prune: said, and a rerun stores what is missing.
                Err(error) => {
                    let kinds = [ErrorKind::Conflict, ErrorKind::NotFound, ErrorKind::Integrity];
                    assert!(kinds.contains(&error.kind()), "{error:?}");
                }
            }
        }
    }

    async fn prune(self, seed: u64) {
        let mut dice = Dice(seed);
        let host = self.host().await;
        for _ in 0..4 {
            tokio::time::sleep(Duration::from_millis(dice.roll(3))).await;
            let grace = HOUR * (3 + dice.roll(10) as u32);
            // The manifest of a late writer stands for an instant, until it is taken back: who
            // looks at it just then sees that its packs are gone, and deletes nothing. That must
            // pass; damage would stay.
            for patience in (0..200).rev() {
                match host.prune(PruneOptions { grace }, Arc::new(NoObserver)).await {
                    Err(error) if error.kind() == ErrorKind::Integrity && patience > 0 => {
                        tokio::time::sleep(Duration::from_millis(1)).await;
                    }
                    Err(error) => {
                        assert_eq!(error.kind(), ErrorKind::Conflict, "{error:?}");
                        break;
                    }
                    Ok(_) => break,
                }
            }
            self.clock.advance(HOUR * dice.roll(4) as u32);
        }
    }

    async fn forget(self, seed: u64) {
        let mut dice = Dice(seed);
        let host = self.host().await;
        for _ in 0..4 {
            tokio::time::sleep(Duration::from_millis(dice.roll(3))).await;
            let gone: Vec<SnapshotId> = {
                let mut committed = self.committed.lock().unwrap();
                let gone: Vec<SnapshotId> =
                    committed.keys().filter(|_| dice.roll(3) == 0).copied().collect();
                committed.retain(|id, _| !gone.contains(id));
                gone
            };
            host.forget(&gone).await.unwrap();
        }
    }

    async fn check(&self, round: u64) {
        let host = self.host().await;
        let expected = self.committed.lock().unwrap().clone();
        let listed = host.snapshots().await.unwrap();
        let mut ids: Vec<_> = listed.iter().map(|record| record.snapshot.id).collect();
        ids.sort_unstable();
        assert_eq!(ids, expected.keys().copied().collect::<Vec<_>>(), "round {round}");
        for (snapshot, database) in expected.values() {
            let found = read(&host, snapshot).await.map_err(|error| format!("{error:?}"));
            assert!(found.as_ref() == Ok(database), "round {round}: {:?}", found.err());
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_committed_and_not_forgotten_reads_whole_whatever_happens_at_once() {
    for round in 0..ROUNDS {
        let clock = Arc::new(FakeClock::manual("2026-11-01T00:00:00Z".parse().unwrap()));
        let store = Arc::new(MemoryStore::new().near().with_clock(clock.clone()));
        let secret = key_file();
        init(store.clone(), &secret).await;
        let world = World { store, clock, secret, committed: Committed::default() };
        for phase in 0..3 {
            let seed = round * 1000 + phase * 100;
            let writers = (0..3).map(|n| tokio::spawn(world.clone().write(seed + n)));
            let pruners = (3..5).map(|n| tokio::spawn(world.clone().prune(seed + n)));
            let tasks: Vec<_> = writers
                .chain(pruners)
                .chain([tokio::spawn(world.clone().forget(seed + 5))])
                .collect();
            for task in tasks {
                task.await.unwrap();
            }
            world.check(round).await;
            world.clock.advance(HOUR * 30);
        }
        // What was given up is found and deleted in the end; nothing else is.
        for _ in 0..3 {
            let options = PruneOptions { grace: HOUR * 24 };
            world.host().await.prune(options, Arc::new(NoObserver)).await.unwrap();
            world.clock.advance(HOUR * 30);
        }
        world.check(round).await;
    }
}

/// Each is 27 backups, 24 prunes and 12 rounds of forgetting.
const ROUNDS: u64 = 25;
