//! What happens, as it happens.

use backup_api::port::Role;
use backup_api::view::{LiveKind, LogLevel, LogLine};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;

use crate::port::now;
use crate::schema::check;
use crate::serve::{PATIENCE, Served, loopback};

#[tokio::test]
async fn a_run_is_followed_from_its_start() {
    let served = Served::new(loopback()).await;
    let operator = served.token(Role::Operator).await;
    let document = served.get("/api/v1/openapi.json").await.json();
    let schema = &document["paths"]["/api/v1/events"]["get"]["responses"]["200"]["content"]["text/event-stream"]
        ["x-event-data"];
    let mut stream = TcpStream::connect(served.address).await.unwrap();
    let head =
        format!("GET /api/v1/events?source=orders HTTP/1.1\r\nHost: {}\r\n\r\n", served.address);
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut lines = BufReader::new(stream).lines();
    // The stream is open, so nothing that follows can be missed.
    while !lines.next_line().await.unwrap().unwrap().contains("retry: 3000") {}
    // Of another source: not heard here.
    served.with(&operator, "POST", "/api/v1/sources/ledger/runs", "{\"job\":\"backup\"}").await;
    let run =
        served.with(&operator, "POST", "/api/v1/sources/orders/runs", "{\"job\":\"backup\"}").await;
    let run = run.json()["id"].as_str().unwrap().to_owned();
    let line = LogLine { at: now(), level: LogLevel::Info, message: "two\nlines <b>".into() };
    served.world.change_run(
        &run,
        |detail| detail.log.push(line.clone()),
        |_| LiveKind::Log { line: line.clone() },
    );
    let mut kinds = Vec::new();
    while kinds.len() < 2 {
        let line =
            tokio::time::timeout(PATIENCE, lines.next_line()).await.unwrap().unwrap().unwrap();
        if let Some(kind) = line.strip_prefix("event: ") {
            kinds.push(kind.to_owned());
        }
        if let Some(data) = line.strip_prefix("data: ") {
            let data = serde_json::from_str(data).unwrap();
            assert_eq!(check(&document, schema, &data), Vec::<String>::new());
            assert_eq!(data["run"], run);
        }
    }
    assert_eq!(kinds, ["run", "log"]);
    served.stop().await;
}
