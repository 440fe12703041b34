//! How to serve: the address of the configuration, the rest of the environment.

use std::net::{AddrParseError, SocketAddr};
use std::path::PathBuf;

use backup::config::Environment;
use backup_api::{Settings, TlsFiles};
use backup_core::{Error, ErrorKind, Result};

/// Reads how to serve; what cannot be meant is an error.
pub(super) fn read(listen: &str, environment: &Environment) -> Result<Settings> {
    let listen: SocketAddr = listen.parse().map_err(|error: AddrParseError| {
        Error::new(ErrorKind::ConfigInvalid, "read the address to listen on")
            .with("address", listen)
            .hint("Write an address and a port, such as 127.0.0.1:8420.")
            .because(error)
    })?;
    let mut settings = Settings::new(listen);
    let certificate = environment.get("BACKUPD_TLS_CERTIFICATE")?.map(PathBuf::from);
    let key = environment.get("BACKUPD_TLS_KEY")?.map(PathBuf::from);
    settings.tls = match (certificate, key) {
        (Some(certificate), Some(key)) => Some(TlsFiles { certificate, key }),
        (None, None) => None,
        _ => {
            return Err(Error::new(ErrorKind::ConfigInvalid, "read TLS settings")
                .hint("Set both BACKUPD_TLS_CERTIFICATE and BACKUPD_TLS_KEY, or neither."));
        }
    };
    let hosts = environment.get("BACKUPD_HOSTS")?.unwrap_or_default();
    let hosts = hosts.split(',').map(str::trim).filter(|host| !host.is_empty());
    settings.hosts = hosts.map(str::to_owned).collect();
    settings.open_writes = match environment.get("BACKUPD_OPEN_WRITES")? {
        None | Some("" | "false" | "0") => false,
        Some("true" | "1") => true,
        Some(other) => {
            return Err(Error::new(ErrorKind::ConfigInvalid, "read BACKUPD_OPEN_WRITES")
                .with("value", other.escape_debug())
                .hint("Write true or false."));
        }
    };
    Ok(settings)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_meant_is_refused() {
        let read = |pairs: &[(&str, &str)]| {
            let pairs = pairs.iter().map(|(name, value)| (*name, *value));
            super::read("127.0.0.1:0", &Environment::from_pairs(pairs))
        };
        let names = read(&[("BACKUPD_HOSTS", "a.example, b.example,")]).unwrap();
        assert_eq!(names.hosts, ["a.example", "b.example"]);
        assert!(!names.open_writes && names.tls.is_none());
        assert!(read(&[("BACKUPD_OPEN_WRITES", "true")]).unwrap().open_writes);
        assert!(read(&[("BACKUPD_OPEN_WRITES", "maybe")]).is_err());
        assert!(read(&[("BACKUPD_TLS_KEY", "key.pem")]).is_err());
        assert!(super::read("localhost", &Environment::from_pairs([("A", "b")])).is_err());
    }
}
