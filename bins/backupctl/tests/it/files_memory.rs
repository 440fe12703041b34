//! What a tree of many small files takes of memory: not more for each file.

use std::fs;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use crate::program::Program;

const FEW: u64 = 2_000;
const MANY: u64 = 20_000;
/// Bytes of memory that each further file may cost. Buffers that are fuller with more to read, and a
/// second thread that has work, take some 600; whoever kept every entry would take as much again.
const EACH: u64 = 1024;
/// What no run may take at all.
const MOST: u64 = 128 << 20;

fn fill(tree: &Path, files: u64) {
    for n in 0..files {
        let folder = tree.join(format!("folder-{:03}", n / 100));
        if n % 100 == 0 {
            fs::create_dir_all(&folder).unwrap();
        }
        fs::write(folder.join(format!("file-{n:06}.txt")), format!("contents of file {n}\n"))
            .unwrap();
    }
}

/// Runs a verb and returns the most memory that the process had, in bytes.
fn peak(ctl: &Program, words: &[&str]) -> u64 {
    let mut command = ctl.command(words);
    // One arena: how threads share the heap differs from run to run.
    command.env("MALLOC_ARENA_MAX", "1").stdout(Stdio::null()).stderr(Stdio::inherit());
    let mut child = command.spawn().unwrap();
    let status = format!("/proc/{}/status", child.id());
    let mut peak = 0;
    loop {
        // It only grows; what the last two milliseconds add is the end of the process.
        let text = fs::read_to_string(&status).unwrap_or_default();
        let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let size =
            line.and_then(|line| line.trim().strip_suffix(" kB")?.trim().parse::<u64>().ok());
        peak = peak.max(size.unwrap_or_default() * 1024);
        if let Some(status) = child.try_wait().unwrap() {
            assert!(status.success(), "{words:?}");
            return peak;
        }
        std::thread::sleep(Duration::from_millis(2));
    }
}

#[test]
fn memory_does_not_grow_with_the_number_of_files() {
    let mut ctl = Program::new();
    ctl.ok(&["init"]);
    // A passphrase takes 64 MiB to check, above which nothing smaller would be seen.
    ctl.ok(&["key", "add", "--key-file", "host.key", "--label", "host"]);
    ctl.unset("BACKUP_PASSPHRASE");
    ctl.set("BACKUP_KEY_FILE", "host.key");
    let mut peaks = Vec::new();
    for files in [FEW, MANY] {
        let tree = ctl.path(&files.to_string());
        fill(&tree, files);
        ctl.set("BACKUP_FILES_PATH", tree.display().to_string());
        let backup = peak(&ctl, &["backup"]);
        let out = ctl.path(&format!("{files}.out"));
        let restore = peak(&ctl, &["restore", "latest", "--to", &out.display().to_string()]);
        let last = format!("folder-{:03}/file-{:06}.txt", (files - 1) / 100, files - 1);
        assert_eq!(fs::read(out.join(&last)).unwrap(), fs::read(tree.join(&last)).unwrap());
        peaks.push([backup, restore]);
    }
    let (few, many) = (peaks[0], peaks[1]);
    for (what, (few, many)) in ["backup", "restore"].iter().zip(few.iter().zip(many)) {
        let growth = many.saturating_sub(*few);
        assert!(many < MOST, "{what}: {many} bytes with {MANY} files");
        println!("{what}: {few} bytes with {FEW} files, {many} with {MANY}");
        assert!(
            growth < (MANY - FEW) * EACH,
            "{what}: {few} bytes with {FEW} files, {many} with {MANY}: {} a file",
            growth / (MANY - FEW)
        );
    }
}
