//! What others may send, and how little it does.

use std::time::{Duration, Instant};

use backup_api::port::Role;
use proptest::prelude::*;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::serve::{PATIENCE, Served, loopback};

#[tokio::test]
async fn too_much_is_refused() {
    let served = Served::new(loopback()).await;
    let admin = served.token(Role::Admin).await;
    let large = format!("{{\"snapshot\":\"{}\"}}", "x".repeat(70_000));
    assert_eq!(served.with(&admin, "POST", "/api/v1/restore-preview", &large).await.status, 413);
    let long = format!("/api/v1/runs?source={}", "x".repeat(20_000));
    assert!(matches!(served.get(&long).await.status, 0 | 414 | 431));
    let many: Vec<String> = (0..200).map(|n| format!("X-{n}: {n}")).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    assert!(matches!(served.ask("GET", "/health", &many, "").await.status, 0 | 431));
    assert_eq!(served.get("/health").await.status, 200);
    served.stop().await;
}

#[tokio::test]
async fn who_asks_too_often_waits_and_who_guesses_waits_longer() {
    let mut settings = loopback();
    settings.limits.burst = 20.0;
    settings.limits.requests_a_second = 0.001;
    let served = Served::new(settings).await;
    let mut refused = 0;
    for _ in 0..25 {
        let heard = served.get("/health").await;
        if heard.status == 429 {
            assert!(heard.headers["retry-after"].parse::<u64>().unwrap() > 0);
            refused += 1;
        }
    }
    assert_eq!(refused, 5);
    served.stop().await;

    let mut settings = loopback();
    settings.limits.failures_a_minute = 5.0;
    let served = Served::new(settings).await;
    let viewer = served.token(Role::Viewer).await;
    for _ in 0..5 {
        assert_eq!(served.with("bkp_a_b", "GET", "/api/v1/me", "").await.status, 401);
    }
    assert_eq!(served.with("bkp_a_b", "GET", "/api/v1/me", "").await.status, 429);
    assert_eq!(
        served.with(&viewer, "GET", "/api/v1/me", "").await.status,
        429,
        "not even the right one"
    );
    served.stop().await;
}

#[tokio::test]
async fn who_dawdles_is_let_go_and_others_are_served() {
    let mut settings = loopback();
    settings.limits.receive = Duration::from_millis(300);
    settings.limits.connections_each = 10;
    let served = Served::new(settings).await;
    let mut slow = Vec::new();
    for _ in 0..8 {
        let mut stream = TcpStream::connect(served.address).await.unwrap();
        stream.write_all(b"GET /health HTTP/1.1\r\nHost: 127.0.0.1\r\nX-").await.unwrap();
        slow.push(stream);
    }
    assert_eq!(served.get("/health").await.status, 200);
    for mut stream in slow {
        let mut rest = Vec::new();
        // Closed by the server: the read ends, with an answer or without.
        let _ = tokio::time::timeout(PATIENCE, stream.read_to_end(&mut rest)).await.unwrap();
    }
    let head = "POST /login HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 10\r\n\r\nabc";
    let mut stream = TcpStream::connect(served.address).await.unwrap();
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut heard = Vec::new();
    let _ = tokio::time::timeout(PATIENCE, stream.read_to_end(&mut heard)).await.unwrap();
    assert!(heard.starts_with(b"HTTP/1.1 408"), "{}", String::from_utf8_lossy(&heard));
    served.stop().await;
}

#[tokio::test]
async fn there_is_room_for_so_many_connections_and_it_is_given_back() {
    let mut settings = loopback();
    settings.limits.connections_each = 3;
    let served = Served::new(settings).await;
    let mut held = Vec::new();
    for _ in 0..3 {
        held.push(TcpStream::connect(served.address).await.unwrap());
    }
    assert_eq!(served.get("/health").await.status, 0, "closed at once");
    drop(held);
    let begun = Instant::now();
    while served.get("/health").await.status != 200 {
        assert!(begun.elapsed() < PATIENCE);
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    served.stop().await;
}

#[tokio::test]
async fn a_stop_ends_streams_and_is_not_held_up() {
    let served = Served::new(loopback()).await;
    let mut stream = TcpStream::connect(served.address).await.unwrap();
    let head = format!("GET /api/v1/events HTTP/1.1\r\nHost: {}\r\n\r\n", served.address);
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut first = [0; 16];
    stream.read_exact(&mut first).await.unwrap();
    served.stop().await;
    let mut rest = Vec::new();
    tokio::time::timeout(PATIENCE, stream.read_to_end(&mut rest)).await.unwrap().unwrap();
    assert!(String::from_utf8_lossy(&rest).contains("text/event-stream"));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    /// Whatever is sent, the server answers the next one, and never with 500.
    #[test]
    fn nothing_sent_breaks_it(junk in proptest::collection::vec(any::<u8>(), 0..200), path in "[ -~]{0,60}") {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let mut settings = loopback();
            settings.limits.receive = Duration::from_millis(200);
            let served = Served::new(settings).await;
            let mut bytes = junk;
            bytes.extend_from_slice(b"\r\n\r\n");
            assert_ne!(served.say(&bytes).await.status, 500);
            for method in ["GET", "POST", "DELETE"] {
                for prefix in ["/", "/api/v1/", "/api/v1/runs?", "/sources/", "/login?next="] {
                    let target = format!("{prefix}{}", path.replace(' ', "%20"));
                    assert_ne!(served.ask(method, &target, &[], "").await.status, 500, "{target}");
                }
            }
            assert_eq!(served.get("/health").await.status, 200);
            served.stop().await;
        });
    }
}
