//! A cluster whose objects are sound and whose files are not those of its manifest.

use std::sync::Arc;

use backup::repository::{Repository, SnapshotDraft};
use backup::{KeySecret, Secret};
use backup_core::port::{NoObserver, PartSink, PartSource};
use backup_core::{JobKind, RunState, VerifyLevel};
use backup_testkit::parts::{Wrong, WrongParts};
use backup_testkit::postgres::Cluster;
use futures::StreamExt;

use crate::http::{address, json};
use crate::world::{PASSPHRASE, World, runtime, shop, wait};

/// Commits a snapshot that says of itself what the newest does, with one thing wrong in it.
async fn commit_wrong(world: &World, wrong: Wrong) {
    let secret = KeySecret::Passphrase(Secret::new(PASSPHRASE));
    let store = backup::open_store(&world.repository(), &<_>::default()).await.unwrap();
    let clock = backup::system_clock();
    let started_at = clock.now();
    let repository = Repository::open(store, clock, &secret, <_>::default()).await.unwrap();
    let newest = repository.snapshots().await.unwrap().pop().unwrap().snapshot;
    let parts = WrongParts::new(repository.reader(&newest).await.unwrap(), wrong);
    let draft = SnapshotDraft {
        source: newest.source.clone(),
        identity: newest.identity.clone(),
        kind: newest.kind,
        started_at,
    };
    let writer = repository.begin(draft, Arc::new(NoObserver)).await.unwrap();
    for part in parts.parts() {
        writer.begin_part(&part.name, part.layout).await.unwrap();
        let segments = parts.segments(&part.name).await.unwrap();
        for (position, info) in segments.into_iter().enumerate() {
            let mut segment = writer.segment(&part.name, info.address).await.unwrap();
            let mut pieces = parts.read(&part.name, position).await.unwrap();
            while let Some(piece) = pieces.next().await {
                segment.write(&piece.unwrap()).await.unwrap();
            }
            segment.finish().await.unwrap();
        }
        writer.finish_part(&part.name, part.attributes.clone()).await.unwrap();
    }
    writer.commit(newest.evidence.clone()).await.unwrap();
}

#[test]
fn a_cluster_that_is_not_what_its_manifest_says_is_found_told_and_not_protected() {
    let Some(cluster) = Cluster::start_newest() else { return };
    shop(&cluster, 100);
    let world = World::new(&cluster);
    world.configure("[backup]\nmode = \"physical\"\n[daemon]\nattempts = 1\n");
    let daemon = world.start();
    let at = address(&daemon);
    assert_eq!(world.request(JobKind::Backup, true).state, RunState::Succeeded);
    let good = world.request(JobKind::Verify, true);
    assert_eq!(good.state, RunState::Succeeded, "{good:?}");
    assert!(good.number("files_compared") > 500, "{good:?}");
    let state = || json(&at, "/api/v1/sources/shop")["state"].clone();
    wait("protection", || state() == "protected");

    let (from, to) = ("PG_VERSION".to_owned(), "PG_VERSIOM".to_owned());
    let wrong = Wrong::Replaced { part: "manifest".into(), from, to };
    runtime().block_on(commit_wrong(&world, wrong));
    let bad = world.request(JobKind::Verify, true);
    assert_eq!(bad.state, RunState::Failed);
    let error = bad.error.unwrap();
    assert!(error.kind == "integrity" && error.message.contains("PG_VERSIOM"), "{error:?}");
    wait("the alert", || json(&at, "/api/v1/alerts").to_string().contains("verify/shop"));
    wait("the source to be at risk", || state() == "at_risk");
    let snapshots = world.snapshots();
    assert_eq!(snapshots[0].verified.level, VerifyLevel::Read, "the first is as good as it was");
    assert_eq!(snapshots[1].verified.level, VerifyLevel::None);
    daemon.terminate();
}
