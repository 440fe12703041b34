//! PlanetScale Postgres, end to end: a fake control plane that is held to its schema, and real
//! servers as its branches.

use std::sync::Arc;
use std::time::Duration;

use backup_testkit::postgres::Cluster;
use backup_testkit::vendor::Estate;
use backup_testkit::vendor::planetscale::{
    DATABASE, FakePlanetscale, MAIN, ORGANIZATION, PASSWORD, TOKEN,
};

use crate::program::{Program, fingerprint, shop};

#[tokio::test(flavor = "multi_thread")]
async fn a_role_of_its_own_reads_backups_are_kept_by_policy_and_a_moment_comes_back() {
    let Some(major) = Cluster::majors().last().copied() else { return };
    let Some(estate) = Estate::start(major, MAIN) else { return };
    let estate = Arc::new(estate);
    let main = estate.server(MAIN).unwrap();
    shop(&main, "shop", 2_000);
    let fake = FakePlanetscale::new(
        backup::system_clock(),
        Duration::from_millis(100),
        Some(estate.clone()),
    );
    let vendor = fake.serve().await;
    let (id, token) = TOKEN.split_once(':').unwrap();
    let mut ctl = Program::of(&main, "shop");
    // Nobody could log in with this URL: it only says which database is meant.
    ctl.set("DATABASE_URL", "postgres://app@id-eu-central-1.horizon.psdb.cloud:6432/shop");
    ctl.set("PLANETSCALE_SERVICE_TOKEN_ID", id);
    ctl.set("PLANETSCALE_SERVICE_TOKEN", token);
    ctl.set("PLANETSCALE_ORGANIZATION", ORGANIZATION);
    ctl.set("PLANETSCALE_DATABASE", DATABASE);
    ctl.set("PLANETSCALE_API_URL", vendor.url());
    let toml = "[[source]]\nname = \"shop\"\nurl = \"env:DATABASE_URL\"\n[source.native]\nretention = \"last 1\"\n";
    std::fs::write(ctl.path("backup.toml"), toml).unwrap();
    ctl.ok(&["init"]);

    let checked = ctl.json(&["doctor"]).to_string();
    assert!(
        checked.contains("die with the database there") && checked.contains("port 5432"),
        "{checked}"
    );
    let before = fingerprint(&main, "shop");
    ctl.ok(&["backup", "shop", "--verify", "read"]);
    assert_eq!(fake.roles(), Vec::<String>::new(), "the role went with the run");
    assert_eq!(
        main.sql("postgres", "select count(*) from pg_roles where rolname like 'role%'").trim(),
        "0"
    );
    ctl.ok(&["restore", "shop@latest", "--to", &main.url("copy")]);
    assert_eq!(fingerprint(&main, "copy"), before);
    assert_eq!(ctl.json(&["drill", "shop"])["verdict"], "passed");

    // A branch that a run of another machine left behind costs money until the next run drops it.
    let leaked = "backupctl-shop-drill-20260101t000000-00000001";
    fake.add_branch(leaked, "2026-01-01T00:00:00Z".parse().unwrap());
    let said = ctl.run(&["-v", "backup", "shop"]).expect(0).stderr;
    assert!(said.contains(leaked) && fake.branches() == [MAIN], "{said}");

    fake.add_required_backup("2026-01-01T00:00:00Z".parse().unwrap());
    for _ in 0..2 {
        ctl.ok(&["backup", "shop", "--native"]);
    }
    assert_eq!(fake.backups().len(), 2, "one of ours, and the vendor's own: {:?}", fake.backups());
    // What is protected there stays, whatever the policy says.
    let listed = ctl.json(&["snapshots", "--native"]);
    let ours = listed["snapshots"].as_array().unwrap().iter().find(|one| one["ours"] == true);
    let id = ours.unwrap()["id"].as_str().unwrap();
    assert_eq!(ctl.json(&["pin", "--native", id])["steps"][0], id);
    ctl.ok(&["backup", "shop", "--native"]);
    assert_eq!(fake.backups().len(), 3, "{:?}", fake.backups());
    ctl.ok(&["unpin", "--native", id]);
    ctl.ok(&["forget", "--native"]);
    assert_eq!(fake.backups().len(), 2, "{:?}", fake.backups());
    ctl.run(&["pin", "--native", "no-such-backup"]).fails(7);
    let at = fake.remember().await;
    main.sql("shop", "drop view recent; drop table people");
    // The newest five minutes are not there yet.
    ctl.run(&["restore", "shop@latest", "--at", &at.to_string(), "--to", "branch:rescued"])
        .fails(7);
    ctl.ok(&["restore", "shop@latest", "--to", "branch:rescued"]);
    assert_eq!(fingerprint(&estate.server("rescued").unwrap(), "shop"), before);
    assert_eq!(fake.roles(), Vec::<String>::new());
    ctl.run(&["restore", "shop@latest", "--to", "in-place", "--yes"]).fails(2);
    // A drill there: the newest backup becomes a cluster, which goes with the role that filled it.
    let receipt = ctl.json(&["drill", "shop", "--to", "provider"]);
    assert_eq!(receipt["verdict"], "passed", "{receipt:#}");
    assert!(receipt["target"].as_str().unwrap().contains("backupctl-shop-drill-"), "{receipt:#}");
    assert_eq!((fake.branches(), fake.roles()), (vec![MAIN.into(), "rescued".into()], Vec::new()));
    let made = vendor
        .log()
        .into_iter()
        .rfind(|ask| ask.path.ends_with("/branches") && ask.method == "POST");
    assert!(made.unwrap().text("/backup_id").is_some(), "from a backup: the database has no load");
    let listed = ctl.run(&["snapshots", "--native"]).expect(0);
    assert!(
        listed.stderr.contains("planetscale takes snapshots by itself: every 12 hour"),
        "{}",
        listed.stderr
    );
    let status = format!("{} {}", ctl.run(&["status"]).stdout, listed.stdout);
    assert!(status.contains("on provider (planetscale") && !status.contains(PASSWORD), "{status}");
}
