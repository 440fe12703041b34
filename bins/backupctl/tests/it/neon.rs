//! Neon, end to end: a fake control plane that is held to Neon's schema, and real servers as its
//! branches. What is dumped, restored, drilled and dropped is real.

use std::sync::Arc;
use std::time::{Duration, Instant};

use backup_testkit::postgres::Cluster;
use backup_testkit::vendor::neon::{FakeNeon, KEY, MAIN, PASSWORD, ROLE};
use backup_testkit::vendor::{Estate, FakeVendor};

use crate::program::{Program, fingerprint, shop};

/// Everybody gets in.
const OPEN: &str = "host all all 127.0.0.1/32 trust\nhost replication all 127.0.0.1/32 trust";

struct World {
    estate: Arc<Estate>,
    neon: FakeNeon,
    vendor: FakeVendor,
    ctl: Program,
}

impl World {
    /// A project with a shop in it, whose URL is the pooled one that consoles offer first.
    async fn new(pace: Duration) -> Option<Self> {
        Self::guarded(pace, OPEN).await
    }

    /// Of which servers let in whom these lines say.
    async fn guarded(pace: Duration, hba: &str) -> Option<Self> {
        let estate = Arc::new(Estate::guarded(*Cluster::majors().last()?, MAIN, hba)?);
        let main = estate.server(MAIN).unwrap();
        shop(&main, "shop", 3_000);
        main.sql(
            "shop",
            &format!(
                "create role {ROLE} login createdb createrole password '{PASSWORD}';
                 grant pg_read_all_data, pg_write_all_data to {ROLE};
                 alter database shop owner to {ROLE};
                 alter table orders owner to {ROLE}; alter table people owner to {ROLE};
                 alter view recent owner to {ROLE}"
            ),
        );
        let neon = FakeNeon::new(backup::system_clock(), pace, Some(estate.clone()));
        let vendor = neon.serve().await;
        let mut ctl = Program::of(&main, "shop");
        ctl.set("DATABASE_URL", neon.url("shop", true));
        ctl.set("NEON_API_KEY", KEY);
        ctl.set("NEON_API_URL", vendor.url());
        let toml = "[[source]]\nname = \"shop\"\nurl = \"env:DATABASE_URL\"\n\n\
                    [source.native]\nretention = \"last 1\"\nrpo = \"2h\"\n";
        std::fs::write(ctl.path("backup.toml"), toml).unwrap();
        ctl.ok(&["init"]);
        Some(Self { estate, neon, vendor, ctl })
    }

    fn main(&self) -> Arc<Cluster> {
        self.estate.server(MAIN).unwrap()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_frozen_branch_is_dumped_restored_drilled_on_and_dropped() {
    let Some(world) = World::new(Duration::from_millis(100)).await else { return };
    let (ctl, main) = (&world.ctl, world.main());
    let before = fingerprint(&main, "shop");

    let checked = ctl.json(&["doctor"]).to_string();
    assert!(checked.contains("die with the project"), "{checked}");
    assert!(checked.contains("pooled address was replaced"), "{checked}");
    assert!(world.vendor.log().iter().all(|ask| ask.method == "GET"), "doctor only reads");

    let done = ctl.json(&["backup", "shop", "--verify", "read"]);
    let snapshot = &done["snapshot"];
    assert_eq!(snapshot["verified"]["level"], "read");
    let dumped: Vec<_> =
        world.vendor.log().into_iter().filter(|ask| ask.method == "POST").collect();
    assert_eq!(dumped.len(), 1, "one branch, nothing else");
    assert!(dumped[0].text("/branch/expires_at").is_some(), "it expires by itself");
    assert_eq!(
        (world.neon.branches(), world.estate.names()),
        (vec!["main".into()], vec![MAIN.into()])
    );

    // What happens to the database meanwhile is not in the snapshot; a second one is the same source.
    main.sql("shop", "delete from people");
    let shown = ctl.json(&["show", "latest"]).to_string();
    assert!(shown.contains("was dropped"), "{shown}");
    ctl.ok(&["restore", "shop@latest", "--to", &main.url("copy"), "--no-owner"]);
    assert_eq!(fingerprint(&main, "copy"), before);

    let receipt = ctl.json(&["drill", "shop", "--to", "provider"]);
    assert_eq!(receipt["verdict"], "passed", "{receipt:#}");
    assert!(receipt["target"].as_str().unwrap().contains("neon"), "{receipt:#}");
    assert_eq!(
        (world.neon.branches(), world.estate.names()),
        (vec!["main".into()], vec![MAIN.into()])
    );

    ctl.run(&["backup", "shop"]).expect(9);
    ctl.ok(&["backup", "shop", "--accept-shrink", "--verify", "read"]);
    let shown = format!("{}{}", ctl.ok(&["-v", "status"]), ctl.ok(&["snapshots", "--native"]));
    for secret in [KEY, PASSWORD] {
        assert!(!shown.contains(secret));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn provider_snapshots_are_taken_counted_kept_by_policy_and_restored() {
    let Some(world) = World::new(Duration::from_millis(50)).await else { return };
    let (ctl, main) = (&world.ctl, world.main());
    world.neon.add_snapshot("before the migration", "2026-01-01T00:00:00Z".parse().unwrap(), true);
    let judged = ctl.run(&["validate", "--repository"]).expect(9);
    assert!(judged.stdout.contains("and at neon, the newest is"), "{}", judged.stdout);
    ctl.ok(&["backup", "shop", "--verify", "read"]);
    ctl.ok(&["backup", "shop", "--native"]);
    let before = fingerprint(&main, "shop");
    main.sql(
        "shop",
        "insert into people select n, 'more ' || n from generate_series(5000, 5100) n",
    );
    let remembered = world.neon.remember().await;
    let between = fingerprint(&main, "shop");
    let taken = ctl.json(&["backup", "shop", "--native"]);
    assert_eq!(taken["placement"], "on_provider");
    assert!(taken["snapshots"][0]["expires_at"].is_string(), "{taken:#}");

    // `last 1` of ours; what a person took stays.
    let listed = ctl.json(&["snapshots", "shop", "--native"]);
    let ours: Vec<_> =
        listed["snapshots"].as_array().unwrap().iter().filter(|one| one["ours"] == true).collect();
    assert_eq!((ours.len(), world.neon.snapshots().len()), (1, 2), "{listed:#}");
    let plan = ctl.json(&["forget", "--native", "--dry-run"]);
    assert_eq!(plan["snapshots"].as_array().unwrap().len(), 2, "{plan:#}");

    let status = ctl.json(&["status"]);
    let native = &status["sources"][0]["native"];
    assert_eq!(
        (&native["placement"], &native["ours"]),
        (&"on_provider".into(), &1.into()),
        "{status:#}"
    );
    assert_eq!(
        (&status["sources"][0]["placement"], &native["rpo_of_both_seconds"]),
        (&"off_provider".into(), &7200.into())
    );

    // To a new branch: the newest of the provider's, and a moment of its history.
    main.sql("shop", "drop view recent; drop table people");
    ctl.ok(&["restore", "shop@latest", "--to", "branch:looked"]);
    for taken in ["branch:looked", "branch:main"] {
        ctl.run(&["restore", "shop@latest", "--to", taken]).fails(8);
    }
    let at = remembered.to_string();
    ctl.ok(&["restore", "shop@latest", "--at", &at, "--to", "branch:earlier"]);
    let names = world.estate.names();
    let branch = |name: &str| {
        let log = world.vendor.log();
        let asked = log.iter().position(|ask| {
            ask.text("/name") == Some(name) || ask.text("/branch/name") == Some(name)
        });
        assert!(
            asked.is_some() && world.neon.branches().iter().any(|known| known == name),
            "{names:?}"
        );
    };
    branch("looked");
    branch("earlier");
    let restored: Vec<String> = names
        .iter()
        .filter(|name| name.starts_with("br-fake"))
        .map(|name| fingerprint(&world.estate.server(name).unwrap(), "shop"))
        .collect();
    assert_eq!(restored, [between.clone(), between], "{names:?}");
    ctl.run(&["restore", "shop@latest", "--at", "2020-01-01T00:00:00Z", "--to", "branch:x"])
        .fails(7);

    // In place: only when somebody said so; the state before is kept.
    let refused = ctl.run(&["restore", "shop@latest", "--at", &at, "--to", "in-place"]).fails(2);
    assert!(refused.stderr.contains("--yes"), "{}", refused.stderr);
    assert!(world.main().try_sql("shop", "select from people").is_err());
    ctl.ok(&["restore", "shop@latest", "--at", &at, "--to", "in-place", "--yes"]);
    assert_ne!(fingerprint(&world.main(), "shop"), before);
    assert!(world.neon.branches().iter().any(|name| name.starts_with("backupctl-shop-before-")));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_was_killed_is_ended_by_the_next_one() {
    let Some(world) = World::new(Duration::from_secs(3_600)).await else { return };
    let mut killed = world.ctl.command(&["backup", "shop"]).spawn().unwrap();
    let begun = Instant::now();
    while world.neon.branches().len() < 2 {
        assert!(begun.elapsed() < Duration::from_secs(120), "the branch never came");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    killed.kill().unwrap();
    killed.wait().unwrap();
    assert_eq!(world.neon.branches().len(), 2, "left behind");
    world.neon.hurry();
    let done = world.ctl.run(&["-v", "backup", "shop"]).expect(0);
    assert!(done.stderr.contains("an earlier run left behind"), "{}", done.stderr);
    assert_eq!(
        (world.neon.branches(), world.estate.names()),
        (vec!["main".into()], vec![MAIN.into()])
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn of_several_sources_each_is_tried_and_says_how_it_went() {
    let Some(world) = World::new(Duration::ZERO).await else { return };
    let mut toml = std::fs::read_to_string(world.ctl.path("backup.toml")).unwrap();
    // The first one's key opens nothing.
    let broken = "[[source]]\nname = \"broken\"\nurl = \"env:DATABASE_URL\"\n\
                  [source.neon]\nproject_id = \"no-such-project\"\n";
    toml = format!("{broken}\n{toml}");
    std::fs::write(world.ctl.path("backup.toml"), toml).unwrap();
    let said = world.ctl.run(&["--json", "backup", "--native"]).expect(1);
    let documents: Vec<serde_json::Value> =
        said.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(documents.len(), 2, "{}", said.stdout);
    documents.iter().for_each(crate::schema::check);
    assert_eq!(
        (&documents[0]["source"], &documents[0]["error"]["exit_code"]),
        (&"broken".into(), &7.into())
    );
    assert_eq!(
        (&documents[1]["source"], &documents[1]["snapshots"][0]["ours"]),
        (&"shop".into(), &true.into())
    );
    assert_eq!(world.neon.snapshots().len(), 1);
    world.ctl.run(&["backup", "broken", "--native"]).fails(7);
    // Nothing is begun that could not be written down; what begins nothing needs no place.
    let mut homeless = Program::of(&world.main(), "shop");
    for (name, value) in [("NEON_API_KEY", KEY.to_owned()), ("NEON_API_URL", world.vendor.url())] {
        homeless.set(name, value);
    }
    homeless.set("DATABASE_URL", world.neon.url("shop", true));
    for name in ["HOME", "XDG_STATE_HOME", "BACKUPD_STATE", "STATE_DIRECTORY"] {
        homeless.unset(name);
    }
    homeless.ok(&["init"]);
    let refused = homeless.run(&["backup"]).fails(2);
    assert!(refused.stderr.contains("BACKUPD_STATE"), "{}", refused.stderr);
    homeless.ok(&["snapshots", "--native"]);
    homeless.unset("NEON_API_KEY");
    homeless.ok(&["backup"]);
    assert_eq!(world.neon.branches(), ["main"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_key_the_database_itself_is_dumped_through_the_direct_address() {
    let Some(mut world) = World::new(Duration::ZERO).await else { return };
    world.ctl.unset("NEON_API_KEY");
    let doctor = world.ctl.json(&["doctor"]).to_string();
    assert!(doctor.contains("NEON_API_KEY is not set"), "{doctor}");
    world.ctl.ok(&["backup", "shop"]);
    assert_eq!(world.vendor.log().len(), 0);
    world.ctl.run(&["backup", "shop", "--native"]).fails(2);
    world.ctl.run(&["snapshots", "--native"]).fails(7);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_project_that_stores_no_passwords_is_frozen_and_drilled_on_with_the_sources_own() {
    let pace = Duration::from_millis(50);
    // Nobody gets in as the source's role without its password, on copies neither.
    let guarded = format!(
        "host all {ROLE} 127.0.0.1/32 scram-sha-256
{OPEN}"
    );
    let Some(world) = World::guarded(pace, &guarded).await else { return };
    world.neon.settings("scale_v3", 7 * 86_400, false);
    world.ctl.ok(&["backup", "shop", "--verify", "read"]);
    let receipt = world.ctl.json(&["drill", "shop", "--to", "provider"]);
    assert_eq!(receipt["verdict"], "passed", "{receipt:#}");
    assert_eq!(world.neon.branches(), ["main"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn init_says_what_can_and_cannot_be_protected() {
    let Some(world) = World::new(Duration::ZERO).await else { return };
    let url = world.neon.url("shop", true);
    let mut ctl = Program::of(&world.main(), "shop");
    ctl.set("DATABASE_URL", &url);
    ctl.set("NEON_API_KEY", KEY);
    ctl.set("NEON_API_URL", world.vendor.url());
    let said = ctl.run(&["init", &url]).expect(0).stderr;
    assert!(said.contains("found shop at neon quiet-moon-123456/main/shop"), "{said}");
    assert!(said.contains("die with the project"), "{said}");
    let written = std::fs::read_to_string(ctl.path("backup.toml")).unwrap();
    assert!(written.contains("neon") && !written.contains(PASSWORD), "{written}");
    ctl.ok(&["backup"]);
}
