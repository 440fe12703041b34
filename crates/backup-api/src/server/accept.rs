//! Connections: taken in while there is room, answered, and let go.

use std::collections::HashMap;
use std::convert::Infallible;
use std::net::IpAddr;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use backup_core::{Error, ErrorKind, Result};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, UnixListener};
use tokio_rustls::TlsAcceptor;

use super::{Accepted, Io};
use crate::guard::Peer;
use crate::http::{App, answer};
use crate::settings::Limits;

/// Bytes of a request's head.
const HEAD: usize = 16 << 10;

/// Where connections come from.
pub(super) enum Listener {
    Tcp(TcpListener, Option<TlsAcceptor>),
    Socket(UnixListener),
}

/// Accepts until it is dropped.
pub(super) async fn run(app: Arc<App>, listener: Listener, places: Places) {
    loop {
        let accepted: std::io::Result<Accepted> = match &listener {
            Listener::Tcp(tcp, _) => tcp.accept().await.map(|(stream, address)| {
                let _ = stream.set_nodelay(true);
                (Box::new(stream) as Box<dyn Io>, Peer::Address(address.ip()))
            }),
            Listener::Socket(socket) => socket
                .accept()
                .await
                .map(|(stream, _)| (Box::new(stream) as Box<dyn Io>, Peer::Socket)),
        };
        let (stream, peer) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                // Out of files, most likely: others end, then it goes on.
                tracing::warn!(%error, "a connection could not be accepted");
                app.clock.sleep(Duration::from_millis(100)).await;
                continue;
            }
        };
        // Without room the connection is closed at once: waiting would only pile them up.
        let Some(place) = places.take(peer.address()) else { continue };
        let tls = match &listener {
            Listener::Tcp(_, tls) => tls.clone(),
            Listener::Socket(_) => None,
        };
        let app = app.clone();
        tokio::spawn(async move {
            let _place = place;
            match tls {
                None => converse(app, stream, peer).await,
                Some(tls) => {
                    let receive = app.settings.limits.receive;
                    if let Ok(Ok(stream)) = tokio::time::timeout(receive, tls.accept(stream)).await
                    {
                        converse(app, Box::new(stream), peer).await;
                    }
                }
            }
        });
    }
}

/// Answers the requests of one connection, one after the other.
async fn converse(app: Arc<App>, stream: Box<dyn Io>, peer: Peer) {
    let mut stop = app.stop.clone();
    let service = service_fn(|request| {
        let app = app.clone();
        async move { Ok::<_, Infallible>(answer(app, peer, request).await) }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(app.settings.limits.receive)
        .max_buf_size(HEAD)
        .max_headers(64)
        .serve_connection(TokioIo::new(stream), service);
    tokio::pin!(connection);
    let stopped = tokio::select! {
        _ = connection.as_mut() => false,
        _ = stop.wait_for(|stop| *stop) => true,
    };
    if stopped {
        connection.as_mut().graceful_shutdown();
        let _ = connection.await;
    }
}

/// Makes a socket for its owner alone.
pub(super) fn socket(path: &Path) -> Result<UnixListener> {
    let failed = |what: &'static str| {
        move |error: std::io::Error| {
            Error::new(ErrorKind::Failed, what).with("socket", path.display()).because(error)
        }
    };
    if let Ok(found) = std::fs::symlink_metadata(path) {
        if !found.file_type().is_socket() {
            return Err(Error::new(ErrorKind::Conflict, "make socket")
                .with("socket", path.display())
                .hint("Something else is there; choose another path."));
        }
        if std::os::unix::net::UnixStream::connect(path).is_ok() {
            return Err(Error::new(ErrorKind::Conflict, "make socket")
                .with("socket", path.display())
                .hint("A daemon listens there already."));
        }
        std::fs::remove_file(path).map_err(failed("replace socket"))?;
    }
    let socket = UnixListener::bind(path).map_err(failed("make socket"))?;
    let owner_only = std::fs::Permissions::from_mode(0o600);
    std::fs::set_permissions(path, owner_only).map_err(failed("close socket to others"))?;
    Ok(socket)
}

/// Room for connections: so many in all, so many each.
#[derive(Clone)]
pub(super) struct Places(Arc<Shared>);

struct Shared {
    all: usize,
    each: usize,
    taken: Mutex<HashMap<IpAddr, usize>>,
    changed: tokio::sync::Notify,
}

impl Places {
    pub(super) fn new(limits: &Limits) -> Self {
        Self(Arc::new(Shared {
            all: limits.connections,
            each: limits.connections_each,
            taken: Mutex::default(),
            changed: tokio::sync::Notify::new(),
        }))
    }

    fn take(&self, address: IpAddr) -> Option<Place> {
        let mut taken = self.0.taken.lock().unwrap_or_else(PoisonError::into_inner);
        let all: usize = taken.values().sum();
        let own = taken.get(&address).copied().unwrap_or(0);
        if all >= self.0.all || own >= self.0.each {
            return None;
        }
        taken.insert(address, own + 1);
        Some(Place { shared: self.0.clone(), address })
    }

    /// Waits until all are free, but not longer than that.
    pub(super) async fn drained(&self, most: Duration) {
        let empty = async {
            loop {
                let changed = self.0.changed.notified();
                if self.0.taken.lock().unwrap_or_else(PoisonError::into_inner).is_empty() {
                    return;
                }
                changed.await;
            }
        };
        let _ = tokio::time::timeout(most, empty).await;
    }
}

/// One connection's place, given back when it ends.
struct Place {
    shared: Arc<Shared>,
    address: IpAddr,
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut taken = self.shared.taken.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = taken.get_mut(&self.address) {
            *count -= 1;
            if *count == 0 {
                taken.remove(&self.address);
            }
        }
        drop(taken);
        self.shared.changed.notify_waiters();
    }
}
