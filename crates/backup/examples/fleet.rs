//! Makes up what a daemon with many sources has before it: a repository with their snapshots, a
//! catalog with their runs, a configuration. `fleet DIRECTORY SOURCES SNAPSHOTS RUNS`, the last two
//! for each source. `cargo xtask bench-fleet` measures a daemon on it.

#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "an example")]

use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use backup::catalog::SqliteCatalog;
use backup::repository::{NewKey, Repository, Settings, SnapshotDraft};
use backup::{KeySecret, generate_key_file};
use backup_core::port::{Catalog, NoObserver, PartSink};
use backup_core::{
    Evidence, JobKey, JobKind, Layout, PartName, Run, RunId, RunState, SnapshotKind,
    SourceIdentity, SourceName, TableEvidence, Trigger, Verified, VerifyLevel,
};
use backup_testkit::{FakeClock, MemoryStore};
use jiff::{SignedDuration, Timestamp};

#[tokio::main]
async fn main() -> backup_core::Result<()> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let [directory, sources, snapshots, runs] = words.as_slice() else {
        println!("fleet DIRECTORY SOURCES SNAPSHOTS RUNS");
        return Ok(());
    };
    let directory = Path::new(directory);
    let number = |text: &String| text.parse::<i64>().unwrap();
    let names: Vec<SourceName> =
        (0..number(sources)).map(|n| format!("database-{n:04}").parse().unwrap()).collect();
    fs::create_dir_all(directory.join("state")).unwrap();
    repository(directory, &names, number(snapshots)).await?;
    catalog(directory, &names, number(runs)).await?;
    configuration(directory, &names);
    println!("{}", directory.display());
    Ok(())
}

/// One snapshot a day, the newest some hours old, of twenty tables each.
async fn repository(directory: &Path, names: &[SourceName], days: i64) -> backup_core::Result<()> {
    let now = Timestamp::now();
    let clock = Arc::new(FakeClock::manual(now - SignedDuration::from_hours(24 * days - 20)));
    let store = MemoryStore::new().near().with_clock(clock.clone());
    let key = generate_key_file()?;
    fs::write(directory.join("key"), key.expose()).unwrap();
    let key = NewKey { secret: KeySecret::KeyFile(key), label: "key file".into() };
    let settings = Settings::default();
    let repository =
        Repository::init(Arc::new(store.clone()), clock.clone(), vec![key], settings).await?;
    for _ in 0..days {
        for name in names {
            let started_at = backup_core::port::Clock::now(clock.as_ref());
            let draft = SnapshotDraft {
                source: name.clone(),
                identity: SourceIdentity {
                    engine: "postgres".into(),
                    system: format!("7{:018}", name.as_str().len()),
                    database: name.to_string(),
                },
                kind: SnapshotKind::Logical,
                started_at,
            };
            let writer = repository.begin(draft, Arc::new(NoObserver)).await?;
            let part = PartName::new("table/public.orders");
            writer.begin_part(&part, Layout::Segments).await?;
            let mut segment = writer.segment(&part, 0).await?;
            segment.write(format!("{name}\t{started_at}\n").as_bytes()).await?;
            segment.finish().await?;
            writer.finish_part(&part, Default::default()).await?;
            let table = |n: u64| TableEvidence {
                schema: "public".into(),
                name: format!("table_{n}"),
                rows: 1000 * n,
                bytes: 100_000 * n,
                ..TableEvidence::default()
            };
            let evidence = Evidence {
                server_version: "17.2".into(),
                tables: (1..=20).map(table).collect(),
                ..Evidence::default()
            };
            let snapshot = writer.commit(evidence).await?;
            let verified = Verified { level: VerifyLevel::Read, at: Some(started_at) };
            repository.record_verification(snapshot.id, verified).await?;
        }
        clock.advance(Duration::from_secs(24 * 3600));
    }
    // Objects get the age they claim.
    for name in store.names("") {
        let path = directory.join("repository").join(name.as_str());
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, store.peek(&name).unwrap()).unwrap();
        let file = fs::File::options().write(true).open(&path).unwrap();
        file.set_modified(SystemTime::now() - Duration::from_secs(3600)).unwrap();
    }
    Ok(())
}

/// One backup a night, one in fifty of which failed.
async fn catalog(directory: &Path, names: &[SourceName], nights: i64) -> backup_core::Result<()> {
    let now = Timestamp::now();
    let (catalog, _) = SqliteCatalog::open(&directory.join("state/catalog.db"), now)?;
    for (place, name) in names.iter().enumerate() {
        for night in 0..nights {
            let at = now - SignedDuration::from_hours(24 * (nights - night) - 20);
            let mut id = [0; 16];
            id[..6].copy_from_slice(&at.as_millisecond().to_be_bytes()[2..]);
            id[8..].copy_from_slice(&(place as u64).to_be_bytes());
            let key = JobKey::of(JobKind::Backup, name);
            let mut run = Run::begin(RunId(id), key, Trigger::Schedule, at);
            run.ended_at = Some(at + SignedDuration::from_secs(90));
            let bad = (place as i64 + night) % 50 == 0;
            run.state = if bad { RunState::Failed } else { RunState::Succeeded };
            run.numbers.insert("read_bytes".into(), 21_000_000);
            catalog.record(&run).await?;
        }
    }
    Ok(())
}

/// Every source at its own minute of the night, of a database that nobody can reach.
fn configuration(directory: &Path, names: &[SourceName]) {
    let mut text = format!(
        "[repository]\nurl = \"file://{0}/repository\"\nkey = \"file:{0}/key\"\n\n\
         [daemon]\nstate = \"{0}/state\"\n",
        directory.display()
    );
    // Not within the next hours, whatever the time is.
    let hour = (Timestamp::now().as_second() / 3600 + 12) % 24;
    for (place, name) in names.iter().enumerate() {
        let _ = write!(
            text,
            "\n[[source]]\nname = \"{name}\"\nurl = \"postgres://backup@192.0.2.1/{name}\"\n\
             schedule.backup = \"{} {hour} * * *\"\n",
            place % 60
        );
    }
    fs::write(directory.join("backup.toml"), text).unwrap();
}
