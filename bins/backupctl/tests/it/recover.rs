//! Files come out of a repository without this program: by `docs/examples/recover.py`, which knows
//! the format document and nothing else.

use std::fs;
use std::os::unix::fs::{FileExt, MetadataExt, symlink};
use std::path::Path;
use std::process::{Command, Output};

use crate::files::assert_equal;
use crate::program::Program;

/// A Python with what the script needs.
fn python() -> Option<&'static str> {
    let found = ["python3", "/usr/bin/python3"].into_iter().find(|python| {
        let asked = Command::new(python).args(["-c", "import cryptography"]).output();
        asked.is_ok_and(|output| output.status.success())
    });
    if found.is_none() {
        backup_testkit::tools::skip("Python's package cryptography");
    }
    found
}

/// Small and large files, empty ones, holes, links of both sorts, pipes, times and modes, names
/// that are no text, attributes where the file system takes them.
fn fill(tree: &Path) {
    use std::os::unix::ffi::OsStrExt;
    for n in 0..700_usize {
        let folder = tree.join(format!("{}/deep/{}", n % 7, n % 3));
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join(format!("f{n}")), format!("text {n} ").repeat(n * 97 % 900)).unwrap();
    }
    let large: Vec<u8> =
        (0..1_500_000_u32).flat_map(|n| n.wrapping_mul(2_654_435_761).to_le_bytes()).collect();
    fs::write(tree.join("large.bin"), &large).unwrap();
    let holes = fs::File::create(tree.join("holes.img")).unwrap();
    holes.set_len(9 << 20).unwrap();
    holes.write_all_at(b"in the middle", (5 << 20) + 77).unwrap();
    fs::File::create(tree.join("all hole")).unwrap().set_len(3 << 20).unwrap();
    let small = fs::File::create(tree.join("small hole")).unwrap();
    small.set_len(200 << 10).unwrap();
    small.write_all_at(b"end", (200 << 10) - 3).unwrap();
    fs::hard_link(tree.join("large.bin"), tree.join("0/second name")).unwrap();
    fs::hard_link(tree.join("1/deep/1/f1"), tree.join("another")).unwrap();
    symlink("../no where", tree.join("2/link")).unwrap();
    fs::create_dir(tree.join("empty")).unwrap();
    fs::write(tree.join(std::ffi::OsStr::from_bytes(b"not \xff text")), "x").unwrap();
    let pipe = Command::new("mkfifo").arg(tree.join("pipe")).status().unwrap();
    assert!(pipe.success());
    let shell = "chmod 2750 3; chmod 600 3/deep/0/*; touch -h -d '1969-12-31T23:59:58.123456789Z' 2/link 5/deep/0; \
                 setfattr -n user.colour -v blue another 2>/dev/null || true";
    assert!(Command::new("sh").current_dir(tree).args(["-c", shell]).status().unwrap().success());
}

#[test]
fn a_file_and_a_whole_tree_come_out_without_this_program() {
    let Some(python) = python() else { return };
    let mut ctl = Program::new();
    let tree = ctl.path("tree");
    fill(&tree);
    ctl.set("BACKUP_FILES_PATH", tree.display().to_string());
    ctl.ok(&["init"]);
    ctl.ok(&["key", "add", "--key-file", "recovery.key", "--label", "recovery"]);
    ctl.ok(&["backup"]);
    // A second snapshot: pieces taken over, deltas, and what is new.
    fs::write(tree.join("1/deep/0/new"), "new").unwrap();
    let large = fs::File::options().write(true).open(tree.join("large.bin")).unwrap();
    large.write_all_at(b"changed", 3 << 20).unwrap();
    ctl.ok(&["backup"]);
    let snapshots = ctl.json(&["snapshots"]);
    let ids: Vec<&str> = snapshots["snapshots"]
        .as_array()
        .unwrap()
        .iter()
        .map(|s| s["id"].as_str().unwrap())
        .collect();
    let newest = ids[1];

    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/examples/recover.py");
    let (repository, key) = (ctl.path("repository"), ctl.path("recovery.key"));
    let recover = |words: &[&str]| -> Output {
        let mut command = Command::new(python);
        command.arg(&script).arg(&repository).arg(&key).args(words).output().unwrap()
    };
    let ok = |words: &[&str]| {
        let output = recover(words);
        assert!(output.status.success(), "{words:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    };
    let listed = ok(&["files", newest]);
    let entries = walk(&tree);
    assert_eq!(listed.lines().count() as u64, entries, "every entry, and the root");
    assert!(listed.contains("f 0644 6000000 large.bin\n"), "{listed}");
    let out = ctl.path("one").display().to_string();
    for path in ["large.bin", "1/deep/0/new", "holes.img", "another", "6/deep/2/f6"] {
        if !tree.join(path).exists() {
            continue;
        }
        ok(&["file", newest, path, &out]);
        assert_eq!(fs::read(&out).unwrap(), fs::read(tree.join(path)).unwrap(), "{path}");
    }
    // Of the snapshot before, large.bin is what it was.
    ok(&["file", ids[0], "large.bin", &out]);
    let before = fs::read(&out).unwrap();
    assert_ne!(before, fs::read(tree.join("large.bin")).unwrap());
    assert_eq!(before.len(), 6_000_000);
    assert!(!recover(&["file", newest, "no/such", &out]).status.success());

    let whole = ctl.path("whole");
    ok(&["tree", newest, &whole.display().to_string()]);
    assert_equal(&tree, &whole);
    let blocks = fs::metadata(whole.join("holes.img")).unwrap().blocks();
    assert!(blocks * 512 < 4 << 20, "holes stay holes: {blocks} blocks");
    // What was changed in the repository is not taken for the file.
    let pack = largest(&repository.join("packs"));
    let bytes = fs::read(&pack).unwrap();
    let file = fs::File::options().write(true).open(&pack).unwrap();
    let at = bytes.len() / 3;
    file.write_all_at(&[bytes[at] ^ 1], at as u64).unwrap();
    let other = ctl.path("other").display().to_string();
    assert!(!recover(&["tree", newest, &other]).status.success());
}

fn walk(folder: &Path) -> u64 {
    let mut count = 1;
    for entry in fs::read_dir(folder).unwrap() {
        let entry = entry.unwrap();
        count += if entry.file_type().unwrap().is_dir() { walk(&entry.path()) } else { 1 };
    }
    count
}

fn largest(folder: &Path) -> std::path::PathBuf {
    let mut files = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let entry = entry.unwrap();
            if entry.file_type().unwrap().is_dir() {
                folders.push(entry.path());
            } else {
                files.push((entry.metadata().unwrap().len(), entry.path()));
            }
        }
    }
    files.into_iter().max().unwrap().1
}
