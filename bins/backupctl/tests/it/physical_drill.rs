//! Drills of whole clusters: of a snapshot, and of a point in time between two transactions.

use std::process::{Command, Stdio};

use backup_testkit::postgres::Cluster;
use serde_json::Value;

use crate::program::Program;
use crate::wal::{Archive, archived, wait};

fn outcome<'a>(receipt: &'a Value, name: &str) -> &'a Value {
    let answers = receipt["questions"].as_array().unwrap();
    let found = answers.iter().find(|question| question["name"] == name);
    found.unwrap_or_else(|| panic!("no {name}: {receipt:#}"))
}

#[track_caller]
fn assert_nothing_left(ctl: &Program) {
    let left: Vec<_> = std::fs::read_dir(ctl.path("drills")).unwrap().collect();
    assert!(left.is_empty(), "{left:?}");
}

/// A cluster that archives, its repository, and a folder that drills put their data in.
pub(crate) fn world(major: u32) -> Option<(Archive, Cluster)> {
    let mut archive = Archive::new("shop");
    let cluster = archive.archiving(Cluster::builder(major)).start()?;
    let tools = cluster.bin("").display().to_string();
    let path = std::env::var("PATH").unwrap_or_default();
    archive.program.set("PATH", format!("{tools}:{path}"));
    archive.program.set("DATABASE_URL", cluster.url("shop"));
    let drills = archive.program.path("drills");
    std::fs::create_dir(&drills).unwrap();
    archive.program.give(&drills);
    archive.program.set("BACKUP_DRILL_URL", drills.display().to_string());
    Some((archive, cluster))
}

#[test]
fn a_cluster_is_drilled_at_its_snapshot_and_at_the_moment_between_two_transactions() {
    for major in [14, 18].into_iter().filter(|major| Cluster::majors().contains(major)) {
        let Some((archive, cluster)) = world(major) else { continue };
        let ctl = &archive.program;
        cluster.sql("postgres", "create database shop");
        cluster.sql("shop", "create table t (n int primary key, note text)");
        cluster.sql(
            "shop",
            "insert into t select n, repeat('x', 3000) from generate_series(1, 500) n",
        );
        ctl.ok(&["backup", "--mode", "physical"]);

        let receipt = ctl.json(&["drill", "shop"]);
        assert_eq!(receipt["verdict"], "passed", "{receipt:#}");
        assert_eq!(receipt["kind"], "physical");
        assert!(receipt["files"].as_u64() > Some(500), "{receipt:#}");
        for asked in ["restore", "databases", "libraries", "indexes"] {
            assert_eq!(outcome(&receipt, asked)["outcome"], "passed", "{receipt:#}");
        }
        // What there was nothing to compare with is said, never claimed.
        assert_eq!(outcome(&receipt, "fingerprints")["outcome"], "skipped");
        let said = outcome(&receipt, "fingerprints")["detail"].as_str().unwrap();
        assert!(said.starts_with("not compared"), "{said}");
        assert_eq!(ctl.json(&["snapshots"])["snapshots"][0]["verified"]["level"], "drilled");

        cluster.sql("shop", "insert into t values (1001, 'first'); select pg_sleep(0.05)");
        let now = "select to_char(clock_timestamp() at time zone 'utc', \
             'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"')";
        let between = cluster.sql("postgres", now).trim().to_owned();
        cluster.sql("shop", "select pg_sleep(0.05); insert into t values (1002, 'second')");
        let lsn = cluster.sql("postgres", "select pg_current_wal_insert_lsn()").trim().to_owned();
        cluster.sql("shop", "insert into t values (1003, 'third')");
        archived(&cluster);
        let points: [(&[&str], u32); 3] =
            [(&["--lsn", &lsn], 1002), (&["--latest"], 1003), (&["--at", &between], 1001)];
        let asked = if major == 18 { &points[1..] } else { &points[..1] };
        for (point, newest) in asked {
            let text = format!(
                "[[source]]\nname = \"shop\"\nurl = \"env:DATABASE_URL\"\n\
                 [[source.drill.assert]]\nname = \"newest\"\nsql = \"select max(n) from t\"\n\
                 equals = {newest}\n"
            );
            std::fs::write(ctl.path("backup.toml"), text).unwrap();
            let receipt = ctl.json(&[&["drill", "shop"], *point].concat());
            assert_eq!(receipt["verdict"], "passed", "{receipt:#}");
            assert_eq!(outcome(&receipt, "assert newest")["outcome"], "passed", "{receipt:#}");
            let replay = &receipt["replay"];
            assert!(replay["segments"].as_u64() > Some(0), "{receipt:#}");
            assert!(replay["last_commit"].is_string() && replay["position"].is_string());
            if point[0] == "--at" {
                let wanted = between.trim_end_matches('Z').trim_end_matches('0');
                assert!(replay["requested_at"].as_str().unwrap().starts_with(wanted), "{replay}");
                let gap = replay["gap_seconds"].as_f64().unwrap();
                assert!(gap > 0.04, "{receipt:#}");
                assert_eq!(receipt["rpo_seconds"].as_u64(), Some(gap.ceil() as u64));
            }
        }
        let history = ctl.json(&["drill", "--history", "shop"]);
        assert_eq!(history["trends"][0]["passed"], 1 + asked.len(), "{history:#}");
        // A moment that no stored WAL reaches is no drill: it is refused, nothing is recorded.
        let refused = ctl.run(&["drill", "shop", "--at", "2001-01-01T00:00:00Z"]).fails(7);
        assert!(refused.stderr.contains("--latest"), "{}", refused.stderr);
        assert_nothing_left(ctl);
    }
}

#[test]
fn an_interrupted_drill_leaves_nothing_and_a_killed_one_is_swept_by_the_next() {
    let Some(major) = Cluster::majors().last().copied() else { return };
    let Some((archive, cluster)) = world(major) else { return };
    let ctl = &archive.program;
    cluster.sql("postgres", "create database shop");
    cluster.sql("shop", "create table t as select n from generate_series(1, 1000) n");
    ctl.ok(&["backup", "--mode", "physical"]);
    let folders = || std::fs::read_dir(ctl.path("drills")).unwrap().filter_map(Result::ok);
    let running = || folders().find(|folder| folder.path().join("data/postmaster.pid").exists());
    for (name, code) in [("INT", Some(130)), ("KILL", None)] {
        // A question that is not answered: the drill is in the midst of it.
        let text = "[[source]]\nname = \"shop\"\nurl = \"env:DATABASE_URL\"\n\
             [[source.drill.assert]]\nname = \"slow\"\nsql = \"select pg_sleep(600)\"\nat_least = 1\n";
        std::fs::write(ctl.path("backup.toml"), text).unwrap();
        let mut drill = ctl.command(&["drill", "shop"]);
        let drill = drill.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        wait("the throw-away server", || running().is_some());
        let signal = [format!("-{name}"), drill.id().to_string()];
        assert!(Command::new("kill").args(signal).status().unwrap().success());
        let ended = drill.wait_with_output().unwrap();
        assert_eq!(ended.status.code(), code, "{}", String::from_utf8_lossy(&ended.stderr));
        std::fs::remove_file(ctl.path("backup.toml")).unwrap();
        if code.is_some() {
            assert_nothing_left(ctl);
        }
    }
    assert_eq!(folders().count(), 1, "nobody cleaned up after what was killed");
    let receipt = ctl.json(&["drill", "shop"]);
    assert_eq!(receipt["verdict"], "passed", "{receipt:#}");
    assert!(receipt["findings"].to_string().contains("an earlier drill had left"), "{receipt:#}");
    assert_nothing_left(ctl);
    // Neither was a drill: one receipt.
    assert_eq!(ctl.json(&["drill", "--history"])["drills"].as_array().unwrap().len(), 1);
}

#[test]
fn what_the_machine_lacks_is_told_apart_from_a_bad_backup() {
    let Some(major) = Cluster::majors().last().copied() else { return };
    let Some((archive, mut cluster)) = world(major) else { return };
    let ctl = &archive.program;
    cluster.sql("postgres", "create database shop");
    // A function of a library that is gone, one to preload that will be, and a certificate that
    // never was.
    cluster.sql(
        "shop",
        "create extension citext; update pg_proc set probin = '$libdir/postgis-3' \
         where proname = 'citext_hash'",
    );
    let folder = cluster.sql("shop", "select setting from pg_config where name = 'PKGLIBDIR'");
    let preloaded = ctl.path("gone.so");
    std::fs::copy(format!("{}/pg_stat_statements.so", folder.trim()), &preloaded).unwrap();
    let library = preloaded.display();
    cluster.sql("shop", &format!("alter system set shared_preload_libraries = '{library}'"));
    cluster.sql("shop", "alter system set ssl_ca_file = '/gone/ca.pem'");
    cluster.restart();
    ctl.ok(&["backup", "--mode", "physical"]);
    std::fs::remove_file(&preloaded).unwrap();
    let receipt = ctl.json_ending(&["drill", "shop"], 1);
    assert_eq!(receipt["verdict"], "inconclusive", "{receipt:#}");
    let told = outcome(&receipt, "libraries");
    assert!(told["detail"].as_str().unwrap().contains("postgis-3 (database shop)"), "{told}");
    assert!(told.to_string().contains("gone.so (shared_preload_libraries)"), "{told}");
    assert!(told["remedy"].as_str().unwrap().contains("Install"), "{told}");
    let findings = receipt["findings"].to_string();
    assert!(findings.contains("ssl_ca_file = /gone/ca.pem"), "{findings}");
    assert_eq!(outcome(&receipt, "restore")["outcome"], "passed");
    // What was proved stays proved.
    assert_eq!(ctl.json(&["snapshots"])["snapshots"][0]["verified"]["level"], "exists");
    assert_nothing_left(ctl);

    // Programs of another version are no programs for it.
    let mut other = Cluster::majors();
    other.retain(|known| *known != major);
    let Some(other) = other.last().and_then(|major| Cluster::start(*major)) else { return };
    let mut poor = archive;
    poor.program.set("PATH", other.bin("").display().to_string());
    let ctl = &poor.program;
    let receipt = ctl.json_ending(&["drill", "shop"], 1);
    let told = outcome(&receipt, "start").to_string();
    assert!(
        told.contains("Install the server programs") && told.contains("inconclusive"),
        "{told}"
    );
}
