//! Scheduled runs happen; requests are served; a stop is clean.

use backup::daemon::Question;
use backup_core::{JobKind, RunState, Trigger, VerifyLevel};
use backup_testkit::postgres::Cluster;

use crate::world::{World, sessions, shop, wait};

#[test]
fn a_due_backup_runs_is_proved_and_old_ones_are_forgotten() {
    let Some(cluster) = Cluster::start_newest() else { return };
    shop(&cluster, 2_000);
    let mut world = World::new(&cluster);
    world.set("BACKUP_CRON", "* * * * *");
    world.set("BACKUP_RETENTION", "last 1");
    world.set("BACKUP_DRILL_URL", &cluster.url("postgres"));
    world.configure("[schedule]\ndrill = \"* * * * *\"\n");
    let daemon = world.start();
    // By request first, so that the scheduled one has something to forget.
    let asked = world.request(JobKind::Backup, true);
    assert_eq!((asked.state, asked.trigger), (RunState::Succeeded, Trigger::Request));
    assert_eq!(asked.actor.as_deref(), Some("test"));
    assert!(asked.number("rows") == 2_000 && asked.snapshot.is_some());
    assert!(!asked.phases.is_empty());
    // The next minute of the clock comes within 60 seconds.
    let scheduled = || {
        let scheduled = |run: &&backup_core::Run| {
            run.job.kind == JobKind::Backup
                && run.trigger == Trigger::Schedule
                && run.state == RunState::Succeeded
        };
        world.runs().iter().find(scheduled).cloned()
    };
    wait("a scheduled run", || scheduled().is_some());
    let run = scheduled().unwrap();
    let snapshots = world.snapshots();
    let newest = snapshots.iter().find(|record| Some(record.snapshot.id) == run.snapshot).unwrap();
    assert_eq!(newest.verified.level, VerifyLevel::Read);
    assert_eq!(run.number("forgotten"), 1);
    let drilled = || {
        let drill =
            |run: &&backup_core::Run| run.job.kind == JobKind::Drill && run.ended_at.is_some();
        world.runs().iter().find(drill).cloned()
    };
    wait("a scheduled drill", || drilled().is_some());
    let drill = drilled().unwrap();
    assert_eq!((drill.state, drill.trigger), (RunState::Succeeded, Trigger::Schedule), "{drill:?}");
    assert!(drill.number("rto_milliseconds") > 0 && drill.number("rows") == 2_000);
    let status = world.status();
    assert!(status.next.iter().any(|(job, _)| job.kind == JobKind::Backup), "{status:?}");
    assert_eq!(status.problems, Vec::<String>::new());
    daemon.terminate();
    assert!(!world.path("state/control.sock").exists());
    assert_eq!(sessions(&cluster), 0);
}

#[test]
fn a_second_daemon_is_refused_and_the_socket_is_private() {
    let Some(cluster) = Cluster::start_newest() else { return };
    shop(&cluster, 10);
    let world = World::new(&cluster);
    let daemon = world.start();
    let output = world.command().output().unwrap();
    assert_eq!(output.status.code(), Some(8), "{}", String::from_utf8_lossy(&output.stderr));
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(said.contains("another backupd runs there"), "{said}");
    use std::os::unix::fs::PermissionsExt;
    let mode =
        |name: &str| std::fs::metadata(world.path(name)).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode("state/control.sock"), 0o600);
    assert_eq!(mode("state/catalog.db"), 0o600);
    assert_eq!(mode("state"), 0o700);
    assert!(world.ask(&Question::Status).is_some(), "the first one still answers");
    daemon.terminate();
}

#[test]
fn two_daemons_on_one_repository_never_do_the_same_twice() {
    let Some(cluster) = Cluster::start_newest() else { return };
    shop(&cluster, 5_000);
    let mut world = World::new(&cluster);
    world.set("BACKUP_CRON", "* * * * *");
    let first = world.start();
    let mut other = World::new(&cluster);
    other.set("BACKUP_CRON", "* * * * *");
    other.set("BACKUP_REPOSITORY", &format!("file://{}", world.path("repository").display()));
    let second = other.start();
    wait("a scheduled backup", || !world.snapshots().is_empty());
    // Both have seen that time come, whoever took it.
    for one in [&world, &other] {
        wait("the next plan", || {
            let (status, now) = (one.status(), backup::system_clock().now());
            status.active.is_empty() && status.next.iter().all(|(_, at)| *at > now)
        });
    }
    first.terminate();
    second.terminate();
    // Each minute has one snapshot, whoever took it.
    let mut minutes: Vec<i64> = world
        .snapshots()
        .iter()
        .map(|record| record.snapshot.started_at.as_second() / 60)
        .collect();
    let all = minutes.len();
    minutes.dedup();
    assert_eq!(minutes.len(), all, "one snapshot a minute");
}

#[test]
fn the_service_manager_is_told() {
    let Some(cluster) = Cluster::start_newest() else { return };
    shop(&cluster, 10);
    let mut world = World::new(&cluster);
    let path = world.path("notify.sock");
    let socket = std::os::unix::net::UnixDatagram::bind(&path).unwrap();
    socket.set_read_timeout(Some(std::time::Duration::from_secs(60))).unwrap();
    world.set("NOTIFY_SOCKET", &path.display().to_string());
    world.set("WATCHDOG_USEC", "200000");
    let daemon = world.start();
    let mut heard = Vec::new();
    let mut buffer = [0; 256];
    while heard.iter().filter(|state| *state == "WATCHDOG=1").count() < 3 {
        let length = socket.recv(&mut buffer).unwrap();
        heard.push(String::from_utf8(buffer[..length].to_vec()).unwrap());
    }
    assert_eq!(heard[0], "READY=1");
    daemon.signal("TERM");
    wait("STOPPING", || {
        let length = socket.recv(&mut buffer).unwrap();
        &buffer[..length] == b"STOPPING=1"
    });
    drop(daemon);
}
