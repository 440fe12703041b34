//! PlanetScale MySQL, end to end: a fake control plane that is held to its schema, and real MariaDB
//! servers behind Vitess's rules as its branches.

use std::sync::Arc;
use std::time::{Duration, Instant};

use backup_testkit::mariadb::MariaDb;
use backup_testkit::vendor::planetscale::{
    DATABASE, FakePlanetscale, MAIN, ORGANIZATION, PASSWORD, TOKEN,
};
use backup_testkit::vendor::{FakeVendor, MysqlEstate};
use backup_testkit::vitess::{Keyspace, Mishap};
use serde_json::Value;

use crate::program::Program;

const SHOP: &str = "\
CREATE TABLE customers (id int PRIMARY KEY AUTO_INCREMENT, name varchar(50) CHARACTER SET latin1 NOT NULL);
CREATE TABLE orders (id bigint PRIMARY KEY, customer int NOT NULL, total decimal(10,2), note text, KEY c (customer));
INSERT INTO customers (name) SELECT CONCAT('ü ', seq) FROM seq_1_to_200;
INSERT INTO orders SELECT seq, 1 + seq MOD 200, seq / 7, REPEAT('x', seq MOD 90) FROM seq_1_to_3000;";

struct World {
    estate: Arc<MysqlEstate>,
    fake: FakePlanetscale,
    vendor: FakeVendor,
    ctl: Program,
}

impl World {
    async fn start(native: &str) -> Option<Self> {
        let estate = Arc::new(MysqlEstate::start(MAIN, vec![Keyspace::new("shop", &["-"])])?);
        estate.branch(MAIN).unwrap().server.sql("shop", SHOP);
        let pace = Duration::from_millis(100);
        let fake = FakePlanetscale::mysql(backup::system_clock(), pace, Some(estate.clone()));
        let vendor = fake.serve().await;
        let (id, token) = TOKEN.split_once(':').unwrap();
        let mut ctl = Program::new();
        // Nobody could log in with this URL: it only says which keyspace is meant.
        ctl.set("DATABASE_URL", "mysql://app@aws.connect.psdb.cloud/shop");
        ctl.set("PLANETSCALE_SERVICE_TOKEN_ID", id);
        ctl.set("PLANETSCALE_SERVICE_TOKEN", token);
        ctl.set("PLANETSCALE_ORGANIZATION", ORGANIZATION);
        ctl.set("PLANETSCALE_DATABASE", DATABASE);
        ctl.set("PLANETSCALE_API_URL", vendor.url());
        let toml = format!(
            "[[source]]\nname = \"shop\"\nurl = \"env:DATABASE_URL\"\n[source.native]\n{native}"
        );
        std::fs::write(ctl.path("backup.toml"), toml).unwrap();
        ctl.ok(&["init"]);
        Some(Self { estate, fake, vendor, ctl })
    }

    fn nothing_is_left(&self) {
        assert_eq!((self.fake.branches(), self.fake.passwords()), (vec![MAIN.into()], Vec::new()));
        assert_eq!(self.estate.names(), [MAIN]);
        assert_eq!(self.vendor.broken(), Vec::<String>::new());
    }

    /// Kills a backup as soon as something is seen.
    fn kill_when(&self, what: impl Fn(&FakePlanetscale) -> bool) {
        let mut killed = self.ctl.command(&["backup", "shop"]).spawn().unwrap();
        let begun = Instant::now();
        while !what(&self.fake) {
            assert!(killed.try_wait().unwrap().is_none() && begun.elapsed().as_secs() < 120);
            std::thread::sleep(Duration::from_millis(20));
        }
        killed.kill().unwrap();
        killed.wait().unwrap();
    }
}

fn facts(shown: &Value, name: &str) -> String {
    shown["facts"][name].as_str().unwrap_or_default().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backup_is_restored_to_a_branch_that_is_read_proved_and_dropped() {
    let Some(world) = World::start("retention = \"last 1\"\n").await else { return };
    let (ctl, fake) = (&world.ctl, &world.fake);
    let checked = ctl.json(&["doctor"]).to_string();
    for part in ["a branch", "die with the database there", "which is billed"] {
        assert!(checked.contains(part), "{part}: {checked}");
    }
    assert!(world.vendor.count("POST", "/branches") <= 1, "a password at most");
    let taken = ctl.json(&["backup", "shop", "--verify", "read"]);
    assert_eq!(taken["snapshot"]["suspect"], false, "{taken:#}");
    assert_eq!(taken["snapshot"]["rows"], 3_200);
    world.nothing_is_left();
    let made = world
        .vendor
        .log()
        .into_iter()
        .find(|ask| ask.method == "POST" && ask.path.ends_with("/branches"));
    let made = made.unwrap();
    assert!(made.text("/backup_id").is_some());
    assert_eq!(
        made.text("/cluster_size"),
        Some("PS_10"),
        "the smallest that fits, not the source's"
    );
    let shown = ctl.json(&["show", "latest"]);
    assert_eq!(
        (facts(&shown, "consistency"), facts(&shown, "frozen_by")),
        ("frozen".into(), "gtid".into())
    );
    let said = shown.to_string();
    assert!(
        said.contains("nobody else has a password") && said.contains("recovery point"),
        "{said}"
    );
    assert_eq!(shown["snapshot"]["identity"]["system"], "planetscale:shop-inc/shop/main");
    ctl.ok(&["status"]);

    // Restored anywhere, and drilled.
    let Some(plain) = MariaDb::start(&[]) else { return };
    ctl.ok(&["restore", "latest", "--to", &plain.url("copy"), "--yes"]);
    assert_eq!(plain.dump("copy"), world.estate.branch(MAIN).unwrap().server.dump("shop"));
    let receipt = ctl.json(&["drill", "shop", "--to", &plain.url("any")]);
    assert_eq!(receipt["verdict"], "passed", "{receipt:#}");
    let refused = ctl.run(&["drill", "shop", "--to", "provider"]).fails(2).stderr;
    assert!(refused.contains("no statement makes a database"), "{refused}");

    // What PlanetScale keeps: the backup that was read is one of ours, and kept by the policy.
    assert_eq!(fake.backups().len(), 1);
    ctl.ok(&["backup", "shop", "--native"]);
    assert_eq!(fake.backups().len(), 1, "{:?}", fake.backups());
    fake.migrate_safely();
    let said = ctl.run(&["restore", "shop@latest", "--to", "branch:look"]).expect(0);
    assert!(
        said.stderr.contains("safe migrations") && said.stdout.contains("/shop"),
        "{}",
        said.stderr
    );
    assert_eq!(fake.branches(), [MAIN, "look"]);
    let status = ctl.run(&["status"]).stdout;
    assert!(!status.contains(PASSWORD));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_run_leaves_no_branch_and_no_second_backup() {
    let Some(world) = World::start("").await else { return };
    let (ctl, fake) = (&world.ctl, &world.fake);
    world.kill_when(|fake| !fake.backups().is_empty());
    assert_eq!(fake.branches(), [MAIN]);
    world.kill_when(|fake| fake.branches().len() > 1);
    assert_eq!(fake.backups().len(), 1, "the one that was begun was gone on with");
    ctl.ok(&["backup", "shop"]);
    world.nothing_is_left();
    let log = world.vendor.log();
    let steps: Vec<&str> = log
        .iter()
        .filter(|ask| match ask.method.as_str() {
            "POST" => ask.path.ends_with("/branches"),
            "DELETE" => {
                ask.path.contains("/branches/backupctl-") && !ask.path.contains("/passwords")
            }
            _ => false,
        })
        .map(|ask| ask.method.as_str())
        .collect();
    assert_eq!(steps, ["POST", "DELETE", "POST", "DELETE"], "never two at a time");

    // A branch that a run of another machine left behind costs money until the next run drops it.
    fake.add_branch(
        "backupctl-shop-freeze-20260101t000000-00000001",
        "2026-01-01T00:00:00Z".parse().unwrap(),
    );
    ctl.ok(&["backup", "shop"]);
    world.nothing_is_left();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_older_backup_is_read_where_that_is_said_and_its_age_is_the_snapshots() {
    let Some(world) = World::start("reuse = \"6h\"\n").await else { return };
    let ctl = &world.ctl;
    ctl.ok(&["backup", "shop", "--native"]);
    let begun = ctl.json(&["snapshots", "--native"])["snapshots"][0]["created_at"].clone();
    world.estate.branch(MAIN).unwrap().server.sql("shop", "DELETE FROM orders WHERE id > 10");
    let taken = ctl.json(&["backup", "shop"]);
    assert_eq!(world.fake.backups().len(), 1, "no new one was made");
    assert_eq!(taken["snapshot"]["rows"], 3_200, "as it was then");
    let is =
        |value: &Value| value.as_str().unwrap().parse::<jiff::Timestamp>().unwrap().as_second();
    assert_eq!(is(&taken["snapshot"]["started_at"]), is(&begun));
    assert_eq!(facts(&ctl.json(&["show", "latest"]), "instant"), begun.as_str().unwrap());
    world.nothing_is_left();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_live_branch_is_read_only_on_demand_and_never_protects() {
    let Some(mut world) = World::start("freeze = false\n").await else { return };
    world.ctl.run(&["backup", "shop"]).fails(2);
    world.ctl.set("DATABASE_URL", "mysql://app@aws.connect.psdb.cloud/shop?fuzzy=true");
    let taken = world.ctl.json_ending(&["backup", "shop", "--verify", "read"], 9);
    assert_eq!(taken["snapshot"]["suspect"], true, "{taken:#}");
    assert!(taken["snapshot"]["findings"].to_string().contains("fuzzy: "), "{taken:#}");
    let status = world.ctl.json_ending(&["status"], 9);
    assert_ne!(status["sources"][0]["standing"], "protected", "{status:#}");
    assert!(status.to_string().contains("fuzzy"), "{status:#}");
    assert!(world.ctl.run(&["status"]).stdout.contains("fuzzy"));
    assert!(world.ctl.run(&["snapshots"]).stdout.contains("fuzzy"));
    assert_eq!(world.fake.backups(), Vec::<String>::new());
    world.nothing_is_left();
    // A table that cannot be read ends it by its name.
    let branch = world.estate.branch(MAIN).unwrap();
    branch.vitess.trap("`note` FROM `orders`", 100, Mishap::Fail, 1);
    branch.vitess.trap("`note` FROM `orders`", 0, Mishap::Fail, usize::MAX);
    let failed = world.ctl.run(&["backup", "shop"]).fails(1);
    assert!(failed.stderr.contains("shop.orders"), "{}", failed.stderr);
}
