//! Buckets on a real server, there and back.
#![cfg(unix)]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod world;

use std::ops::Range;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use async_trait::async_trait;
use backup::files::{BucketPlace, TreeOptions, TreePlace, TreeProvider};
use backup_core::port::{
    Bucket, ListedObject, NoObserver, ObjectAbout, ObjectUpload, PartSource, Provider, ReadObject,
    SourceOptions,
};
use backup_core::{Error, ErrorKind, Result};
use backup_testkit::MemoryParts;
use bytes::Bytes;
use futures::stream::BoxStream;
use world::{Taken, World, noise};

/// Keys that programs stumble over, and that a URL can name.
const ODD: [&str; 13] = [
    " first",
    "100%25",
    "a-b/c",
    "a..b/..c",
    "a.txt",
    "a/",
    "a//b",
    "a/b c.txt",
    "last ",
    "plus+sign&x=1?y#z",
    "quote\"'<&>",
    "\u{fc}n\u{ef}/\u{43a}\u{43b}\u{44e}\u{447}",
    "\u{1f600}",
];

fn fill(world: &World) {
    for key in ODD {
        let body = if key.ends_with('/') { Vec::new() } else { noise(key.len() as u64, 300) };
        world.put(key, &[("Content-Type", "text/x-odd")], &body);
    }
    let said = [
        ("Content-Type", "image/png"),
        ("Cache-Control", "max-age=7"),
        ("Content-Disposition", "attachment; filename=\"x.png\""),
        ("x-amz-meta-owner", "Zoe"),
        ("x-amz-meta-shot-at", "2026-01-01"),
    ];
    world.put("photos/large.png", &said, &noise(1, (9 << 20) + 7));
    world.put("photos/small.png", &said, &noise(2, 70_000));
    world.put("empty", &[("x-amz-meta-why", "none")], b"");
}

fn same(world: &World, keys: impl IntoIterator<Item = &'static str>) {
    for key in keys {
        let source = world.object("source", key).unwrap_or_else(|| panic!("{key}"));
        let copy = world.object("target", &format!("copy/{key}"));
        let copy = copy.unwrap_or_else(|| panic!("{key} is missing"));
        assert_eq!(copy.0, source.0, "{key}");
        assert!(copy.1 == source.1, "{key} has other contents");
    }
}

#[tokio::test]
async fn objects_of_any_key_come_back_with_all_that_is_said_about_them() {
    let Some(world) = World::start() else { return };
    fill(&world);
    let first = world.backup(None).await;
    assert!(!first.snapshot.is_suspect(), "{:?}", first.snapshot.evidence.findings);
    assert_eq!(first.keys(), ODD.len() as u64 + 3);
    let report = world.restore(&first, |_| ()).await.unwrap();
    assert_eq!(report.files, first.keys());
    let all = || ODD.into_iter().chain(["photos/large.png", "photos/small.png", "empty"]);
    same(&world, all());

    let again = world.restore(&first, |_| ()).await.unwrap_err();
    assert_eq!(again.kind(), ErrorKind::Conflict, "what is not empty is refused");

    let second = world.backup(Some(&first)).await;
    assert!(second.says("0 of 16 objects were read"), "{:?}", second.snapshot.evidence.findings);
    assert_eq!(second.parts.bytes("data"), first.parts.bytes("data"));
    world.delete("source", "a.txt");
    world.put("photos/small.png", &[("Content-Type", "image/webp")], &noise(3, 70_000));
    world.put("photos/new.png", &[], b"new");
    let third = world.backup(Some(&second)).await;
    assert!(third.says("2 of 16 objects were read"), "{:?}", third.snapshot.evidence.findings);
    let report = world
        .restore(&third, |options| {
            options.delta = true;
            options.files.delete = true;
        })
        .await
        .unwrap();
    assert_eq!(report.files, 2, "only what differs is written");
    assert!(report.findings.iter().any(|f| f.message.starts_with("14 objects were there")));
    assert!(report.findings.iter().any(|f| f.message.starts_with("1 objects that the snapshot")));
    same(&world, all().filter(|key| *key != "a.txt").chain(["photos/new.png"]));
    assert_eq!(world.object("target", "copy/a.txt"), None);
}

#[tokio::test]
async fn keys_that_no_url_can_name_are_told_by_name() {
    let Some(mut world) = World::start() else { return };
    world.put("x/../y", &[], b"up");
    world.put("plain", &[], b"plain");
    let taken = world.backup(None).await;
    assert!(taken.snapshot.is_suspect());
    assert!(taken.says("1 objects could not be read") && taken.says("x/../y"));
    assert_eq!(taken.keys(), 1);
    world.tolerance.unreadable = true;
    assert!(!world.backup(None).await.snapshot.is_suspect());
}

#[tokio::test]
async fn a_thousand_keys_and_more_are_listed_page_by_page_and_chosen_by_pattern() {
    let Some(mut world) = World::start() else { return };
    for n in 0..1_100_u32 {
        world.put(&format!("img/{:02}/{n:05}.jpg", n % 20), &[], &n.to_be_bytes());
    }
    world.put("tmp/x", &[], b"x");
    world.selection.exclude = vec![backup::files::Pattern::parse("tmp/").unwrap()];
    let first = world.backup(None).await;
    assert_eq!(first.keys(), 1_100);
    assert!(first.says("1 left out by patterns"));
    let second = world.backup(Some(&first)).await;
    assert!(second.says("0 of 1100 objects were read"));
    // One of a bundle is read, the others come out of the snapshot before.
    world.put("img/07/00007.jpg", &[], b"other");
    let third = world.backup(Some(&second)).await;
    assert!(third.says("1 of 1100 objects were read"), "{:?}", third.snapshot.evidence.findings);
    let report = world.restore(&third, |o| o.files.paths = vec!["img/07".into()]).await.unwrap();
    assert_eq!(report.files, 55);
    assert_eq!(world.object("target", "copy/img/07/00007.jpg").unwrap().1, b"other");
    assert_eq!(world.object("target", "copy/img/08/00008.jpg"), None);

    let folder = tempfile::tempdir().unwrap();
    let place = TreePlace::new(folder.path().join("out"));
    let report = world.restore_into(&place, &third, |_| ()).await.unwrap();
    assert_eq!(report.files, 1_100);
    let read = |path: &str| std::fs::read(folder.path().join("out/img").join(path)).unwrap();
    assert_eq!(read("07/00007.jpg"), b"other");
    assert_eq!(read("19/01099.jpg"), 1_099_u32.to_be_bytes());
    let parts: Arc<dyn PartSource> = third.parts.clone();
    let observer: Arc<dyn backup_core::port::Observer> = Arc::new(NoObserver);
    let out = folder.path().join("out");
    let found = backup::files::restore::examine(&out, &parts, 2, &observer).await.unwrap();
    let tree = third.snapshot.evidence.tree.clone().unwrap();
    assert_eq!(found.listed.fingerprint, tree.fingerprint, "a drill compares these");
    assert_eq!((found.different, found.there), (0, tree.entries()), "{:?}", found.differences);
}

#[tokio::test]
async fn keys_that_are_no_paths_do_not_reach_a_directory() {
    let Some(world) = World::start() else { return };
    fill(&world);
    world.put("a-b", &[], b"a file where others need a folder");
    let taken = world.backup(None).await;
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("out");
    let place = TreePlace::new(&out);
    let error = world.restore_into(&place, &taken, |_| ()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsupported);
    assert!(error.to_string().contains("2 keys"), "{error}");
    let shown = format!("{error:?}");
    assert!(shown.contains("a//b") && shown.contains("a-b/c"), "{shown}");
    assert!(!out.exists(), "nothing was written");
    let report = world
        .restore_into(&place, &taken, |o| o.files.paths = vec!["photos".into(), "empty".into()])
        .await
        .unwrap();
    assert_eq!(report.files, 3);
    assert_eq!(std::fs::read(out.join("photos/large.png")).unwrap(), noise(1, (9 << 20) + 7));
}

async fn tree(root: &Path) -> Taken {
    let root = root.to_owned();
    let provider = TreeProvider::new(TreeOptions { root, ..TreeOptions::default() });
    let how = SourceOptions {
        kind: backup_core::SnapshotKind::Files,
        jobs: std::num::NonZeroUsize::MIN,
        max_rate: None,
        physical: <_>::default(),
        observer: Arc::new(NoObserver),
    };
    let parts = MemoryParts::default();
    let mut source = provider.open_source(&how).await.unwrap();
    let evidence = source.copy_to(&parts).await.unwrap();
    let identity = source.facts().identity.clone();
    let parts = Arc::new(parts.commit().unwrap());
    world::taken(identity, parts, evidence)
}

#[tokio::test]
async fn a_tree_becomes_objects_and_what_no_bucket_keeps_is_said() {
    let Some(world) = World::start() else { return };
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    std::fs::create_dir_all(root.join("a/b")).unwrap();
    std::fs::write(root.join("a/b/c.bin"), noise(4, 3 << 20)).unwrap();
    std::fs::write(root.join("a-1"), b"one").unwrap();
    std::os::unix::fs::symlink("a-1", root.join("link")).unwrap();
    let taken = tree(root).await;
    let report = world.restore(&taken, |_| ()).await.unwrap();
    assert_eq!(report.files, 2);
    assert!(report.findings.iter().any(|f| f.message.contains("1 links")), "{report:?}");
    assert_eq!(world.object("target", "copy/a/b/c.bin").unwrap().1, noise(4, 3 << 20));
    let again = world.restore(&taken, |options| options.delta = true).await.unwrap();
    assert_eq!(again.files, 0, "contents are compared where versions tell nothing");
    std::fs::write(root.join("\u{1}..x"), b"fine").unwrap();
    use std::os::unix::ffi::OsStrExt;
    std::fs::write(root.join(std::ffi::OsStr::from_bytes(b"\xff")), b"odd").unwrap();
    let odd = tree(root).await;
    let error = world.restore(&odd, |options| options.delta = true).await.unwrap_err();
    assert!(error.to_string().contains("\\xff"), "{error}");
}

/// A bucket in which something happens whenever a certain object is asked for, or that breaks.
struct Restless {
    inner: Arc<dyn Bucket>,
    key: &'static str,
    happens: Box<dyn Fn() + Send + Sync>,
    puts: AtomicU32,
    breaks_at: u32,
}

impl std::fmt::Debug for Restless {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Restless")
    }
}

#[async_trait]
impl Bucket for Restless {
    fn location(&self) -> String {
        self.inner.location()
    }
    fn service(&self) -> String {
        self.inner.service()
    }
    fn name(&self) -> String {
        self.inner.name()
    }
    async fn list(&self) -> Result<BoxStream<'static, Result<ListedObject>>> {
        self.inner.list().await
    }
    async fn read(
        &self,
        key: &str,
        range: Option<Range<u64>>,
        of: Option<&str>,
    ) -> Result<ReadObject> {
        if key == self.key {
            (self.happens)();
        }
        self.inner.read(key, range, of).await
    }
    async fn put(&self, key: &str, body: Bytes, about: &ObjectAbout) -> Result<()> {
        if self.puts.fetch_add(1, Ordering::SeqCst) >= self.breaks_at {
            return Err(Error::new(ErrorKind::SourceUnavailable, "write object of bucket"));
        }
        self.inner.put(key, body, about).await
    }
    async fn upload(&self, key: &str, size: u64, a: &ObjectAbout) -> Result<Box<dyn ObjectUpload>> {
        self.inner.upload(key, size, a).await
    }
    async fn delete(&self, key: &str) -> Result<()> {
        self.inner.delete(key).await
    }
}

#[tokio::test]
async fn what_goes_or_changes_while_it_is_read_is_said_and_never_mixed() {
    let Some(world) = World::start() else { return };
    let world = Arc::new(world);
    world.put("small", &[], b"small");
    world.put("large", &[], &noise(5, 6 << 20));
    let restless = |key, happens: Box<dyn Fn() + Send + Sync>| {
        let inner = world.bucket("s3://source");
        let puts = AtomicU32::new(0);
        Arc::new(Restless { inner, key, happens, puts, breaks_at: u32::MAX })
    };
    // Once: what comes is one version, the newer.
    let (times, there) = (AtomicU32::new(0), Arc::clone(&world));
    let once = restless(
        "large",
        Box::new(move || {
            if times.fetch_add(1, Ordering::SeqCst) == 1 {
                there.put("large", &[], &noise(6, 7 << 20));
            }
        }),
    );
    let taken = world.try_backup(once, None).await.unwrap();
    assert!(!taken.snapshot.is_suspect(), "{:?}", taken.snapshot.evidence.findings);
    world.restore(&taken, |_| ()).await.unwrap();
    assert!(world.object("target", "copy/large").unwrap().1 == noise(6, 7 << 20));
    // Each time: nothing comes, and it is said.
    let (seed, there) = (AtomicU32::new(10), Arc::clone(&world));
    let always = restless(
        "large",
        Box::new(move || {
            let seed = seed.fetch_add(1, Ordering::SeqCst);
            there.put("large", &[], &noise(seed.into(), 6 << 20));
        }),
    );
    let torn = world.try_backup(always, None).await.unwrap();
    assert!(torn.snapshot.is_suspect() && torn.says("1 objects changed each time"));
    assert_eq!(torn.keys(), 1);
    // Gone: a note.
    let there = Arc::clone(&world);
    let goes = restless("small", Box::new(move || there.delete("source", "small")));
    let gone = world.try_backup(goes, None).await.unwrap();
    assert!(!gone.snapshot.is_suspect() && gone.says("1 went while the bucket was read"));
    assert_eq!(gone.keys(), 1);
}

#[tokio::test]
async fn a_restore_that_broke_off_goes_on_with_what_is_missing() {
    let Some(world) = World::start() else { return };
    for n in 0..400_u32 {
        world.put(&format!("{n:03}"), &[("x-amz-meta-n", &n.to_string())], &noise(n.into(), 9_000));
    }
    let taken = world.backup(None).await;
    let (inner, happens) = (world.bucket("s3://target/copy"), Box::new(|| ()));
    let puts = AtomicU32::new(0);
    let broken = Restless { inner, key: "", happens, puts, breaks_at: 150 };
    let place = BucketPlace::new(Arc::new(broken));
    world.restore_into(&place, &taken, |_| ()).await.unwrap_err();
    let report = world.restore(&taken, |options| options.delta = true).await.unwrap();
    // Those that were on their way when it broke count as not there.
    assert!((250..300).contains(&report.files), "{report:?}");
    let kept = format!("{} objects were there already.", 400 - report.files);
    assert!(report.findings.iter().any(|finding| finding.message == kept), "{report:?}");
    for n in ["000", "149", "399"] {
        assert_eq!(world.object("target", &format!("copy/{n}")), world.object("source", n));
    }
}

#[tokio::test]
async fn a_bucket_that_cannot_be_listed_is_an_error_with_the_reason() {
    let Some(world) = World::start() else { return };
    let error = world.try_backup(world.bucket("s3://no-such-bucket"), None).await.err().unwrap();
    assert_eq!(error.kind(), ErrorKind::SourceUnavailable);
    assert!(format!("{error:?}").contains("NoSuchBucket"), "{error:?}");
    let empty = world.backup(None).await;
    assert_eq!(empty.keys(), 0);
}
