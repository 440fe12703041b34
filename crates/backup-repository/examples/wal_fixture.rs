//! Writes a repository with a few WAL objects of the current format into a folder: the golden
//! fixture that every later version must read. Run it once for each format, commit the result,
//! never again: `cargo run -p backup-repository --example wal_fixture -- DIRECTORY`.

use std::path::PathBuf;
use std::sync::Arc;

use backup_core::{Lsn, RestorePoint, WalFacts, WalInstant};
use backup_crypto::KeySecret;
use backup_repository::{NewKey, Repository, Settings, WalLog};
use backup_testkit::{FakeClock, MemoryStore};

type Fallible<T> = Result<T, Box<dyn std::error::Error>>;

#[tokio::main]
async fn main() -> Fallible<()> {
    let folder = PathBuf::from(std::env::args().nth(1).ok_or("name a folder")?);
    let text = backup_crypto::generate_key_file()?;
    let store = MemoryStore::new();
    let clock = Arc::new(FakeClock::new("2026-11-29T00:00:00Z".parse()?));
    let key = NewKey { secret: KeySecret::KeyFile(text.clone()), label: "fixture".into() };
    let repository =
        Repository::init(Arc::new(store.clone()), clock, vec![key], Settings::default()).await?;
    let log = WalLog { source: "Shop_1".parse()?, system: 7_401_234_567_890_123_456 };
    let instant = WalInstant { at: "2026-11-29T00:00:00.5Z".parse()?, end: Lsn(0x0A00_1000) };
    let facts = WalFacts {
        system: log.system,
        segment_size: 16 << 20,
        magic: 0xD118,
        start: Lsn(0x0A00_0000),
        end: Lsn(0x0A00_1000),
        transactions: 3,
        times: Some((instant, instant)),
        xids: Some((700, 702)),
        checkpoint: Some(instant),
        restore_points: vec![RestorePoint { name: "before_migration".into(), instant }],
        more_restore_points: false,
        switched: true,
        ended: false,
    };
    // Five pieces: compressible, incompressible, empty.
    let mut segment: Vec<u8> = (0..1_000_000u32).flat_map(|n| (n / 50).to_be_bytes()).collect();
    let mut noise = blake3::Hasher::new().finalize_xof();
    let start = segment.len();
    segment.resize(start + 5_000, 0);
    noise.fill(&mut segment[start..]);
    segment.resize(16 << 20, 0);
    repository.admit_wal(&log).await?;
    let name = "00000001000000000000000A".parse()?;
    repository.put_wal(&log, name, segment.into(), Some(facts)).await?;
    for (name, content) in [
        ("00000001000000000000000B.partial", "not a whole segment"),
        ("00000001000000000000000A.00000028.backup", "START WAL LOCATION: 0/A000028\n"),
        ("00000002.history", "1\t0/B000000\tno recovery target specified\n"),
    ] {
        repository.put_wal(&log, name.parse()?, content.into(), None).await?;
    }
    let gap = "00000001000000000000000C".parse()?;
    repository.put_wal_gap(&log, gap, "{\"why\":\"fixture\"}".into()).await?;
    let mut expected = String::new();
    for object in repository.wal_objects(&log).await? {
        let (content, head) = repository.read_wal(&object).await?;
        let transactions = head.facts.map_or(0, |facts| facts.transactions);
        expected += &format!("{} {} {transactions}\n", object.name, blake3::hash(&content));
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
