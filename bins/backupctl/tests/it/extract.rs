//! One table, or one database, back from a physical snapshot as it was between two transactions.

use std::path::Path;
use std::time::Duration;

use backup_testkit::postgres::Cluster;

use crate::program::Program;
use crate::recovery::world;
use crate::wal::{archived, wait};

const NOW: &str =
    "select to_char(clock_timestamp() at time zone 'utc', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"')";
const SHOP: &str = "
create role clerk;
create table customers (id int primary key, name text);
create table orders (id serial primary key, customer int references customers, note text);
alter table orders owner to clerk;
insert into customers select n, 'customer ' || n from generate_series(1, 50) n;
insert into orders (customer, note) select n % 50 + 1, 'order ' || n from generate_series(1, 2000) n;
create index on orders (customer);
create unlogged table visits as select generate_series(1, 10) as n;
create view open_orders as select * from orders where note <> 'done';";

/// Clusters are restored here, and nothing may be left.
fn scratch(program: &Program) -> String {
    let folder = program.path("s");
    std::fs::create_dir(&folder).unwrap();
    program.give(&folder);
    folder.display().to_string()
}

fn is_empty(folder: &str) -> bool {
    std::fs::read_dir(folder).unwrap().next().is_none()
}

/// A shop whose orders of one customer are deleted after the moment that is returned.
fn robbed() -> Option<(crate::wal::Archive, Cluster, String)> {
    let major = Cluster::majors().last().copied()?;
    let (archive, cluster) = world(major)?;
    cluster.sql("postgres", "create database shop");
    cluster.sql("postgres", "create database other");
    cluster.sql("other", "create table kept as select 1 as n");
    cluster.sql("shop", SHOP);
    archive.program.ok(&["backup", "--mode", "physical"]);
    cluster.sql("shop", "insert into orders (customer, note) values (7, 'the last one')");
    cluster.sql("shop", "select pg_sleep(0.05)");
    let between = cluster.sql("postgres", NOW).trim().to_owned();
    cluster.sql("shop", "select pg_sleep(0.05); delete from orders where customer = 7");
    cluster.sql("shop", "update customers set name = 'changed'; drop table visits");
    cluster.sql("shop", "create table fresh as select 1 as n");
    archived(&cluster);
    Some((archive, cluster, between))
}

#[test]
fn a_deleted_row_comes_back_and_nothing_else_is_touched() {
    let Some((archive, cluster, between)) = robbed() else { return };
    let ctl = &archive.program;
    let folder = scratch(ctl);
    let live = |sql: &str| cluster.sql("shop", sql).trim().to_owned();
    let before = live("select count(*), sum(id) from orders");
    let extract = |words: &[&str]| {
        let common = [
            "restore",
            "shop@latest",
            "--at",
            &between,
            "--database",
            "shop",
            "--scratch",
            &folder,
        ];
        [&common[..], words].concat().iter().map(ToString::to_string).collect::<Vec<_>>()
    };
    let run = |words: &[&str]| {
        let words = extract(words);
        ctl.json(&words.iter().map(String::as_str).collect::<Vec<_>>())
    };
    // One table, into a new database of the same server.
    let target = cluster.url("rescued");
    let done = run(&["--table", "orders", "--to", &target]);
    assert_eq!((done["tables"].as_u64(), done["rows"].as_u64()), (Some(1), Some(2001)), "{done:#}");
    assert!(done["recovered"]["position"].is_string(), "{done:#}");
    let rescued = |sql: &str| cluster.sql("rescued", sql).trim().to_owned();
    assert_eq!(rescued("select count(*) from orders where customer = 7"), "41");
    assert_eq!(rescued("select note from orders order by id desc limit 1"), "the last one");
    assert_eq!(rescued("select nextval('orders_id_seq') > 2001"), "t");
    assert_eq!(rescued("select count(*) from pg_indexes where tablename = 'orders'"), "2");
    assert_eq!(rescued("select to_regclass('customers') is null"), "t");
    assert_eq!(rescued("select tableowner from pg_tables where tablename = 'orders'"), "clerk");
    assert_eq!(live("select count(*), sum(id) from orders"), before);
    assert_eq!(live("select count(*) from customers where name = 'changed'"), "50");
    assert!(is_empty(&folder));

    // A whole database, as files that psql reads: what was made later is not there.
    let out = ctl.path("out").display().to_string();
    let done = run(&["--to", &out]);
    assert!(done["findings"].to_string().contains("public.visits"), "{done:#}");
    cluster.sql("postgres", "create database loaded");
    let script = Path::new(&out).join("database.sql");
    let mut psql = cluster.command("psql");
    psql.args(["-X", "-q", "-v", "ON_ERROR_STOP=1", "-d", "loaded", "-f"]).arg(script);
    assert!(psql.stdout(std::process::Stdio::null()).status().unwrap().success());
    let loaded = |sql: &str| cluster.sql("loaded", sql).trim().to_owned();
    assert_eq!(loaded("select count(*) from open_orders where customer = 7"), "41");
    assert_eq!(loaded("select count(*) from customers where name = 'changed'"), "0");
    assert_eq!(loaded("select to_regclass('fresh') is null"), "t");
    assert!(is_empty(&folder));

    // What cannot work is refused, mostly before anything is restored.
    let refused = |words: &[&str], code: i32, why: &str| {
        let words = extract(words);
        let done = ctl.run(&words.iter().map(String::as_str).collect::<Vec<_>>()).fails(code);
        assert!(done.stderr.contains(why), "{why}: {}", done.stderr);
        assert!(is_empty(&folder), "{why}");
    };
    refused(&["--to", &target], 8, "rescued");
    refused(&["--to", &out], 8, "not empty");
    refused(&["--table", "ordres", "--to", &cluster.url("x")], 7, "public.orders");
    refused(&["--table", "fresh", "--to", &cluster.url("x")], 7, "nearest names");
    let words = extract(&["--delta", "--to", &out]);
    ctl.run(&words.iter().map(String::as_str).collect::<Vec<_>>()).expect(2);
    let done = ctl.run(&["restore", "shop@latest", "--to", &cluster.url("x")]).fails(2);
    assert!(done.stderr.contains("--database"), "{}", done.stderr);
    let words = ["restore", "shop@latest", "--database", "shpo", "--to", &cluster.url("x")];
    let done = ctl.run(&words).fails(7);
    assert!(done.stderr.contains("shop"), "{}", done.stderr);
    let there = cluster.sql("postgres", "select count(*) from pg_database where datname = 'x'");
    assert_eq!(there.trim(), "0");
    let words = extract(&["--table", "orders", "--to", &cluster.url("x"), "--preview"]);
    let plan = ctl.json(&words.iter().map(String::as_str).collect::<Vec<_>>());
    assert_eq!(plan["steps"].as_array().unwrap().len(), 5, "{plan:#}");
}

#[test]
fn an_interrupt_or_missing_programs_leave_nothing_behind() {
    let Some((mut archive, cluster, between)) = robbed() else { return };
    let folder = scratch(&archive.program);
    let target = cluster.url("x");
    let words = [
        "restore",
        "shop@latest",
        "--at",
        &between,
        "--database",
        "shop",
        "--table",
        "orders",
        "--scratch",
        &folder,
        "--to",
        &target,
    ];
    let mut child = archive.program.command(&words).spawn().unwrap();
    wait("a server to be started", || {
        let entries = std::fs::read_dir(&folder).unwrap().flatten();
        entries.into_iter().any(|entry| entry.path().join("server.log").exists())
    });
    let pid = rustix::process::Pid::from_raw(i32::try_from(child.id()).unwrap()).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::INT).unwrap();
    let status = child.wait().unwrap();
    // It may have been faster than the interrupt.
    assert!(matches!(status.code(), Some(130 | 0)), "{status}");
    wait("the folder to be empty", || is_empty(&folder));
    std::thread::sleep(Duration::from_millis(200));
    assert!(is_empty(&folder), "and nothing comes back");

    archive.program.set("PATH", "/usr/bin:/bin");
    if cluster.major() != 15 {
        let done = archive.program.run(&words).fails(2);
        assert!(
            done.stderr.contains(&format!("PostgreSQL {}", cluster.major())),
            "{}",
            done.stderr
        );
        assert!(is_empty(&folder));
    }
}
