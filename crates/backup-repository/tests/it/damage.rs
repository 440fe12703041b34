//! Every byte of every object matters.

use std::sync::Arc;

use backup_core::port::{Clock, NoObserver, Observer};
use backup_core::{ErrorKind, ObjectName};
use backup_testkit::MemoryStore;

use crate::world::{Database, back_up, init, key_file, next_day, open, read, rows};

/// Small enough that every byte of every object can be tried.
fn small() -> Database {
    [(("table/a", false), [(0, rows(40, 1))].into()), (("schema", true), [(0, rows(9, 2))].into())]
        .into()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn any_flipped_byte_of_any_object_is_found() {
    let store = MemoryStore::new().near();
    let secret = key_file();
    let repository = init(Arc::new(store.clone()), &secret).await;
    let mut database = small();
    back_up(&repository, &database).await.unwrap();
    next_day(&mut database, 3);
    let last = back_up(&repository, &database).await.unwrap();

    for prefix in ["config", "keys/", "index/", "snapshots/", "packs/"] {
        let names: Vec<ObjectName> =
            store.names("").into_iter().filter(|name| name.as_str().starts_with(prefix)).collect();
        assert!(!names.is_empty(), "{prefix}");
        for name in names {
            let length = store.peek(&name).unwrap().len();
            // Plain JSON has white space that nobody signs; sealed objects have none.
            let offsets = (0..length).step_by(if length > 3000 { 17 } else { 3 });
            let tries = offsets.map(|offset| {
                let (copy, name, secret) = (store.snapshot(), name.clone(), secret.clone());
                let (last, database) = (last.clone(), database.clone());
                tokio::spawn(async move {
                    assert!(copy.corrupt(&name, offset, 0x40));
                    let found = everything_reads(copy, &secret, &last, &database).await;
                    assert!(found.is_err(), "{name} byte {offset} of {length} flipped unnoticed");
                })
            });
            for tried in tries.collect::<Vec<_>>() {
                tried.await.unwrap();
            }
        }
    }
}

/// Opens, lists, checks every pack whole, reads everything.
async fn everything_reads(
    store: MemoryStore,
    secret: &backup_crypto::KeySecret,
    snapshot: &backup_core::Snapshot,
    expected: &Database,
) -> Result<(), String> {
    let text = |error: backup_core::Error| {
        assert!(
            matches!(
                error.kind(),
                ErrorKind::Integrity | ErrorKind::WrongKey | ErrorKind::Unsupported
            ),
            "{error:?}"
        );
        error.to_string()
    };
    let repository = open(Arc::new(store), secret).await.map_err(text)?;
    if repository.keys().await.map_err(text)?.is_empty() {
        return Err("no key record is believed".into());
    }
    let records = repository.snapshots().await.map_err(text)?;
    if records.len() != 2 {
        return Err("a snapshot is missing".into());
    }
    for pack in repository.contents().await.map_err(text)?.indexed.into_keys() {
        repository.check_pack(pack, Arc::default()).await.map_err(text)?;
    }
    let read = read(&repository, snapshot).await.map_err(text)?;
    assert!(read == *expected, "wrong bytes were handed out");
    Ok(())
}

#[tokio::test]
async fn swapped_and_truncated_objects_are_found() {
    let store = MemoryStore::new().near();
    let secret = key_file();
    let repository = init(Arc::new(store.clone()), &secret).await;
    let mut database = small();
    back_up(&repository, &database).await.unwrap();
    next_day(&mut database, 3);
    let last = back_up(&repository, &database).await.unwrap();
    for prefix in ["index/", "snapshots/", "packs/"] {
        let names = store.names(prefix);
        let copy = store.snapshot();
        let (a, b) = (copy.peek(&names[0]).unwrap(), copy.peek(&names[1]).unwrap());
        copy.plant(&names[0], b);
        copy.plant(&names[1], a);
        assert!(everything_reads(copy, &secret, &last, &database).await.is_err(), "{prefix}");
        for length in [0, 10, 200] {
            let copy = store.snapshot();
            copy.truncate(&names[0], length);
            assert!(everything_reads(copy, &secret, &last, &database).await.is_err(), "{prefix}");
        }
    }
}

#[tokio::test]
async fn a_lost_index_is_rebuilt_from_the_packs() {
    let store = MemoryStore::new().near();
    let secret = key_file();
    let repository = init(Arc::new(store.clone()), &secret).await;
    let mut database = small();
    back_up(&repository, &database).await.unwrap();
    next_day(&mut database, 3);
    let last = back_up(&repository, &database).await.unwrap();
    let names = store.names("index/");
    store.remove(&names[0]);
    store.corrupt(&names[1], 300, 1);
    let repository = open(Arc::new(store.clone()), &secret).await.unwrap();
    let error = read(&repository, &last).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Integrity);
    assert!(error.remedy().unwrap().contains("repair index"), "{error:?}");

    let report = repository.repair_index(Arc::new(NoObserver)).await.unwrap();
    assert_eq!(report.recovered.len(), store.names("packs/").len());
    assert_eq!(report.unreadable_indexes.len(), 1);
    assert!(report.damaged.is_empty() && report.lost.is_empty());
    assert_eq!(store.names("index/").len(), 1);
    assert_eq!(read(&repository, &last).await.unwrap(), database);
    // Again: nothing to do, nothing lost.
    let again = repository.repair_index(Arc::new(NoObserver)).await.unwrap();
    assert_eq!(again.kept as usize, store.names("packs/").len());
    assert_eq!(read(&repository, &last).await.unwrap(), database);
}

#[tokio::test]
async fn a_lost_pack_is_healed_by_the_next_backup() {
    let store = MemoryStore::new().near();
    let secret = key_file();
    let repository = init(Arc::new(store.clone()), &secret).await;
    let database = small();
    let first = back_up(&repository, &database).await.unwrap();
    let pack = store.names("packs/").remove(0);
    store.remove(&pack);
    let repository = open(Arc::new(store.clone()), &secret).await.unwrap();
    let error = read(&repository, &first).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Integrity);
    assert!(error.to_string().contains(pack.file_name()), "{error}");

    let report = repository.repair_index(Arc::new(NoObserver)).await.unwrap();
    assert_eq!(report.lost.len(), 1);
    back_up(&repository, &database).await.unwrap();
    assert_eq!(read(&repository, &first).await.unwrap(), database);
}

#[tokio::test]
async fn verification_names_sources_snapshots_and_parts() {
    use backup_verification::{Depth, Request, verify};
    let store = MemoryStore::new().near();
    let secret = key_file();
    let repository = init(Arc::new(store.clone()), &secret).await;
    let mut database = small();
    back_up(&repository, &database).await.unwrap();
    next_day(&mut database, 3);
    back_up(&repository, &database).await.unwrap();
    let clock: Arc<dyn Clock> = crate::world::clock();
    let observer: Arc<dyn Observer> = Arc::new(NoObserver);
    let all = |depth| Request { snapshots: Vec::new(), depth };

    let report = verify(&repository, &all(Depth::Read), &clock, &observer).await.unwrap();
    assert!(report.is_clean(), "{report:?}");
    let records = repository.snapshots().await.unwrap();
    assert!(records.iter().all(|r| r.verified.level == backup_core::VerifyLevel::Read));

    // Once more: a proof replaces its like.
    verify(&repository, &all(Depth::Read), &clock, &observer).await.unwrap();
    assert_eq!(store.names("verified/").len(), 2);

    // A byte of the first chunk of rows: the largest pack. (A pack of segment maps is read to
    // know what must exist, so that damage there is found sooner.)
    let size = |name: &ObjectName| store.peek(name).map(|body| body.len());
    let pack = store.names("packs/").into_iter().max_by_key(size).unwrap();
    store.corrupt(&pack, 200, 1);
    let report = verify(&repository, &all(Depth::Exists), &clock, &observer).await.unwrap();
    assert!(report.is_clean(), "sizes are right: {report:?}");
    let report = verify(&repository, &all(Depth::Read), &clock, &observer).await.unwrap();
    assert!(!report.is_clean());
    let hurt: Vec<_> = report.snapshots.iter().filter(|s| !s.problems.is_empty()).collect();
    assert!(!hurt.is_empty(), "{report:?}");
    assert_eq!(hurt[0].source.as_str(), "shop");
    for record in repository.snapshots().await.unwrap() {
        let damaged = hurt.iter().any(|hurt| hurt.id == record.snapshot.id);
        let level = record.verified.level;
        assert_eq!(level == backup_core::VerifyLevel::None, damaged, "proofs are withdrawn");
    }

    store.remove(&pack);
    let report = verify(&repository, &all(Depth::Exists), &clock, &observer).await.unwrap();
    assert!(report.snapshots.iter().any(|s| !s.problems.is_empty()), "{report:?}");
}
