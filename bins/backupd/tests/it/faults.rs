//! A server that stalls, a catalog that cannot be written.

use std::process::Command;

use backup_core::{JobKind, RunState};
use backup_testkit::postgres::Cluster;

use crate::http::{address, get, json};
use crate::world::{World, reading, sessions, shop, wait};

fn signal(pid: &str, name: &str) {
    let status = Command::new("kill").args([&format!("-{name}"), pid]).status().unwrap();
    assert!(status.success());
}

#[test]
fn a_server_that_stalls_is_given_up_and_its_session_ends() {
    let Some(cluster) = Cluster::start_newest() else { return };
    // More than what fits into the buffers of a connection.
    shop(&cluster, 800_000);
    let mut world = World::new(&cluster);
    world.set("BACKUP_MAX_RATE", "2MiB");
    world.set("BACKUP_JOBS", "1");
    world.configure("[daemon]\nstall_timeout = \"3s\"\nattempts = 1\n");
    let daemon = world.start();
    let run = world.request(JobKind::Backup, false);
    wait("rows to be read", || reading(&cluster) > 0);
    let copying = "select pid from pg_stat_activity where datname = 'shop' \
                   and query ilike 'copy%' limit 1";
    let pid = cluster.sql("postgres", copying).trim().to_owned();
    signal(&pid, "STOP");
    let ended = || world.runs().into_iter().find(|r| r.id == run.id && r.ended_at.is_some());
    wait("the run to be given up", || ended().is_some());
    signal(&pid, "CONT");
    wait("the sessions to end", || sessions(&cluster) == 0);
    let ended = ended().unwrap();
    assert_eq!(ended.state, RunState::Failed);
    assert!(ended.error.unwrap().message.contains("stalled"));
    assert!(world.snapshots().is_empty());
    daemon.terminate();
}

#[test]
fn a_catalog_without_space_stops_no_backup_and_is_seen() {
    let Some(cluster) = Cluster::start_newest() else { return };
    shop(&cluster, 50);
    let world = World::new(&cluster);
    // No file may grow beyond 128 KiB: the catalog's log soon would, a small backup does not.
    let daemon = world.start_with(Some("trap '' XFSZ; ulimit -f 256;"));
    let mut seen = false;
    for _ in 0..40 {
        assert_eq!(world.request(JobKind::Backup, true).state, RunState::Succeeded);
        if world.status().problems.iter().any(|problem| problem.starts_with("catalog: ")) {
            seen = true;
            break;
        }
    }
    assert!(seen, "{}", daemon.log());
    let before = world.snapshots().len();
    assert_eq!(world.request(JobKind::Backup, true).state, RunState::Succeeded);
    assert_eq!(world.snapshots().len(), before + 1);
    daemon.terminate();
}

#[test]
fn a_catalog_that_is_damaged_or_cannot_be_made_is_said() {
    let Some(cluster) = Cluster::start_newest() else { return };
    shop(&cluster, 50);
    let world = World::new(&cluster);
    let daemon = world.start();
    world.request(JobKind::Backup, true);
    daemon.terminate();
    std::fs::write(world.path("state/catalog.db"), b"not a database").unwrap();
    let daemon = world.start();
    let problems = world.status().problems;
    assert!(problems[0].contains("damaged"), "{problems:?}");
    daemon.terminate();
    assert_eq!(world.runs().len(), 1, "rebuilt from the repository");

    std::fs::remove_file(world.path("state/catalog.db")).unwrap();
    std::fs::create_dir(world.path("state/catalog.db")).unwrap();
    let daemon = world.start();
    assert!(world.status().problems[0].starts_with("catalog: "), "{:?}", world.status());
    assert_eq!(world.request(JobKind::Backup, true).state, RunState::Succeeded);
    daemon.terminate();
}

#[test]
fn a_damaged_manifest_is_a_problem_of_the_repository() {
    let Some(cluster) = Cluster::start_newest() else { return };
    shop(&cluster, 50);
    let world = World::new(&cluster);
    let daemon = world.start();
    assert_eq!(world.request(JobKind::Backup, true).state, RunState::Succeeded);
    let at = address(&daemon);
    let problems = || {
        let health = json(&at, "/health/detailed");
        health["repositories"][0]["problems"].as_array().unwrap().clone()
    };
    // The disk of this machine may be one of them.
    wait("a look at it", || json(&at, "/api/v1/sources/shop")["state"] == "protected");
    let before = problems().len();
    let manifests = world.path("repository/snapshots");
    let manifest = std::fs::read_dir(manifests).unwrap().next().unwrap().unwrap().path();
    let mut bytes = std::fs::read(&manifest).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    let mut file = std::fs::metadata(&manifest).unwrap().permissions();
    std::os::unix::fs::PermissionsExt::set_mode(&mut file, 0o600);
    std::fs::set_permissions(&manifest, file).unwrap();
    std::fs::write(&manifest, bytes).unwrap();
    assert_eq!(world.request(JobKind::Verify, true).state, RunState::Failed);
    wait("the problem", || problems().len() == before + 1);
    assert_eq!(json(&at, "/health/detailed")["status"], "degraded");
    let metric = format!("backup_repository_problems{{repository=\"main\"}} {}", before + 1);
    wait("the metric", || get(&at, "/metrics").contains(&metric));
    daemon.terminate();
}
