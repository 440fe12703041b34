//! A directory into a bucket, the bucket as a source, and back into a directory.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use backup_testkit::{azure, s3};

use crate::program::Program;

/// A tree, backed up.
fn world() -> (Program, std::path::PathBuf) {
    let mut ctl = Program::new();
    let tree = ctl.path("tree");
    std::fs::create_dir_all(tree.join("2026/\u{e4} b")).unwrap();
    for n in 0..300_u32 {
        let contents = vec![b'a' + (n % 26) as u8; 2_000];
        std::fs::write(tree.join(format!("2026/{n:03}.txt")), contents).unwrap();
    }
    std::fs::write(tree.join("2026/\u{e4} b/large"), vec![7; 3 << 20]).unwrap();
    ctl.set("BACKUP_FILES_PATH", tree.display().to_string());
    ctl.ok(&["init"]);
    ctl.ok(&["backup"]);
    ctl.unset("BACKUP_FILES_PATH");
    (ctl, tree)
}

/// Has the bucket as its source.
fn configure(ctl: &Program, url: &str, keys: &str) {
    let text =
        format!("[[source]]\nname = \"uploads\"\nurl = \"{url}\"\n[source.bucket]\n{keys}\n");
    std::fs::write(ctl.path("backup.toml"), text).unwrap();
}

/// Backs the bucket up twice, and restores it into a directory.
fn there_and_back(ctl: &Program, tree: &Path) {
    let taken = ctl.json(&["backup", "uploads", "--verify", "read"]);
    assert_eq!(taken["snapshot"]["kind"], "files", "{taken}");
    assert_eq!(taken["snapshot"]["verified"]["level"], "read", "{taken}");
    let again = ctl.json(&["backup", "uploads"]);
    assert!(again["snapshot"]["added_bytes"].as_u64() < Some(100_000), "{again}");
    assert!(again.to_string().contains("0 of 301 objects were read"), "{again}");
    assert!(ctl.ok(&["ls", "uploads@latest", "2026/\u{e4} b"]).contains("large"));
    let preview = ctl.json(&["restore", "uploads@latest", "--to", "./out", "--preview"]);
    assert_eq!(preview["files"], 301, "{preview}");
    ctl.ok(&["restore", "uploads@latest", "--to", "./out"]);
    let same = Command::new("diff").arg("-r").arg(tree).arg(ctl.path("out")).output().unwrap();
    assert!(same.status.success(), "{}", String::from_utf8_lossy(&same.stdout));
}

#[test]
fn a_bucket_is_backed_up_and_comes_back_by_the_same_commands() {
    let Some(server) = s3::Server::start() else { return };
    let (mut ctl, tree) = world();
    server.create_bucket("uploads").unwrap();
    let bucket = format!("s3://uploads/live?endpoint={}&region=us-east-1", server.endpoint());
    ctl.set("BACKUP_TARGET_ACCESS_KEY_ID", server.access_key());
    ctl.set("BACKUP_TARGET_SECRET_ACCESS_KEY", server.secret_key());
    ctl.ok(&["restore", "tree@latest", "--to", &bucket]);
    ctl.run(&["restore", "tree@latest", "--to", &bucket]).fails(8);

    ctl.set("UPLOADS_SECRET", server.secret_key());
    let id = server.access_key();
    let secret = "secret_access_key = \"env:UPLOADS_SECRET\"";
    configure(&ctl, &bucket, &format!("access_key_id = \"{id}\"\n{secret}"));
    // Killed while it reads: the rate lets it take seconds at least. Then run again.
    let mut killed = ctl
        .command(&["backup", "uploads", "--max-rate", "300KiB"])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    std::thread::sleep(Duration::from_secs(3));
    assert!(killed.try_wait().unwrap().is_none(), "it is held to its rate");
    killed.kill().unwrap();
    killed.wait().unwrap();
    there_and_back(&ctl, &tree);
    ctl.ok(&["drill", "uploads"]);
    configure(&ctl, &bucket, secret);
    ctl.run(&["backup", "uploads"]).fails(2);
    configure(&ctl, &bucket, &format!("access_key_id = \"{id}\"\n{secret}"));
    drop(server);
    ctl.run(&["backup", "uploads"]).fails(3);
}

#[test]
fn a_container_is_backed_up_and_comes_back_by_the_same_commands() {
    let Some(server) = azure::Server::start() else { return };
    let (mut ctl, tree) = world();
    let container = server.url("uploads/live");
    ctl.set("AZURE_STORAGE_ACCOUNT", server.account());
    ctl.set("AZURE_STORAGE_KEY", server.key());
    ctl.ok(&["restore", "tree@latest", "--to", &container]);
    ctl.unset("AZURE_STORAGE_KEY");
    ctl.set("UPLOADS_KEY", server.key());
    configure(&ctl, &container, "azure_key = \"env:UPLOADS_KEY\"");
    there_and_back(&ctl, &tree);
}
