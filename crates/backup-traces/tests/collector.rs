//! A real collector's side of the wire: HTTP on the loopback interface, protobuf decoded.
#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of tests")]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, channel};

use backup_core::{
    Error, ErrorKind, JobKey, JobKind, Run, RunId, RunPhase, RunState, Secret, Trigger,
};
use backup_traces::{Collector, Traces};
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::{KeyValue, any_value::Value};
use opentelemetry_proto::tonic::trace::v1::{Span, status::StatusCode};
use prost::Message;

/// What was asked of it: the head, and the body.
type Heard = (String, Vec<u8>);

/// Takes requests and answers them with these statuses, one after the other.
fn collect(statuses: Vec<&'static str>) -> (String, Receiver<Heard>) {
    let server = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = server.local_addr().unwrap();
    let (sender, heard) = channel();
    std::thread::spawn(move || {
        for status in statuses {
            let (stream, _) = server.accept().unwrap();
            sender.send(read(&stream)).unwrap();
            let answer =
                format!("HTTP/1.1 {status}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
            (&stream).write_all(answer.as_bytes()).unwrap();
        }
    });
    (format!("http://{address}"), heard)
}

fn read(stream: &TcpStream) -> Heard {
    let mut reader = BufReader::new(stream);
    let (mut head, mut length) = (String::new(), 0);
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).unwrap();
        if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
            length = value.trim().parse().unwrap();
        }
        if line.trim().is_empty() {
            break;
        }
        head.push_str(&line);
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).unwrap();
    (head, body)
}

fn spans(body: &[u8]) -> (Vec<KeyValue>, Vec<Span>) {
    let request = ExportTraceServiceRequest::decode(body).unwrap();
    let of_resource = &request.resource_spans[0];
    let resource = of_resource.resource.clone().unwrap().attributes;
    let spans = of_resource.scope_spans.iter().flat_map(|scope| scope.spans.clone()).collect();
    (resource, spans)
}

fn value(attributes: &[KeyValue], key: &str) -> Value {
    let found = attributes.iter().find(|attribute| attribute.key == key);
    let found = found.unwrap_or_else(|| panic!("{key} in {attributes:?}"));
    found.value.clone().unwrap().value.unwrap()
}

fn text(attributes: &[KeyValue], key: &str) -> String {
    match value(attributes, key) {
        Value::StringValue(text) => text,
        other => panic!("{other:?}"),
    }
}

fn run() -> Run {
    let job = JobKey::of(JobKind::Backup, &"shop".parse().unwrap());
    let begun = "2026-01-01T00:00:00Z".parse().unwrap();
    let mut run = Run::begin(RunId([9; 16]), job, Trigger::Schedule, begun);
    run.ended_at = Some("2026-01-01T00:00:08Z".parse().unwrap());
    run.state = RunState::Failed;
    run.numbers.insert("read_bytes".into(), 4096);
    run.error = Some((&Error::new(ErrorKind::SourceUnavailable, "read rows")).into());
    let phase = |name: &str, seconds| RunPhase { name: name.into(), seconds };
    run.phases = vec![phase("connect", 1.0), phase("copy", 5.0)];
    run
}

fn traces(collector: &Collector) -> Traces {
    // A second one is refused, and that is fine.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let client = reqwest::Client::builder().build().unwrap();
    Traces::new(collector, client, "backupd", "1.2.3").unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_collector_hears_of_a_run_and_its_phases() {
    let (url, heard) = collect(vec!["200 OK"]);
    let headers = Secret::new("authorization=Bearer%20t0ken");
    let collector = Collector::below(&url).with_headers(&headers).unwrap();
    let mut running = run();
    running.ended_at = None;
    traces(&collector).send(&[run(), running]).await.unwrap();
    let (head, body) = heard.recv().unwrap();
    assert!(head.starts_with("POST /v1/traces HTTP/1.1"), "{head}");
    let head = head.to_ascii_lowercase();
    assert!(head.contains("content-type: application/x-protobuf"), "{head}");
    assert!(head.contains("authorization: bearer t0ken"), "{head}");

    let (resource, spans) = spans(&body);
    assert_eq!(text(&resource, "service.name"), "backupd");
    assert_eq!(text(&resource, "service.version"), "1.2.3");
    let names: Vec<_> = spans.iter().map(|span| span.name.as_str()).collect();
    assert_eq!(names, ["backup shop", "connect", "copy"]);
    assert!(spans.iter().all(|span| span.trace_id == [9; 16]), "the id of the run");
    let whole = &spans[0];
    assert!(whole.parent_span_id.is_empty());
    assert!(spans[1..].iter().all(|span| span.parent_span_id == whole.span_id));
    assert_eq!(whole.end_time_unix_nano - whole.start_time_unix_nano, 8_000_000_000);
    let copy = &spans[2];
    assert_eq!(copy.end_time_unix_nano - copy.start_time_unix_nano, 5_000_000_000);
    assert_eq!(copy.start_time_unix_nano, spans[1].end_time_unix_nano);
    assert_eq!(text(&whole.attributes, "backup.source"), "shop");
    assert_eq!(text(&whole.attributes, "backup.trigger"), "schedule");
    assert_eq!(text(&whole.attributes, "error.type"), "source_unavailable");
    assert_eq!(value(&whole.attributes, "backup.read_bytes"), Value::IntValue(4096));
    let status = whole.status.clone().unwrap();
    assert_eq!((status.code(), status.message.as_str()), (StatusCode::Error, "read rows"));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_taken_is_an_error_that_passes_and_shows_no_secret() {
    let (url, heard) = collect(vec!["503 Service Unavailable", "200 OK"]);
    let collector = Collector::exactly(&format!("{url}/custom?key=s3cr3t"));
    let traces = traces(&collector);
    let error = traces.send(&[run()]).await.unwrap_err();
    assert_eq!(error.status(), backup_core::ErrorStatus::Temporary);
    assert!(!error.to_string().contains("s3cr3t"), "{error}");
    let (head, first) = heard.recv().unwrap();
    assert!(head.starts_with("POST /custom?key=s3cr3t "), "{head}");
    traces.send(&[run()]).await.unwrap();
    assert_eq!(spans(&heard.recv().unwrap().1), spans(&first), "the same again");
    // Nobody listens any more.
    let error = traces.send(&[run()]).await.unwrap_err();
    assert!(!error.to_string().contains("s3cr3t"), "{error}");
    assert!(traces.send(&[]).await.is_ok(), "nothing is nothing");
}
