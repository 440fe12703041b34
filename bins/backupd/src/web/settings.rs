//! How to serve, as it was configured.

use std::net::{AddrParseError, SocketAddr};

use backup::config::DaemonSettings;
use backup_api::{Settings, TlsFiles};
use backup_core::{Error, ErrorKind, Result};

/// Reads how to serve; what cannot be meant is an error.
pub(super) fn read(daemon: &DaemonSettings) -> Result<Settings> {
    let listen: SocketAddr = daemon.listen.parse().map_err(|error: AddrParseError| {
        Error::new(ErrorKind::ConfigInvalid, "read the address to listen on")
            .with("address", &daemon.listen)
            .hint("Write an address and a port, such as 127.0.0.1:8420.")
            .because(error)
    })?;
    let mut settings = Settings::new(listen);
    settings.tls =
        daemon.tls.clone().map(|tls| TlsFiles { certificate: tls.certificate, key: tls.key });
    settings.hosts.clone_from(&daemon.hosts);
    settings.open_writes = daemon.open_writes;
    Ok(settings)
}
