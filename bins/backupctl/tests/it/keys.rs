//! Keys: added, replaced, removed, on paper.

use backup_testkit::postgres::Cluster;

use crate::program::{Program, fingerprint, shop};

fn keys(ctl: &Program) -> Vec<(String, String)> {
    let listed = ctl.json(&["key", "list"]);
    let text = |value: &serde_json::Value| value.as_str().unwrap().to_owned();
    listed["keys"].as_array().unwrap().iter().map(|k| (text(&k["id"]), text(&k["kind"]))).collect()
}

#[test]
fn a_sheet_opens_the_repository_when_the_passphrase_is_gone() {
    let mut ctl = Program::new();
    ctl.ok(&["init", "--sheet", "sheet.txt"]);
    let sheet = ctl.path("sheet.txt");
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        assert_eq!(std::fs::metadata(&sheet).unwrap().permissions().mode() & 0o777, 0o600);
    }
    let text = std::fs::read_to_string(&sheet).unwrap();
    let key = text.lines().map(str::trim).find(|line| line.starts_with("BKEY1")).unwrap();
    assert!(text.contains(&format!("file://{}", ctl.path("repository").display())), "{text}");

    ctl.unset("BACKUP_PASSPHRASE");
    std::fs::write(ctl.path("recovery.key"), format!("{}\n", key.to_lowercase())).unwrap();
    ctl.set("BACKUP_KEY_FILE", "recovery.key");
    assert_eq!(keys(&ctl).len(), 2);
    ctl.run(&["key", "sheet"]).fails(2);
    assert_eq!(keys(&ctl).len(), 2, "nothing is made that nobody was told");
    ctl.run(&["key", "sheet", "--output", "sheet.txt"]).fails(8);
}

#[test]
fn keys_come_and_go_and_the_last_one_stays() {
    let mut ctl = Program::new();
    ctl.ok(&["init"]);
    let first = keys(&ctl)[0].0.clone();
    ctl.run(&["key", "remove", &first[..8]]).fails(8);
    ctl.run(&["key", "add"]).fails(2);

    ctl.json(&["key", "add", "--key-file", "host.key", "--label", "host"]);
    ctl.set("BACKUP_NEW_PASSPHRASE", "second");
    ctl.json(&["key", "add", "--label", "colleague"]);
    assert_eq!(keys(&ctl).len(), 3);
    ctl.run(&["key", "rotate"]).fails(2);

    ctl.set("BACKUP_NEW_PASSPHRASE", "third");
    ctl.json(&["key", "rotate", &first[..8]]);
    ctl.run(&["snapshots"]).fails(6);
    ctl.set("BACKUP_PASSPHRASE", "third");
    ctl.ok(&["snapshots"]);
    ctl.json(&["key", "rotate", "--data"]);
    for passphrase in ["second", "third"] {
        ctl.set("BACKUP_PASSPHRASE", passphrase);
        ctl.ok(&["snapshots"]);
    }
    ctl.unset("BACKUP_PASSPHRASE");
    ctl.set("BACKUP_KEY_FILE", "host.key");
    let host = keys(&ctl).into_iter().find(|(_, kind)| kind == "key-file").unwrap().0;
    ctl.json(&["key", "remove", &host]);
    ctl.run(&["snapshots"]).fails(6);
}

#[test]
fn a_write_only_host_backs_up_and_reads_nothing() {
    let Some(cluster) = Cluster::start_newest() else { return };
    shop(&cluster, "shop", 2_000);
    let mut ctl = Program::of(&cluster, "shop");
    ctl.ok(&["init"]);
    ctl.json(&["key", "add", "--write-only", "--key-file", "host.key"]);
    assert!(ctl.ok(&["key", "list"]).contains("write"));

    let passphrase = "correct horse battery staple";
    ctl.unset("BACKUP_PASSPHRASE");
    ctl.set("BACKUP_KEY_FILE", "host.key");
    let taken = ctl.json(&["backup"]);
    assert_eq!(taken["snapshot"]["verified"]["level"], "none");
    ctl.json(&["backup"]);
    ctl.run(&["snapshots"]).fails(6);
    ctl.run(&["verify"]).fails(6);
    ctl.run(&["restore", "latest", "--to", &cluster.url("copy")]).fails(6);
    ctl.run(&["key", "add", "--key-file", "owner.key"]).fails(6);
    assert!(!ctl.path("owner.key").exists());

    ctl.unset("BACKUP_KEY_FILE");
    ctl.set("BACKUP_PASSPHRASE", passphrase);
    assert_eq!(ctl.json(&["verify", "--read-data"])["ok"], true);
    ctl.ok(&["restore", "latest", "--to", &cluster.url("copy")]);
    assert_eq!(fingerprint(&cluster, "copy"), fingerprint(&cluster, "shop"));
}
