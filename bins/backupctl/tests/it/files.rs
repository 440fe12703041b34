//! Trees of files through the program: every verb, interruptions, a full disk, another user.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use serde_json::Value;

use crate::program::Program;
use crate::schema;

fn program() -> Program {
    let mut ctl = Program::new();
    let tree = ctl.path("tree");
    fill(&tree, 400);
    ctl.set("BACKUP_FILES_PATH", tree.display().to_string());
    ctl.ok(&["init"]);
    ctl
}

fn fill(tree: &Path, files: u64) {
    for n in 0..files {
        let folder = tree.join(format!("{}", n % 20));
        fs::create_dir_all(&folder).unwrap();
        let text = format!("file {n} ").repeat((n as usize * 131) % 700 + 1);
        fs::write(folder.join(format!("f{n}.txt")), text).unwrap();
    }
    let large: Vec<u8> = (0..6_000_000_u32).flat_map(|n| (n / 7).to_le_bytes()).collect();
    fs::write(tree.join("large.bin"), large).unwrap();
    std::os::unix::fs::symlink("0/f0.txt", tree.join("link")).unwrap();
}

/// Nothing is left to do for rsync, which compares contents.
#[track_caller]
pub(crate) fn assert_equal(a: &Path, b: &Path) {
    let slash = |path: &Path| format!("{}/", path.display());
    let out = Command::new("rsync").args(["-naciXH", "--delete", &slash(a), &slash(b)]).output();
    let out = out.unwrap();
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    assert_eq!(String::from_utf8_lossy(&out.stdout), "");
}

fn lines(text: &str) -> Vec<Value> {
    let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    lines.iter().for_each(schema::check);
    lines
}

#[test]
fn every_verb_knows_trees() {
    let ctl = program();
    let tree = ctl.path("tree");
    ctl.ok(&["backup"]);
    fs::write(tree.join("3/f3.txt"), "changed").unwrap();
    fs::remove_file(tree.join("4/f4.txt")).unwrap();
    fs::write(tree.join("new"), "new").unwrap();
    let receipt = ctl.json(&["backup"]);
    assert_eq!(receipt["snapshot"]["kind"], "files");
    let snapshots = ctl.json(&["snapshots"]);
    let id = |n: usize| snapshots["snapshots"][n]["id"].as_str().unwrap().to_owned();
    let changes = lines(&ctl.ok(&["--json", "diff", &id(0), &id(1)]));
    let told: Vec<(&str, &str)> = changes
        .iter()
        .map(|c| (c["change"].as_str().unwrap(), c["path"].as_str().unwrap()))
        .filter(|(change, _)| *change != "metadata")
        .collect();
    assert_eq!(told, [("changed", "3/f3.txt"), ("removed", "4/f4.txt"), ("added", "new")]);
    let listed = lines(&ctl.ok(&["--json", "ls", "latest", "3"]));
    // What is below it, itself, and the root around it.
    assert_eq!(listed.len(), 22);
    // Of several paths each is listed once, and one that names nothing is told after the others.
    let several = lines(&ctl.ok(&["--json", "ls", "latest", "3", "new", "5/f5.txt", "3/f3.txt"]));
    assert_eq!(several.len(), 22 + 1 + 2, "and the directory around the last");
    let some = ctl.run(&["ls", "latest", "new", "no/such"]).fails(7);
    assert!(some.stdout.contains("new") && some.stderr.contains("no/such"), "{}", some.stderr);
    let found = lines(&ctl.ok(&["--json", "find", "f4.txt"]));
    assert_eq!(
        (found[0]["current"].as_bool(), found[0]["snapshots"].as_u64()),
        (Some(false), Some(1))
    );
    assert_eq!(ctl.ok(&["dump", "latest", "3/f3.txt"]), "changed");
    assert_eq!(ctl.run(&["dump", "latest", "3/none"]).code, 7);
    let to = ctl.path("out");
    let out = to.display().to_string();
    let plan = ctl.json(&["restore", "latest", "--to", &out, "--path", "3/*", "--preview"]);
    assert_eq!(plan["files"], 20);
    assert!(!to.exists());
    ctl.ok(&["restore", "latest", "--to", &out]);
    assert_equal(&tree, &to);
    assert_eq!(ctl.run(&["restore", "latest", "--to", &out]).code, 8);
    ctl.ok(&["verify", "--all", "--read-data"]);
    let drill = ctl.json(&["drill"]);
    assert_eq!(drill["verdict"], "passed", "{drill}");
    ctl.ok(&["status"]);
    ctl.ok(&["forget", &id(0)]);
    ctl.ok(&["prune"]);
    ctl.ok(&["restore", "latest", "--to", &out, "--delta", "--delete"]);
    // A tree that is suddenly empty was not mounted.
    fs::rename(&tree, ctl.path("elsewhere")).unwrap();
    assert_eq!(ctl.run(&["backup"]).code, 3);
    fs::create_dir(&tree).unwrap();
    let suspect = ctl.run(&["backup"]);
    assert_eq!(suspect.code, 9, "{}", suspect.stderr);
    assert!(suspect.stderr.contains("Is it mounted?"), "{}", suspect.stderr);
}

#[test]
fn a_killed_backup_and_a_killed_restore_go_on_where_they_were() {
    let ctl = program();
    let (tree, to) = (ctl.path("tree"), ctl.path("out"));
    let out = to.display().to_string();
    let kill = |words: &[&str], after: u64| {
        let mut child =
            ctl.command(words).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        std::thread::sleep(Duration::from_millis(after));
        let _ = child.kill();
        let _ = child.wait();
    };
    for after in [150, 300, 450, 600] {
        kill(&["backup"], after);
    }
    ctl.ok(&["backup"]);
    for after in [150, 300, 450, 600] {
        kill(&["restore", "latest", "--to", &out, "--delta"], after);
    }
    ctl.ok(&["restore", "latest", "--to", &out, "--delta", "--delete"]);
    assert_equal(&tree, &to);
    ctl.ok(&["verify", "--all", "--read-data"]);
}

#[test]
fn what_may_not_be_read_makes_a_snapshot_suspect_unless_that_is_allowed() {
    let mut ctl = Program::unprivileged();
    let tree = ctl.path("tree");
    fs::create_dir(&tree).unwrap();
    for name in ["open", "closed"] {
        fs::write(tree.join(name), name).unwrap();
    }
    use std::os::unix::fs::PermissionsExt;
    fs::set_permissions(tree.join("closed"), fs::Permissions::from_mode(0o000)).unwrap();
    fs::set_permissions(&tree, fs::Permissions::from_mode(0o755)).unwrap();
    let config = ctl.path("backup.toml");
    let write = |allowed: bool| {
        let text = format!(
            "[[source]]\nname = \"tree\"\npath = \"tree\"\nfiles.allow_unreadable = {allowed}\n"
        );
        fs::write(&config, text).unwrap();
    };
    write(false);
    ctl.set("BACKUP_CONFIG", config.display().to_string());
    ctl.ok(&["init"]);
    let done = ctl.run(&["backup"]);
    assert_eq!(done.code, 9, "{}", done.stderr);
    assert!(done.stderr.contains("closed (Permission denied"), "{}", done.stderr);
    write(true);
    let done = ctl.run(&["backup"]).expect(0);
    assert!(done.stderr.contains("closed (Permission denied"), "{}", done.stderr);
}

#[test]
fn a_full_disk_is_told_with_the_way_to_go_on() {
    let ctl = program();
    ctl.ok(&["backup"]);
    let disk = ctl.path("disk");
    fs::create_dir(&disk).unwrap();
    let mounted = |size: &str| {
        let options = format!("{size},mode=0777");
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", &options, "tmpfs"]).arg(&disk);
        mount.stderr(Stdio::null()).status().is_ok_and(|status| status.success())
    };
    if !mounted("size=4m") {
        eprintln!("skipped: mounting a tmpfs needs root");
        return;
    }
    let unmount = scopeguard(&disk);
    let out = disk.join("out").display().to_string();
    let done = ctl.run(&["restore", "latest", "--to", &out]);
    let told = done.code == 1 && done.stderr.contains("--delta");
    let grown = mounted("remount,size=60m");
    let again = ctl.run(&["restore", "latest", "--to", &out, "--delta", "--delete"]);
    assert!(told, "{}", done.stderr);
    assert!(grown && again.code == 0, "{}", again.stderr);
    assert_equal(&ctl.path("tree"), &disk.join("out"));
    drop(unmount);
}

/// Unmounts when the test ends, however it does.
fn scopeguard(disk: &Path) -> impl Drop {
    struct Mounted(std::path::PathBuf);
    impl Drop for Mounted {
        fn drop(&mut self) {
            let _ = Command::new("umount").arg(&self.0).status();
        }
    }
    Mounted(disk.to_owned())
}
