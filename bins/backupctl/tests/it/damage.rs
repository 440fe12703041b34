//! Damage is named by its victims, and does not stand in the way of its remedy.

use std::path::Path;

use backup_testkit::postgres::Cluster;

use crate::program::{Program, fingerprint, shop};

fn flip(path: &Path) {
    let mut bytes = std::fs::read(path).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 0x10;
    std::fs::remove_file(path).unwrap();
    std::fs::write(path, bytes).unwrap();
}

#[test]
fn a_lost_pack_is_named_and_the_next_backup_heals() {
    let Some(cluster) = Cluster::start_newest() else { return };
    shop(&cluster, "shop", 5_000);
    let ctl = Program::of(&cluster, "shop");
    ctl.ok(&["init"]);
    let id = ctl.json(&["backup"])["snapshot"]["id"].as_str().unwrap().to_owned();
    for pack in ctl.objects("packs") {
        std::fs::remove_file(pack).unwrap();
    }
    let report = ctl.json_ending(&["verify"], 5);
    assert_eq!(report["ok"], false);
    assert_eq!(report["snapshots"][0]["id"], id);
    assert_eq!(report["snapshots"][0]["source"], "shop");
    assert!(!report["snapshots"][0]["problems"].as_array().unwrap().is_empty());
    ctl.run(&["restore", "latest", "--to", &cluster.url("copy")]).fails(5);
    ctl.run(&["repair", "index"]).fails(5);
    ctl.ok(&["backup"]);
    assert_eq!(ctl.json(&["verify", "latest", "--read-data"])["ok"], true);
    ctl.ok(&["restore", "latest", "--to", &cluster.url("healed")]);
    assert_eq!(fingerprint(&cluster, "healed"), fingerprint(&cluster, "shop"));
}

#[test]
fn a_damaged_manifest_hurts_only_itself() {
    let Some(cluster) = Cluster::start_newest() else { return };
    shop(&cluster, "shop", 1_000);
    let ctl = Program::of(&cluster, "shop");
    ctl.ok(&["init"]);
    let first = ctl.json(&["backup"])["snapshot"]["id"].as_str().unwrap().to_owned();
    ctl.ok(&["backup"]);
    flip(&ctl.path("repository/snapshots").join(&first));
    ctl.run(&["snapshots"]).fails(5);
    ctl.run(&["show", &first]).fails(5);
    ctl.run(&["verify"]).fails(5);
    ctl.ok(&["backup"]);
    ctl.ok(&["restore", "latest", "--to", &cluster.url("copy")]);
    assert_eq!(fingerprint(&cluster, "copy"), fingerprint(&cluster, "shop"));
}

#[test]
fn a_damaged_index_is_rebuilt() {
    let Some(cluster) = Cluster::start_newest() else { return };
    shop(&cluster, "shop", 1_000);
    let ctl = Program::of(&cluster, "shop");
    ctl.ok(&["init"]);
    ctl.ok(&["backup"]);
    flip(&ctl.objects("index").remove(0));
    let damaged = ctl.run(&["verify"]).fails(5);
    assert!(damaged.stderr.contains("repair index"), "{}", damaged.stderr);
    ctl.json(&["repair", "index"]);
    assert_eq!(ctl.json(&["verify", "--read-data"])["ok"], true);
}
