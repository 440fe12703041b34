//! What is kept, what goes, and when space comes back.

use backup_testkit::postgres::Cluster;

use crate::program::{Program, fingerprint, shop};

#[test]
fn forget_pin_and_prune() {
    let Some(cluster) = Cluster::start_newest() else { return };
    shop(&cluster, "shop", 3_000);
    let ctl = Program::of(&cluster, "shop");
    ctl.ok(&["init"]);
    let mut ids = Vec::new();
    for day in 0..4 {
        cluster.sql("shop", &format!("update orders set note = md5(id::text || '{day}')"));
        let backup = ctl.json(&["backup", "--verify", "read"]);
        ids.push(backup["snapshot"]["id"].as_str().unwrap().to_owned());
    }
    let count = || ctl.json(&["snapshots"])["snapshots"].as_array().unwrap().len();

    ctl.run(&["forget"]).fails(2);
    ctl.run(&["forget", &ids[3]]).fails(8);
    ctl.json(&["pin", &ids[0][..10], "latest"]);
    ctl.run(&["forget", &ids[0]]).fails(8);
    ctl.json(&["unpin", "latest"]);

    let plan = ctl.json(&["forget", "--keep-last", "2", "--dry-run"]);
    assert_eq!(plan["forgotten"], 1);
    assert_eq!(count(), 4, "a dry run forgets nothing");
    let table = ctl.ok(&["forget", "--keep-last", "2", "--dry-run"]);
    assert!(table.contains("pinned"), "{table}");
    assert_eq!(ctl.json(&["forget", "--keep-last", "2"])["forgotten"], 1);
    assert_eq!(count(), 3, "the pinned one stays");
    ctl.json(&["unpin", &ids[0]]);
    assert_eq!(ctl.json(&["forget", &ids[0], &ids[2]])["forgotten"], 2);
    assert_eq!(count(), 1);

    let before = ctl.objects("packs").len();
    let plan = ctl.json(&["prune", "--dry-run", "--grace", "0s"]);
    assert!(plan["numbers"]["mark_packs"].as_u64() > Some(0), "{plan}");
    assert!(plan["steps"][0].as_str().unwrap().contains("no snapshot needs it"), "{plan}");
    assert_eq!(ctl.objects("packs").len(), before, "a dry run deletes nothing");
    let patient = ctl.json(&["prune"]);
    assert_eq!(patient["numbers"]["deleted_packs"], 0, "the grace period is not over");
    let pruned = ctl.json(&["prune", "--grace", "0s"]);
    assert!(pruned["numbers"]["deleted_packs"].as_u64() > Some(0), "{pruned}");
    assert!(ctl.objects("packs").len() < before);
    assert_eq!(ctl.json(&["verify", "--read-data"])["ok"], true);
    ctl.ok(&["restore", "latest", "--to", &cluster.url("copy")]);
    assert_eq!(fingerprint(&cluster, "copy"), fingerprint(&cluster, "shop"));
}
