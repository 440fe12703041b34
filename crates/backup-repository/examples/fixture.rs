//! Writes a small repository of the current format into a folder: the golden fixture that every
//! later version must read. Run it once for each format, commit the result, never again:
//! `cargo run -p backup-repository --example fixture -- DIRECTORY`.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use backup_core::port::{NoObserver, PartSink};
use backup_core::{Evidence, Layout, PartName, SnapshotKind, SourceIdentity, TableEvidence};
use backup_crypto::KeySecret;
use backup_repository::{NewKey, Repository, Settings, SnapshotDraft};
use backup_testkit::{FakeClock, MemoryStore};
use futures::TryStreamExt;
use sha2::Digest;

type Fallible<T> = Result<T, Box<dyn std::error::Error>>;

/// Rows of a table; those of day 1 differ from those of day 0 in two of a hundred.
fn rows(segment: u64, day: u64) -> Vec<u8> {
    let mut text = Vec::new();
    for row in 0..2000 {
        let state = if day > 0 && row % 50 == 0 { "shipped" } else { "pending" };
        let number = (row + segment * 2000) * 2_654_435_761 % 1_000_003;
        text.extend_from_slice(format!("{row}\t{number}\t{state}\n").as_bytes());
    }
    text
}

async fn back_up(repository: &Repository, day: u64) -> Fallible<()> {
    let draft = SnapshotDraft {
        source: "shop".parse()?,
        identity: SourceIdentity {
            engine: "postgres".into(),
            system: "7000000000000000001".into(),
            database: "16384".into(),
        },
        kind: SnapshotKind::Logical,
        started_at: "2026-11-21T02:00:00Z".parse()?,
    };
    let writer = repository.begin(draft, Arc::new(NoObserver)).await?;
    let table = PartName::new("table/public.orders");
    writer.begin_part(&table, Layout::Segments).await?;
    for segment in 0..3 {
        let mut sink = writer.segment(&table, segment * 2048).await?;
        sink.write(&rows(segment, day)).await?;
        sink.finish().await?;
    }
    let attributes: BTreeMap<_, _> = [("schema".into(), "public".into())].into();
    writer.finish_part(&table, attributes).await?;
    let schema = PartName::new("schema");
    writer.begin_part(&schema, Layout::Stream).await?;
    let mut sink = writer.segment(&schema, 0).await?;
    sink.write(b"CREATE TABLE public.orders (id int, number int, state text);\n").await?;
    sink.finish().await?;
    writer.finish_part(&schema, BTreeMap::new()).await?;
    let table = TableEvidence {
        schema: "public".into(),
        name: "orders".into(),
        rows: 6000,
        bytes: (0..3).map(|segment| rows(segment, day).len() as u64).sum(),
        ..TableEvidence::default()
    };
    writer.commit(Evidence { tables: vec![table], ..Evidence::default() }).await?;
    Ok(())
}

#[tokio::main]
async fn main() -> Fallible<()> {
    let folder = PathBuf::from(std::env::args().nth(1).ok_or("name a folder")?);
    let text = backup_crypto::generate_key_file()?;
    let secret = KeySecret::KeyFile(text.clone());
    let store = MemoryStore::new().near();
    let clock = Arc::new(FakeClock::new("2026-11-21T02:00:00Z".parse()?));
    let key = NewKey { secret, label: "fixture".into() };
    let repository =
        Repository::init(Arc::new(store.clone()), clock, vec![key], Settings::default()).await?;
    let mut expected = String::new();
    for day in 0..2 {
        back_up(&repository, day).await?;
    }
    for record in repository.snapshots().await? {
        let reader = repository.reader(&record.snapshot).await?;
        for part in reader.parts() {
            let (mut hasher, mut sha256) = (blake3::Hasher::new(), sha2::Sha256::new());
            for position in 0..reader.segments(&part.name).await?.len() {
                let mut pieces = reader.read(&part.name, position).await?;
                while let Some(piece) = pieces.try_next().await? {
                    hasher.update(&piece);
                    sha256.update(&piece);
                }
            }
            let (id, blake3) = (record.snapshot.id, hasher.finalize());
            let sha256 = data_encoding::HEXLOWER.encode(&sha256.finalize());
            expected += &format!("{id} {} {blake3} {sha256}\n", part.name);
        }
    }
    for name in store.names("") {
        let path = folder.join("repository").join(name.as_str());
        std::fs::create_dir_all(path.parent().ok_or("no parent")?)?;
        std::fs::write(path, store.peek(&name).ok_or("object vanished")?)?;
    }
    std::fs::write(folder.join("key"), format!("{}\n", text.expose()))?;
    std::fs::write(folder.join("expected"), expected)?;
    Ok(())
}
