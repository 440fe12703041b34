//! Format 1, as it was first written, is read for ever. The fixture was made by
//! `examples/fixture.rs` and is never made again.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use backup_core::Secret;
use backup_core::port::{NoObserver, PartSource};
use backup_crypto::KeySecret;
use backup_testkit::MemoryStore;
use futures::TryStreamExt;

use crate::world::open;

fn fixture() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/format-1")
}

fn plant(store: &MemoryStore, root: &Path, folder: &Path) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            plant(store, root, &path);
        } else {
            let name = path.strip_prefix(root).unwrap().to_str().unwrap();
            store.plant(&name.parse().unwrap(), std::fs::read(&path).unwrap());
        }
    }
}

async fn digest(reader: &dyn PartSource, part: &backup_core::PartName) -> String {
    let mut hasher = blake3::Hasher::new();
    for position in 0..reader.segments(part).await.unwrap().len() {
        let mut pieces = reader.read(part, position).await.unwrap();
        while let Some(piece) = pieces.try_next().await.unwrap() {
            hasher.update(&piece);
        }
    }
    hasher.finalize().to_string()
}

#[tokio::test]
async fn the_golden_repository_reads_as_it_was_written() {
    let store = MemoryStore::new();
    let root = fixture().join("repository");
    plant(&store, &root, &root);
    let text = std::fs::read_to_string(fixture().join("key")).unwrap();
    let secret = KeySecret::KeyFile(Secret::new(text));
    let repository = open(Arc::new(store.clone()), &secret).await.unwrap();
    let mut found = String::new();
    for record in repository.snapshots().await.unwrap() {
        let reader = repository.reader(&record.snapshot).await.unwrap();
        for part in reader.parts() {
            let digest = digest(&*reader, &part.name).await;
            found += &format!("{} {} {digest}\n", record.snapshot.id, part.name);
        }
    }
    let expected = std::fs::read_to_string(fixture().join("expected")).unwrap();
    for (found, expected) in found.lines().zip(expected.lines()) {
        assert!(expected.starts_with(found), "{found} is not {expected}");
    }
    assert_eq!(found.lines().count(), expected.lines().count());

    // Footers, too: the index can be rebuilt from what was written then.
    for index in store.names("index/") {
        store.remove(&index);
    }
    let repository = open(Arc::new(store.clone()), &secret).await.unwrap();
    let report = repository.repair_index(Arc::new(NoObserver)).await.unwrap();
    assert_eq!(report.recovered.len(), store.names("packs/").len());
    let deltas = repository.snapshots().await.unwrap();
    let last = repository.reader(&deltas[1].snapshot).await.unwrap();
    let part = backup_core::PartName::new("table/public.orders");
    assert!(found.contains(&digest(&*last, &part).await));
}
