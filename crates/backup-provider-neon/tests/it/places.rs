//! Restores in place, and what must not be touched.

use backup_core::port::{Clock, CopyFrom, Intent, Platform};
use backup_core::{ErrorKind, Purpose};
use backup_testkit::vendor::neon::{MAIN, PASSWORD};
use backup_testkit::vendor::{Trouble, Upset};

use crate::world::World;

#[tokio::test]
async fn a_restore_in_place_keeps_the_state_before_and_happens_once() {
    let world = World::new().await;
    // Without data, the fake still knows the moments that can be restored.
    let at = world.neon.remember_only();
    world.clock.sleep(std::time::Duration::from_secs(3600)).await;
    let keep_as = world.name(Purpose::Before, 1);
    let intent = Intent::RestoreInPlace { from: CopyFrom::At(at), keep_as: keep_as.clone() };
    world.vendor.trouble(Trouble::new(Upset::LosesAnswer).method("POST"));
    let done = world.run(intent.clone()).await.unwrap();
    assert_eq!(done.id.as_deref(), Some(MAIN), "the branch stays what it is");
    assert!(done.notes[0].contains(&keep_as));
    world.run(intent).await.unwrap();
    let kept = world.neon.branches().into_iter().filter(|name| *name == keep_as).count();
    assert_eq!((kept, world.vendor.count("POST", "/restore")), (1, 1));
}

#[tokio::test]
async fn a_snapshot_put_back_is_found_under_the_same_address() {
    let world = World::new().await;
    let name = world.name(Purpose::Snapshot, 1);
    let taken = world.run(Intent::CreateSnapshot { name, expires_at: None }).await.unwrap();
    let before = world.neon().facts().await.unwrap();
    world.clock.sleep(std::time::Duration::from_secs(60)).await;
    let keep_as = world.name(Purpose::Before, 2);
    let intent = Intent::RestoreInPlace { from: CopyFrom::Snapshot(taken.id.unwrap()), keep_as };
    world.vendor.trouble(Trouble::new(Upset::LosesAnswer).method("POST"));
    let done = world.run(intent).await.unwrap();
    assert_ne!(done.id.as_deref(), Some(MAIN), "Neon gives it another id");
    assert_eq!(world.neon.branches().iter().filter(|name| name.starts_with("main")).count(), 2);
    let after = world.neon().facts().await.unwrap();
    assert_eq!(before.system, after.system, "it is the same source");
    assert_eq!(world.neon().snapshots().await.unwrap().len(), 1, "and has the same snapshots");
}

#[tokio::test]
async fn only_copies_that_we_made_are_ever_dropped() {
    let world = World::new().await;
    let old = world.clock.now();
    let foreign = world.neon.add_branch("backup-2026-01-01", old);
    for id in [MAIN.to_owned(), foreign] {
        let error = world.neon().begin(&Intent::DropCopy { id }).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Conflict);
    }
    assert_eq!(world.vendor.count("DELETE", ""), 0);
    assert_eq!(world.neon.branches().len(), 2);
}

#[tokio::test]
async fn a_lost_answer_is_found_again_whatever_the_clocks_say() {
    let world = World::new().await;
    let name = world.name(Purpose::Snapshot, 1);
    let taken = world.run(Intent::CreateSnapshot { name, expires_at: None }).await.unwrap();
    let id = taken.id.unwrap();
    // An earlier restore of the same snapshot, and a clock here that is an hour ahead of Neon's.
    let copy = world.name(Purpose::Restore, 1);
    let from = CopyFrom::Snapshot(id.clone());
    let earlier = Intent::Copy { name: copy, from: from.clone(), expires_at: None };
    let earlier = world.run(earlier).await.unwrap().id;
    let ahead = world.clock.now() + jiff::SignedDuration::from_hours(1);
    let source = "shop".parse().unwrap();
    let keep_as = backup_core::OwnedName::new(&source, Purpose::Before, ahead, 2).to_string();
    world.vendor.trouble(Trouble::new(Upset::LosesAnswer).method("POST"));
    let done = world.run(Intent::RestoreInPlace { from, keep_as }).await.unwrap();
    assert!(done.id.is_some() && done.id != earlier && done.id.as_deref() != Some(MAIN));
    assert_eq!(world.vendor.count("POST", "/restore"), 2, "one copy, and in place once");
}

#[tokio::test]
async fn without_stored_passwords_the_sources_own_opens_its_copies() {
    for refuses in [false, true] {
        let world = World::new().await;
        world.neon.settings("scale_v3", 7 * 86_400, false);
        if refuses {
            world.neon.refuse_addresses();
        }
        let name = world.name(Purpose::Freeze, 1);
        let copy = Intent::Copy { name, from: CopyFrom::Now, expires_at: None };
        let id = world.run(copy).await.unwrap().id.unwrap();
        let endpoint = world.neon().copy_endpoint(&id).await.unwrap();
        let url = endpoint.url.expose();
        assert!(url.contains(PASSWORD) && !url.contains("ep-main"), "{refuses}: {url}");
    }
}
