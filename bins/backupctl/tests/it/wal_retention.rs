//! WAL that nothing needs goes, by real runs; every point that was promised still restores.

use std::process::Command;
use std::time::Duration;

use backup_testkit::postgres::Cluster;

use crate::wal::{Archive, archived};

/// Restores a snapshot with these words, starts a server of its own on it, and returns the rows
/// of `t`.
fn rows(archive: &Archive, cluster: &Cluster, name: &str, snapshot: &str, goal: &[&str]) -> String {
    let ctl = &archive.program;
    let folder = ctl.path(name).display().to_string();
    ctl.ok(&[&["restore", snapshot, "--to", &folder], goal].concat());
    let copy = Cluster::builder(cluster.major()).try_start_from(|data| {
        assert!(Command::new("cp").arg("-a").arg(&folder).arg(data).status()?.success());
        // What the server's environment would hold, it gets here; and it is to go on by itself.
        let fetch = archive.shell("wal fetch %f %p").replace('\'', "''");
        let more = format!("restore_command = '{fetch}'\nrecovery_target_action = 'promote'\n");
        let path = data.join("postgresql.auto.conf");
        std::fs::write(&path, std::fs::read_to_string(&path)? + &more)
    });
    let copy = copy.unwrap();
    crate::wal::wait("the end of recovery", || {
        copy.try_sql("postgres", "select pg_is_in_recovery()").is_ok_and(|text| text.trim() == "f")
    });
    copy.sql("postgres", "select string_agg(n::text, ' ' order by n) from t").trim().to_owned()
}

#[test]
fn after_a_prune_every_promised_point_restores_and_nothing_else_is_left() {
    let Some(major) = Cluster::majors().last().copied() else { return };
    let mut archive = Archive::new("shop");
    let Some(cluster) = archive.archiving(Cluster::builder(major)).start() else { return };
    let tools = cluster.bin("").display().to_string();
    let path = std::env::var("PATH").unwrap_or_default();
    archive.program.set("PATH", format!("{tools}:{path}"));
    archive.program.set("DATABASE_URL", cluster.url("postgres"));
    let ctl = &archive.program;
    let backup = |verify: &str| {
        let done = ctl.json(&["backup", "--mode", "physical", "--verify", verify]);
        done["snapshot"]["id"].as_str().unwrap().to_owned()
    };
    let segments = || ctl.objects("wal").len();
    let work = |from: u32| {
        for n in from..from + 3 {
            let sql = format!("insert into t values ({n}); select pg_switch_wal()");
            cluster.sql("postgres", &sql);
        }
        archived(&cluster);
    };
    let now =
        "select to_char(clock_timestamp() at time zone 'utc', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"')";

    cluster.sql("postgres", "create table t (n int)");
    work(1);
    let first = backup("read");
    work(11);
    // The window will begin behind this one, which nobody reads back yet.
    let second = backup("exists");
    work(21);
    std::thread::sleep(Duration::from_millis(1100));
    let between = cluster.sql("postgres", now).trim().to_owned();
    work(31);

    // By default a week is within reach: only what lies before the oldest snapshot goes.
    let before = segments();
    let plan = ctl.json(&["prune", "--dry-run", "--grace", "0s"]);
    assert!(plan["numbers"]["wal_delete_files"].as_u64() >= Some(3), "{plan}");
    assert_eq!(segments(), before, "a dry run deletes nothing");
    let said = ctl.ok(&["prune", "--grace", "0s"]);
    assert!(said.contains("the window reaches back beyond it"), "{said}");
    let after = segments();
    assert!(after + 3 <= before, "{after} of {before}");
    assert_eq!(ctl.json(&["wal", "status", "shop"])["logs"][0]["state"], "ok");
    assert_eq!(
        rows(&archive, &cluster, "a", &first, &["--latest"]),
        "1 2 3 11 12 13 21 22 23 31 32 33"
    );

    // A short window does not rely on a snapshot that is not proved; once it is, it does.
    let said = ctl.ok(&["prune", "--grace", "0s", "--wal-window", "1s"]);
    assert!(said.contains(&format!("Snapshot {} is the newest proved", &first[..8])), "{said}");
    assert_eq!(segments(), after);
    ctl.ok(&["verify", &second, "--read-data"]);
    let said = ctl.ok(&["prune", "--grace", "0s", "--wal-window", "1s"]);
    assert!(said.contains(&format!("Snapshot {} is the newest proved", &second[..8])), "{said}");
    assert!(segments() + 3 <= after, "{} of {after}", segments());
    let again = ctl.json(&["prune", "--grace", "0s", "--wal-window", "1s"]);
    assert_eq!(again["numbers"]["wal_delete_files"], 0, "nothing more to do");

    // In the window every moment; before it, the older snapshot as it was taken.
    assert_eq!(ctl.json(&["wal", "status", "shop"])["logs"][0]["state"], "ok");
    let goal = ["--at", between.as_str()];
    assert_eq!(rows(&archive, &cluster, "b", &second, &goal), "1 2 3 11 12 13 21 22 23");
    assert_eq!(rows(&archive, &cluster, "c", &first, &[]), "1 2 3");
    // What is gone is refused before anything is written.
    let target = ctl.path("never").display().to_string();
    ctl.run(&["restore", &first, "--to", &target, "--at", &between]).fails(7);
    assert!(!ctl.path("never").exists());
    assert_eq!(ctl.json(&["verify", "--all", "--read-data"])["ok"], true);
}
