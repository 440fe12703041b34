//! Operations that are interrupted anywhere, on a vendor in memory.

use std::sync::Arc;
use std::time::Duration;

use backup_core::port::{Clock, CopyFrom, Intent, NoObserver, Platform};
use backup_core::{ErrorKind, ErrorStatus, FindingKind, Purpose, RunId};
use backup_testkit::{FakeClock, MemoryBook, MemoryPlatform};

use super::standing::{count_in, look};
use super::{Conductor, LEFTOVER_AGE, Patience, retain_snapshots, take_or_adopt, take_snapshot};
use crate::status::{Promise, Standing, assess};

struct World {
    clock: Arc<FakeClock>,
    vendor: MemoryPlatform,
    book: MemoryBook,
}

impl World {
    fn new() -> Self {
        let clock = Arc::new(FakeClock::default());
        Self { vendor: MemoryPlatform::new(clock.clone()), clock, book: MemoryBook::default() }
    }

    /// A process of its own.
    fn conductor(&self) -> Conductor {
        Conductor {
            platform: Arc::new(self.vendor.clone()),
            book: Arc::new(self.book.process()),
            clock: self.clock.clone(),
            source: "shop".parse().unwrap(),
            observer: Arc::new(NoObserver),
            patience: Patience::default(),
        }
    }

    fn impatient(&self) -> Conductor {
        let patience = Patience { limit: Duration::from_secs(5), ..Patience::default() };
        Conductor { patience, ..self.conductor() }
    }
}

fn freeze(conductor: &Conductor) -> Intent {
    let name = conductor.name(Purpose::Freeze, RunId([7; 16])).to_string();
    Intent::Copy { name, from: CopyFrom::Now, expires_at: None }
}

#[tokio::test]
async fn what_is_begun_is_written_down_first_and_struck_out_last() {
    let world = World::new();
    let receipt =
        take_snapshot(&world.conductor(), RunId([1; 16]), Some(Duration::from_secs(3600)))
            .await
            .unwrap();
    assert!(receipt.snapshot.expires_at.is_some());
    let kept = world.book.kept();
    assert_eq!(kept.iter().map(|handle| handle.begun).collect::<Vec<_>>(), [false, true]);
    assert_eq!(world.book.entries(), []);
}

#[tokio::test]
async fn a_copy_stays_written_down_until_its_lease_ends() {
    let world = World::new();
    let conductor = world.conductor();
    let lease = conductor.lease(freeze(&conductor)).await.unwrap();
    assert_eq!(world.book.entries().len(), 1);
    lease.end().await.unwrap();
    assert_eq!((world.book.entries().len(), world.vendor.copy_names().len()), (0, 0));

    let lease = conductor.lease(freeze(&conductor)).await.unwrap();
    drop(lease);
    for _ in 0..1_000 {
        tokio::task::yield_now().await;
    }
    assert_eq!(
        (world.book.entries().len(), world.vendor.copy_names().len()),
        (0, 0),
        "dropped is dropped"
    );
}

#[tokio::test]
async fn the_next_process_drops_the_copy_of_one_that_died_wherever_it_was() {
    for moment in ["before the answer", "while it was made", "while it was read"] {
        let world = World::new();
        match moment {
            "before the answer" => {
                world.vendor.lose_answers(true);
                let conductor = world.conductor();
                let error = conductor.lease(freeze(&conductor)).await.unwrap_err();
                assert_eq!(error.kind(), ErrorKind::SourceUnavailable);
                world.vendor.lose_answers(false);
            }
            "while it was made" => {
                let conductor = world.impatient();
                let error = conductor.lease(freeze(&conductor)).await.unwrap_err();
                assert_eq!(error.status(), ErrorStatus::Persistent);
                let hint = error.remedy().unwrap_or_default();
                assert!(hint.contains("the next run drops it"), "{hint}");
            }
            _ => {
                let conductor = world.conductor();
                // A killed process drops nothing.
                std::mem::forget(conductor.lease(freeze(&conductor)).await.unwrap());
                std::mem::drop(conductor);
                world.book.forget_everybody();
            }
        }
        assert_eq!(
            (world.vendor.copy_names().len(), world.book.entries().len()),
            (1, 1),
            "{moment}"
        );
        let findings = world.conductor().resume().await.unwrap();
        assert_eq!(findings.len(), 1, "{moment}: {findings:?}");
        assert_eq!(findings[0].kind, FindingKind::Note, "{moment}: {findings:?}");
        assert_eq!(
            (world.vendor.copy_names().len(), world.book.entries().len()),
            (0, 0),
            "{moment}"
        );
        assert_eq!(world.conductor().resume().await.unwrap(), [], "{moment}: once");
    }
}

#[tokio::test]
async fn a_snapshot_under_way_is_waited_for_by_the_next_process() {
    let world = World::new();
    assert!(take_snapshot(&world.impatient(), RunId([1; 16]), None).await.is_err());
    let findings = world.conductor().resume().await.unwrap();
    assert!(findings[0].message.contains("ended well"), "{findings:?}");
    assert_eq!(world.vendor.snapshots().await.unwrap().len(), 1);
    assert_eq!(world.book.entries(), []);
}

#[tokio::test]
async fn a_run_that_is_repeated_adopts_what_it_had_begun_and_the_next_takes_its_own() {
    let world = World::new();
    let taken = async |conductor: &Conductor, run: u8, since| {
        take_or_adopt(conductor, RunId([run; 16]), None, since).await
    };
    let due = world.clock.now();
    assert!(taken(&world.impatient(), 1, due).await.is_err(), "it was killed meanwhile");
    let next = world.conductor();
    // A backup that runs in between leaves snapshots to those who take them.
    assert_eq!(world.conductor().resume_copies().await.unwrap(), []);
    assert!(next.settle().await[0].message.contains("ended well"));
    let first = taken(&next, 2, due).await.unwrap().snapshot;
    let again = taken(&next, 3, due).await.unwrap().snapshot;
    assert_eq!(first.id, again.id, "also where it had ended and nothing was under way");
    world.clock.sleep(Duration::from_secs(3600)).await;
    let second = taken(&next, 4, world.clock.now()).await.unwrap().snapshot;
    assert_ne!(first.id, second.id);
    assert_eq!(world.vendor.snapshots().await.unwrap().len(), 2);
    let policy = "last 1".parse().unwrap();
    let zone = jiff::tz::TimeZone::UTC;
    let plan = retain_snapshots(&next, &policy, &zone, true).await.unwrap();
    assert_eq!((plan.forget.len(), world.vendor.snapshots().await.unwrap().len()), (1, 2));
    retain_snapshots(&next, &policy, &zone, false).await.unwrap();
    let left = world.vendor.snapshots().await.unwrap();
    assert_eq!(left.iter().map(|one| &one.id).collect::<Vec<_>>(), [&second.id]);
}

#[tokio::test]
async fn what_was_pinned_stays_though_the_vendor_tells_nothing_and_one_refusal_stops_nobody() {
    let world = World::new();
    let (policy, zone) = ("last 1".parse().unwrap(), jiff::tz::TimeZone::UTC);
    let mut ids = Vec::new();
    for run in 1..=5 {
        let taken = take_snapshot(&world.conductor(), RunId([run; 16]), None).await;
        ids.push(taken.unwrap().snapshot.id);
        world.clock.sleep(Duration::from_secs(3600)).await;
    }
    let left = async || {
        let listed = world.vendor.snapshots().await.unwrap();
        listed.into_iter().map(|one| one.id).collect::<Vec<_>>()
    };
    let retained =
        async || retain_snapshots(&world.conductor(), &policy, &zone, false).await.unwrap();
    // Nothing is said to be gone that is not.
    world.vendor.delete_none(true);
    let plan = retained().await;
    assert_eq!((plan.forget.len(), plan.keep.len(), plan.failure().is_some()), (0, 5, false));
    world.vendor.delete_none(false);

    // Its lock is refused for good: it is not pinned. It takes the lock, and the answer is lost: it is.
    let refused = world.conductor().protect(&ids[0], false).await;
    assert_eq!(refused.unwrap_err().kind(), ErrorKind::Unsupported);
    world.vendor.lose_answers(true);
    assert!(world.conductor().protect(&ids[0], true).await.is_err());
    world.vendor.lose_answers(false);
    let listed = world.conductor().snapshots().await.unwrap();
    assert_eq!(listed.iter().map(|one| one.protected).collect::<Vec<_>>()[..2], [true, false]);
    assert!(world.vendor.snapshots().await.unwrap().iter().all(|one| !one.protected));

    // Somebody locked another one at the console.
    world.vendor.lock_snapshot(&ids[1]);
    world.vendor.guard_locks(true);
    let plan = retained().await;
    let gone: Vec<&str> = plan.forget.iter().map(|one| one.id.as_str()).collect();
    assert_eq!(gone, [&ids[2], &ids[3]], "those after it go all the same");
    assert_eq!(left().await, [&*ids[0], &ids[1], &ids[4]]);
    let failure = plan.failure().unwrap().to_string();
    assert!(failure.contains(&ids[1]) && failure.contains("locked"), "{failure}");
    assert!(!failure.contains(&ids[0]), "that was not even tried: {failure}");

    // Pinned while its deletion was under way: the next process does not go on with that.
    let conductor = world.conductor();
    let intent = Intent::DeleteSnapshot { id: ids[0].clone() };
    let handle = backup_core::port::Handle::intended("memory", intent, world.clock.now());
    conductor.book.keep(&conductor.source, "delete-x", &handle).await.unwrap();
    drop(conductor);
    world.vendor.guard_locks(false);
    let found = world.conductor().resume().await.unwrap();
    assert!(found.iter().any(|one| one.message.contains("pinned meanwhile")), "{found:?}");
    assert_eq!(left().await.len(), 3);
}

#[tokio::test]
async fn a_copy_that_fails_is_dropped_at_once_and_one_that_cannot_be_stays_written_down() {
    let world = World::new();
    world.vendor.spoil_copies(true);
    let conductor = world.conductor();
    let error = conductor.lease(freeze(&conductor)).await.unwrap_err();
    assert!(error.to_string().contains("on purpose"), "{error}");
    assert!(error.remedy().unwrap().contains("was dropped"), "{:?}", error.remedy());
    assert_eq!((world.vendor.copy_names().len(), world.book.entries().len()), (0, 0));
    // What a person asked for by name is left for them to look at.
    let name = conductor.name(Purpose::Restore, RunId([8; 16])).to_string();
    let kept = Intent::Copy { name, from: CopyFrom::Now, expires_at: None };
    assert!(conductor.run(kept).await.is_err());
    assert_eq!((world.vendor.copy_names().len(), world.book.entries().len()), (1, 0));
    // Nothing works any more, dropping included.
    world.vendor.fail_operations(true);
    let error = conductor.lease(freeze(&conductor)).await.unwrap_err();
    assert!(error.remedy().unwrap().contains("next run drops it"), "{:?}", error.remedy());
    assert_eq!(world.book.entries().len(), 1);
    world.vendor.fail_operations(false);
    world.book.forget_everybody();
    assert_eq!(world.conductor().resume_copies().await.unwrap().len(), 1);
    assert_eq!((world.vendor.copy_names().len(), world.book.entries().len()), (1, 0));
}

#[tokio::test]
async fn looks_that_fail_for_now_are_looks_at_something_that_goes_on() {
    let world = World::new();
    world.vendor.fail_looks(4);
    let begun = world.clock.elapsed();
    let receipt = take_snapshot(&world.conductor(), RunId([1; 16]), None).await;
    assert!(receipt.is_ok(), "{receipt:?}");
    assert!(world.clock.elapsed() - begun >= Duration::from_secs(5 + 10 + 15 + 20));
    world.vendor.fail_looks(u32::MAX);
    let begun = world.clock.elapsed();
    let error = take_snapshot(&world.conductor(), RunId([2; 16]), None).await.unwrap_err();
    assert!(error.to_string().contains("503"), "{error}");
    let waited = world.clock.elapsed() - begun;
    let Patience { limit, longest_pause } = Patience::default();
    assert!(waited >= limit && waited <= limit + longest_pause, "{waited:?}");
    assert_eq!(world.book.entries().len(), 1, "the next run looks again");
}

#[tokio::test]
async fn what_takes_long_keeps_nobody_and_stays_written_down() {
    let world = World::new();
    let conductor = world.conductor();
    let leased = async |run: u8| {
        let name = conductor.name(Purpose::Freeze, RunId([run; 16])).to_string();
        let intent = Intent::Copy { name, from: CopyFrom::Now, expires_at: None };
        conductor.lease(intent).await.unwrap()
    };
    let most = Patience::SHORT.limit + Patience::SHORT.longest_pause;
    let lease = leased(1).await;
    world.vendor.be_slow(true);
    let begun = world.clock.elapsed();
    let error = lease.end_within(Patience::SHORT).await.unwrap_err();
    assert_eq!(error.status(), ErrorStatus::Persistent, "{error}");
    assert!(world.clock.elapsed() - begun <= most);
    assert!(!world.book.entries().is_empty(), "it is in the book while it goes on");
    for _ in 0..10_000 {
        tokio::task::yield_now().await;
    }
    assert_eq!(world.book.entries(), [], "and goes on behind the caller");

    world.vendor.be_slow(false);
    for run in [2, 3] {
        std::mem::forget(leased(run).await);
    }
    world.book.forget_everybody();
    world.vendor.be_slow(true);
    let (next, begun) = (world.conductor(), world.clock.elapsed());
    let findings = next.hurried(Patience::SHORT, begun).resume().await.unwrap();
    assert!(world.clock.elapsed() - begun <= most, "both together");
    assert_eq!(findings.len(), 2, "{findings:?}");
    assert!(findings.iter().all(|finding| finding.kind == FindingKind::Warning), "{findings:?}");
    world.vendor.be_slow(false);
    world.book.forget_everybody();
    world.conductor().resume().await.unwrap();
    assert_eq!(world.book.entries(), []);
}

#[tokio::test]
async fn a_failure_is_told_and_is_over() {
    let world = World::new();
    world.vendor.fail_operations(true);
    let error = take_snapshot(&world.conductor(), RunId([1; 16]), None).await.unwrap_err();
    assert!(error.to_string().contains("on purpose"), "{error}");
    assert_eq!(world.book.entries(), []);
    let refused = world
        .conductor()
        .run(Intent::RestoreInPlace { from: CopyFrom::Now, keep_as: "x".into() })
        .await;
    assert_eq!(refused.unwrap_err().kind(), ErrorKind::Unsupported);
    assert_eq!(world.book.entries(), [], "what was refused has not happened");
}

#[tokio::test]
async fn leftovers_of_other_machines_are_swept_by_name() {
    let world = World::new();
    let old = "2025-12-01T00:00:00Z".parse().unwrap();
    for name in [
        "backupctl-shop-freeze-20251201t000000-00000001",
        "backupctl-blog-freeze-20251201t000000-00000001",
        "main",
    ] {
        world.vendor.add_copy(name, old);
    }
    let findings = world.conductor().sweep(LEFTOVER_AGE).await.unwrap();
    assert_eq!(findings.len(), 1, "{findings:?}");
    assert_eq!(
        world.vendor.copy_names(),
        ["backupctl-blog-freeze-20251201t000000-00000001", "main"]
    );
    world.vendor.add_copy("backupctl-shop-drill-20251201t000000-00000001", old);
    world.vendor.fail_operations(true);
    let findings = world.conductor().sweep(LEFTOVER_AGE).await.unwrap();
    assert_eq!(findings[0].kind, FindingKind::Warning);
    assert!(findings[0].message.contains("costs money"), "{findings:?}");
}

#[tokio::test]
async fn one_rpo_over_both_counts_the_vendors_snapshots_in_but_proves_nothing() {
    let world = World::new();
    let record = crate::testing::record("aa", "shop", 1, "2025-12-31T12:00:00Z");
    let promise = Promise {
        level: backup_core::VerifyLevel::None,
        rpo_of_both: Some(Duration::from_secs(2 * 3600)),
        ..Promise::default()
    };
    let promises = [("shop".parse().unwrap(), promise)].into();
    let judged = async |records: &[backup_core::SnapshotRecord]| {
        let now = world.clock.now();
        let mut status = assess(&crate::testing::heads(records), &promises, now).remove(0);
        let native = look(&world.vendor, &status.source).await.unwrap();
        count_in(&mut status, native, now);
        status
    };
    let alone = judged(std::slice::from_ref(&record)).await;
    assert_eq!(alone.standing, Standing::Unprotected, "{:?}", alone.reasons);
    assert!(alone.reasons[0].contains("720 min old"), "{:?}", alone.reasons);
    take_snapshot(&world.conductor(), RunId([1; 16]), None).await.unwrap();
    let both = judged(std::slice::from_ref(&record)).await;
    assert_eq!((both.standing, both.reasons.len()), (Standing::Protected, 0));
    assert_eq!(both.native.unwrap().ours, 1);
    assert_eq!(judged(&[]).await.standing, Standing::NeverBackedUp, "never instead of our own");
    world.clock.sleep(Duration::from_secs(3 * 3600)).await;
    assert_eq!(judged(std::slice::from_ref(&record)).await.standing, Standing::Unprotected);
    // That it cannot be asked does not mean that it has nothing, nor that it has something.
    world.vendor.fail_lists(true);
    for (records, known) in [(&[][..], "is not known"), (&[record][..], "that is known is 9")] {
        let silent = judged(records).await;
        assert!(silent.standing >= Standing::Unprotected, "{:?}", silent.reasons);
        let said = silent.reasons.join("\n");
        assert!(said.contains(known) && said.contains("503"), "{said}");
        assert!(!said.contains("there is none"), "{said}");
    }
}

#[tokio::test]
async fn what_costs_money_is_told_apart_from_the_good_news() {
    let mut record = crate::testing::record("aa", "shop", 1, "2026-01-01T00:00:00Z");
    let at = record.stored_at;
    let receipt = |record: &backup_core::SnapshotRecord| crate::BackupReceipt {
        record: record.clone(),
        requests: <_>::default(),
        seconds: 1.0,
    };
    assert!(crate::alert::left_behind(&receipt(&record), at).is_none());
    let text = format!("{}backupctl-shop-freeze-x, which costs money", super::LEFT_BEHIND);
    record.snapshot.evidence.findings.push(backup_core::Finding::warning(text));
    let alert = crate::alert::left_behind(&receipt(&record), at).unwrap();
    assert_eq!(alert.severity, backup_core::Severity::Warning);
    assert!(alert.body.contains("costs money"), "{alert:?}");
}
