//! Snapshots at the provider by the clock, beside dumps: a fake Neon that is held to its schema, and
//! real servers as its branches.

use std::sync::Arc;
use std::time::Duration;

use backup_core::{JobKind, RunState, Trigger};
use backup_testkit::postgres::Cluster;
use backup_testkit::vendor::neon::{FakeNeon, KEY, MAIN, ROLE};
use backup_testkit::vendor::{Estate, FakeVendor, Trouble, Upset};

use crate::http::{address, ask, get, json, token};
use crate::via_daemon::run;
use crate::world::{World, shop, wait};

struct Hosted {
    world: World,
    estate: Arc<Estate>,
    neon: FakeNeon,
    vendor: FakeVendor,
    /// Serves the fake.
    _runtime: tokio::runtime::Runtime,
}

impl Hosted {
    fn new(pace: Duration) -> Option<Self> {
        let estate = Arc::new(Estate::start(*Cluster::majors().last()?, MAIN)?);
        let main = estate.server(MAIN).unwrap();
        shop(&main, 500);
        main.sql(
            "shop",
            &format!(
                "create role {ROLE} login createdb; grant pg_read_all_data to {ROLE};
                 alter database shop owner to {ROLE}; alter table orders owner to {ROLE}"
            ),
        );
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
        let neon = FakeNeon::new(backup::system_clock(), pace, Some(estate.clone()));
        let vendor = runtime.block_on(neon.serve());
        let mut world = World::new(&main);
        world.set("DATABASE_URL", &neon.url("shop", true));
        world.set("NEON_API_KEY", KEY);
        world.set("NEON_API_URL", &vendor.url());
        Some(Self { world, estate, neon, vendor, _runtime: runtime })
    }

    /// Snapshots at the provider by this schedule, and dumps by one that does not come while a test
    /// lasts.
    fn configure(&self, native: &str) {
        self.world.configure(&format!(
            "schedule.backup = \"15 2 1 1 *\"\n[daemon]\nretry_first = \"1s\"\n\
             [[source]]\nname = \"shop\"\nurl = \"env:DATABASE_URL\"\n\
             [source.native]\nschedule = \"{native}\"\nretention = \"last 2\"\nrpo = \"2h\"\n"
        ));
    }

    fn asked(&self) -> usize {
        self.vendor.count("POST", "/snapshot")
    }
}

#[test]
fn a_killed_daemon_goes_on_with_the_snapshot_it_had_begun_and_takes_no_second() {
    // Nothing ends by itself.
    let Some(hosted) = Hosted::new(Duration::from_secs(3_600)) else { return };
    let (world, neon) = (&hosted.world, &hosted.neon);
    hosted.configure("* * * * *");
    let mut daemon = world.start();
    // The next minute of the clock comes within 60 seconds.
    wait("the scheduled snapshot to be begun", || neon.snapshots().len() == 1);
    let begun = || {
        let text = std::fs::read_dir(hosted.operations().join("shop")).ok()?;
        let name = |entry: std::fs::DirEntry| entry.file_name().into_string().unwrap();
        text.flatten().map(name).find(|name| name.starts_with("create-"))
    };
    wait("it to be written down", || begun().is_some());
    daemon.signal("KILL");
    assert_eq!(daemon.ended(), None);
    // From now on nothing is due but what was killed.
    hosted.configure("0 0 1 1 *");
    neon.hurry();
    neon.add_branch("backupctl-shop-drill-20260101t000000-00000001", at("2026-01-01T00:00:00Z"));
    let daemon = world.start();
    let ended = || {
        let runs = world.runs();
        runs.into_iter()
            .find(|run| run.job.kind == JobKind::Native && run.trigger == Trigger::Retry)
    };
    wait("the run to be ended", || ended().is_some_and(|run| run.ended_at.is_some()));
    let run = ended().unwrap();
    assert_eq!((run.state, run.error), (RunState::Succeeded, None));
    assert_eq!((neon.snapshots().len(), hosted.asked()), (1, 1), "once, whatever was killed");
    assert_eq!(begun(), None, "struck out");
    assert_eq!(neon.branches(), ["main"], "and what another machine had left is dropped");
    daemon.terminate();
    let killed: Vec<_> =
        world.runs().into_iter().filter(|run| run.state == RunState::Interrupted).collect();
    assert_eq!(killed.len(), 1, "{killed:?}");
}

#[test]
fn both_kinds_run_in_one_daemon_and_are_seen_everywhere() {
    let Some(hosted) = Hosted::new(Duration::from_millis(50)) else { return };
    let (world, neon) = (&hosted.world, &hosted.neon);
    hosted.configure("0 3 1 1 *");
    neon.add_snapshot("before the migration", at("2026-01-01T00:00:00Z"), true);
    let daemon = world.start();
    let http = address(&daemon);
    let operator = token(world, "operator");
    let planned = world.status().next;
    for kind in [JobKind::Backup, JobKind::Native] {
        assert!(planned.iter().any(|(job, _)| job.kind == kind), "{kind}: {planned:?}");
    }
    let dumped = world.request(JobKind::Backup, true);
    assert_eq!(dumped.state, RunState::Succeeded, "{dumped:?}");

    // Asked for over HTTP, from the command line and through the socket.
    let runs = "/api/v1/sources/shop/runs";
    let (status, answer) = ask(&http, "POST", runs, Some(&operator), "{\"job\":\"native\"}");
    assert_eq!(status, 202, "{answer}");
    wait("the snapshot", || neon.snapshots().len() == 2 && world.status().active.is_empty());
    let taken = run(world, &["--json", "backup", "shop", "--native", "--via-daemon"]);
    let said = String::from_utf8_lossy(&taken.stderr).into_owned();
    assert!(taken.status.success(), "{said}");
    let document: serde_json::Value = serde_json::from_slice(&taken.stdout).unwrap();
    assert_eq!(document["snapshots"][0]["ours"], true, "{document}");
    let third = world.request(JobKind::Native, true);
    assert_eq!((third.state, third.number("forgotten")), (RunState::Succeeded, 1), "{third:?}");
    assert_eq!(neon.snapshots().len(), 3, "two of ours by the policy, and the one of a person");
    assert!(neon.snapshots().contains(&"before the migration".to_owned()));

    let source = || json(&http, "/api/backup/status")["sources"][0].clone();
    wait("the provider to be asked", || source()["native"]["ours"] == 2);
    let shown = source();
    assert_eq!((&shown["protected"], &shown["native"]["rpoSeconds"]), (&true.into(), &7200.into()));
    assert!(shown["native"]["next"].is_string(), "{shown}");
    for line in [
        "backup_runs_total{source=\"shop\",job=\"native\",result=\"succeeded\"} 3",
        "backup_provider_own_snapshots{source=\"shop\",provider=\"neon\"} 2",
        "backup_next_run_timestamp_seconds{source=\"shop\",job=\"native\"}",
    ] {
        wait(line, || get(&http, "/metrics").contains(line));
    }
    assert!(get(&http, "/sources/shop").contains("At neon"));
    assert!(get(&http, "/runs").contains("provider snapshot"));

    // One that fails is told, with the vendor's reason, and makes no gap of the other kind.
    hosted.vendor.trouble(Trouble::new(Upset::Fails(403)).method("POST").times(1));
    let failed = world.request(JobKind::Native, true);
    assert_eq!(failed.state, RunState::Failed, "{failed:?}");
    wait("the alert", || json(&http, "/api/v1/alerts").to_string().contains("native"));
    let good = world.request(JobKind::Native, true);
    assert_eq!(good.state, RunState::Succeeded, "{good:?}");
    wait("it to be over", || !json(&http, "/api/v1/alerts").to_string().contains("native"));
    daemon.terminate();
    assert_eq!((neon.branches(), hosted.estate.server(MAIN).is_ok()), (vec!["main".into()], true));
    assert!(!daemon_log_holds(world, KEY));
}

impl Hosted {
    fn operations(&self) -> std::path::PathBuf {
        self.world.path("state/operations")
    }
}

fn daemon_log_holds(world: &World, secret: &str) -> bool {
    world.runs().iter().any(|run| format!("{run:?}").contains(secret))
}

fn at(text: &str) -> jiff::Timestamp {
    text.parse().unwrap()
}
