//! A served daemon, and a client that says exactly what it is told to.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use backup_api::port::{Ledger, Role};
use backup_api::{Ports, Server, Settings, make_token};
use backup_core::port::Clock;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use crate::port::{NAMES, now};
use crate::world::{MovedClock, World, picture};

/// Waits are conditions; this only ends a test that hangs.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// A served daemon.
pub(crate) struct Served {
    pub(crate) world: Arc<World>,
    pub(crate) address: SocketAddr,
    stop: Option<oneshot::Sender<()>>,
    serving: JoinHandle<()>,
}

pub(crate) fn loopback() -> Settings {
    Settings::new("127.0.0.1:0".parse().unwrap())
}

pub(crate) fn ports(world: &Arc<World>) -> Ports {
    let clock: Arc<dyn Clock> = Arc::new(MovedClock::new(now()));
    Ports { facts: world.clone(), actions: world.clone(), ledger: world.clone(), clock }
}

impl Served {
    /// Serves the daemon of the tests.
    pub(crate) async fn new(settings: Settings) -> Self {
        Self::of(World::new(picture(now(), NAMES)), settings).await
    }

    pub(crate) async fn of(world: Arc<World>, settings: Settings) -> Self {
        Self::start(world.clone(), Server::bind(settings, ports(&world)).await.unwrap())
    }

    pub(crate) fn start(world: Arc<World>, server: Server) -> Self {
        let address = server.address().unwrap();
        let (stop, stopped) = oneshot::channel();
        let serving = tokio::spawn(server.serve(async move {
            let _ = stopped.await;
        }));
        Self { world, address, stop: Some(stop), serving }
    }

    /// Makes a token of a role.
    pub(crate) async fn token(&self, role: Role) -> String {
        let (token, record) = make_token(role.as_str(), role, now(), None).unwrap();
        self.world.keep_token(&record).await.unwrap();
        token.expose().to_owned()
    }

    /// Stops it, as a signal would.
    pub(crate) async fn stop(mut self) {
        drop(self.stop.take());
        tokio::time::timeout(PATIENCE, self.serving).await.unwrap().unwrap();
    }

    /// Asks; `headers` are whole lines.
    pub(crate) async fn ask(
        &self,
        method: &str,
        target: &str,
        headers: &[&str],
        body: &str,
    ) -> Heard {
        let mut lines = vec![format!("{method} {target} HTTP/1.1")];
        if !headers.iter().any(|line| line.to_ascii_lowercase().starts_with("host:")) {
            lines.push(format!("Host: {}", self.address));
        }
        lines.push("Connection: close".into());
        lines.extend(headers.iter().map(|line| (*line).to_owned()));
        if !body.is_empty() {
            lines.push(format!("Content-Length: {}", body.len()));
        }
        self.say(format!("{}\r\n\r\n{body}", lines.join("\r\n")).as_bytes()).await
    }

    pub(crate) async fn get(&self, target: &str) -> Heard {
        self.ask("GET", target, &[], "").await
    }

    /// Asks with a token.
    pub(crate) async fn with(&self, token: &str, method: &str, target: &str, body: &str) -> Heard {
        let token = format!("Authorization: Bearer {token}");
        let json = "Content-Type: application/json";
        self.ask(method, target, &[&token, json], body).await
    }

    /// Sends these bytes and hears whatever comes until the end.
    pub(crate) async fn say(&self, bytes: &[u8]) -> Heard {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        // The server may refuse and close before everything is sent.
        let _ = stream.write_all(bytes).await;
        let mut heard = Vec::new();
        let _ = tokio::time::timeout(PATIENCE, stream.read_to_end(&mut heard)).await.unwrap();
        Heard::parse(&heard)
    }
}

/// An answer.
#[derive(Debug)]
pub(crate) struct Heard {
    /// 0 when the connection was closed without one.
    pub(crate) status: u16,
    pub(crate) headers: BTreeMap<String, String>,
    pub(crate) body: String,
}

impl Heard {
    fn parse(bytes: &[u8]) -> Self {
        let text = String::from_utf8_lossy(bytes);
        let (head, body) = text.split_once("\r\n\r\n").unwrap_or((&text, ""));
        let mut lines = head.lines();
        let status = lines.next().and_then(|line| line.split(' ').nth(1)?.parse().ok());
        let headers = lines
            .filter_map(|line| line.split_once(": "))
            .map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned()))
            .collect();
        Self { status: status.unwrap_or(0), headers, body: body.to_owned() }
    }

    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }
}
