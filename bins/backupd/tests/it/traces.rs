//! Runs, as a collector of OpenTelemetry hears of them. What the bytes mean is tested where they
//! are made; here it counts that they come.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::sync::{Arc, Mutex};

use backup_core::{JobKind, RunState};
use backup_testkit::postgres::Cluster;

use crate::world::{World, shop, wait};

type Heard = Arc<Mutex<Vec<(String, Vec<u8>)>>>;

/// Answers 503 to the first request, and takes every other.
fn collector() -> (String, Heard) {
    let server = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", server.local_addr().unwrap());
    let heard = Heard::default();
    let all = Arc::clone(&heard);
    std::thread::spawn(move || {
        for (number, stream) in server.incoming().map_while(Result::ok).enumerate() {
            let mut reader = BufReader::new(&stream);
            let (mut head, mut length) = (String::new(), 0);
            loop {
                let mut line = String::new();
                if reader.read_line(&mut line).unwrap_or(0) == 0 || line.trim().is_empty() {
                    break;
                }
                let line = line.to_ascii_lowercase();
                if let Some(value) = line.strip_prefix("content-length:") {
                    length = value.trim().parse().unwrap();
                }
                head.push_str(&line);
            }
            let mut body = vec![0; length];
            reader.read_exact(&mut body).unwrap();
            all.lock().unwrap().push((head, body));
            let status = if number == 0 { "503 Not Now" } else { "200 OK" };
            let answer =
                format!("HTTP/1.1 {status}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
            let _ = (&stream).write_all(answer.as_bytes());
        }
    });
    (url, heard)
}

fn holds(body: &[u8], text: &str) -> bool {
    body.windows(text.len()).any(|part| part == text.as_bytes())
}

#[test]
fn each_run_is_a_trace_and_none_is_lost_while_the_collector_is_away() {
    let Some(cluster) = Cluster::start_newest() else { return };
    shop(&cluster, 500);
    let (url, heard) = collector();
    let mut world = World::new(&cluster);
    world.set("OTEL_EXPORTER_OTLP_ENDPOINT", &url);
    std::fs::write(world.path("headers"), "authorization=Bearer%20s3cr3t\n").unwrap();
    world.set("OTEL_EXPORTER_OTLP_HEADERS_FILE", &world.path("headers").display().to_string());
    let daemon = world.start();
    let run = world.request(JobKind::Backup, true);
    assert_eq!(run.state, RunState::Succeeded);
    wait("the trace, again after it was refused", || heard.lock().unwrap().len() == 2);
    let (head, body) = heard.lock().unwrap()[1].clone();
    assert!(head.starts_with("post /v1/traces http/1.1"), "{head}");
    assert!(head.contains("application/x-protobuf") && head.contains("bearer s3cr3t"), "{head}");
    assert_eq!(heard.lock().unwrap()[0].1, body, "the same trace");
    for text in ["backupd", "backup shop", "backup.source", &run.id.to_string()] {
        assert!(holds(&body, text), "{text}");
    }
    assert!(!run.phases.is_empty());
    assert!(run.phases.iter().all(|phase| holds(&body, &phase.name)), "{:?}", run.phases);
    world.request(JobKind::Verify, true);
    wait("the next trace", || heard.lock().unwrap().len() == 3);
    assert!(holds(&heard.lock().unwrap()[2].1, "verify shop"));
    assert!(!daemon.log().contains("s3cr3t"));
    daemon.terminate();
}
