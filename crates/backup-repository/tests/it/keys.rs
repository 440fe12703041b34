use std::sync::Arc;

use backup_core::ErrorKind;
use backup_repository::NewKey;
use backup_testkit::MemoryStore;

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
