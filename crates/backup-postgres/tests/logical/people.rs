//! Without a superuser, from a standby, and with extensions that keep data.

use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use backup_testkit::postgres::Cluster;

use crate::round_trip::start;
use crate::support::{
    MemoryParts, assert_same, back_up, dump_contents, restore, restore_options, tools,
};

#[tokio::test(flavor = "multi_thread")]
async fn an_owner_who_is_no_superuser_backs_up_and_restores() {
    let Some(cluster) = start(17).or_else(|| start(15)) else { return };
    let tools = tools(&[&cluster]);
    cluster.sql("postgres", "CREATE ROLE tenant LOGIN CREATEDB");
    cluster.sql("postgres", "CREATE DATABASE mine OWNER tenant");
    let url = |database: &str| cluster.url(database).replace("postgres@", "tenant@");
    cluster.sql(
        "mine",
        "SET ROLE tenant; CREATE SCHEMA s; CREATE TABLE s.t (id serial PRIMARY KEY, v text); \
         INSERT INTO s.t (v) SELECT 'v' || g FROM generate_series(1, 3000) g; \
         SELECT lo_from_bytea(0, decode(repeat('ab', 700000), 'hex')), lo_from_bytea(0, ''); \
         SELECT lo_put(lo_create(70000), 300000, 'tail'); \
         CREATE MATERIALIZED VIEW s.m AS SELECT count(*) AS n FROM s.t; CREATE EXTENSION hstore",
    );
    let taken = back_up(&url("mine"), &tools, MemoryParts::default()).await.unwrap();
    restore(&taken, &url("copy"), &tools, restore_options(2)).await.unwrap();
    assert_same(
        &dump_contents(&cluster, &cluster, "mine", false),
        &dump_contents(&cluster, &cluster, "copy", false),
    );
    // What belongs to somebody else cannot be handed over; that is said beforehand.
    cluster.sql(
        "mine",
        "CREATE TABLE s.foreign_owner (a integer); GRANT SELECT ON s.foreign_owner TO tenant",
    );
    let taken = back_up(&url("mine"), &tools, MemoryParts::default()).await.unwrap();
    let error = restore(&taken, &url("other"), &tools, restore_options(2)).await.unwrap_err();
    assert!(error.to_string().contains("may not hand objects over to: postgres"), "{error}");
    let mut options = restore_options(2);
    options.no_owner = true;
    restore(&taken, &url("other"), &tools, options).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_read_page_by_page_equals_one_read_directly() {
    let Some(cluster) = start(16).or_else(|| start(15)) else { return };
    let tools = tools(&[&cluster]);
    cluster.sql("postgres", "CREATE ROLE reader LOGIN; GRANT pg_read_all_data TO reader");
    cluster
        .sql("postgres", "CREATE DATABASE shop; ALTER DATABASE shop SET lo_compat_privileges = on");
    cluster.sql("shop", "CREATE TABLE t (a integer); SELECT lo_from_bytea(0, decode(repeat('0102', 400000), 'hex')); REVOKE SELECT ON pg_largeobject FROM PUBLIC");
    let taken = back_up(&cluster.url("shop"), &tools, MemoryParts::default()).await.unwrap();
    restore(&taken, &cluster.url("direct"), &tools, restore_options(2)).await.unwrap();
    let sum = "SELECT sum(length(lo_get(oid))), max(md5(lo_get(oid))) FROM pg_largeobject_metadata";
    assert_eq!(cluster.sql("direct", sum), cluster.sql("shop", sum));
}

/// A standby of a cluster, stopped when dropped.
struct Standby {
    server: std::process::Child,
    folder: tempfile::TempDir,
}

impl Drop for Standby {
    fn drop(&mut self) {
        let _ = self.server.kill();
        let _ = self.server.wait();
    }
}

fn as_server_user(command: &mut Command, owner: (u32, u32)) -> &mut Command {
    command.gid(owner.1).uid(owner.0)
}

fn standby(primary: &Cluster) -> Standby {
    use std::os::unix::fs::{MetadataExt, PermissionsExt};
    let owner = std::fs::metadata(primary.data_directory()).unwrap();
    let owner = (owner.uid(), owner.gid());
    let folder = tempfile::tempdir().unwrap();
    std::os::unix::fs::chown(folder.path(), Some(owner.0), Some(owner.1)).unwrap();
    std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o700)).unwrap();
    let data = folder.path().join("data");
    let mut copy = primary.command("pg_basebackup");
    copy.args(["-R", "-X", "stream", "-c", "fast", "-D"]).arg(&data);
    assert!(as_server_user(&mut copy, owner).status().unwrap().success());
    let mut command = primary.command("postgres");
    command
        .arg("-D")
        .arg(&data)
        .args(["-c", "listen_addresses=", "-c", "port=5432", "-c", "hot_standby=on", "-c"])
        .arg(format!("unix_socket_directories={}", folder.path().display()))
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    let server = as_server_user(&mut command, owner).spawn().unwrap();
    let standby = Standby { server, folder };
    let deadline = Instant::now() + Duration::from_secs(30);
    while query(primary, standby.folder.path(), "SELECT pg_is_in_recovery()").as_deref()
        != Some("t")
    {
        assert!(Instant::now() < deadline, "the standby did not start");
        std::thread::sleep(Duration::from_millis(100));
    }
    standby
}

fn query(cluster: &Cluster, socket: &Path, sql: &str) -> Option<String> {
    let output = cluster
        .command("psql")
        .env("PGHOST", socket)
        .env("PGPORT", "5432")
        .args(["-XAtqc", sql, "-d", "postgres"])
        .output()
        .ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_standby_can_be_backed_up() {
    let Some(primary) = Cluster::builder(17)
        .setting("wal_level", "replica")
        .setting("max_wal_senders", "4")
        .start()
        .or_else(|| Cluster::start(15))
    else {
        return;
    };
    let tools = tools(&[&primary]);
    primary.sql(
        "postgres",
        "CREATE TABLE t AS SELECT g AS id FROM generate_series(1, 30000) g; \
         CREATE UNLOGGED TABLE gone AS SELECT 1 AS a; SELECT lo_from_bytea(0, 'x')",
    );
    let standby = standby(&primary);
    let socket = standby.folder.path().display().to_string().replace('/', "%2F");
    let url = format!("postgres://postgres@{socket}:5432/postgres");
    let deadline = Instant::now() + Duration::from_secs(30);
    let count = "SELECT count(*) FROM t";
    while query(&primary, standby.folder.path(), count).as_deref() != Some("30000") {
        assert!(Instant::now() < deadline, "the standby did not follow");
        std::thread::sleep(Duration::from_millis(100));
    }
    let taken = back_up(&url, &tools, MemoryParts::default()).await.unwrap();
    assert_eq!(taken.snapshot.evidence.facts["standby"], "true");
    assert!(
        taken.findings().contains("gone is unlogged and cannot be read"),
        "{}",
        taken.findings()
    );
    restore(&taken, &primary.url("copy"), &tools, restore_options(2)).await.unwrap();
    assert_eq!(
        primary.sql("copy", "SELECT count(*), (SELECT count(*) FROM gone) FROM t").trim(),
        "30000|0"
    );
}

/// An extension with a configuration table, one that references it, and a sequence.
const EXTENSION: &str = "\
    CREATE TABLE rules (id integer PRIMARY KEY, body text, ours boolean DEFAULT false); \
    CREATE TABLE uses (rule integer REFERENCES rules, n integer); \
    CREATE TABLE fixed (a integer); CREATE SEQUENCE counter; \
    INSERT INTO rules VALUES (1, 'built in', true); INSERT INTO fixed VALUES (1); \
    SELECT pg_catalog.pg_extension_config_dump('uses', ''); \
    SELECT pg_catalog.pg_extension_config_dump('rules', 'WHERE NOT ours'); \
    SELECT pg_catalog.pg_extension_config_dump('counter', '');";

#[tokio::test(flavor = "multi_thread")]
async fn an_extensions_own_tables_keep_what_the_user_put_in() {
    let folder = tempfile::tempdir().unwrap();
    let files = folder.path().join("extension");
    std::fs::create_dir(&files).unwrap();
    std::fs::write(files.join("keeper.control"), "default_version = '1'\nrelocatable = true\n")
        .unwrap();
    std::fs::write(files.join("keeper--1.sql"), EXTENSION.replace("; ", ";\n")).unwrap();
    for path in [folder.path(), &files] {
        use std::os::unix::fs::PermissionsExt;
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).unwrap();
    }
    // Only PostgreSQL 18 finds extensions outside its installation.
    let path = format!("{}:$system", folder.path().display());
    let Some(cluster) = Cluster::builder(18).setting("extension_control_path", &path).start()
    else {
        return;
    };
    let tools = tools(&[&cluster]);
    cluster.sql("postgres", "CREATE DATABASE shop");
    cluster.sql(
        "shop",
        "CREATE EXTENSION keeper; INSERT INTO rules VALUES (2, 'mine'), (3, 'mine too'); \
         INSERT INTO uses VALUES (2, 20), (1, 10); INSERT INTO fixed VALUES (99); \
         SELECT nextval('counter') FROM generate_series(1, 5)",
    );
    let taken = back_up(&cluster.url("shop"), &tools, MemoryParts::default()).await.unwrap();
    let rows = |table: &str| taken.parts.bytes(&format!("table/public.{table}"));
    assert_eq!(rows("rules"), b"2\tmine\tf\n3\tmine too\tf\n");
    assert!(!taken.parts.list().iter().any(|part| part.name.as_str() == "table/public.fixed"));
    restore(&taken, &cluster.url("copy"), &tools, restore_options(3)).await.unwrap();
    let all = "SELECT (SELECT count(*) FROM rules), (SELECT sum(n) FROM uses), \
         (SELECT count(*) FROM fixed), nextval('counter')";
    assert_eq!(cluster.sql("copy", all).trim(), "3|30|1|6");
    assert_same(
        &dump_contents(&cluster, &cluster, "shop", false)
            .replace("setval('public.counter', 5", "setval('public.counter', 6"),
        &dump_contents(&cluster, &cluster, "copy", false),
    );
}
