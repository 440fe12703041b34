//! Where a database is and how to reach it; parsed once, printed without secrets.

mod libpq;
mod parameters;
mod security;
mod url;

use std::fmt;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use backup_core::{Result, Secret};

pub use security::{ChannelBinding, RootCertificates, SslMode, SslNegotiation};

/// The directory that holds a local server's socket when a URL names no host.
const DEFAULT_SOCKET_DIRECTORY: &str = "/var/run/postgresql";
const DEFAULT_PORT: u16 = 5432;
const DEFAULT_APPLICATION_NAME: &str = "backupctl";
const DEFAULT_CONNECT_TIMEOUT: Duration = Duration::from_secs(30);

/// Where the server listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Host {
    /// A host name or address; `address`, where given, is dialled instead of looking up `name`
    /// (the certificate is still compared with `name`).
    Tcp {
        /// The name, or an address as text.
        name: String,
        /// The address to dial.
        address: Option<IpAddr>,
    },
    /// The directory of a Unix socket.
    Socket(PathBuf),
}

/// Probes that find a dead peer on an idle TCP connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Keepalive {
    /// Silence before the first probe.
    pub idle: Duration,
    /// Time between probes.
    pub interval: Duration,
    /// Unanswered probes before the connection is given up.
    pub count: u32,
}

impl Default for Keepalive {
    fn default() -> Self {
        Self { idle: Duration::from_secs(60), interval: Duration::from_secs(15), count: 4 }
    }
}

/// How to connect: host, database, role, security and time limits.
///
/// `Debug`, `Display` and [`ConnectOptions::location`] never show the password. Nothing is read
/// from the environment: what `PGPASSWORD` and its like should mean is the caller's decision.
#[derive(Clone)]
pub struct ConnectOptions {
    pub(crate) host: Host,
    pub(crate) port: u16,
    pub(crate) user: String,
    pub(crate) password: Option<Secret>,
    /// Empty means: the database named like the role.
    pub(crate) database: String,
    pub(crate) application_name: String,
    pub(crate) options: Option<String>,
    pub(crate) ssl_mode: SslMode,
    pub(crate) ssl_negotiation: SslNegotiation,
    pub(crate) ssl_root: Option<RootCertificates>,
    pub(crate) ssl_certificate: Option<PathBuf>,
    pub(crate) ssl_key: Option<PathBuf>,
    pub(crate) channel_binding: ChannelBinding,
    pub(crate) connect_timeout: Option<Duration>,
    pub(crate) stall_timeout: Option<Duration>,
    pub(crate) keepalive: Option<Keepalive>,
    pub(crate) tcp_user_timeout: Option<Duration>,
    /// Further start-up parameters (`replication`, settings), sent as they are.
    pub(crate) extra_startup: Vec<(String, String)>,
}

impl ConnectOptions {
    /// Reads a `postgres://` or `postgresql://` URL.
    ///
    /// Without `sslmode`, local servers (Unix sockets, loopback) get `prefer`, unless
    /// `sslrootcert` is given; all others get `verify-full`. Without a host, the socket in `/var/run/postgresql` is meant.
    ///
    /// # Errors
    /// `ConfigInvalid`, naming the part that cannot be used, never the URL itself.
    pub fn parse(url: &str) -> Result<Self> {
        url::parse(url)
    }

    /// Returns where the server listens.
    #[must_use]
    pub fn host(&self) -> &Host {
        &self.host
    }

    /// Returns the port (for a Unix socket: the number in its name).
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Returns the role to log in as; empty if none was named.
    #[must_use]
    pub fn user(&self) -> &str {
        &self.user
    }

    /// Returns the database: the one named, else the one named like the role.
    #[must_use]
    pub fn database(&self) -> &str {
        if self.database.is_empty() { &self.user } else { &self.database }
    }

    /// Returns whether a password is set.
    #[must_use]
    pub fn has_password(&self) -> bool {
        self.password.is_some()
    }

    /// Returns how the connection is secured.
    #[must_use]
    pub fn ssl_mode(&self) -> SslMode {
        self.ssl_mode
    }

    /// Returns whether the server is on this machine: a Unix socket or a loopback address.
    #[must_use]
    pub fn is_local(&self) -> bool {
        match &self.host {
            Host::Socket(_) => true,
            Host::Tcp { address: Some(address), .. } => address.is_loopback(),
            Host::Tcp { name, address: None } => {
                name == "localhost" || name.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
            }
        }
    }

    /// Returns the same options for another database of the same server.
    #[must_use]
    pub fn with_database(mut self, name: impl Into<String>) -> Self {
        self.database = name.into();
        self
    }

    /// Returns the same options for another role.
    #[must_use]
    pub fn with_user(mut self, name: impl Into<String>) -> Self {
        self.user = name.into();
        self
    }

    /// Returns the same options with this password.
    #[must_use]
    pub fn with_password(mut self, password: Secret) -> Self {
        self.password = Some(password);
        self
    }

    /// Returns the same options with the name shown in `pg_stat_activity`.
    #[must_use]
    pub fn with_application_name(mut self, name: impl Into<String>) -> Self {
        self.application_name = name.into();
        self
    }

    /// Returns the same options with a limit on silence: a COPY that neither receives nor sends
    /// a byte for this long is cancelled and fails. `None` waits for ever (the default: a COPY
    /// may wait for a lock, or filter for hours before its first row).
    #[must_use]
    pub fn with_stall_timeout(mut self, limit: Option<Duration>) -> Self {
        self.stall_timeout = limit;
        self
    }

    /// Returns the same options with one more start-up parameter: a server setting, or
    /// `replication`.
    #[must_use]
    pub fn with_startup_parameter(
        mut self,
        name: impl Into<String>,
        value: impl Into<String>,
    ) -> Self {
        self.extra_startup.push((name.into(), value.into()));
        self
    }

    /// Returns `role@host:port/database`, for people; never the password.
    #[must_use]
    pub fn location(&self) -> String {
        let role = if self.user.is_empty() { String::new() } else { format!("{}@", self.user) };
        let database = self.database();
        match &self.host {
            Host::Socket(directory) => {
                format!("{role}{}:{}/{database}", directory.display(), self.port)
            }
            Host::Tcp { name, .. } if name.contains(':') => {
                format!("{role}[{name}]:{}/{database}", self.port)
            }
            Host::Tcp { name, .. } => format!("{role}{name}:{}/{database}", self.port),
        }
    }

    /// Returns the path of the server's Unix socket in `directory`.
    pub(crate) fn socket_path(&self, directory: &Path) -> PathBuf {
        directory.join(format!(".s.PGSQL.{}", self.port))
    }
}

impl fmt::Display for ConnectOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.location())
    }
}

impl fmt::Debug for ConnectOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ConnectOptions")
            .field("location", &self.location())
            .field("password", &self.password)
            .field("ssl_mode", &self.ssl_mode)
            .field("channel_binding", &self.channel_binding)
            .finish_non_exhaustive()
    }
}
