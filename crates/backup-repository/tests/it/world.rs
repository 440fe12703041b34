//! A small world to test in: a store, a clock, a repository, and a database that changes.

use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::sync::Arc;

use backup_core::port::{Clock, NoObserver, PartSink, Store};
use backup_core::{
    Evidence, Layout, PartName, Result, Secret, Snapshot, SnapshotKind, SourceIdentity,
};
use backup_crypto::KeySecret;
use backup_repository::{NewKey, Repository, Settings, SnapshotDraft};
use backup_testkit::FakeClock;
use futures::TryStreamExt;
use jiff::Timestamp;

/// Part name → address → bytes; a `Stream` part has address 0 only.
pub(crate) type Database = BTreeMap<(&'static str, bool), BTreeMap<u64, Vec<u8>>>;

pub(crate) fn key_file() -> KeySecret {
    // Fixed, so that tests do not pay for Argon2.
    KeySecret::KeyFile(backup_crypto::generate_key_file().unwrap())
}

pub(crate) fn passphrase(text: &str) -> KeySecret {
    KeySecret::Passphrase(Secret::new(text))
}

pub(crate) fn clock() -> Arc<FakeClock> {
    Arc::new(FakeClock::new("2026-11-01T00:00:00Z".parse().unwrap()))
}

/// Small packs, so that a little data makes several.
pub(crate) fn settings() -> Settings {
    Settings {
        pack_bytes: 256 << 10,
        workers: NonZeroUsize::new(2).unwrap(),
        ..Settings::default()
    }
}

pub(crate) async fn init(store: Arc<dyn Store>, secret: &KeySecret) -> Repository {
    let key = NewKey { secret: secret.clone(), label: "test".into() };
    Repository::init(store, clock(), vec![key], settings()).await.unwrap()
}

pub(crate) async fn open(store: Arc<dyn Store>, secret: &KeySecret) -> Result<Repository> {
    Repository::open(store, clock(), secret, settings()).await
}

pub(crate) async fn open_at(
    store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
    secret: &KeySecret,
) -> Result<Repository> {
    Repository::open(store, clock, secret, settings()).await
}

pub(crate) fn draft(source: &str) -> SnapshotDraft {
    SnapshotDraft {
        source: source.parse().unwrap(),
        identity: SourceIdentity {
            engine: "test".into(),
            system: "1".into(),
            database: source.into(),
        },
        kind: SnapshotKind::Logical,
        started_at: Timestamp::UNIX_EPOCH,
    }
}

pub(crate) async fn back_up(repository: &Repository, database: &Database) -> Result<Snapshot> {
    back_up_slowly(repository, "shop", database, || {}).await
}

/// Backs up with pauses: `wait` is called before every segment and before the commit.
pub(crate) async fn back_up_slowly(
    repository: &Repository,
    source: &str,
    database: &Database,
    mut wait: impl FnMut() + Send,
) -> Result<Snapshot> {
    let writer = repository.begin(draft(source), Arc::new(NoObserver)).await?;
    for ((name, stream), segments) in database {
        let part = PartName::new(name);
        let layout = if *stream { Layout::Stream } else { Layout::Segments };
        writer.begin_part(&part, layout).await?;
        for (address, bytes) in segments {
            wait();
            tokio::task::yield_now().await;
            let mut segment = writer.segment(&part, *address).await?;
            for piece in bytes.chunks(100_000) {
                segment.write(piece).await?;
            }
            segment.finish().await?;
        }
        writer.finish_part(&part, [("kind".to_owned(), "test".to_owned())].into()).await?;
    }
    wait();
    writer.commit(Evidence::default()).await
}

pub(crate) async fn read(repository: &Repository, snapshot: &Snapshot) -> Result<Database> {
    let reader = repository.reader(snapshot).await?;
    let mut database = Database::new();
    for part in reader.parts() {
        let mut segments = BTreeMap::new();
        for (position, info) in reader.segments(&part.name).await?.into_iter().enumerate() {
            let pieces: Vec<_> = reader.read(&part.name, position).await?.try_collect().await?;
            let bytes = pieces.concat();
            assert_eq!(bytes.len() as u64, info.bytes);
            segments.insert(info.address, bytes);
        }
        let name: &'static str = part.name.as_str().to_owned().leak();
        database.insert((name, part.layout == Layout::Stream), segments);
    }
    Ok(database)
}

/// Text like a table's rows, different for every seed.
pub(crate) fn rows(count: usize, seed: u64) -> Vec<u8> {
    let mut text = Vec::with_capacity(count * 48);
    let mut state = seed.wrapping_mul(2).wrapping_add(1);
    for row in 0..count {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let line = format!("{row}\tcustomer {:08x}\t2026-11-{:02}\tpaid\n", state >> 32, row % 28);
        text.extend_from_slice(line.as_bytes());
    }
    text
}

pub(crate) fn noise(length: usize) -> Vec<u8> {
    let mut out = vec![0; length];
    getrandom::fill(&mut out).unwrap();
    out
}

/// Tables of several segments, an empty part, an empty segment, a stream, and noise.
pub(crate) fn shop() -> Database {
    let segments = |count: u64, rows_each| {
        (0..count).map(|place| (place * 2048, rows(rows_each, place))).collect()
    };
    [
        (("table/public.orders", false), segments(12, 2000)),
        (("table/public.tiny", false), [(0, b"1\tx\n".to_vec())].into()),
        (("table/public.empty", false), [(0, Vec::new())].into()),
        (("table/public.none", false), BTreeMap::new()),
        (("table/public.noise", false), [(0, noise(300_000))].into()),
        (("schema", true), [(0, rows(20_000, 99))].into()),
    ]
    .into()
}

/// A day of work: two rows in a hundred change, some are added at the end of every table.
pub(crate) fn next_day(database: &mut Database, day: usize) {
    for ((_, stream), segments) in database.iter_mut() {
        if *stream {
            continue;
        }
        for (address, bytes) in segments.iter_mut() {
            let step = 50 * 48;
            let mut place = (day * 7919 + *address as usize) % step.max(1);
            while place < bytes.len() {
                if bytes[place] != b'\n' {
                    bytes[place] = b'A' + (day % 26) as u8;
                }
                place += step;
            }
        }
        if let Some(last) = segments.values_mut().next_back() {
            last.extend_from_slice(&rows(20, 1000 + day as u64));
        }
    }
}
