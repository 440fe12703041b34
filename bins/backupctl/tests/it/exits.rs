//! Every exit code, each with a remedy.

use backup_testkit::postgres::Cluster;

use crate::program::{Program, shop};

#[test]
fn every_failure_has_its_code_and_its_remedy() {
    let Some(cluster) = Cluster::start_newest() else { return };
    shop(&cluster, "shop", 2_000);
    let ctl = Program::of(&cluster, "shop");

    // 2: usage and configuration.
    ctl.run(&["backup", "--no-such-flag"]).expect(2);
    ctl.run(&["frobnicate"]).expect(2);
    ctl.run(&["wal", "sniff", "x"]).expect(2);
    ctl.run(&["verify", "--read-data=0%"]).expect(2);
    ctl.run(&["--help"]).expect(0);
    ctl.run(&["--version"]).expect(0);
    let mut bare = Program::new();
    bare.unset("BACKUP_PASSPHRASE");
    bare.run(&["init"]).fails(2);
    bare.unset("BACKUP_REPOSITORY");
    bare.run(&["snapshots"]).fails(2);
    bare.set("BACKUP_REPOSITORY", "gopher://x/y");
    bare.set("BACKUP_PASSPHRASE", "x");
    bare.run(&["snapshots"]).fails(2);

    // 4: no repository there, or not to be reached.
    ctl.run(&["snapshots"]).fails(4);
    ctl.ok(&["init"]);
    // 8: it exists.
    ctl.run(&["init"]).fails(8);
    // 7: nothing matched.
    ctl.run(&["show", "latest"]).fails(7);
    ctl.run(&["restore", "00ff", "--to", &cluster.url("copy")]).fails(7);
    ctl.run(&["verify"]).fails(7);
    ctl.run(&["backup", "other"]).fails(7);
    ctl.run(&["key", "remove", "00"]).fails(7);
    ctl.run(&["schema", "--output", "nonsense"]).fails(7);
    // 9: not protected.
    ctl.run(&["status"]).expect(9);
    ctl.json_ending(&["status"], 9);
    ctl.run(&["validate", "--repository"]).expect(9);
    ctl.ok(&["validate", "--sources"]);

    ctl.ok(&["backup"]);
    // 2: another engine's.
    ctl.run(&["restore", "latest", "--to", "mysql://root@127.0.0.1/x"]).fails(2);
    // 8: the target is not empty, or is the source.
    cluster.sql("postgres", "create database full_one");
    cluster.sql("full_one", "create table t as select 1 as a");
    ctl.run(&["restore", "latest", "--to", &cluster.url("full_one")]).fails(8);
    assert_eq!(cluster.sql("full_one", "select a from t").trim(), "1");
    ctl.run(&["restore", "latest", "--to", &cluster.url("shop")]).fails(8);

    // 3: the source cannot be reached, or refuses.
    let mut lost = Program::of(&cluster, "shop");
    lost.set("BACKUP_REPOSITORY", format!("file://{}", ctl.path("repository").display()));
    lost.set("DATABASE_URL", "postgres://postgres@127.0.0.1:1/shop");
    lost.run(&["backup"]).fails(3);
    lost.set("DATABASE_URL", cluster.url("no_such_database"));
    lost.run(&["backup"]).fails(3);
    // 6: the wrong key.
    lost.set("BACKUP_PASSPHRASE", "guess");
    lost.run(&["snapshots"]).fails(6);

    // 5: integrity.
    let pack = ctl.objects("packs").remove(0);
    let mut bytes = std::fs::read(&pack).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    let mut permissions = std::fs::metadata(&pack).unwrap().permissions();
    #[allow(clippy::permissions_set_readonly_false, reason = "a file of this test alone")]
    permissions.set_readonly(false);
    std::fs::set_permissions(&pack, permissions).unwrap();
    std::fs::write(&pack, bytes).unwrap();
    let damaged = ctl.run(&["verify", "--read-data"]).fails(5);
    assert!(damaged.stdout.contains("DAMAGED") && damaged.stdout.contains("shop"));
}

#[test]
fn errors_are_one_json_object_with_json() {
    let ctl = Program::new();
    let done = ctl.run(&["--json", "snapshots"]).expect(4);
    assert_eq!(done.stdout, "");
    let error = done.error();
    assert_eq!(error["kind"], "store_unavailable");
    assert_eq!(error["retry_safe"], true);
    assert!(error["hint"].as_str().unwrap().contains("backupctl init"));
    assert_eq!(ctl.run(&["snapshots", "--json", "--nope"]).expect(2).error()["kind"], "usage");
    ctl.ok(&["init"]);
    assert_eq!(ctl.run(&["--json", "show", "abc"]).expect(7).error()["kind"], "not_found");
    let mut wrong = Program::new();
    let there = format!("file://{}", ctl.path("repository").display());
    wrong.set("BACKUP_REPOSITORY", there);
    wrong.set("BACKUP_PASSPHRASE", "guess");
    assert_eq!(wrong.run(&["--json", "snapshots"]).expect(6).error()["retry_safe"], false);
}

#[test]
fn a_folder_that_is_no_repository_is_left_alone() {
    let ctl = Program::new();
    std::fs::create_dir(ctl.path("repository")).unwrap();
    std::fs::write(ctl.path("repository/config"), "somebody else's\n").unwrap();
    let done = ctl.run(&["snapshots"]);
    assert!([4, 5, 7].contains(&done.code), "{}", done.stderr);
    ctl.run(&["init"]).fails(8);
    assert_eq!(std::fs::read(ctl.path("repository/config")).unwrap(), b"somebody else's\n");
}

#[test]
fn several_sources_say_which_failed() {
    let Some(cluster) = Cluster::start_newest() else { return };
    shop(&cluster, "shop", 100);
    let ctl = Program::of(&cluster, "shop");
    let config = format!(
        "[repository]\npassphrase = \"env:BACKUP_PASSPHRASE\"\n\
         [[source]]\nname = \"good\"\nurl = \"{0}\"\n\
         [[source]]\nname = \"gone\"\nurl = \"postgres://postgres@127.0.0.1:1/x\"\n\
         [[source]]\nname = \"unset\"\nurl = \"env:NOT_THERE\"\n\
         [[source]]\nname = \"alien\"\nurl = \"mysql://root@127.0.0.1:1/x\"\n\
         [[source]]\nname = \"last\"\nurl = \"{0}\"\n",
        cluster.url("shop")
    );
    std::fs::write(ctl.path("backup.toml"), config).unwrap();
    let mut ctl = ctl;
    ctl.unset("DATABASE_URL");
    ctl.ok(&["init"]);
    let done = ctl.run(&["--json", "backup"]).expect(1);
    let documents: Vec<serde_json::Value> =
        done.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    documents.iter().for_each(crate::schema::check);
    let outcomes: Vec<&str> =
        documents.iter().map(|document| document["outcome"].as_str().unwrap()).collect();
    assert_eq!(outcomes, ["ok", "failed", "failed", "failed", "ok"]);
    assert_eq!((&documents[0]["source"], &documents[0]["outcome"]), (&"good".into(), &"ok".into()));
    for (document, code) in documents[1..4].iter().zip([3, 2, 3]) {
        assert_eq!(document["error"]["exit_code"], code, "{document}");
    }
    assert_eq!(ctl.json(&["snapshots"])["snapshots"].as_array().unwrap().len(), 2);
    ctl.run(&["backup", "gone"]).fails(3);
}

#[test]
fn output_that_was_lost_is_a_failure() {
    let ctl = Program::new();
    ctl.ok(&["init"]);
    for words in [&["--json", "snapshots"][..], &["schema"], &["completions", "bash"]] {
        let full = std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
        let output = ctl.command(words).stdout(full).output().unwrap();
        assert_eq!(output.status.code(), Some(1), "{words:?}");
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(said.contains("standard output"), "{said}");
    }
    // A reader that went away has seen what it wanted.
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let output = ctl.command(&["schema"]).stdout(writer).output().unwrap();
    assert_eq!(output.status.code(), Some(0));
}

#[test]
fn lost_rows_are_suspect_until_accepted() {
    let Some(cluster) = Cluster::start_newest() else { return };
    shop(&cluster, "shop", 5_000);
    let ctl = Program::of(&cluster, "shop");
    ctl.ok(&["init"]);
    ctl.ok(&["backup"]);
    cluster.sql("shop", "truncate orders");
    let suspect = ctl.json_ending(&["backup"], 9);
    assert_eq!(suspect["outcome"], "suspect");
    assert_eq!(suspect["snapshot"]["suspect"], true);
    let latest = ctl.json(&["show", "latest"]);
    assert_ne!(latest["snapshot"]["id"], suspect["snapshot"]["id"], "latest passes over it");
    ctl.run(&["status"]).expect(9);
    ctl.run(&["forget", "--keep-last", "1"]).expect(9);
    assert_eq!(ctl.json(&["snapshots"])["snapshots"].as_array().unwrap().len(), 2);
    assert_eq!(ctl.json(&["backup", "--accept-shrink"])["outcome"], "ok");
    assert_eq!(ctl.json(&["backup"])["outcome"], "ok");
}

#[test]
fn another_database_under_the_same_name_is_refused() {
    let Some(cluster) = Cluster::start_newest() else { return };
    shop(&cluster, "one", 100);
    shop(&cluster, "two", 100);
    let mut ctl = Program::of(&cluster, "one");
    ctl.set("BACKUP_SOURCE", "shop");
    ctl.ok(&["init"]);
    ctl.ok(&["backup"]);
    ctl.set("DATABASE_URL", cluster.url("two"));
    let refused = ctl.run(&["backup"]).fails(8);
    assert!(refused.stderr.contains("--accept-new-identity"), "{}", refused.stderr);
    ctl.ok(&["backup", "--accept-new-identity"]);
    ctl.ok(&["backup"]);
}

#[test]
fn passwords_are_never_shown_and_argv_is_warned_about() {
    let Some(cluster) = Cluster::start_newest() else { return };
    shop(&cluster, "shop", 100);
    let mut ctl = Program::of(&cluster, "shop");
    ctl.ok(&["init"]);
    ctl.ok(&["backup"]);
    let secret = "hunter2secret";
    let target = format!("postgres://postgres:{secret}@127.0.0.1:1/copy");
    for words in [
        vec!["restore", "latest", "--to", &target],
        vec!["--json", "restore", "latest", "--to", &target],
    ] {
        let done = ctl.run(&words).expect(3);
        assert!(!done.stderr.contains(secret) && !done.stdout.contains(secret), "{}", done.stderr);
        assert!(done.stderr.contains("other users of this machine"), "{}", done.stderr);
    }
    ctl.set("DATABASE_URL", target.replace("copy", "shop"));
    let done = ctl.run(&["-vv", "backup"]).fails(3);
    assert!(!done.stderr.contains(secret), "{}", done.stderr);
    let done = ctl.run(&["-vv", "doctor"]).expect(3);
    assert!(!done.stderr.contains(secret) && !done.stdout.contains(secret));
    ctl.set("DATABASE_URL", "not a url, but hunter2secret");
    let done = ctl.run(&["backup"]).expect(2);
    assert!(!done.stderr.contains(secret), "{}", done.stderr);
}
