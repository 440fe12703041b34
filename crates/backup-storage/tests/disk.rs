//! The directory store on real filesystems.

#![allow(clippy::print_stderr, clippy::unwrap_used, reason = "helpers of tests")]

mod common;

use std::fs;
use std::num::NonZeroU64;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use backup_core::port::Store;
use backup_core::{ErrorKind, ErrorStatus};
use backup_storage::{CreateIfAbsent, StoreOptions, open, probe_create_if_absent};
use backup_testkit::conformance;
use bytes::Bytes;
use common::{name, options};
use futures::TryStreamExt;

async fn store_at(path: &Path) -> Arc<dyn Store> {
    open(path.to_str().unwrap(), &options()).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn keeps_the_contract() {
    let root = tempfile::tempdir().unwrap();
    conformance::store(store_at(&root.path().join("not/there/yet")).await).await;
    let root = tempfile::tempdir().unwrap();
    conformance::store(store_at(root.path()).await).await;
}

#[tokio::test]
async fn is_found_to_create_only_what_is_absent() {
    let root = tempfile::tempdir().unwrap();
    let probing = StoreOptions { create_if_absent: CreateIfAbsent::Probe, ..options() };
    let store = open(root.path().to_str().unwrap(), &probing).await.unwrap();
    assert!(store.capabilities().create_if_absent);
    assert!(store.capabilities().near);
    let left: Vec<_> = store.list("").await.unwrap().try_collect().await.unwrap();
    assert!(left.is_empty(), "{left:?}");
}

#[tokio::test]
async fn files_are_private() {
    let root = tempfile::tempdir().unwrap();
    let repository = root.path().join("repository");
    let store = store_at(&repository).await;
    store.create(&name("packs/ab/cd"), "body".into()).await.unwrap();
    let mode =
        |path: &str| fs::metadata(repository.join(path)).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode("packs/ab/cd"), 0o600);
    for directory in ["", "packs", "packs/ab", "TMP"] {
        assert_eq!(mode(directory), 0o700, "{directory}");
    }
    assert_eq!(fs::read_dir(repository.join("TMP")).unwrap().count(), 0);
}

#[tokio::test]
async fn leftovers_of_crashed_writers_are_ignored_and_swept_up() {
    let root = tempfile::tempdir().unwrap();
    let temporary = root.path().join("TMP");
    fs::create_dir(&temporary).unwrap();
    let (old, young) = (temporary.join("1-old"), temporary.join("2-young"));
    fs::write(&old, "x").unwrap();
    fs::write(&young, "x").unwrap();
    fs::write(root.path().join("NOTES.txt"), "of a stranger").unwrap();
    let days_ago = SystemTime::now() - Duration::from_secs(49 * 3600);
    fs::File::options().write(true).open(&old).unwrap().set_modified(days_ago).unwrap();

    let store = store_at(root.path()).await;
    let listed: Vec<_> = store.list("").await.unwrap().try_collect().await.unwrap();
    assert!(listed.is_empty(), "{listed:?}");
    assert!(old.exists(), "reading must not delete");
    store.create(&name("a"), "body".into()).await.unwrap();
    assert!(!old.exists());
    assert!(young.exists(), "a writer may be at work");
    assert!(root.path().join("NOTES.txt").exists());
}

#[tokio::test]
async fn a_missing_root_says_that_a_volume_may_not_be_mounted() {
    let root = tempfile::tempdir().unwrap();
    let store = store_at(&root.path().join("mnt/repository")).await;
    let error = store.get(&name("config")).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);
    assert!(error.remedy().unwrap().contains("mounted"), "{error:?}");
    let listed: Vec<_> = store.list("").await.unwrap().try_collect().await.unwrap();
    assert!(listed.is_empty());
}

#[tokio::test]
async fn what_stands_in_the_place_of_an_unmounted_volume_is_not_written_to() {
    let folder = tempfile::tempdir().unwrap();
    let (root, moved) = (folder.path().join("repository"), folder.path().join("moved"));
    let writer = store_at(&root).await;
    writer.create(&name("wal/one"), "body".into()).await.unwrap();
    // One that has looked at it, and not written yet.
    let reader = store_at(&root).await;
    fs::rename(&root, &moved).unwrap();
    let refused = async || {
        for store in [&writer, &reader] {
            let error = store.create(&name("wal/two"), "body".into()).await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::StoreUnavailable, "{error:?}");
            assert!(error.remedy().unwrap().contains("mounted"), "{error:?}");
        }
    };
    refused().await;
    assert!(!root.exists());
    fs::create_dir_all(root.join("TMP")).unwrap();
    fs::create_dir_all(root.join("wal")).unwrap();
    refused().await;
    fs::remove_dir_all(&root).unwrap();
    fs::rename(&moved, &root).unwrap();
    for (store, object) in [(&writer, "wal/two"), (&reader, "wal/three")] {
        store.create(&name(object), "body".into()).await.unwrap();
    }
}

#[tokio::test]
async fn a_file_in_the_way_is_named() {
    let root = tempfile::tempdir().unwrap();
    fs::write(root.path().join("packs"), "x").unwrap();
    let store = store_at(root.path()).await;
    let error = store.create(&name("packs/a"), "x".into()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::StoreUnavailable);
    assert!(error.remedy().unwrap().contains("packs"), "{error:?}");
    let store = store_at(&root.path().join("packs")).await;
    let error = store.create(&name("a"), "x".into()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::StoreUnavailable, "{error:?}");
}

#[tokio::test]
async fn where_nobody_may_write_the_remedy_names_the_path() {
    // Not even root may make a directory there.
    let store = store_at(Path::new("/sys/kernel/backup-test")).await;
    let error = store.create(&name("a"), "x".into()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::StoreUnavailable);
    assert_eq!(error.status(), ErrorStatus::Permanent);
    assert!(error.remedy().unwrap().contains("/sys/kernel/backup-test"), "{error:?}");
}

#[tokio::test]
async fn a_read_only_filesystem_is_named() {
    let Some(mount) = Tmpfs::mount("size=1m") else { return };
    let store = store_at(&mount.path()).await;
    store.create(&name("a"), "x".into()).await.unwrap();
    mount.remount("ro");
    let error = store.create(&name("b"), "x".into()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::StoreUnavailable);
    assert!(error.remedy().unwrap().contains("read-only"), "{error:?}");
    assert!(store.delete(&name("a")).await.unwrap_err().remedy().unwrap().contains("read-only"));
    assert_eq!(store.get(&name("a")).await.unwrap(), "x");
}

#[tokio::test]
async fn a_full_disk_leaves_whole_objects_only() {
    let Some(mount) = Tmpfs::mount("size=1m") else { return };
    let store = store_at(&mount.path()).await;
    let body = Bytes::from(vec![7; 300_000]);
    let mut written = 0;
    let error = loop {
        match store.create(&name(&format!("packs/{written}")), body.clone()).await {
            Ok(()) => written += 1,
            Err(error) => break error,
        }
    };
    assert_eq!(written, 3);
    assert_eq!(error.kind(), ErrorKind::StoreUnavailable);
    assert_eq!(error.status(), ErrorStatus::Permanent);
    assert!(error.to_string().contains("space"), "{error}");
    let path = mount.path();
    assert!(error.remedy().unwrap().contains(path.to_str().unwrap()), "{error:?}");
    let listed: Vec<_> = store.list("").await.unwrap().try_collect().await.unwrap();
    assert_eq!(listed.len(), 3);
    assert_eq!(fs::read_dir(path.join("TMP")).unwrap().count(), 0, "no leftovers take space");
    store.delete(&name("packs/0")).await.unwrap();
    store.create(&name("packs/3"), body).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn bandwidth_is_limited_both_ways() {
    let root = tempfile::tempdir().unwrap();
    let rate = NonZeroU64::new(4 << 20);
    let limited = StoreOptions { upload_rate: rate, download_rate: rate, ..options() };
    let store = open(root.path().to_str().unwrap(), &limited).await.unwrap();
    let body = Bytes::from(vec![1; 1 << 20]);
    let started = Instant::now();
    for number in 0..5 {
        store.create(&name(&format!("a/{number}")), body.clone()).await.unwrap();
    }
    // Five MiB at four per second, of which the last need not be waited for. A busy machine may
    // be slower, never faster.
    let wrote = started.elapsed().as_secs_f64();
    assert!((0.85..60.0).contains(&wrote), "{wrote}");
    let started = Instant::now();
    for number in 0..5 {
        store.get(&name(&format!("a/{number}"))).await.unwrap();
    }
    let read = started.elapsed().as_secs_f64();
    assert!((0.85..60.0).contains(&read), "{read}");
}

#[tokio::test]
async fn a_changed_object_is_seen_as_what_it_is() {
    let root = tempfile::tempdir().unwrap();
    let store = store_at(root.path()).await;
    store.create(&name("a"), "0123456789".into()).await.unwrap();
    fs::OpenOptions::new().write(true).open(root.path().join("a")).unwrap().set_len(4).unwrap();
    let error = store.get_range(&name("a"), 2..8).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Integrity);
    assert!(error.remedy().unwrap().contains("verify"));
    assert_eq!(store.stat(&name("a")).await.unwrap().size, 4);
}

#[tokio::test]
async fn the_probe_is_not_fooled_by_stores_that_overwrite() {
    let memory = backup_testkit::MemoryStore::new();
    assert!(probe_create_if_absent(&memory).await.unwrap());
    let careless = backup_testkit::MemoryStore::new().without_create_if_absent();
    assert!(!probe_create_if_absent(&careless).await.unwrap());
    assert_eq!(careless.names(""), [], "the probe cleans up");
}

const ROLE: &str = "STORE_TEST_ROOT";

#[tokio::test]
async fn a_killed_writer_leaves_whole_objects_only() {
    let root = tempfile::tempdir().unwrap();
    for round in 0..6_u64 {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "child_writes_until_it_is_killed"])
            .env(ROLE, root.path())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        // Kill it after its first object of this round, at another moment each time.
        let store = store_at(root.path()).await;
        let before = count(&store).await;
        while count(&store).await <= before {
            assert!(child.try_wait().unwrap().is_none(), "the child ended by itself");
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        tokio::time::sleep(Duration::from_millis(7 * round)).await;
        child.kill().unwrap();
        child.wait().unwrap();
    }
    let store = store_at(root.path()).await;
    let objects: Vec<_> = store.list("").await.unwrap().try_collect().await.unwrap();
    assert!(objects.len() >= 6);
    for object in objects {
        let body = store.get(&object.name).await.unwrap();
        assert_eq!(body.len(), 4 << 20, "{}", object.name);
        assert!(body.iter().all(|byte| *byte == 0x77), "{}", object.name);
    }
}

/// Runs as the process to kill; does nothing as a test.
#[tokio::test]
async fn child_writes_until_it_is_killed() {
    let Some(root) = std::env::var_os(ROLE) else { return };
    let store = store_at(Path::new(&root)).await;
    for number in 0.. {
        let object = name(&format!("packs/{}-{number}", std::process::id()));
        store.create(&object, Bytes::from(vec![0x77; 4 << 20])).await.unwrap();
    }
}

async fn count(store: &Arc<dyn Store>) -> usize {
    store.list("").await.unwrap().try_collect::<Vec<_>>().await.unwrap().len()
}

#[tokio::test(flavor = "multi_thread")]
async fn throughput_is_shown() {
    let root = tempfile::tempdir().unwrap();
    let store = store_at(root.path()).await;
    let body = Bytes::from(vec![0x5a; 32 << 20]);
    let started = Instant::now();
    for number in 0..8 {
        store.create(&name(&format!("packs/{number}")), body.clone()).await.unwrap();
    }
    let put = started.elapsed();
    let started = Instant::now();
    for number in 0..8 {
        assert_eq!(store.get(&name(&format!("packs/{number}"))).await.unwrap().len(), 32 << 20);
    }
    let rate = |time: Duration| 256.0 / time.as_secs_f64();
    eprintln!("put {:.0} MiB/s, get {:.0} MiB/s", rate(put), rate(started.elapsed()));
    let counts = store.requests();
    assert_eq!((counts.creates, counts.bytes_read), (8, 256 << 20));
}

/// A small filesystem of its own; only root can make one.
struct Tmpfs {
    directory: tempfile::TempDir,
}

impl Tmpfs {
    fn mount(options: &str) -> Option<Self> {
        let directory = tempfile::tempdir().unwrap();
        let mount = Command::new("mount")
            .args(["-t", "tmpfs", "-o", options, "tmpfs"])
            .arg(directory.path())
            .output();
        if mount.is_ok_and(|mount| mount.status.success()) {
            return Some(Self { directory });
        }
        eprintln!("skipped: mounting a tmpfs needs root");
        None
    }

    fn path(&self) -> std::path::PathBuf {
        self.directory.path().join("repository")
    }

    fn remount(&self, options: &str) {
        let remount = format!("remount,{options}");
        let status =
            Command::new("mount").args(["-o", &remount]).arg(self.directory.path()).status();
        assert!(status.unwrap().success());
    }
}

impl Drop for Tmpfs {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(self.directory.path()).status();
    }
}
