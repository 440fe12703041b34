//! A tree of files as a source: backed up, drilled in a directory of its own, seen everywhere.

use backup_core::{JobKind, RunState, VerifyLevel};
use serde_json::Value;

use crate::http::{address, ask, get, json, token};
use crate::world::{World, wait};

#[test]
fn a_tree_is_backed_up_drilled_and_protected() {
    let mut world = World::bare();
    let tree = world.path("uploads");
    for n in 0..300 {
        let folder = tree.join(format!("{}", n % 9));
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join(format!("{n}.txt")), format!("file {n} ").repeat(n)).unwrap();
    }
    std::os::unix::fs::symlink("0/0.txt", tree.join("link")).unwrap();
    world.set("BACKUP_FILES_PATH", &tree.display().to_string());
    world.set("BACKUP_SOURCE", "shop");
    world.set("BACKUP_CRON", "0 3 * * *");
    let temporary = world.path("temporary");
    std::fs::create_dir(&temporary).unwrap();
    world.set("TMPDIR", &temporary.display().to_string());
    let smoke = "test -e \"${DATABASE_URL#file://}/8/8.txt\"";
    world.configure(&format!(
        "[daemon]\nattempts = 1\n[drill]\nevery = \"snapshot\"\nsmoke = '''{smoke}'''\n"
    ));
    let daemon = world.start();
    let at = address(&daemon);
    let operator = token(&world, "operator");
    let runs = "/api/v1/sources/shop/runs";
    let (status, run) = ask(&at, "POST", runs, Some(&operator), "{\"job\":\"backup\"}");
    assert_eq!(status, 202, "{run}");
    let run: Value = serde_json::from_str(&run).unwrap();
    let target = format!("/api/v1/runs/{}", run["id"].as_str().unwrap());
    wait("the run to end", || json(&at, &target)["run"]["finished_at"].is_string());
    let detail = json(&at, &target);
    assert_eq!(detail["run"]["state"], "succeeded", "{detail}");

    // The drill of the snapshot follows by itself, in a directory that goes again.
    let source = || json(&at, "/api/v1/sources/shop");
    wait("protection", || source()["state"] == "protected");
    assert_eq!(source()["newest_level"], "drilled");
    assert_eq!(source()["drill"]["passed"], true, "{}", source());
    assert_eq!(world.snapshots()[0].verified.level, VerifyLevel::Drilled);
    wait("the directory to go", || std::fs::read_dir(&temporary).unwrap().count() == 0);
    let status = json(&at, "/api/backup/status");
    assert_eq!(status["backup"]["totalBackups"], 1, "{status}");
    assert_eq!(status["backup"]["lastBackupSuccess"], true);
    let shop = &status["sources"][0];
    assert!(shop["expectedAt"].as_str().unwrap().contains("T03:00"), "{shop}");
    assert!(shop["conditions"].as_array().unwrap().is_empty(), "{shop}");
    assert_eq!(ask(&at, "GET", "/health/backups?strict", None, "").0, 200);
    let metrics = get(&at, "/metrics");
    for line in [
        "backup_source_protected{source=\"shop\"} 1",
        "backup_snapshots{source=\"shop\"} 1",
        "backup_runs_total{source=\"shop\",job=\"backup\",result=\"succeeded\"} 1",
        "backup_runs_total{source=\"shop\",job=\"drill\",result=\"succeeded\"} 1",
        "backup_drill_passed{source=\"shop\"} 1",
    ] {
        assert!(metrics.contains(line), "{line} in\n{metrics}");
    }
    let snapshot = detail["run"]["snapshot"].as_str().unwrap();
    assert!(get(&at, "/sources/shop").contains(&snapshot[..8]));
    for kind in [JobKind::Verify, JobKind::Forget] {
        let run = world.request(kind, true);
        assert_eq!(run.state, RunState::Succeeded, "{run:?}");
    }

    // What its owner asks is not so: the drill fails, and the source is at risk.
    std::fs::remove_file(tree.join("8/8.txt")).unwrap();
    assert_eq!(world.request(JobKind::Backup, true).state, RunState::Succeeded);
    wait("the source to be at risk", || source()["state"] == "at_risk");
    assert!(source()["reasons"].to_string().contains("drill"), "{}", source());

    // The tree is not mounted: an error, and one that is empty makes a suspect snapshot.
    std::fs::rename(&tree, world.path("elsewhere")).unwrap();
    let lost = world.request(JobKind::Backup, true);
    assert_eq!(lost.state, RunState::Failed, "{lost:?}");
    std::fs::create_dir(&tree).unwrap();
    let empty = world.request(JobKind::Backup, true);
    assert_ne!(empty.state, RunState::Succeeded, "{empty:?}");
    assert_eq!(source()["state"], "at_risk");
    daemon.terminate();
}
