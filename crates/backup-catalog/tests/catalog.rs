//! The catalog as a file: what is written stays, what is damaged is put aside.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test that cannot go on fails"
)]

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};

use backup_catalog::{Found, SqliteCatalog};
use backup_core::port::{Catalog, RunFilter};
use backup_core::{ErrorKind, JobKey, JobKind, Run, RunId, RunState, Trigger};
use jiff::Timestamp;

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_767_225_600 + second).unwrap()
}

fn id(number: u64) -> RunId {
    let mut bytes = [0; 16];
    bytes[..8].copy_from_slice(&number.to_be_bytes());
    RunId(bytes)
}

fn run(number: u64, source: &str, kind: JobKind, state: RunState) -> Run {
    let job = JobKey::of(kind, &source.parse().unwrap());
    let now = at(i64::try_from(number).unwrap());
    let mut run = Run::begin(id(number), job, Trigger::Schedule, now);
    run.state = state;
    run
}

fn open(file: &Path) -> (SqliteCatalog, Found) {
    SqliteCatalog::open(file, at(0)).unwrap()
}

async fn ids(catalog: &SqliteCatalog, filter: RunFilter) -> Vec<RunId> {
    catalog.runs(&filter).await.unwrap().into_iter().map(|run| run.id).collect()
}

#[tokio::test]
async fn runs_are_found_again() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("catalog.db");
    let (catalog, found) = open(&file);
    assert_eq!(found, Found::Nothing);
    let mut full = run(1, "shop", JobKind::Backup, RunState::Running);
    catalog.record(&full).await.unwrap();
    full.state = RunState::Failed;
    full.ended_at = Some(at(9));
    full.actor = Some("ann".into());
    full.snapshot = Some(backup_core::SnapshotId([7; 16]));
    full.numbers.insert("read_bytes".into(), u64::MAX);
    full.phases.push(backup_core::RunPhase { name: "copy".into(), seconds: 1.25 });
    full.error =
        Some((&backup_core::Error::new(ErrorKind::Integrity, "read").hint("Look.")).into());
    catalog.record(&full).await.unwrap();
    for other in [
        run(2, "shop", JobKind::Verify, RunState::Succeeded),
        run(3, "blog", JobKind::Backup, RunState::Running),
        run(4, "shop", JobKind::Backup, RunState::Succeeded),
    ] {
        catalog.record(&other).await.unwrap();
    }
    drop(catalog);

    let (catalog, found) = open(&file);
    assert_eq!(found, Found::Catalog);
    assert_eq!(catalog.run(id(1)).await.unwrap(), Some(full));
    assert_eq!(catalog.run(id(9)).await.unwrap(), None);
    let all = RunFilter::default;
    assert_eq!(ids(&catalog, all()).await, [id(4), id(3), id(2), id(1)]);
    let shop = RunFilter { source: Some("shop".parse().unwrap()), ..all() };
    assert_eq!(ids(&catalog, shop.clone()).await, [id(4), id(2), id(1)]);
    let page = RunFilter { before: Some(id(4)), limit: Some(1), ..shop.clone() };
    assert_eq!(ids(&catalog, page).await, [id(2)]);
    let backups = RunFilter { kind: Some(JobKind::Backup), since: Some(at(3)), ..all() };
    assert_eq!(ids(&catalog, backups).await, [id(4), id(3)]);
    let running = RunFilter { state: Some(RunState::Running), ..all() };
    assert_eq!(ids(&catalog, running).await, [id(3)]);
    let mut counts = catalog.count(&shop).await.unwrap();
    counts.sort_by_key(|(state, _)| state.as_str());
    assert_eq!(counts, [(RunState::Failed, 1), (RunState::Succeeded, 2)]);
    assert_eq!(catalog.drop_runs(at(4)).await.unwrap(), 2);
    assert_eq!(ids(&catalog, all()).await, [id(4), id(3)], "what runs is not dropped");
    catalog.drop_run(id(3)).await.unwrap();
    catalog.drop_run(id(3)).await.unwrap();
    assert_eq!(ids(&catalog, all()).await, [id(4)]);
}

#[tokio::test]
async fn values_are_written_together_and_logs_have_no_holes() {
    let catalog = SqliteCatalog::in_memory().unwrap();
    let put = |key: &str, value: Option<&str>| (key.to_owned(), value.map(str::to_owned));
    catalog.put("jobs", &[put("b", Some("2")), put("a", Some("1"))]).await.unwrap();
    catalog.put("jobs", &[put("b", None), put("a", Some("3"))]).await.unwrap();
    assert_eq!(catalog.all("jobs").await.unwrap(), [("a".to_owned(), "3".to_owned())]);
    assert_eq!(catalog.get("jobs", "b").await.unwrap(), None);
    assert_eq!(catalog.get("other", "a").await.unwrap(), None);

    assert_eq!(catalog.newest("audit").await.unwrap(), None);
    for (number, body) in [(1, "one"), (2, "two"), (3, "three")] {
        catalog.append("audit", number, body).await.unwrap();
    }
    for wrong in [0, 3, 5, u64::MAX] {
        let error = catalog.append("audit", wrong, "x").await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Conflict, "{wrong}");
    }
    catalog.append("another", 1, "x").await.unwrap();
    let entries = catalog.log("audit", 1, 5).await.unwrap();
    assert_eq!(entries, [(2, "two".to_owned()), (3, "three".to_owned())]);
    assert_eq!(catalog.newest("audit").await.unwrap(), Some((3, "three".to_owned())));
}

#[tokio::test]
async fn damage_is_put_aside_and_said() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("catalog.db");
    std::fs::write(&file, b"this is no database at all, whatever its name says").unwrap();
    let (catalog, found) = open(&file);
    let Found::Damaged(aside) = found else { panic!("{found:?}") };
    assert!(std::fs::read(aside).unwrap().starts_with(b"this is no"));
    catalog.record(&run(1, "shop", JobKind::Backup, RunState::Succeeded)).await.unwrap();
    for number in 2..400 {
        catalog.record(&run(number, "shop", JobKind::Backup, RunState::Succeeded)).await.unwrap();
    }
    drop(catalog);

    // A page in the middle is overwritten.
    let mut bytes = std::fs::read(&file).unwrap();
    assert!(bytes.len() > 40_000);
    let middle = bytes.len() / 2 / 4096 * 4096;
    bytes[middle..middle + 4096].fill(0xa5);
    std::fs::write(&file, bytes).unwrap();
    let (catalog, found) = open(&file);
    assert!(matches!(found, Found::Damaged(_)), "{found:?}");
    assert_eq!(ids(&catalog, RunFilter::default()).await, []);
}

#[tokio::test]
async fn refuses_what_it_cannot_write_or_understand() {
    let folder = tempfile::tempdir().unwrap();
    let plain = folder.path().join("plain");
    std::fs::write(&plain, b"a file, not a folder").unwrap();
    let error = SqliteCatalog::open(&plain.join("catalog.db"), at(0)).unwrap_err();
    assert!(error.remedy().is_some(), "{error:?}");
    assert!(error.to_string().contains("catalog.db"), "{error}");

    let file = folder.path().join("newer.db");
    drop(open(&file));
    let raw = rusqlite::Connection::open(&file).unwrap();
    raw.pragma_update(None, "user_version", 99).unwrap();
    drop(raw);
    let error = SqliteCatalog::open(&file, at(0)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsupported);
}

const CHILD: &str = "BACKUP_CATALOG_TEST_CHILD";

/// Not a test by itself: what the two below run in a process of its own.
#[tokio::test]
async fn child() {
    let Ok(file) = std::env::var(CHILD) else { return };
    let (catalog, _) = open(Path::new(&file));
    for number in 1.. {
        let run = run(number, "shop", JobKind::Backup, RunState::Running);
        match catalog.record(&run).await {
            Ok(()) => println!("written {number}"),
            Err(error) => {
                println!("refused {error:?}");
                return;
            }
        }
    }
}

fn spawn(file: &Path, prelude: &str) -> std::process::Child {
    let program = std::env::current_exe().unwrap();
    Command::new("sh")
        .args(["-c", &format!("{prelude} exec \"$0\" --exact child --nocapture")])
        .arg(program)
        .env(CHILD, file)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap()
}

#[tokio::test]
async fn what_was_written_survives_kill_9() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("catalog.db");
    for round in 1..=3 {
        let mut child = spawn(&file, "");
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut written = 0;
        while written < 20 * round {
            let line = lines.next().unwrap().unwrap();
            if let Some(number) = line.strip_prefix("written ") {
                written = number.parse::<u64>().unwrap();
            }
        }
        child.kill().unwrap();
        child.wait().unwrap();
        // What was said was durable before it was said.
        let rest = lines.map_while(Result::ok);
        let said = rest.filter_map(|line| line.strip_prefix("written ")?.parse().ok());
        let last = said.max().unwrap_or(written).max(written);
        let (catalog, found) = open(&file);
        assert_eq!(found, Found::Catalog);
        let all = ids(&catalog, RunFilter::default()).await;
        assert!((1..=last).all(|number| all.contains(&id(number))), "{} of {last}", all.len());
    }
}

#[tokio::test]
async fn a_full_disk_is_an_error_with_a_remedy_and_loses_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("catalog.db");
    // No file of that process may grow beyond 128 KiB.
    let child = spawn(&file, "trap '' XFSZ; ulimit -f 256;");
    let output = child.wait_with_output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.contains("refused "), "{text}");
    let written = text.lines().filter(|line| line.starts_with("written ")).count();
    assert!(written > 3, "{text}");
    let (catalog, found) = open(&file);
    assert_eq!(found, Found::Catalog);
    assert_eq!(ids(&catalog, RunFilter::default()).await.len(), written);
}

#[test]
fn whoever_appends_waits_for_another_writer() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("catalog.db");
    let (catalog, _) = open(&file);
    let other = rusqlite::Connection::open(&file).unwrap();
    let runtime = || tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime().block_on(catalog.append("audit", 1, "first")).unwrap();
    other.execute_batch("BEGIN IMMEDIATE; INSERT INTO log VALUES ('x', 1, 'y');").unwrap();
    let (begun, begins) = std::sync::mpsc::channel();
    let appending = std::thread::spawn(move || {
        begun.send(()).unwrap();
        runtime().block_on(catalog.append("audit", 2, "second"))
    });
    begins.recv().unwrap();
    // Long enough to be in its way, far from the ten seconds that it waits.
    std::thread::sleep(std::time::Duration::from_millis(300));
    other.execute_batch("COMMIT").unwrap();
    let appended = appending.join().unwrap();
    assert!(appended.is_ok(), "{appended:?}");
}
