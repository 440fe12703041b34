//! Whole clusters: copied, proved, restored into a directory, and brought up to date there.

use std::path::Path;
use std::process::Command;

use backup_testkit::postgres::Cluster;

use crate::program::{Program, fingerprint, shop};

fn stored(document: &serde_json::Value) -> u64 {
    document["snapshot"]["stored_bytes"].as_u64().unwrap()
}

/// Starts a server on a copy of a restored directory.
fn start(major: u32, restored: &Path) -> Cluster {
    let copied = Cluster::builder(major).try_start_from(|data| {
        assert!(Command::new("cp").arg("-a").arg(restored).arg(data).status()?.success());
        Ok(())
    });
    copied.unwrap()
}

#[test]
fn a_cluster_goes_into_the_repository_and_comes_back() {
    let Some(cluster) = Cluster::start_newest() else { return };
    shop(&cluster, "shop", 20_000);
    let ctl = Program::of(&cluster, "shop");
    ctl.ok(&["init"]);
    // One name may stand for a database and for its cluster.
    ctl.json(&["backup"]);
    let first = ctl.json(&["backup", "--mode", "physical"]);
    assert_eq!(first["snapshot"]["kind"], "physical");
    assert_eq!(first["snapshot"]["source"], "shop");
    assert_eq!(first["snapshot"]["suspect"], false);
    ctl.json(&["backup"]);

    cluster.sql("shop", "update orders set note = 'changed' where id % 400 = 3");
    let second = ctl.json(&["backup", "--mode", "physical", "--verify", "read"]);
    assert_eq!(second["snapshot"]["verified"]["level"], "read");
    assert!(stored(&second) * 4 < stored(&first), "{} after {}", stored(&second), stored(&first));
    assert_eq!(ctl.json(&["verify", "--all", "--read-data"])["ok"], true);

    let first = first["snapshot"]["id"].as_str().unwrap().to_owned();
    let second = second["snapshot"]["id"].as_str().unwrap().to_owned();
    let target = ctl.path("data").display().to_string();
    let plan = ctl.json(&["restore", &second, "--to", &target, "--preview"]);
    assert!(plan["steps"].as_array().unwrap().len() >= 3);
    assert!(!Path::new(&target).exists(), "a preview touches nothing");
    let restored = ctl.json(&["restore", &second, "--to", &target]);
    assert!(restored["files"].as_u64() > Some(500), "{restored}");
    let mut verify = Command::new(cluster.bin("pg_verifybackup"));
    assert!(verify.arg(&target).status().unwrap().success());
    let copy = start(cluster.major(), Path::new(&target));
    assert_eq!(fingerprint(&copy, "shop"), fingerprint(&cluster, "shop"));
    drop(copy);

    // Not over what is there; but back to the first state where asked, writing what differs.
    let again = ctl.run(&["restore", &first, "--to", &target]).fails(8);
    assert!(again.stderr.contains("--delta"), "{}", again.stderr);
    std::fs::write(ctl.path("data/base/stray"), "x").unwrap();
    let delta = ctl.json(&["restore", &first, "--to", &target, "--delta"]);
    let (all, wrote) = (restored["bytes"].as_u64().unwrap(), delta["bytes"].as_u64().unwrap());
    assert!(wrote > 0 && wrote * 3 < all, "{wrote} of {all}");
    assert!(!ctl.path("data/base/stray").exists());
    let mut verify = Command::new(cluster.bin("pg_verifybackup"));
    assert!(verify.arg(&target).status().unwrap().success());
    let copy = start(cluster.major(), Path::new(&target));
    assert_eq!(copy.sql("shop", "select count(*) from orders where note = 'changed'").trim(), "0");
    assert_eq!(copy.sql("shop", "select count(*) from orders").trim(), "20000");
}

#[test]
fn only_what_changed_is_read_where_the_server_knows_it() {
    let Some(major) = Cluster::majors().last().copied().filter(|major| *major >= 17) else {
        return;
    };
    let builder = Cluster::builder(major).setting("summarize_wal", "on");
    let Some(cluster) = builder.setting("autovacuum", "off").start() else { return };
    shop(&cluster, "shop", 40_000);
    let ctl = Program::of(&cluster, "shop");
    ctl.ok(&["init"]);
    let first = ctl.json(&["backup", "--mode", "physical"]);
    let backup = |words: &[&str]| {
        cluster.sql("shop", "update orders set note = note || 'x' where id % 400 = 3");
        let words = [&["backup", "--mode", "physical", "--verify", "read"], words].concat();
        ctl.json(&words)["snapshot"].clone()
    };
    for from in ["local", "remote"] {
        let taken = backup(&["--physical-from", from]);
        let said = taken["findings"].to_string();
        assert!(said.contains("nothing changed there since snapshot"), "{from}: {said}");
        let way = if from == "local" { "data directory" } else { "replication protocol" };
        assert!(said.contains(way), "{said}");
        let bytes = |snapshot: &serde_json::Value| snapshot["read_bytes"].as_u64().unwrap();
        assert!(bytes(&taken) * 2 > bytes(&first["snapshot"]), "a snapshot is whole");
    }
    let whole = backup(&["--full-read"]);
    assert!(!whole["findings"].to_string().contains("nothing changed there"), "{whole}");
    let last = backup(&[]);
    assert!(last["findings"].to_string().contains("nothing changed there"), "{last}");
    // Whole without the ones before it.
    let id = last["id"].as_str().unwrap().to_owned();
    for snapshot in ctl.json(&["snapshots"])["snapshots"].as_array().unwrap() {
        if snapshot["id"] != id.as_str() {
            ctl.ok(&["forget", snapshot["id"].as_str().unwrap(), "--force"]);
        }
    }
    ctl.ok(&["prune", "--grace", "0s"]);
    assert_eq!(ctl.json(&["verify", "--all", "--read-data"])["ok"], true);
    let target = ctl.path("data").display().to_string();
    ctl.ok(&["restore", &id, "--to", &target]);
    let mut verify = Command::new(cluster.bin("pg_verifybackup"));
    assert!(verify.arg(&target).status().unwrap().success());
    let copy = start(cluster.major(), Path::new(&target));
    assert_eq!(fingerprint(&copy, "shop"), fingerprint(&cluster, "shop"));
}

#[test]
fn the_wrong_place_or_role_is_refused_with_a_remedy() {
    let Some(cluster) = Cluster::start_newest() else { return };
    shop(&cluster, "shop", 100);
    cluster.sql("postgres", "create role plain login");
    let mut ctl = Program::of(&cluster, "shop");
    ctl.ok(&["init"]);
    ctl.ok(&["backup"]);
    let logical = ctl.run(&["restore", "latest", "--to", "./somewhere"]).fails(2);
    assert!(logical.stderr.contains("logical"), "{}", logical.stderr);
    ctl.ok(&["backup", "--mode", "physical"]);
    let database = cluster.url("copy");
    ctl.run(&["restore", "latest", "--to", &database]).expect(2);
    ctl.set("DATABASE_URL", cluster.url("shop").replace("postgres@", "plain@"));
    let refused = ctl.run(&["backup", "--mode", "physical"]).fails(3);
    assert!(refused.stderr.contains("ALTER ROLE \"plain\" REPLICATION"), "{}", refused.stderr);
}
