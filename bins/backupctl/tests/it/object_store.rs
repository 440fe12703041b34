//! The same on servers: S3, Azure Blob, SFTP.

use backup_testkit::postgres::Cluster;
use backup_testkit::s3::Server;
use backup_testkit::{azure, sftp};
use serde_json::Value;

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
    let first = back_up_restore_and_prune(&cluster, &ctl);
    let requests = &first["requests"];
    assert!(requests["creates"].as_u64() < Some(20), "few large objects: {requests}");

    drop(bucket);
    let gone = ctl.run(&["--json", "snapshots"]).expect(4);
    assert_eq!(gone.error()["retry_safe"], true);
}

#[test]
fn backup_restore_and_prune_in_a_container() {
    let Some(cluster) = Cluster::start_newest() else { return };
    let Some(server) = azure::Server::start() else { return };
    shop(&cluster, "shop", 3_000);
    let mut ctl = Program::of(&cluster, "shop");
    let url = server.url("team/backups");
    let account = format!("account={}&", server.account());
    ctl.set("BACKUP_REPOSITORY", url.replace(&account, ""));
    let unnamed = ctl.run(&["--json", "snapshots"]).expect(2);
    assert!(unnamed.error().to_string().contains("AZURE_STORAGE_ACCOUNT"));
    ctl.set("AZURE_STORAGE_ACCOUNT", server.account());
    ctl.set("AZURE_STORAGE_KEY", "d3Jvbmctc2VjcmV0LWtleS1vZi10aGUtdGVzdA==");
    ctl.run(&["snapshots"]).fails(4);
    ctl.set("AZURE_STORAGE_KEY", server.key());
    back_up_restore_and_prune(&cluster, &ctl);
}

#[test]
fn backup_restore_and_prune_by_sftp() {
    let Some(cluster) = Cluster::start_newest() else { return };
    let Some(server) = sftp::Server::start() else { return };
    shop(&cluster, "shop", 3_000);
    let mut ctl = Program::of(&cluster, "shop");
    ctl.set("BACKUP_REPOSITORY", server.url("team/backups"));
    ctl.run(&["snapshots"]).fails(4);
    back_up_restore_and_prune(&cluster, &ctl);
    drop(server);
    let gone = ctl.run(&["--json", "snapshots"]).expect(4);
    assert_eq!(gone.error()["retry_safe"], true);
}

/// The round through a repository that is not there yet; returns what the first backup said.
fn back_up_restore_and_prune(cluster: &Cluster, ctl: &Program) -> Value {
    ctl.ok(&["init"]);
    ctl.run(&["init"]).fails(8);
    let first = ctl.json(&["backup"]);
    cluster.sql("shop", "update orders set note = 'new' where id % 10 = 0");
    ctl.ok(&["backup", "--verify", "read"]);
    ctl.ok(&["forget", "--keep-last", "1", "--prune"]);
    ctl.ok(&["prune", "--grace", "0s"]);
    assert_eq!(ctl.json(&["verify", "--read-data"])["ok"], true);
    ctl.ok(&["status"]);
    assert_eq!(ctl.json(&["doctor", "--live"])["ok"], true);
    ctl.ok(&["restore", "latest", "--to", &cluster.url("copy")]);
    assert_eq!(fingerprint(cluster, "copy"), fingerprint(cluster, "shop"));
    first
}

#[test]
fn a_copy_in_a_bucket_is_a_repository_of_its_own() {
    let Some(cluster) = Cluster::start_newest() else { return };
    let Some(bucket) = Server::start() else { return };
    shop(&cluster, "shop", 3_000);
    let mut ctl = Program::of(&cluster, "shop");
    ctl.ok(&["init"]);
    ctl.ok(&["backup", "--verify", "read"]);
    let place = format!("s3://{}/second?endpoint={}", bucket.bucket(), bucket.endpoint());
    // The second place has keys of its own.
    ctl.set("AWS_ACCESS_KEY_ID", "AKIAWRONGWRONGWRONG1");
    ctl.set("AWS_SECRET_ACCESS_KEY", "wrong-secret-key");
    ctl.set("COPY_AWS_ACCESS_KEY_ID", bucket.access_key());
    ctl.set("COPY_AWS_SECRET_ACCESS_KEY", bucket.secret_key());
    ctl.run(&["copy", "--to", &place]).fails(4);
    let planned = ctl.json(&["copy", "--to", &place, "--begin", "--dry-run"]);
    assert_eq!(planned["facts"]["dry_run"], "true");
    assert_eq!(planned["numbers"]["snapshots"], 1);
    ctl.run(&["copy", "--to", &place]).fails(4);
    let copied = ctl.json(&["copy", "--to", &place, "--begin"]);
    assert_eq!(copied["numbers"]["bytes"], planned["numbers"]["bytes"]);
    cluster.sql("shop", "update orders set note = 'new' where id % 10 = 0");
    ctl.ok(&["backup"]);
    let next = ctl.json(&["copy", "--to", &place]);
    assert_eq!(next["numbers"]["snapshots"], 1);
    assert!(next["numbers"]["bytes"].as_u64() < copied["numbers"]["bytes"].as_u64());
    assert_eq!(ctl.json(&["copy", "--to", &place])["numbers"]["snapshots"], 0);

    // Alone, by the same passphrase; proved only once it was read there.
    ctl.set("BACKUP_REPOSITORY", place);
    ctl.set("AWS_ACCESS_KEY_ID", bucket.access_key());
    ctl.set("AWS_SECRET_ACCESS_KEY", bucket.secret_key());
    let listed = ctl.json(&["snapshots"]);
    let level = |at: usize| listed["snapshots"][at]["verified"]["level"].clone();
    assert_eq!((level(0), level(1)), ("none".into(), "none".into()));
    assert_eq!(ctl.json(&["verify", "--all", "--read-data"])["ok"], true);
    ctl.ok(&["restore", "shop@latest", "--to", &cluster.url("copy")]);
    assert_eq!(fingerprint(&cluster, "copy"), fingerprint(&cluster, "shop"));

    // Another repository is never mixed in.
    let other = format!("s3://{}/third?endpoint={}", bucket.bucket(), bucket.endpoint());
    let mut stranger = Program::of(&cluster, "shop");
    stranger.set("BACKUP_REPOSITORY", other.clone());
    stranger.set("AWS_ACCESS_KEY_ID", bucket.access_key());
    stranger.set("AWS_SECRET_ACCESS_KEY", bucket.secret_key());
    stranger.ok(&["init"]);
    ctl.run(&["copy", "--to", &other]).fails(8);
    ctl.set("COPY_GOOGLE_APPLICATION_CREDENTIALS", "/run/other.json");
    ctl.run(&["copy", "--to", &other]).fails(2);
}
