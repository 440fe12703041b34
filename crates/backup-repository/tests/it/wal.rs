//! Write-ahead log: stored once, found again, never confused.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use backup_core::{ErrorKind, Lsn, RestorePoint, Secret, WalFacts, WalFile, WalInstant};
use backup_crypto::KeySecret;
use backup_repository::{NewKey, WalEntry, WalLog, WalPut};
use backup_testkit::{Fault, FaultStore, MemoryStore};
use bytes::Bytes;

use crate::world::{init, key_file, noise, open};

fn log() -> WalLog {
    WalLog { source: "Shop".parse().unwrap(), system: 7_401_234_567_890_123_456 }
}

fn file(text: &str) -> WalFile {
    text.parse().unwrap()
}

fn facts() -> WalFacts {
    let instant = WalInstant { at: "2026-11-01T00:00:00Z".parse().unwrap(), end: Lsn(17 << 20) };
    WalFacts {
        system: log().system,
        segment_size: 16 << 20,
        transactions: 3,
        times: Some((instant, instant)),
        restore_points: vec![RestorePoint { name: "before".into(), instant }],
        ..WalFacts::default()
    }
}

/// Noise, then zeros, as a segment that was switched early.
fn segment(length: usize, zeros: usize) -> Bytes {
    let mut bytes = noise(length);
    bytes.resize(length + zeros, 0);
    bytes.into()
}

#[tokio::test]
async fn a_host_that_only_writes_stores_and_an_owner_reads() {
    let store = MemoryStore::new();
    let owner = key_file();
    let repository = init(Arc::new(store.clone()), &owner).await;
    let host = key_file();
    let key = NewKey { secret: host.clone(), label: "host".into() };
    repository.add_writer(key).await.unwrap();
    let writer = open(Arc::new(store.clone()), &host).await.unwrap();

    let name = file("00000001000000000000000A");
    let content = segment(6 << 20, 10 << 20);
    let put = writer.put_wal(&log(), name, content.clone(), Some(facts())).await.unwrap();
    let WalPut::Stored(size) = put else { panic!("it was not there before") };
    assert!(size < (7 << 20), "zeros cost something: {size}");
    assert_eq!(writer.put_wal(&log(), name, content.clone(), None).await.unwrap(), WalPut::Known);
    for (text, content) in [("00000002.history", "1\t0/1\n"), ("00000003.history", "")] {
        writer.put_wal(&log(), file(text), content.into(), None).await.unwrap();
    }

    let found = writer.find_wal(&log(), name).await.unwrap();
    assert_eq!(found.len(), 1);
    assert_eq!(writer.read_wal(&found[0]).await.unwrap_err().kind(), ErrorKind::WrongKey);
    let head = repository.wal_head(&found[0]).await.unwrap();
    assert_eq!((head.length, head.facts), (16 << 20, Some(facts())));
    assert_eq!(repository.read_wal(&found[0]).await.unwrap().0, content);
    for object in repository.wal_objects(&log()).await.unwrap() {
        repository.read_wal(&object).await.unwrap();
    }
    assert_eq!(repository.wal_logs(None).await.unwrap(), [log()]);
    assert_eq!(repository.wal_logs(Some(&log().source)).await.unwrap(), [log()]);
    assert_eq!(repository.wal_logs(Some(&"other".parse().unwrap())).await.unwrap(), []);
}

#[tokio::test]
async fn other_bytes_for_one_file_are_refused_and_change_nothing() {
    let store = MemoryStore::new();
    let repository = init(Arc::new(store.clone()), &key_file()).await;
    for text in ["00000001000000000000000A", "00000002.history", "00000001000000000000000A.partial"]
    {
        let name = file(text);
        repository.put_wal(&log(), name, "one".into(), None).await.unwrap();
        let before = store.names("wal/");
        let error = repository.put_wal(&log(), name, "other".into(), None).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Conflict);
        assert_eq!(store.names("wal/"), before);
        // Another cluster, or another timeline, is another place.
        let elsewhere = WalLog { system: 1, ..log() };
        repository.put_wal(&elsewhere, name, "other".into(), None).await.unwrap();
    }
}

#[tokio::test]
async fn two_writers_at_once_do_not_both_believe_in_their_bytes() {
    let store = MemoryStore::new();
    let repository = init(Arc::new(store.clone()), &key_file()).await;
    let name = file("00000001000000000000000A");
    let puts = (0..6).map(|n| {
        let repository = repository.clone();
        async move {
            let content = format!("content {}", n / 2).into();
            repository.put_wal(&log(), name, content, None).await.is_ok()
        }
    });
    let believed = futures::future::join_all(puts).await;
    let contents = repository.find_wal(&log(), name).await.unwrap().len();
    assert!(contents >= 1);
    // The first may have looked before the others wrote; then none of them believes.
    let sure = believed.chunks(2).filter(|pair| pair.iter().any(|ok| *ok)).count();
    assert!(sure <= 1, "{believed:?} {contents}");
}

#[tokio::test]
async fn what_was_acknowledged_is_there_whatever_fails() {
    let honest = MemoryStore::new();
    let secret = key_file();
    init(Arc::new(honest.clone()), &secret).await;
    let (name, content) = (file("00000001000000000000000A"), segment(9000, 500));
    for crash in [false, true] {
        for call in 0.. {
            let copy = honest.snapshot();
            let faulty = FaultStore::new(copy.clone());
            let repository = open(Arc::new(faulty.clone()), &secret).await.unwrap();
            let opened = faulty.calls();
            faulty.add(if crash { Fault::crash_after(call) } else { Fault::fail().nth(call + 1) });
            let put = repository.put_wal(&log(), name, content.clone(), Some(facts())).await;
            let reached = faulty.calls() - opened > call;
            let repository = open(Arc::new(copy), &secret).await.unwrap();
            let found = repository.find_wal(&log(), name).await.unwrap();
            assert!(put.is_err() || found.len() == 1, "call {call}");
            repository.put_wal(&log(), name, content.clone(), Some(facts())).await.unwrap();
            let found = repository.find_wal(&log(), name).await.unwrap();
            assert_eq!(found.len(), 1);
            assert_eq!(repository.read_wal(&found[0]).await.unwrap().0, content);
            if !reached {
                assert!(put.is_ok() && call >= 3, "{call}");
                break;
            }
            assert!(put.is_err(), "call {call} failed unnoticed");
        }
    }
}

#[tokio::test]
async fn every_flipped_byte_every_cut_and_every_other_name_is_found() {
    let store = MemoryStore::new();
    let repository = init(Arc::new(store.clone()), &key_file()).await;
    let (name, content) = (file("00000001000000000000000A"), segment(700, 300));
    repository.put_wal(&log(), name, content.clone(), Some(facts())).await.unwrap();
    repository.put_wal(&log(), file("00000002.history"), "x".into(), None).await.unwrap();
    let found = repository.find_wal(&log(), name).await.unwrap().remove(0);
    let whole = store.peek(&found.name).unwrap();
    let refused = async |bytes: &[u8], what: &str| {
        store.plant(&found.name, bytes.to_vec());
        let error = repository.read_wal(&found).await.expect_err(what);
        assert!(
            matches!(
                error.kind(),
                ErrorKind::Integrity | ErrorKind::Unsupported | ErrorKind::WrongKey
            ),
            "{what}: {error:?}"
        );
    };
    for offset in 0..whole.len() {
        let mut bytes = whole.to_vec();
        bytes[offset] ^= 0x40;
        refused(&bytes, &format!("byte {offset} flipped unnoticed")).await;
    }
    for length in (0..whole.len()).step_by(7) {
        refused(&whole[..length], &format!("cut to {length} unnoticed")).await;
    }
    let mut longer = whole.to_vec();
    longer.push(0);
    refused(&longer, "a byte more unnoticed").await;
    let other = repository.find_wal(&log(), file("00000002.history")).await.unwrap().remove(0);
    refused(&store.peek(&other.name).unwrap(), "another object in its place").await;
    store.plant(&found.name, whole);
    assert_eq!(repository.read_wal(&found).await.unwrap().0, content);
}

#[tokio::test]
async fn gaps_are_recorded_once_and_clusters_are_known() {
    let store = MemoryStore::new();
    let repository = init(Arc::new(store.clone()), &key_file()).await;
    assert!(!repository.knows_wal(&log()).await.unwrap());
    repository.admit_wal(&log()).await.unwrap();
    repository.admit_wal(&log()).await.unwrap();
    assert!(repository.knows_wal(&log()).await.unwrap());
    let from = "00000001000000000000000A".parse().unwrap();
    for note in ["{}", "{\"later\":1}"] {
        repository.put_wal_gap(&log(), from, note.into()).await.unwrap();
    }
    let objects = repository.wal_objects(&log()).await.unwrap();
    assert_eq!(objects.iter().map(|o| o.entry).collect::<Vec<_>>(), [WalEntry::Gap(from)]);
    let tally = repository.delete_wal(&objects).await.unwrap();
    assert_eq!((tally.objects, tally.bytes), (1, objects[0].size));
    assert!(repository.wal_objects(&log()).await.unwrap().is_empty());
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

/// Written by `examples/wal_fixture.rs`, once.
#[tokio::test]
async fn the_golden_log_reads_as_it_was_written() {
    let fixture: PathBuf = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/wal-1");
    let store = MemoryStore::new();
    let root = fixture.join("repository");
    plant(&store, &root, &root);
    let key = std::fs::read_to_string(fixture.join("key")).unwrap();
    let secret = KeySecret::KeyFile(Secret::new(key));
    let repository = open(Arc::new(store), &secret).await.unwrap();
    let mut found = String::new();
    for log in repository.wal_logs(None).await.unwrap() {
        for object in repository.wal_objects(&log).await.unwrap() {
            let (content, head) = repository.read_wal(&object).await.unwrap();
            let facts = head.facts.map_or(0, |facts| facts.transactions);
            found += &format!("{} {} {facts}\n", object.name, blake3::hash(&content));
        }
    }
    assert_eq!(found, std::fs::read_to_string(fixture.join("expected")).unwrap());
}
