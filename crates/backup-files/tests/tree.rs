//! Trees with everything odd in them, there and back.
#![cfg(unix)]

mod common;

use common::World;

#[tokio::test]
async fn everything_odd_comes_back() {
    let world = World::new();
    common::odd(&world.tree());
    let snapshot = world.backup(None).await;
    world.restore(&snapshot, |_| ()).await;
    world.assert_equal();
    let tree = snapshot.snapshot.evidence.tree.clone().unwrap();
    assert_eq!(tree.entries(), common::entries(&world.tree()));
    assert!(!snapshot.snapshot.is_suspect(), "{:?}", snapshot.snapshot.evidence.findings);
    // Another list and other holes would have other sums.
    let examined = world.examine(&snapshot).await;
    assert_eq!((examined.different, examined.listed.fingerprint), (0, tree.fingerprint));
    assert_eq!(examined.there, tree.entries());
}

/// rsync gives up on such a path, so the tree is compared with the list.
#[tokio::test]
async fn a_path_that_is_too_long_for_the_system_comes_back() {
    let world = World::new();
    common::deep_path(&world.tree());
    let snapshot = world.backup(None).await;
    let tree = snapshot.snapshot.evidence.tree.clone().unwrap();
    assert_eq!((tree.directories, tree.files), (31, 1));
    world.restore(&snapshot, |_| ()).await;
    let examined = world.examine(&snapshot).await;
    assert_eq!((examined.different, examined.there), (0, 32), "{:?}", examined.differences);
}

#[tokio::test]
async fn what_did_not_change_is_taken_over_unread() {
    let world = World::new();
    common::odd(&world.tree());
    let first = world.backup(None).await;
    let old = |path: &str| world.tree().join(path);
    // Times of before the first snapshot: nothing is so new that its times tell nothing.
    std::thread::sleep(std::time::Duration::from_millis(3100));
    let settled = world.backup(Some(&first)).await;
    let second = world.backup(Some(&settled)).await;
    let read = |taken: &common::Taken| {
        let findings = taken.snapshot.evidence.findings.clone();
        findings.into_iter().map(|f| f.message).find(|m| m.contains("were read")).unwrap()
    };
    assert!(read(&second).starts_with("0 of "), "{}", read(&second));
    assert_eq!(first.parts.bytes("data"), second.parts.bytes("data"));
    assert_eq!(first.parts.bytes("list").len(), second.parts.bytes("list").len());
    std::fs::write(old("many/03/file-3"), b"changed").unwrap();
    std::fs::remove_file(old("many/05/file-5")).unwrap();
    std::fs::write(old("many/05/new"), b"new").unwrap();
    std::fs::write(old("large.bin"), common::noise(9, 5 << 20)).unwrap();
    let third = world.backup(Some(&second)).await;
    world.restore(&third, |_| ()).await;
    world.assert_equal();
    let addresses =
        |taken: &common::Taken| -> Vec<u64> { taken.parts.addressed("data").into_keys().collect() };
    let kept = addresses(&third).iter().filter(|at| addresses(&second).contains(at)).count();
    assert_eq!(kept, addresses(&second).len(), "addresses stay");
}
