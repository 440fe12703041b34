//! How to serve.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use backup_core::{Error, ErrorKind, Result};

/// How to serve.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The address to listen on.
    pub listen: SocketAddr,
    /// The certificate to show; without one, connections are not encrypted.
    pub tls: Option<TlsFiles>,
    /// Names by which browsers may call this server, beyond `localhost` and addresses.
    pub hosts: Vec<String>,
    /// Whether those on this machine may also start and cancel runs without a token.
    pub open_writes: bool,
    /// How much is too much.
    pub limits: Limits,
}

impl Settings {
    /// Returns the settings for an address, everything else as it is best for most.
    #[must_use]
    pub fn new(listen: SocketAddr) -> Self {
        Self { listen, tls: None, hosts: Vec::new(), open_writes: false, limits: Limits::default() }
    }

    /// Refuses what would be open to the network: an address that others reach, without a token
    /// that anybody must show.
    pub(crate) fn check(&self, tokens: usize) -> Result<()> {
        if is_loopback(self.listen.ip()) {
            return Ok(());
        }
        let refuse =
            |why: &str| Error::new(ErrorKind::ConfigInvalid, why).with("address", self.listen);
        if tokens == 0 {
            return Err(refuse("listen on an address that others reach, without a token")
                .hint("Listen on 127.0.0.1, or make a token with `backupd token add` first."));
        }
        if self.open_writes {
            return Err(refuse("let everybody write on an address that others reach")
                .hint("Remove `open_writes`, or listen on 127.0.0.1."));
        }
        Ok(())
    }
}

/// Where certificate and key are, as PEM.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsFiles {
    /// The certificate, followed by those that vouch for it.
    pub certificate: PathBuf,
    /// Its private key.
    pub key: PathBuf,
}

/// How much is too much.
#[derive(Clone, Debug, PartialEq)]
pub struct Limits {
    /// Connections at once.
    pub connections: usize,
    /// Connections at once from one address.
    pub connections_each: usize,
    /// Requests a second from one address, in the long run.
    pub requests_a_second: f64,
    /// Requests at once from one address, before that counts.
    pub burst: f64,
    /// Failed tries to show a token a minute from one address, in the long run.
    pub failures_a_minute: f64,
    /// Bytes of a request's body.
    pub body_bytes: usize,
    /// How long a request's head, and again its body, may take to arrive.
    pub receive: Duration,
    /// How long an answer may take to be made.
    pub answer: Duration,
    /// How long requests may go on after the server was told to stop.
    pub drain: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 512,
            connections_each: 128,
            requests_a_second: 50.0,
            burst: 200.0,
            failures_a_minute: 10.0,
            body_bytes: 64 << 10,
            receive: Duration::from_secs(10),
            answer: Duration::from_secs(30),
            drain: Duration::from_secs(5),
        }
    }
}

pub(crate) fn is_loopback(address: IpAddr) -> bool {
    address.to_canonical().is_loopback()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn others_are_not_let_in_without_a_token() {
        for open in ["0.0.0.0:8420", "192.0.2.7:8420", "[::]:8420", "[2001:db8::1]:8420"] {
            let mut settings = Settings::new(open.parse().unwrap());
            assert_eq!(settings.check(0).unwrap_err().kind(), ErrorKind::ConfigInvalid, "{open}");
            assert!(settings.check(1).is_ok());
            settings.open_writes = true;
            assert!(settings.check(1).is_err());
        }
        for near in ["127.0.0.1:8420", "127.8.8.8:1", "[::1]:8420", "[::ffff:127.0.0.1]:8420"] {
            assert!(Settings::new(near.parse().unwrap()).check(0).is_ok(), "{near}");
        }
    }
}
