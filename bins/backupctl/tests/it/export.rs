//! The way out: what `psql` and `pg_restore` read without us.

use backup_testkit::postgres::Cluster;

use crate::program::{Program, fingerprint, shop};

#[test]
fn psql_reads_what_was_exported() {
    let Some(cluster) = Cluster::start_newest() else { return };
    shop(&cluster, "shop", 3_000);
    let ctl = Program::of(&cluster, "shop");
    ctl.ok(&["init"]);
    ctl.ok(&["backup"]);
    let report = ctl.json(&["export", "latest", "--output", "out"]);
    assert_eq!(report["numbers"]["tables"], 2);
    cluster.sql("postgres", "create database again");
    let output = cluster
        .command("psql")
        .args(["-v", "ON_ERROR_STOP=1", "-q", "-d", "again", "-f", "database.sql"])
        .current_dir(ctl.path("out"))
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(fingerprint(&cluster, "again"), fingerprint(&cluster, "shop"));
    ctl.run(&["export", "latest", "--output", "out"]).fails(8);
}
