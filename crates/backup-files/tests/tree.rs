//! Trees with everything odd in them, there and back.
#![allow(clippy::unwrap_used, reason = "a failure here fails the test")]
#![cfg(unix)]

mod common;

use common::World;

#[tokio::test]
async fn everything_odd_comes_back() {
    let world = World::new();
    common::odd(&world.tree());
    let snapshot = world.backup(None).await;
    world.restore(&snapshot, |_| ()).await;
    world.assert_equal();
    let tree = snapshot.snapshot.evidence.tree.clone().unwrap();
    assert_eq!(tree.entries(), common::entries(&world.tree()));
    assert!(!snapshot.snapshot.is_suspect(), "{:?}", snapshot.snapshot.evidence.findings);
    // Another list and other holes would have other sums.
    let examined = world.examine(&snapshot).await;
    assert_eq!((examined.different, examined.listed.fingerprint), (0, tree.fingerprint));
    assert_eq!(examined.there, tree.entries());
}

/// rsync gives up on such a path, so the tree is compared with the list.
#[tokio::test]
async fn a_path_that_is_too_long_for_the_system_comes_back() {
    let world = World::new();
    common::deep_path(&world.tree());
    let snapshot = world.backup(None).await;
    let tree = snapshot.snapshot.evidence.tree.clone().unwrap();
    assert_eq!((tree.directories, tree.files), (31, 1));
    world.restore(&snapshot, |_| ()).await;
    let examined = world.examine(&snapshot).await;
    assert_eq!((examined.different, examined.there), (0, 32), "{:?}", examined.differences);
}

#[tokio::test]
async fn what_did_not_change_is_taken_over_unread() {
    let mut world = World::new();
    world.options.settled = Some(std::time::Duration::from_secs(2));
    common::odd(&world.tree());
    let first = world.backup(None).await;
    let old = |path: &str| world.tree().join(path);
    // Times of before the first snapshot: nothing is so new that its times tell nothing.
    std::thread::sleep(std::time::Duration::from_millis(3100));
    let settled = world.backup(Some(&first)).await;
    let second = world.backup(Some(&settled)).await;
    let read = |taken: &common::Taken| {
        let findings = taken.snapshot.evidence.findings.clone();
        findings.into_iter().map(|f| f.message).find(|m| m.contains("were read")).unwrap()
    };
    assert!(read(&second).starts_with("0 of "), "{}", read(&second));
    assert_eq!(first.parts.bytes("data"), second.parts.bytes("data"));
    assert_eq!(first.parts.bytes("list").len(), second.parts.bytes("list").len());
    std::fs::write(old("many/03/file-3"), b"changed").unwrap();
    std::fs::remove_file(old("many/05/file-5")).unwrap();
    std::fs::write(old("many/05/new"), b"new").unwrap();
    std::fs::write(old("large.bin"), common::noise(9, 5 << 20)).unwrap();
    let third = world.backup(Some(&second)).await;
    world.restore(&third, |_| ()).await;
    world.assert_equal();
    let addresses =
        |taken: &common::Taken| -> Vec<u64> { taken.parts.addressed("data").into_keys().collect() };
    let kept = addresses(&third).iter().filter(|at| addresses(&second).contains(at)).count();
    assert_eq!(kept, addresses(&second).len(), "addresses stay");
}

/// A tree of few names, so that what one step makes another changes.
fn change(root: &std::path::Path, steps: &[(u8, u8, u16)]) {
    use std::fs;
    let path = |n: u8| root.join(format!("d{}", n % 3)).join(format!("f{}", n / 3 % 12));
    for (what, name, size) in steps {
        let path = path(*name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        match what % 8 {
            0 | 1 => {
                drop(fs::write(&path, common::noise(u64::from(*size), usize::from(*size) * 9)));
            }
            2 => drop(fs::remove_file(&path).or_else(|_| fs::remove_dir_all(&path))),
            3 => drop(std::os::unix::fs::symlink("f1", &path)),
            // Several names of a link are several links once they are restored.
            4 if path.with_file_name("f0").symlink_metadata().is_ok_and(|m| m.is_file()) => {
                drop(fs::hard_link(path.with_file_name("f0"), &path));
            }
            5 => drop(fs::create_dir(&path)),
            6 => drop(fs::rename(&path, path.with_file_name("f7"))),
            _ if path.is_file() => {
                use std::io::Write;
                let mut file = fs::OpenOptions::new().append(true).open(&path).unwrap();
                file.write_all(&common::noise(7, usize::from(*size))).unwrap();
            }
            _ => {}
        }
    }
}

#[test]
fn whatever_happens_to_a_tree_comes_back() {
    use proptest::prelude::*;
    let steps = || prop::collection::vec((any::<u8>(), any::<u8>(), any::<u16>()), 1..40);
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let config = ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(6) };
    proptest!(config, |(first in steps(), second in steps())| {
        runtime.block_on(async {
            let world = World::new();
            change(&world.tree(), &first);
            let before = world.backup(None).await;
            change(&world.tree(), &second);
            let after = world.backup(Some(&before)).await;
            world.restore(&before, |_| ()).await;
            // And from there to the later state, by what differs alone.
            world.restore(&after, |options| {
                options.delta = true;
                options.files.delete = true;
            }).await;
            world.assert_equal();
            let examined = world.examine(&after).await;
            prop_assert_eq!(examined.different, 0, "{:?}", examined.differences);
            Ok(())
        })?;
    });
}

#[tokio::test]
async fn a_delta_writes_what_differs_and_removes_only_when_asked() {
    let world = World::new();
    common::odd(&world.tree());
    let taken = world.backup(None).await;
    world.restore(&taken, |_| ()).await;
    let error = world.try_restore(&taken, |_| ()).await.unwrap_err();
    assert_eq!(error.kind(), backup_core::ErrorKind::Conflict);
    let at = |path: &str| world.target().join(path);
    std::fs::write(at("plain.txt"), "changed in place, for both of its names").unwrap();
    std::fs::remove_file(at("a/b/c/d/e/f/deep")).unwrap();
    std::fs::remove_file(at("link")).unwrap();
    std::fs::write(at("link"), "no link").unwrap();
    std::fs::create_dir(at("extra")).unwrap();
    std::fs::write(at("extra/file"), "not in the snapshot").unwrap();
    common::age(&at("a-b"), 5, 5);
    let report = world.restore(&taken, |options| options.delta = true).await;
    assert!(report.files < 8, "{} files were written", report.files);
    assert!(at("extra/file").exists());
    let both = |options: &mut backup_core::port::RestoreOptions| {
        options.delta = true;
        options.files.delete = true;
    };
    let report = world.restore(&taken, both).await;
    assert_eq!(report.files, 0);
    world.assert_equal();
    let error = world.try_restore(&taken, |options| options.files.delete = true).await.unwrap_err();
    assert_eq!(error.kind(), backup_core::ErrorKind::Usage);
}

#[tokio::test]
async fn what_paths_and_patterns_name_comes_back_with_the_directories_around() {
    let world = World::new();
    common::odd(&world.tree());
    let taken = world.backup(None).await;
    let paths = vec!["a/b".to_owned(), "*.bin".to_owned(), "many/hard".to_owned()];
    let report = world.restore(&taken, |options| options.files.paths = paths).await;
    assert_eq!(report.files, 3);
    for path in ["a/b/c/d/e/f/deep", "large.bin", "many/hard"] {
        let bytes = |root: std::path::PathBuf| std::fs::read(root.join(path)).unwrap();
        assert!(bytes(world.tree()) == bytes(world.target()), "{path}");
    }
    assert!(!world.target().join("plain.txt").exists());
    std::fs::remove_dir_all(world.target()).unwrap();
    // One that names nothing beside one that does: nothing is written.
    let paths = ["empty-directory", "no/such", "*.none"].map(String::from).to_vec();
    let error = world.try_restore(&taken, |options| options.files.paths = paths.clone()).await;
    let error = error.unwrap_err();
    assert_eq!(error.kind(), backup_core::ErrorKind::NotFound);
    let told = error.to_string();
    assert!(told.contains("no/such, *.none") && !told.contains("empty"), "{told}");
    assert!(!world.target().exists());
    let directory = vec![paths[0].clone()];
    world.restore(&taken, |options| options.files.paths = directory).await;
    assert!(world.target().join("empty-directory").is_dir());
}

#[tokio::test]
async fn patterns_markers_and_other_kinds_are_left_out() {
    let mut world = World::new();
    let root = world.tree();
    for path in ["keep/a.jpg", "keep/b.tmp", "cache/c", "off/.nobackup", "off/d", "e.txt"] {
        let path = root.join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, "x").unwrap();
    }
    let _socket = std::os::unix::net::UnixListener::bind(root.join("socket")).unwrap();
    world.options.selection.exclude =
        backup_files::Pattern::parse_all(&["*.tmp", "cache/"]).unwrap();
    world.options.selection.markers = vec![".nobackup".into()];
    let taken = world.backup(None).await;
    world.restore(&taken, |_| ()).await;
    let there = |path: &str| world.target().join(path).exists();
    for path in ["keep/a.jpg", "off/.nobackup", "e.txt"] {
        assert!(there(path), "{path}");
    }
    for path in ["keep/b.tmp", "cache", "off/d", "socket"] {
        assert!(!there(path), "{path}");
    }
    let told = format!("{:?}", taken.snapshot.evidence.findings);
    for what in ["off", "2 left out by patterns", "1 sockets"] {
        assert!(told.contains(what), "{what}: {told}");
    }
}

/// A snapshot that says a link is a directory would have files written elsewhere.
#[tokio::test]
async fn nothing_is_ever_written_outside_the_target() {
    use backup_core::port::PartSink;
    use backup_files::entry::{FileData, Kind, Moment, Place};
    let world = World::new();
    let outside = tempfile::tempdir().unwrap();
    std::fs::write(outside.path().join("precious"), "as it was").unwrap();
    let entry = |path: &str, kind| backup_files::Entry {
        path: path.into(),
        kind,
        mode: 0o755,
        owner: 0,
        group: 0,
        modified: Moment::default(),
        changed: Moment::default(),
        inode: 1,
        unsettled: false,
        attributes: Vec::new(),
    };
    let hash = 0x1e1e_1e1e;
    let data = FileData { size: 4, hash, place: Place::Pieces { address: 7 }, ..<_>::default() };
    let to = outside.path().to_str().unwrap();
    for (name, below) in [("way", "way/new"), ("way", "way/precious")] {
        let good = world.backup(None).await;
        let parts = backup_testkit::MemoryParts::default();
        let mut list = backup_files::list::Encoder::default();
        list.push(&entry("", Kind::Directory));
        list.push(&entry(name, Kind::Link(to.into())));
        list.push(&entry(below, Kind::File(data.clone())));
        for (part, address, bytes) in [("list", 1, list.bytes()), ("data", 7, &b"evil"[..])] {
            let part = backup_core::PartName::new(part);
            parts.begin_part(&part, backup_core::Layout::Segments).await.unwrap();
            let mut segment = parts.segment(&part, address).await.unwrap();
            segment.write(bytes).await.unwrap();
            segment.finish().await.unwrap();
            parts.finish_part(&part, <_>::default()).await.unwrap();
        }
        let parts = std::sync::Arc::new(parts.commit().unwrap());
        let taken = common::Taken { snapshot: good.snapshot, parts };
        for delta in [false, true] {
            let result = world.try_restore(&taken, |options| options.delta = delta).await;
            assert!(result.is_err(), "{below}, delta {delta}");
        }
        std::fs::remove_dir_all(world.target()).unwrap();
    }
    let names: Vec<_> = std::fs::read_dir(outside.path()).unwrap().collect();
    assert_eq!(names.len(), 1);
    assert_eq!(std::fs::read_to_string(outside.path().join("precious")).unwrap(), "as it was");
}

/// What somebody put into the target before leads nowhere either.
#[tokio::test]
async fn a_link_in_the_target_is_replaced_not_followed() {
    let world = World::new();
    common::odd(&world.tree());
    let taken = world.backup(None).await;
    let outside = tempfile::tempdir().unwrap();
    std::fs::create_dir(world.target()).unwrap();
    for name in ["a", "plain.txt", "large.bin", "pipe"] {
        std::os::unix::fs::symlink(outside.path().join("x"), world.target().join(name)).unwrap();
    }
    std::os::unix::fs::symlink(outside.path(), world.target().join("many")).unwrap();
    world.restore(&taken, |options| options.delta = true).await;
    assert_eq!(std::fs::read_dir(outside.path()).unwrap().count(), 0);
    world.assert_equal();
}

/// Does something to the tree whenever a segment is stored.
struct Meanwhile<F> {
    parts: backup_testkit::MemoryParts,
    act: F,
}

#[async_trait::async_trait]
impl<F: Fn() + Send + Sync> backup_core::port::PartSink for Meanwhile<F> {
    fn previous(&self, name: &backup_core::PartName) -> Option<backup_core::Part> {
        self.parts.previous(name)
    }

    async fn begin_part(
        &self,
        name: &backup_core::PartName,
        layout: backup_core::Layout,
    ) -> backup_core::Result<()> {
        self.parts.begin_part(name, layout).await
    }

    async fn segment(
        &self,
        part: &backup_core::PartName,
        address: u64,
    ) -> backup_core::Result<Box<dyn backup_core::port::SegmentSink>> {
        (self.act)();
        self.parts.segment(part, address).await
    }

    async fn finish_part(
        &self,
        name: &backup_core::PartName,
        attributes: std::collections::BTreeMap<String, String>,
    ) -> backup_core::Result<()> {
        self.parts.finish_part(name, attributes).await
    }

    async fn start_over(&self) -> backup_core::Result<()> {
        self.parts.start_over().await
    }
}

#[tokio::test]
async fn a_file_that_changes_whenever_it_is_read_makes_a_snapshot_suspect_unless_allowed() {
    use backup_core::FindingKind;
    use backup_core::port::Provider;
    for (changing, wanted) in [(false, FindingKind::Suspect), (true, FindingKind::Warning)] {
        let mut world = World::new();
        let file = world.tree().join("restless");
        std::fs::write(&file, common::noise(1, 3 << 20)).unwrap();
        world.options.tolerance.changing = changing;
        // It never stays as it was when it was opened.
        let act = move || {
            use std::io::Write;
            let mut file = std::fs::OpenOptions::new().append(true).open(&file).unwrap();
            file.write_all(b"more").unwrap();
        };
        let parts = Meanwhile { parts: backup_testkit::MemoryParts::default(), act };
        let provider = backup_files::TreeProvider::new(world.options.clone());
        let mut source = provider.open_source(&world.source_options()).await.unwrap();
        let evidence = source.copy_to(&parts).await.unwrap();
        let torn = evidence.findings.iter().find(|f| f.message.contains("restless")).unwrap();
        assert_eq!(torn.kind, wanted, "{}", torn.message);
    }
}

#[tokio::test]
async fn a_root_that_is_not_there_is_no_empty_snapshot() {
    let world = World::new();
    std::fs::remove_dir(world.tree()).unwrap();
    let error = world.try_backup(None, &world.source_options()).await.err().unwrap();
    assert_eq!(error.kind(), backup_core::ErrorKind::SourceUnavailable);
    assert!(error.remedy().unwrap().contains("mounted"));
}

/// Saving a file often breaks it off from its other names: both then stand where one stood.
#[tokio::test]
async fn names_that_part_ways_keep_their_own_contents() {
    let mut world = World::new();
    world.options.settled = Some(std::time::Duration::from_secs(2));
    let at = |name: &str| world.tree().join(name);
    for (name, other, size) in [("large", "z-large", 700_000), ("small", "z-small", 900)] {
        std::fs::write(at(name), common::noise(1, size)).unwrap();
        std::fs::hard_link(at(name), at(other)).unwrap();
    }
    let first = world.backup(None).await;
    std::thread::sleep(std::time::Duration::from_millis(3100));
    let settled = world.backup(Some(&first)).await;
    for (name, size) in [("large", 800_000), ("small", 1000)] {
        std::fs::remove_file(at(name)).unwrap();
        std::fs::write(at(name), common::noise(2, size)).unwrap();
    }
    let second = world.backup(Some(&settled)).await;
    world.restore(&second, |_| ()).await;
    world.assert_equal();
}

/// Mounts a file system in memory while it lives.
struct Mounted(std::path::PathBuf);

impl Mounted {
    /// Returns nothing where that is not allowed.
    fn at(path: &std::path::Path) -> Option<Self> {
        std::fs::create_dir_all(path).unwrap();
        let mut mount = std::process::Command::new("mount");
        mount.args(["-t", "tmpfs", "none"]).arg(path);
        mount.output().ok()?.status.success().then(|| Self(path.to_owned()))
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        std::process::Command::new("umount").arg(&self.0).status().unwrap();
    }
}

fn delta_delete(options: &mut backup_core::port::RestoreOptions) {
    options.delta = true;
    options.files.delete = true;
}

#[tokio::test]
async fn what_is_mounted_below_the_target_is_not_erased() {
    let world = World::new();
    std::fs::create_dir(world.tree().join("kept")).unwrap();
    let taken = world.backup(None).await;
    world.restore(&taken, |_| ()).await;
    let at = |path: &str| world.target().join(path);
    // On its own, in a directory that goes, and where the snapshot has an empty directory.
    let places = ["alone", "goes/inside", "kept"];
    let Some(_mounts) =
        places.map(|path| Mounted::at(&at(path))).into_iter().collect::<Option<Vec<_>>>()
    else {
        eprintln!("not shown: this user may not mount");
        return;
    };
    for path in places {
        std::fs::write(at(path).join("precious"), path).unwrap();
    }
    std::fs::write(at("goes/file"), "of the target's own file system").unwrap();
    let report = world.restore(&taken, delta_delete).await;
    for path in places {
        assert_eq!(std::fs::read_to_string(at(path).join("precious")).unwrap(), path);
    }
    assert!(!at("goes/file").exists());
    let told = format!("{:?}", report.findings);
    assert!(
        told.contains("removed there: alone, goes/inside, kept.")
            || told.contains("removed there: alone, kept, goes/inside."),
        "{told}"
    );
}

#[tokio::test]
async fn a_suspect_snapshot_removes_nothing() {
    let world = World::new();
    std::fs::write(world.tree().join("read"), "x").unwrap();
    let mut taken = world.backup(None).await;
    world.restore(&taken, |_| ()).await;
    taken.snapshot.evidence.findings.push(backup_core::Finding::suspect("1 could not be read"));
    std::fs::write(world.target().join("unread"), "not in it").unwrap();
    let error = world.try_restore(&taken, delta_delete).await.unwrap_err();
    assert_eq!(error.kind(), backup_core::ErrorKind::Conflict);
    assert!(error.remedy().unwrap().contains("--delete"));
    world.restore(&taken, |options| options.delta = true).await;
    assert!(world.target().join("unread").exists());
}

/// Copies of directories are often made of further names.
#[tokio::test]
async fn a_delta_parts_names_that_are_several_files_in_the_snapshot() {
    let world = World::new();
    for (name, size) in [("large", 700_000), ("small", 900), ("empty", 0)] {
        std::fs::write(world.tree().join(name), common::noise(1, size)).unwrap();
    }
    std::fs::hard_link(world.tree().join("large"), world.tree().join("second-name")).unwrap();
    let taken = world.backup(None).await;
    world.restore(&taken, |_| ()).await;
    let copy = world.target().with_file_name("copy");
    let mut copied = std::process::Command::new("cp");
    assert!(copied.arg("-al").arg(world.target()).arg(&copy).status().unwrap().success());
    let report = world.restore(&taken, |options| options.delta = true).await;
    assert_eq!(report.files, 4);
    world.assert_equal();
    for (name, size) in [("large", 700_000), ("small", 900)] {
        std::fs::write(world.target().join(name), "changed").unwrap();
        assert!(std::fs::read(copy.join(name)).unwrap() == common::noise(1, size), "{name}");
    }
    let second = world.target().join("second-name");
    assert_eq!(std::fs::read_to_string(second).unwrap(), "changed", "one file in the snapshot");
}

/// A program that writes through a map of a file changes it again without its times saying so.
#[tokio::test]
async fn what_changed_within_a_minute_is_read_again() {
    let mut world = World::new();
    std::fs::write(world.tree().join("file"), "x").unwrap();
    let first = world.backup(None).await;
    std::thread::sleep(std::time::Duration::from_millis(3100));
    let second = world.backup(Some(&first)).await;
    let third = world.backup(Some(&second)).await;
    let told = format!("{:?}", third.snapshot.evidence.findings);
    assert!(told.contains("1 of 1 files were read"), "{told}");
    world.options.settled = Some(std::time::Duration::from_secs(2));
    let settled = world.backup(Some(&third)).await;
    let told = format!("{:?}", world.backup(Some(&settled)).await.snapshot.evidence.findings);
    assert!(told.contains("0 of 1 files were read"), "{told}");
}

/// What was small when the tree was walked, and is read last.
#[tokio::test]
async fn a_small_file_that_grows_large_is_kept_whole() {
    use backup_core::port::Provider;
    let world = World::new();
    let at = |name: &str| world.tree().join(name);
    std::fs::write(at("z-small"), "short").unwrap();
    std::fs::hard_link(at("z-small"), at("zz-other-name")).unwrap();
    // More than are read at once: when the last is begun, a segment of the first was stored.
    for n in 0..8 {
        std::fs::write(at(&format!("large-{n}")), common::noise(n, 300_000)).unwrap();
    }
    let (once, grown) = (std::sync::Once::new(), at("z-small"));
    let act =
        || once.call_once(|| std::fs::write(&grown, common::noise(9, (5 << 20) + 3)).unwrap());
    let parts = Meanwhile { parts: backup_testkit::MemoryParts::default(), act };
    let provider = backup_files::TreeProvider::new(world.options.clone());
    let mut source = provider.open_source(&world.source_options()).await.unwrap();
    let evidence = source.copy_to(&parts).await.unwrap();
    let mut taken = world.backup(None).await;
    taken.snapshot.evidence = evidence;
    assert!(!taken.snapshot.is_suspect(), "{:?}", taken.snapshot.evidence.findings);
    taken.parts = std::sync::Arc::new(parts.parts.commit().unwrap());
    world.restore(&taken, |_| ()).await;
    world.assert_equal();
    assert_eq!(world.examine(&taken).await.different, 0);
}

#[tokio::test]
async fn a_small_file_that_is_all_hole_is_what_it_was() {
    let world = World::new();
    for (name, size) in [("f", 64 << 10), ("most", (256 << 10) - 1), ("large", 3 << 20)] {
        std::fs::File::create(world.tree().join(name)).unwrap().set_len(size).unwrap();
    }
    let taken = world.backup(None).await;
    world.restore(&taken, |_| ()).await;
    world.assert_equal();
    let examined = world.examine(&taken).await;
    assert_eq!(examined.different, 0, "{:?}", examined.differences);
    let report = world.restore(&taken, |options| options.delta = true).await;
    assert_eq!(report.files, 0, "all are there");
    std::fs::write(world.target().join("f"), vec![1; 64 << 10]).unwrap();
    assert_eq!(world.examine(&taken).await.different, 1);
}

/// What is made below a directory with a default list inherits it.
#[tokio::test]
async fn access_control_lists_of_the_directory_around_are_not_inherited() {
    use rustix::fs::{XattrFlags, getxattr, setxattr};
    use rustix::io::Errno;
    let world = World::new();
    common::odd(&world.tree());
    let taken = world.backup(None).await;
    // User 1000 may do everything with what is made here.
    let list: [&[u8]; 6] = [
        &2_u32.to_le_bytes(),
        &[1, 0, 7, 0, 255, 255, 255, 255],
        &[2, 0, 7, 0, 0xe8, 3, 0, 0],
        &[4, 0, 0, 0, 255, 255, 255, 255],
        &[16, 0, 7, 0, 255, 255, 255, 255],
        &[32, 0, 0, 0, 255, 255, 255, 255],
    ];
    let around = world.target().parent().unwrap().to_owned();
    let default = "system.posix_acl_default";
    match setxattr(&around, default, &list.concat(), XattrFlags::empty()) {
        Err(Errno::NOTSUP) => return eprintln!("not shown: this file system has no lists"),
        set => set.unwrap(),
    }
    world.restore(&taken, |_| ()).await;
    let examined = world.examine(&taken).await;
    assert_eq!(examined.different, 0, "{:?}", examined.differences);
    world.assert_equal();
    for name in ["pipe", "plain.txt", "a", ""] {
        let access = getxattr(world.target().join(name), "system.posix_acl_access", &mut [0; 99]);
        assert_eq!(access, Err(Errno::NODATA), "{name}");
    }
}
