use std::sync::Arc;

use backup_core::ErrorKind;
use backup_repository::NewKey;
use backup_testkit::{Fault, FaultStore, MemoryStore};

use crate::world::{back_up, init, key_file, next_day, open, read, shop};

#[tokio::test]
async fn keys_come_and_go_and_data_stays() {
    let store = Arc::new(MemoryStore::new().near());
    let (first, second, third) = (key_file(), key_file(), key_file());
    let repository = init(store.clone(), &first).await;
    let database = shop();
    let snapshot = back_up(&repository, &database).await.unwrap();

    let only = repository.keys().await.unwrap().remove(0);
    let refused = repository.remove_key(only.id).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Conflict);

    let new =
        |secret: &backup_crypto::KeySecret| NewKey { secret: secret.clone(), label: "n".into() };
    repository.add_key(new(&second)).await.unwrap();
    assert_eq!(repository.keys().await.unwrap().len(), 2);
    repository.rotate_key(only.id, new(&third)).await.unwrap();

    assert_eq!(open(store.clone(), &first).await.unwrap_err().kind(), ErrorKind::WrongKey);
    for secret in [&second, &third] {
        let repository = open(store.clone(), secret).await.unwrap();
        assert_eq!(read(&repository, &snapshot).await.unwrap(), database);
    }
}

#[tokio::test]
async fn a_new_epoch_reads_old_data_and_every_key_gets_it() {
    let store = Arc::new(MemoryStore::new().near());
    let (first, second) = (key_file(), key_file());
    let repository = init(store.clone(), &first).await;
    repository.add_key(NewKey { secret: second.clone(), label: "n".into() }).await.unwrap();
    let mut database = shop();
    let old = back_up(&repository, &database).await.unwrap();
    let before = database.clone();
    assert_eq!(repository.rotate_data().await.unwrap(), 1);
    next_day(&mut database, 1);
    let new = back_up(&repository, &database).await.unwrap();
    for secret in [&first, &second] {
        let repository = open(store.clone(), secret).await.unwrap();
        assert_eq!(read(&repository, &old).await.unwrap(), before);
        assert_eq!(read(&repository, &new).await.unwrap(), database);
    }
    assert_eq!(store.names("keys/").len(), 2);
}

fn named(secret: &backup_crypto::KeySecret) -> NewKey {
    NewKey { secret: secret.clone(), label: "n".into() }
}

#[tokio::test]
async fn a_write_only_host_backs_up_and_an_owner_reads_it() {
    let store = Arc::new(MemoryStore::new().near());
    let (owner, host) = (key_file(), key_file());
    let repository = init(store.clone(), &owner).await;
    repository.add_writer(named(&host)).await.unwrap();
    let mut database = shop();
    let before = back_up(&repository, &database).await.unwrap();
    next_day(&mut database, 1);

    let blind = open(store.clone(), &host).await.unwrap();
    assert!(!blind.can_read());
    let snapshot = back_up(&blind, &database).await.unwrap();
    assert_eq!((snapshot.previous, snapshot.sequence), (None, 1));
    assert_eq!(blind.snapshots().await.unwrap_err().kind(), ErrorKind::WrongKey);
    assert_eq!(read(&blind, &snapshot).await.unwrap_err().kind(), ErrorKind::WrongKey);
    assert_eq!(blind.rotate_data().await.unwrap_err().kind(), ErrorKind::WrongKey);
    assert_eq!(blind.add_key(named(&key_file())).await.unwrap_err().kind(), ErrorKind::WrongKey);

    // An owner reads it, also after a rotation, from which the host writes on.
    repository.rotate_data().await.unwrap();
    let later = back_up(&open(store.clone(), &host).await.unwrap(), &database).await.unwrap();
    let repository = open(store.clone(), &owner).await.unwrap();
    assert_eq!(repository.snapshots().await.unwrap().len(), 3);
    for found in [&snapshot, &later] {
        assert_eq!(read(&repository, found).await.unwrap(), database);
    }
    assert!(before.id != snapshot.id && later.writer == snapshot.writer);

    // A writer's key is no reason to let the last owner's go.
    let keys = repository.keys().await.unwrap();
    let own = keys.iter().find(|key| key.role == backup_crypto::Role::Owner).unwrap();
    let refused = repository.remove_key(own.id).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Conflict);
}

#[tokio::test]
async fn two_hosts_that_rotate_at_once_lose_no_key() {
    for _ in 0..10 {
        let store = Arc::new(MemoryStore::new().near());
        let (first, second) = (key_file(), key_file());
        let repository = init(store.clone(), &first).await;
        repository.add_key(named(&second)).await.unwrap();
        let hosts = [
            open(store.clone(), &first).await.unwrap(),
            open(store.clone(), &second).await.unwrap(),
        ];
        let (a, b) = tokio::join!(hosts[0].rotate_data(), hosts[1].rotate_data());
        assert!(a.is_ok() != b.is_ok(), "{a:?} {b:?}");
        let refused = a.err().or(b.err()).unwrap();
        assert_eq!(refused.kind(), ErrorKind::Conflict, "{refused:?}");
        // Whoever did not rotate still writes what everybody reads, and gives out no stale key.
        let database = shop();
        let mut snapshots = Vec::new();
        for host in &hosts {
            snapshots.push(back_up(host, &database).await);
        }
        assert!(snapshots.iter().any(Result::is_ok));
        for secret in [&first, &second] {
            let repository = open(store.clone(), secret).await.unwrap();
            for snapshot in snapshots.iter().flatten() {
                assert_eq!(read(&repository, snapshot).await.unwrap(), database);
            }
        }
        let stale = refused_keys(&hosts).await;
        assert_eq!(stale, 1, "the host that did not rotate must open again");
    }
}

/// Returns how many of the hosts are refused a new key.
async fn refused_keys(hosts: &[backup_repository::Repository]) -> usize {
    let mut refused = 0;
    for host in hosts {
        let result = host.add_key(named(&key_file())).await;
        refused += usize::from(result.is_err_and(|error| error.kind() == ErrorKind::Conflict));
    }
    refused
}

#[tokio::test]
async fn two_hosts_that_remove_the_other_ones_key_leave_one() {
    let store = Arc::new(MemoryStore::new());
    let (first, second) = (key_file(), key_file());
    let repository = init(store.clone(), &first).await;
    let other = repository.add_key(named(&second)).await.unwrap().id;
    let own = repository.keys().await.unwrap().iter().find(|key| key.id != other).unwrap().id;
    let host = open(store.clone(), &second).await.unwrap();
    let (a, b) = tokio::join!(repository.remove_key(other), host.remove_key(own));
    assert!(a.is_ok() != b.is_ok(), "{a:?} {b:?}");
    assert_eq!(store.names("keys/").len(), 1);
}

#[tokio::test]
async fn a_rotation_that_crashes_anywhere_loses_nothing_and_its_rerun_succeeds() {
    let honest = MemoryStore::new().near();
    let (first, second) = (key_file(), key_file());
    let repository = init(Arc::new(honest.clone()), &first).await;
    repository.add_key(named(&second)).await.unwrap();
    let database = [(("table/a", false), [(0, crate::world::rows(30, 1))].into())].into();
    let old = back_up(&repository, &database).await.unwrap();
    for replaced in [false, true] {
        for call in 0.. {
            let copy = honest.snapshot();
            let faulty = FaultStore::new(copy.clone());
            let repository = open(Arc::new(faulty.clone()), &first).await.unwrap();
            let id = repository.keys().await.unwrap()[0].id;
            let third = key_file();
            let opened = faulty.calls();
            faulty.add(Fault::crash_after(call));
            let ended = if replaced {
                repository.rotate_key(id, named(&third)).await.is_ok()
            } else {
                repository.rotate_data().await.is_ok()
            };
            let reached = faulty.calls() - opened > call;
            for lease in copy.names("leases/") {
                copy.remove(&lease);
            }
            // The key in use opens it, or the new one in its place; and so does everything
            // after a second try.
            let mut opened = Vec::new();
            for secret in [&first, &second, &third] {
                opened.extend(open(Arc::new(copy.clone()), secret).await.ok());
            }
            assert!(opened.len() >= 2, "call {call}");
            let repository = &opened[0];
            assert_eq!(read(repository, &old).await.unwrap(), database, "call {call}");
            if !replaced {
                repository.rotate_data().await.unwrap();
                let new = back_up(repository, &database).await.unwrap();
                for secret in [&first, &second] {
                    let repository = open(Arc::new(copy.clone()), secret).await.unwrap();
                    assert_eq!(read(&repository, &new).await.unwrap(), database);
                    assert_eq!(repository.keys().await.unwrap().len(), 2);
                }
            }
            if !reached {
                assert!(ended && call > 5);
                break;
            }
        }
    }
}

#[tokio::test]
async fn a_store_that_overwrites_takes_keys_but_no_rotation() {
    let store = Arc::new(MemoryStore::new().without_create_if_absent());
    let repository = init(store.clone(), &key_file()).await;
    repository.add_key(named(&key_file())).await.unwrap();
    let refused = repository.rotate_data().await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Unsupported);
}
