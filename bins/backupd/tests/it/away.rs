//! A store that is away at the start: served at once, honest, and begun when the store comes.

use std::io::copy;
use std::net::{TcpListener, TcpStream};

use backup_core::{JobKind, RunState};
use backup_testkit::postgres::Cluster;
use backup_testkit::s3::Server;

use crate::http::{address, ask, get, json, token};
use crate::via_daemon::run;
use crate::world::{World, shop, wait};

/// Passes every connection on, for as long as the test runs.
fn come_up(port: u16, endpoint: &str) {
    let listener = TcpListener::bind(("127.0.0.1", port)).unwrap();
    let behind = endpoint.strip_prefix("http://").unwrap().to_owned();
    std::thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            let Ok(server) = TcpStream::connect(&behind) else { continue };
            let (mut from, mut to) = (stream.try_clone().unwrap(), server.try_clone().unwrap());
            std::thread::spawn(move || {
                let _ = copy(&mut from, &mut to);
                let _ = to.shutdown(std::net::Shutdown::Write);
            });
            let (mut from, mut to) = (server, stream);
            std::thread::spawn(move || copy(&mut from, &mut to));
        }
    });
}

#[test]
fn while_its_store_is_away_it_lives_says_why_and_begins_when_the_store_comes() {
    let Some(cluster) = Cluster::start_newest() else { return };
    let Some(bucket) = Server::start() else { return };
    shop(&cluster, 100);
    let mut world = World::new(&cluster);
    world.set("AWS_ACCESS_KEY_ID", bucket.access_key());
    world.set("AWS_SECRET_ACCESS_KEY", bucket.secret_key());
    let url = |endpoint: &str| {
        format!("s3://{}/b?endpoint={endpoint}&region={}", bucket.bucket(), bucket.region())
    };
    world.set("BACKUP_REPOSITORY", &url(&bucket.endpoint()));
    let made = run(&world, &["init"]);
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    world.set("BACKUP_REPOSITORY", &url(&format!("http://127.0.0.1:{port}")));
    world.configure("[repository]\nattempts = 1\ntimeout = \"5s\"\n");
    let operator = token(&world, "operator");

    let daemon = world.spawn();
    let at = address(&daemon);
    assert_eq!(json(&at, "/health")["status"], "ok", "it lives");
    let problems = || json(&at, "/health/detailed")["program"]["problems"].to_string();
    wait("the reason", || problems().contains("next try at"));
    assert!(problems().contains("the repository is not open yet"), "{}", problems());
    assert_eq!(json(&at, "/health/detailed")["status"], "degraded");
    assert_eq!(ask(&at, "GET", "/health/backups?strict", None, "").0, 503);
    let status = json(&at, "/api/backup/status");
    assert_eq!(status["sources"][0]["state"], "unprotected", "{status}");
    assert!(status["sources"][0]["reasons"].to_string().contains("not open yet"), "{status}");
    assert!(get(&at, "/metrics").contains("backup_source_protected{source=\"shop\"} 0"));
    assert!(get(&at, "/").contains("not open yet"));
    assert_eq!(json(&at, "/api/v1/runs")["runs"].as_array().map(Vec::len), Some(0));
    let (status, said) = ask(&at, "GET", "/api/v1/snapshots", None, "");
    assert!(status == 503 && said.contains("not open yet"), "{status} {said}");
    let runs = "/api/v1/sources/shop/runs";
    assert_eq!(ask(&at, "POST", runs, Some(&operator), "{\"job\":\"backup\"}").0, 503);

    come_up(port, &bucket.endpoint());
    wait("the repository to be opened", || world.ask(&backup::daemon::Question::Status).is_some());
    assert_eq!(world.request(JobKind::Backup, true).state, RunState::Succeeded);
    wait("protection", || ask(&at, "GET", "/health/backups?strict", None, "").0 == 200);
    assert_eq!(problems(), "[]");
    assert_eq!(json(&at, "/api/v1/runs")["runs"][0]["state"], "succeeded");
    daemon.terminate();
}
