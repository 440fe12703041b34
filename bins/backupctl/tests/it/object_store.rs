//! The same on an S3 server.

use backup_testkit::postgres::Cluster;
use backup_testkit::s3::Server;

use crate::program::{Program, fingerprint, shop};

#[test]
fn backup_restore_and_prune_in_a_bucket() {
    let Some(cluster) = Cluster::start_newest() else { return };
    let Some(bucket) = Server::start() else { return };
    shop(&cluster, "shop", 3_000);
    let mut ctl = Program::of(&cluster, "shop");
    ctl.set(
        "BACKUP_REPOSITORY",
        format!(
            "s3://{}/team/backups?endpoint={}&region={}",
            bucket.bucket(),
            bucket.endpoint(),
            bucket.region()
        ),
    );
    ctl.run(&["snapshots"]).fails(4);
    ctl.set("AWS_ACCESS_KEY_ID", bucket.access_key());
    ctl.set("AWS_SECRET_ACCESS_KEY", bucket.secret_key());
    ctl.run(&["snapshots"]).fails(4);
    ctl.ok(&["init"]);
    ctl.run(&["init"]).fails(8);
    let first = ctl.json(&["backup"]);
    let requests = &first["requests"];
    assert!(requests["creates"].as_u64() < Some(20), "few large objects: {requests}");
    cluster.sql("shop", "update orders set note = 'new' where id % 10 = 0");
    ctl.ok(&["backup", "--verify", "read"]);
    ctl.ok(&["forget", "--keep-last", "1", "--prune"]);
    ctl.ok(&["prune", "--grace", "0s"]);
    assert_eq!(ctl.json(&["verify", "--read-data"])["ok"], true);
    ctl.ok(&["status"]);
    assert_eq!(ctl.json(&["doctor", "--live"])["ok"], true);
    ctl.ok(&["restore", "latest", "--to", &cluster.url("copy")]);
    assert_eq!(fingerprint(&cluster, "copy"), fingerprint(&cluster, "shop"));

    drop(bucket);
    let gone = ctl.run(&["--json", "snapshots"]).expect(4);
    assert_eq!(gone.error()["retry_safe"], true);
}
