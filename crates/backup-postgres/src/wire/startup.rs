//! From options to a session: dial, secure, log in, wait until the server is ready.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use backup_core::{Error, ErrorKind, Result};
use bytes::BytesMut;
use postgres_protocol::message::backend::Message;
use postgres_protocol::message::frontend;
use tokio::net::{TcpStream, UnixStream};

use super::auth;
use super::cancel::CancelToken;
use super::error::DbError;
use super::link::{Incoming, Link};
use super::session::Session;
use super::tls::Tls;
use super::transport::Transport;
use super::{fault, frame, socket};
use crate::connect::{ConnectOptions, Host, SslMode, SslNegotiation};

/// How one connection was made, so that a second one reaches the same server.
#[derive(Clone)]
pub(crate) struct Dial {
    pub(crate) options: Arc<ConnectOptions>,
    peer: Peer,
    /// Present if the connection uses TLS.
    tls: Option<Tls>,
}

#[derive(Clone)]
enum Peer {
    Tcp(SocketAddr),
    Socket(PathBuf),
}

pub(crate) async fn connect(options: &ConnectOptions) -> Result<(Link, Session, CancelToken)> {
    if options.user().is_empty() {
        return Err(Error::new(ErrorKind::ConfigInvalid, "connect to database")
            .because("no role is named")
            .hint("Name the role in the URL: postgres://role@host/database."));
    }
    let Some(limit) = options.connect_timeout else { return establish(options).await };
    tokio::time::timeout(limit, establish(options)).await.unwrap_or_else(|_| {
        let late = format!("no usable connection within {} seconds", limit.as_secs());
        Err(fault::unreachable(options, io::Error::new(io::ErrorKind::TimedOut, late)))
    })
}

async fn establish(options: &ConnectOptions) -> Result<(Link, Session, CancelToken)> {
    let (transport, dial) = open(options).await?;
    let mut link = Link::new(transport);
    let mut message = BytesMut::new();
    frontend::startup_message(parameters(options), &mut message).map_err(|_| {
        Error::new(ErrorKind::ConfigInvalid, "connect to database")
            .because("a start-up parameter holds a zero byte")
    })?;
    link.send(&message).await.map_err(|error| fault::unreachable(options, error))?;
    auth::log_in(&mut link, options).await?;
    let session = settle(&mut link, options).await?;
    let cancel =
        CancelToken { dial, process_id: session.process_id, secret_key: session.secret_key };
    Ok((link, session, cancel))
}

fn parameters(options: &ConnectOptions) -> impl Iterator<Item = (&str, &str)> {
    let fixed = [
        ("user", options.user()),
        ("database", options.database()),
        ("application_name", options.application_name.as_str()),
        // Names, rows and messages are handled as Rust text.
        ("client_encoding", "UTF8"),
    ];
    let given = options.options.as_deref().map(|value| ("options", value));
    let extra = options.extra_startup.iter().map(|(name, value)| (name.as_str(), value.as_str()));
    fixed.into_iter().chain(given).chain(extra)
}

/// After the login: session facts until the server is ready.
async fn settle(link: &mut Link, options: &ConnectOptions) -> Result<Session> {
    let mut session = Session::default();
    loop {
        let message = next(link, options).await?;
        let message = session.observe(message).map_err(|error| violation(options, error))?;
        match message {
            None => {}
            Some(Message::BackendKeyData(body)) => {
                session.process_id = body.process_id();
                session.secret_key = body.secret_key();
            }
            Some(Message::ReadyForQuery(_)) => return Ok(session),
            Some(_) => return Err(violation(options, "an unexpected message after the login")),
        }
    }
}

/// Reads the next message of the login; an error of the server becomes ours.
pub(crate) async fn next(link: &mut Link, options: &ConnectOptions) -> Result<Message> {
    match link.receive(frame::MAX_STARTUP).await {
        Ok(Incoming::Known(Message::ErrorResponse(body))) => {
            let error = DbError::read(body.fields()).map_err(|error| violation(options, error))?;
            Err(fault::refused(options, error))
        }
        Ok(Incoming::Known(message)) => Ok(message),
        Ok(Incoming::CopyBoth) => Err(violation(options, "replication began unasked")),
        Err(error) if error.kind() == io::ErrorKind::InvalidData => Err(violation(options, error)),
        Err(error) => Err(fault::unreachable(options, error)),
    }
}

pub(crate) fn violation(options: &ConnectOptions, what: impl std::fmt::Display) -> Error {
    fault::unusable(
        options,
        format!("protocol violation: {what}"),
        "Check that a PostgreSQL server listens there.",
    )
}

async fn open(options: &ConnectOptions) -> Result<(Transport, Dial)> {
    let unreachable = |error| fault::unreachable(options, error);
    let shared = Arc::new(options.clone());
    match &options.host {
        Host::Socket(directory) => {
            let path = options.socket_path(directory);
            let stream = UnixStream::connect(&path).await.map_err(unreachable)?;
            let dial = Dial { options: shared, peer: Peer::Socket(path), tls: None };
            Ok((Transport::Unix(stream), dial))
        }
        Host::Tcp { name, address } => {
            let addresses: Vec<SocketAddr> = match address {
                Some(address) => vec![SocketAddr::new(*address, options.port())],
                None => tokio::net::lookup_host((name.as_str(), options.port()))
                    .await
                    .map_err(unreachable)?
                    .collect(),
            };
            let stream = first(&addresses, options).await.map_err(unreachable)?;
            let peer = Peer::Tcp(stream.peer_addr().map_err(unreachable)?);
            socket::tune(&stream, options).map_err(unreachable)?;
            let (transport, tls) = secure(stream, options).await?;
            Ok((transport, Dial { options: shared, peer, tls }))
        }
    }
}

/// Connects to the first address that answers; a silent one may not use up all the time.
async fn first(addresses: &[SocketAddr], options: &ConnectOptions) -> io::Result<TcpStream> {
    let share = u32::try_from(addresses.len()).unwrap_or(u32::MAX).max(1);
    let limit = options.connect_timeout.map(|limit| limit / share);
    let mut last = io::Error::new(io::ErrorKind::NotFound, "the host name has no address");
    for address in addresses {
        let attempt = TcpStream::connect(address);
        let outcome = match limit {
            Some(limit) => tokio::time::timeout(limit, attempt).await.unwrap_or_else(|_| {
                Err(io::Error::new(io::ErrorKind::TimedOut, "the host does not answer"))
            }),
            None => attempt.await,
        };
        match outcome {
            Ok(stream) => return Ok(stream),
            Err(error) => last = error,
        }
    }
    Err(last)
}

/// Agrees on TLS as `sslmode` demands.
async fn secure(
    mut stream: TcpStream,
    options: &ConnectOptions,
) -> Result<(Transport, Option<Tls>)> {
    if options.ssl_mode == SslMode::Disable {
        return Ok((Transport::Tcp(stream), None));
    }
    if options.ssl_negotiation == SslNegotiation::Postgres
        && !super::tls::offered(&mut stream, options).await?
    {
        if options.ssl_mode == SslMode::Prefer {
            return Ok((Transport::Tcp(stream), None));
        }
        return Err(fault::unusable(
            options,
            format!("the server offers no TLS, and sslmode is {}", options.ssl_mode.as_str()),
            "Turn TLS on at the server (ssl = on), or add sslmode=disable to the URL if the \
             network between can be trusted.",
        ));
    }
    let tls = Tls::prepare(options).await?;
    let transport = tls.handshake(stream, options).await?;
    Ok((transport, Some(tls)))
}

impl Dial {
    /// Opens a second connection to the same server, secured the same way.
    pub(crate) async fn again(&self) -> Result<Transport> {
        let unreachable = |error| fault::unreachable(&self.options, error);
        let address = match &self.peer {
            Peer::Socket(path) => {
                return UnixStream::connect(path).await.map(Transport::Unix).map_err(unreachable);
            }
            Peer::Tcp(address) => address,
        };
        let mut stream = TcpStream::connect(address).await.map_err(unreachable)?;
        let Some(tls) = &self.tls else { return Ok(Transport::Tcp(stream)) };
        if self.options.ssl_negotiation == SslNegotiation::Postgres
            && !super::tls::offered(&mut stream, &self.options).await?
        {
            return Err(violation(&self.options, "the server no longer offers TLS"));
        }
        tls.handshake(stream, &self.options).await
    }
}
