//! A tree, parts in memory, and a place to restore into.
#![allow(dead_code, unreachable_pub, reason = "each test uses its share")]
#![allow(clippy::unwrap_used, reason = "a failure here fails the test")]

use std::fs;
use std::num::NonZeroUsize;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use backup_core::port::{
    NoObserver, PartSource, Provider, RestoreOptions, RestoreReport, RestoredTree, SourceOptions,
    Target,
};
use backup_core::{Evidence, Result, Snapshot, SnapshotId, SnapshotKind, WriterId};
use backup_files::restore::{TreeTarget, examine};
use backup_files::{TreeOptions, TreeProvider};
use backup_testkit::MemoryParts;

pub struct World {
    folder: tempfile::TempDir,
    pub options: TreeOptions,
}

/// A committed snapshot and its parts.
pub struct Taken {
    pub snapshot: Snapshot,
    pub parts: Arc<MemoryParts>,
}

impl World {
    pub fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().join("tree");
        fs::create_dir(&root).unwrap();
        let host = Some("test".to_owned());
        let options = TreeOptions { root, host, ..TreeOptions::default() };
        Self { options, folder }
    }

    pub fn tree(&self) -> PathBuf {
        self.options.root.clone()
    }

    pub fn target(&self) -> PathBuf {
        self.folder.path().join("target")
    }

    pub fn source_options(&self) -> SourceOptions {
        SourceOptions {
            kind: SnapshotKind::Files,
            jobs: NonZeroUsize::new(2).unwrap(),
            max_rate: None,
            physical: <_>::default(),
            observer: Arc::new(NoObserver),
        }
    }

    pub async fn backup(&self, base: Option<&Taken>) -> Taken {
        self.try_backup(base, &self.source_options()).await.unwrap()
    }

    pub async fn try_backup(&self, base: Option<&Taken>, how: &SourceOptions) -> Result<Taken> {
        let parts = match base {
            Some(base) => MemoryParts::on(&base.snapshot, &base.parts),
            None => MemoryParts::default(),
        };
        let provider = TreeProvider::new(self.options.clone());
        let mut source = provider.open_source(how).await?;
        let evidence = source.copy_to(&parts).await?;
        let identity = source.facts().identity.clone();
        let parts = Arc::new(parts.commit()?);
        let snapshot = snapshot(identity, parts.list().to_vec(), evidence);
        Ok(Taken { snapshot, parts })
    }

    pub fn restore_options(&self) -> RestoreOptions {
        RestoreOptions {
            jobs: NonZeroUsize::new(2).unwrap(),
            tables: Vec::new(),
            schemas: Vec::new(),
            no_owner: false,
            no_privileges: false,
            create_roles: false,
            role_map: Vec::new(),
            without_extensions: Vec::new(),
            ordered: false,
            recovery: <_>::default(),
            delta: false,
            tablespaces: Vec::new(),
            files: <_>::default(),
            observer: Arc::new(NoObserver),
        }
    }

    pub async fn restore(
        &self,
        taken: &Taken,
        change: impl FnOnce(&mut RestoreOptions),
    ) -> RestoreReport {
        self.try_restore(taken, change).await.unwrap()
    }

    pub async fn try_restore(
        &self,
        taken: &Taken,
        change: impl FnOnce(&mut RestoreOptions),
    ) -> Result<RestoreReport> {
        let mut options = self.restore_options();
        change(&mut options);
        let mut target = TreeTarget::new(self.target(), options);
        target.plan(&taken.snapshot).await?;
        target.restore(&taken.snapshot, taken.parts.clone()).await
    }

    pub async fn examine(&self, taken: &Taken) -> RestoredTree {
        let parts: Arc<dyn PartSource> = taken.parts.clone();
        let observer: Arc<dyn backup_core::port::Observer> = Arc::new(NoObserver);
        examine(&self.target(), &parts, 2, &observer).await.unwrap()
    }

    /// Asks rsync, and find for what rsync does not tell.
    pub fn assert_equal(&self) {
        assert_equal(&self.tree(), &self.target());
    }
}

/// rsync would change nothing, contents compared; and find prints the same of both.
pub fn assert_equal(a: &Path, b: &Path) {
    let slash = |path: &Path| format!("{}/", path.display());
    let flags = if rustix::process::geteuid().is_root() { "-nacAXHi" } else { "-ncrlptHi" };
    let out = Command::new("rsync")
        .args([flags, "--delete", "--specials", "--devices", &slash(a), &slash(b)])
        .output();
    if let Ok(out) = out {
        assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
        assert_eq!(String::from_utf8_lossy(&out.stdout), "", "rsync would change this");
    }
    assert_eq!(printed(a), printed(b));
}

/// What find tells of each entry: blocks in steps of 64 KiB, because how a file system lays files
/// out is its own affair.
fn printed(root: &Path) -> String {
    let out = Command::new("find")
        .arg(root)
        .args(["-printf", "%P\\t%y\\t%m\\t%U:%G\\t%T@\\t%s\\t%l\\t%n\\n"])
        .output()
        .unwrap();
    let mut lines: Vec<String> = String::from_utf8_lossy(&out.stdout)
        .lines()
        .map(|line| {
            // The size and names of a directory are the file system's own.
            let fields: Vec<&str> = line.split('\t').collect();
            if fields.get(1) == Some(&"d") { fields[..5].join("\t") } else { line.to_owned() }
        })
        .collect();
    lines.sort();
    lines.join("\n")
}

pub fn entries(root: &Path) -> u64 {
    let out = Command::new("find").arg(root).args(["!", "-type", "s", "-printf", "x"]).output();
    out.unwrap().stdout.len() as u64
}

fn snapshot(
    identity: backup_core::SourceIdentity,
    parts: Vec<backup_core::Part>,
    evidence: Evidence,
) -> Snapshot {
    let at = "2026-01-01T00:00:00Z".parse().unwrap();
    Snapshot {
        id: SnapshotId([7; 16]),
        source: "uploads".parse().unwrap(),
        identity,
        kind: SnapshotKind::Files,
        sequence: 1,
        previous: None,
        set: None,
        started_at: at,
        finished_at: at,
        writer: WriterId([0; 16]),
        program: "test".into(),
        read_bytes: 0,
        added_bytes: 0,
        stored_bytes: 0,
        parts,
        evidence,
    }
}

/// Bytes that do not compress, of a seed.
pub fn noise(seed: u64, length: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut step = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()
    };
    let mut bytes: Vec<u8> = (0..length.div_ceil(8)).flat_map(|_| step()).collect();
    bytes.truncate(length);
    bytes
}

/// Sets a time of modification, with its nanoseconds.
pub fn age(path: &Path, seconds: i64, nanos: u32) {
    use rustix::fs::{AtFlags, CWD, Timespec, Timestamps, utimensat};
    let time = Timespec { tv_sec: seconds, tv_nsec: nanos.into() };
    let times = Timestamps { last_access: time, last_modification: time };
    utimensat(CWD, path, &times, AtFlags::SYMLINK_NOFOLLOW).unwrap();
}

/// Fills a tree with one of every oddity.
pub fn odd(root: &Path) {
    let write = |path: &str, bytes: &[u8]| {
        let path = root.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    };
    write("plain.txt", b"hello\n");
    write("empty", b"");
    write("a/b/c/d/e/f/deep", b"deep");
    write("a.b", b"sorts between");
    write("a-b", b"and this");
    for n in 0..300 {
        write(&format!("many/{:02}/file-{n}", n % 17), &noise(n, (n as usize * 97) % 5000));
    }
    write("large.bin", &noise(1, (3 << 20) + 17));
    write("just-a-piece", &noise(2, 1 << 20));
    write("not-small", &noise(3, 256 << 10));
    write("almost-large", &noise(4, (256 << 10) - 1));
    // Names: no text, a line break, the longest, a path longer than the system takes.
    let bytes = |name: &[u8]| root.join(std::ffi::OsStr::from_bytes(name));
    fs::write(bytes(b"not\xff\xfetext"), b"latin").unwrap();
    fs::write(bytes(b"two\nlines"), b"x").unwrap();
    fs::write(bytes(&[b'n'; 255]), b"long").unwrap();
    // Links.
    symlink("plain.txt", root.join("link")).unwrap();
    symlink("/nowhere/at/all", root.join("dangling")).unwrap();
    symlink("../../../../etc", root.join("outside")).unwrap();
    symlink("a", root.join("link-to-directory")).unwrap();
    fs::hard_link(root.join("plain.txt"), root.join("many/hard")).unwrap();
    fs::hard_link(root.join("large.bin"), root.join("zz-hard-large")).unwrap();
    fs::hard_link(root.join("empty"), root.join("zz-hard-empty")).unwrap();
    // Holes: at both ends, in between, all of it.
    let sparse = fs::File::create(root.join("sparse")).unwrap();
    sparse.set_len(24 << 20).unwrap();
    sparse.write_all_at(&noise(5, 70_000), 5 << 20).unwrap();
    sparse.write_all_at(b"end", (20 << 20) + 12345).unwrap();
    fs::File::create(root.join("hole")).unwrap().set_len(3 << 20).unwrap();
    let small = fs::File::create(root.join("small-hole")).unwrap();
    small.set_len(200_000).unwrap();
    small.write_all_at(b"x", 100_000).unwrap();
    fs::write(root.join("zeros"), vec![0; 2 << 20]).unwrap();
    // Modes and times.
    write("locked/inside", b"secret");
    write("read-only", b"ro");
    fs::set_permissions(root.join("read-only"), fs::Permissions::from_mode(0o400)).unwrap();
    write("sticky/x", b"");
    fs::set_permissions(root.join("sticky"), fs::Permissions::from_mode(0o1777)).unwrap();
    write("setuid", b"#!/bin/sh\n");
    fs::create_dir(root.join("empty-directory")).unwrap();
    mknod(root, "pipe", rustix::fs::FileType::Fifo, 0);
    if rustix::process::geteuid().is_root() {
        let device = rustix::fs::makedev(1, 3);
        mknod(root, "null", rustix::fs::FileType::CharacterDevice, device);
        mknod(root, "disk", rustix::fs::FileType::BlockDevice, rustix::fs::makedev(7, 9));
        std::os::unix::fs::chown(root.join("a.b"), Some(1234), Some(4321)).unwrap();
        std::os::unix::fs::chown(root.join("setuid"), Some(33), Some(33)).unwrap();
        std::os::unix::fs::lchown(root.join("link"), Some(77), Some(78)).unwrap();
        fs::set_permissions(root.join("setuid"), fs::Permissions::from_mode(0o6755)).unwrap();
    }
    attribute(&root.join("plain.txt"), "user.note", b"kept\0binary");
    attribute(&root.join("large.bin"), "user.large", b"yes");
    attribute(&root.join("a"), "user.folder", b"yes");
    // An access control list: user 1000 may read (as the system encodes it).
    let list: [&[u8]; 6] = [
        &2_u32.to_le_bytes(),
        &[1, 0, 6, 0, 255, 255, 255, 255],
        &[2, 0, 4, 0, 0xe8, 3, 0, 0],
        &[4, 0, 4, 0, 255, 255, 255, 255],
        &[16, 0, 4, 0, 255, 255, 255, 255],
        &[32, 0, 4, 0, 255, 255, 255, 255],
    ];
    attribute(&root.join("a-b"), "system.posix_acl_access", &list.concat());
    let _socket = std::os::unix::net::UnixListener::bind(root.join("socket")).unwrap();
    fs::remove_file(root.join("socket")).unwrap();
    age(&root.join("plain.txt"), 1_000_000_000, 123_456_789);
    age(&root.join("link"), 1_111_111_111, 1);
    age(&root.join("a-b"), -86_400, 5);
    age(&root.join("large.bin"), 4_000_000_000, 999_999_999);
    fs::set_permissions(root.join("locked"), fs::Permissions::from_mode(0o500)).unwrap();
    for folder in ["a", "a/b", "many/03", "locked", "empty-directory"] {
        age(&root.join(folder), 1_234_567_890, 42);
    }
}

/// A directory so deep that its path is longer than a call of the system takes.
pub fn deep_path(root: &Path) {
    use rustix::fs::{CWD, Mode, OFlags, mkdirat, openat};
    let flags = OFlags::RDONLY | OFlags::DIRECTORY;
    let mut at = openat(CWD, root, flags, Mode::empty()).unwrap();
    for _ in 0..30 {
        let name = [b'd'; 200];
        mkdirat(&at, name.as_slice(), Mode::RWXU).unwrap();
        at = openat(&at, name.as_slice(), flags, Mode::empty()).unwrap();
    }
    let file = openat(&at, "bottom", OFlags::WRONLY | OFlags::CREATE, Mode::RUSR).unwrap();
    rustix::io::write(&file, b"far down").unwrap();
}

fn mknod(root: &Path, name: &str, kind: rustix::fs::FileType, device: u64) {
    let mode = rustix::fs::Mode::from_raw_mode(0o640);
    rustix::fs::mknodat(rustix::fs::CWD, root.join(name), kind, mode, device).unwrap();
}

/// Sets an extended attribute, where the file system has such.
pub fn attribute(path: &Path, name: &str, value: &[u8]) {
    let set = rustix::fs::setxattr(path, name, value, rustix::fs::XattrFlags::empty());
    if let Err(error) = set {
        assert_eq!(error, rustix::io::Errno::NOTSUP, "{name}");
    }
}
