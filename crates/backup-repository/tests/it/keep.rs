//! Segments taken over from the base: as they were, or not at all.

use std::sync::Arc;
use std::time::Duration;

use backup_core::port::{NoObserver, PartSink};
use backup_core::{Evidence, Layout, PartName};
use backup_repository::PruneOptions;
use backup_testkit::MemoryStore;

use crate::world::{back_up, draft, init, key_file, read, rows};

#[tokio::test]
async fn what_is_kept_is_what_was_there() {
    let store = Arc::new(MemoryStore::new().near());
    let repository = init(store.clone(), &key_file()).await;
    // The second one is of two chunks.
    let segments = [(7, rows(6_000, 1)), (8, rows(220_000, 2)), (9, rows(1_000, 3))];
    let database = [(("data", false), segments.into())].into();
    let first = back_up(&repository, &database).await.unwrap();

    let part = PartName::new("data");
    let writer = repository.begin(draft("shop"), Arc::new(NoObserver)).await.unwrap();
    assert_eq!(PartSink::base(&writer).await.unwrap().unwrap().snapshot.id, first.id);
    assert!(writer.keep(&part, 7).await.is_err(), "the part was not begun");
    writer.begin_part(&part, Layout::Segments).await.unwrap();
    assert!(writer.keep(&part, 8).await.unwrap());
    assert!(!writer.keep(&part, 6).await.unwrap(), "there was none");
    let mut segment = writer.segment(&part, 7).await.unwrap();
    segment.write(&rows(6_000, 4)).await.unwrap();
    segment.finish().await.unwrap();
    writer.finish_part(&part, Default::default()).await.unwrap();
    assert!(writer.keep(&part, 9).await.is_err(), "the part is finished");
    let second = writer.commit(Evidence::default()).await.unwrap();
    let expected = [(("data", false), [(7, rows(6_000, 4)), (8, rows(220_000, 2))].into())].into();
    assert_eq!(read(&repository, &second).await.unwrap(), expected);
    let bytes = rows(6_000, 4).len() + rows(220_000, 2).len();
    assert_eq!(second.read_bytes, bytes as u64, "what is kept counts as part of the snapshot");
    assert!(second.added_bytes < 300_000, "{}", second.added_bytes);

    // What the base alone needed is gone one day; what was kept is not.
    repository.forget(&[first.id]).await.unwrap();
    let options = PruneOptions { grace: Duration::ZERO };
    repository.prune(options, Arc::new(NoObserver)).await.unwrap();
    assert_eq!(read(&repository, &second).await.unwrap(), expected);

    // The same address twice is as wrong as ever.
    let writer = repository.begin(draft("shop"), Arc::new(NoObserver)).await.unwrap();
    writer.begin_part(&part, Layout::Segments).await.unwrap();
    assert!(writer.keep(&part, 8).await.unwrap());
    assert!(writer.keep(&part, 8).await.unwrap());
    assert!(writer.finish_part(&part, Default::default()).await.is_err());
}
