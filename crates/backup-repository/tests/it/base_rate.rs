//! An engine that reads the base is told when that costs more than it saves.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use backup_core::PartName;
use backup_core::port::{Clock, NoObserver, PartSink};
use backup_testkit::MemoryStore;
use futures::TryStreamExt;
use jiff::Timestamp;

use crate::world::{back_up, draft, init, key_file, noise, open_at};

const MIB: usize = 1 << 20;

/// Half a second passes whenever somebody asks: a mebibyte takes that long.
#[derive(Debug, Default)]
struct Ticking(AtomicU64);

#[async_trait]
impl Clock for Ticking {
    fn now(&self) -> Timestamp {
        Timestamp::UNIX_EPOCH
    }

    fn elapsed(&self) -> Duration {
        Duration::from_millis(500 * self.0.fetch_add(1, Ordering::Relaxed))
    }

    async fn sleep(&self, _duration: Duration) {}
}

/// Returns how many pieces of the base an engine reads before it is told to stop.
async fn pieces_read(store: MemoryStore) -> usize {
    let (store, secret) = (Arc::new(store), key_file());
    let repository = init(store.clone(), &secret).await;
    let segments = (0..12).map(|address| (address, noise(MIB))).collect();
    back_up(&repository, &[(("data", false), segments)].into()).await.unwrap();

    let repository = open_at(store, Arc::new(Ticking::default()), &secret).await.unwrap();
    let writer = repository.begin(draft("shop"), Arc::new(NoObserver)).await.unwrap();
    let base = PartSink::base(&writer).await.unwrap().unwrap();
    let part = PartName::new("data");
    for position in 0..12 {
        if !writer.wants_base() {
            return position;
        }
        let piece: Vec<_> =
            base.parts.read(&part, position).await.unwrap().try_collect().await.unwrap();
        assert_eq!(piece.concat().len(), MIB);
    }
    12
}

#[tokio::test]
async fn bases_that_come_slowly_are_read_no_more() {
    assert_eq!(pieces_read(MemoryStore::new()).await, 8);
    assert_eq!(pieces_read(MemoryStore::new().near()).await, 12);
}
