//! Listens, accepts, and stops cleanly.

mod accept;
mod tls;

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use backup_core::port::Clock;
use backup_core::{Error, ErrorKind, Result};
use tokio::net::{TcpListener, UnixListener};
use tokio::sync::watch;

use crate::guard::{Guard, Peer};
use crate::http::{App, Kept};
use crate::metrics::Meter;
use crate::port::{Actions, Facts, Ledger};
use crate::record::Recorder;
use crate::settings::Settings;
use accept::{Listener, Places};

/// What is served.
#[derive(Clone)]
pub struct Ports {
    /// What can be asked.
    pub facts: Arc<dyn Facts>,
    /// What can be asked for.
    pub actions: Arc<dyn Actions>,
    /// What is remembered for the server.
    pub ledger: Arc<dyn Ledger>,
    /// What time it is.
    pub clock: Arc<dyn Clock>,
}

/// A server that has its address and serves when told to.
pub struct Server {
    app: Arc<App>,
    stop: watch::Sender<bool>,
    tcp: TcpListener,
    socket: Option<UnixListener>,
    tls: Option<tokio_rustls::TlsAcceptor>,
}

impl Server {
    /// Takes the address. Refuses one that others reach as long as there is no token that is
    /// good now; nothing is answered before [`Server::serve`].
    pub async fn bind(settings: Settings, ports: Ports) -> Result<Self> {
        let now = ports.clock.now();
        let tokens = ports.ledger.tokens().await?;
        let good = tokens.iter().filter(|token| crate::guard::token::is_good(token, now)).count();
        settings.check(good)?;
        let tls = settings.tls.as_ref().map(tls::acceptor).transpose()?;
        let tcp = TcpListener::bind(settings.listen).await.map_err(|error| {
            Error::new(ErrorKind::Failed, "listen")
                .with("address", settings.listen)
                .hint("Choose another address, or end the program that has this one.")
                .because(error)
        })?;
        let (stop, stopped) = watch::channel(false);
        let app = App {
            guard: Guard::new(settings.clone(), ports.ledger.clone(), ports.clock.clone()),
            recorder: Recorder::new(ports.ledger.clone(), ports.clock.clone()),
            meter: Meter::default(),
            facts: ports.facts,
            actions: ports.actions,
            ledger: ports.ledger,
            clock: ports.clock,
            stop: stopped,
            status: Kept::default(),
            metrics: Kept::default(),
            settings,
        };
        Ok(Self { app: Arc::new(app), stop, tcp, socket: None, tls })
    }

    /// Also listens on a socket in the file system. Whoever may open it is trusted with
    /// everything, so it is made for its owner alone. A socket left behind by a process that is
    /// gone is replaced.
    pub fn also_socket(mut self, path: &Path) -> Result<Self> {
        self.socket = Some(accept::socket(path)?);
        Ok(self)
    }

    /// Returns the address it has.
    pub fn address(&self) -> Result<SocketAddr> {
        self.tcp.local_addr().map_err(|error| {
            Error::new(ErrorKind::Failed, "read the address listened on").because(error)
        })
    }

    /// Serves until `stop` is ready, then lets requests end for a while. Streams end at once.
    pub async fn serve(self, stop: impl Future<Output = ()>) {
        let places = Places::new(&self.app.settings.limits);
        let tcp = accept::run(self.app.clone(), Listener::Tcp(self.tcp, self.tls), places.clone());
        let socket = async {
            match self.socket {
                Some(socket) => {
                    accept::run(self.app.clone(), Listener::Socket(socket), places.clone()).await;
                }
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = tcp => {}
            () = socket => {}
            () = stop => {}
        }
        self.stop.send_replace(true);
        places.drained(self.app.settings.limits.drain).await;
    }
}

/// What the accept loop learns of a connection.
type Accepted = (Box<dyn Io>, Peer);

/// A connection's two directions.
trait Io: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin + Send {}
impl<T: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin + Send> Io for T {}
