//! A real HTTP server that takes alerts, or refuses them.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use serde_json::Value;

pub(crate) struct Receiver {
    port: u16,
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    down: AtomicBool,
    refused: AtomicUsize,
    heard: Mutex<Vec<Value>>,
    signatures: Mutex<Vec<String>>,
}

impl Receiver {
    pub(crate) fn start() -> Self {
        let server = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = server.local_addr().unwrap().port();
        let shared = Arc::new(Shared::default());
        let all = Arc::clone(&shared);
        std::thread::spawn(move || {
            for stream in server.incoming().map_while(Result::ok) {
                let Some((body, signature)) = read(&stream) else { continue };
                let status = if all.down.load(Ordering::SeqCst) {
                    all.refused.fetch_add(1, Ordering::SeqCst);
                    "503 Service Unavailable"
                } else {
                    all.signatures.lock().unwrap().extend(signature);
                    all.heard.lock().unwrap().push(body);
                    "200 OK"
                };
                let answer = format!(
                    "HTTP/1.1 {status}\r\ncontent-length: 2\r\nconnection: close\r\n\r\nok"
                );
                let _ = (&stream).write_all(answer.as_bytes());
            }
        });
        Self { port, shared }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://127.0.0.1:{}/hook/s3cr3t", self.port)
    }

    /// From now on it refuses everything, or takes it again.
    pub(crate) fn set_down(&self, down: bool) {
        self.shared.down.store(down, Ordering::SeqCst);
    }

    /// What was taken, in order.
    pub(crate) fn heard(&self) -> Vec<Value> {
        self.shared.heard.lock().unwrap().clone()
    }

    /// How many of what was taken are this event.
    pub(crate) fn count(&self, event: &str) -> usize {
        self.heard().iter().filter(|body| body["event"] == event).count()
    }

    /// The signatures of what was taken and signed, in order.
    pub(crate) fn signatures(&self) -> Vec<String> {
        self.shared.signatures.lock().unwrap().clone()
    }

    /// How many requests were refused.
    pub(crate) fn refused(&self) -> usize {
        self.shared.refused.load(Ordering::SeqCst)
    }
}

/// Reads a request's body and signature; nothing when it breaks off.
fn read(stream: &TcpStream) -> Option<(Value, Option<String>)> {
    let mut reader = BufReader::new(stream);
    let mut length = 0;
    let mut signature = None;
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line).ok()? == 0 {
            return None;
        }
        let line = line.trim().to_ascii_lowercase();
        if let Some(value) = line.strip_prefix("content-length:") {
            length = value.trim().parse().ok()?;
        }
        if let Some(value) = line.strip_prefix("x-backup-signature:") {
            signature = Some(value.trim().to_owned());
        }
        if line.is_empty() {
            break;
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    Some((serde_json::from_slice(&body).ok()?, signature))
}
