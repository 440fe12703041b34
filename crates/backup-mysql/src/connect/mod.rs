//! Where a database is and how to reach it; parsed once, printed without secrets.

mod security;
mod url;
mod vitess;

use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use backup_core::{Result, Secret};
use mysql_async::{Opts, OptsBuilder};

use security::Security;
pub use security::SslMode;
pub use vitess::VitessReading;

/// The socket of a local server when a URL names no host.
const DEFAULT_SOCKET: &str = "/run/mysqld/mysqld.sock";
const DEFAULT_PORT: u16 = 3306;
const DEFAULT_CONNECT_TIMEOUT: Duration = Duration::from_secs(30);
/// Silence after which a dead peer is looked for.
const KEEPALIVE: Duration = Duration::from_secs(60);
/// The longest row that is taken, which is the protocol's own limit.
const MAX_PACKET: usize = 1 << 30;

/// Where the server listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Host {
    /// A host name or address.
    Tcp(String),
    /// A Unix socket.
    Socket(PathBuf),
}

/// How to connect: host, database, user, security and time limit.
///
/// `Debug` and [`ConnectOptions::location`] never show the password. Nothing is read from the
/// environment: what `MYSQL_PWD` should mean is the caller's decision.
#[derive(Clone)]
pub struct ConnectOptions {
    host: Host,
    port: u16,
    user: String,
    password: Option<Secret>,
    database: String,
    security: Security,
    connect_timeout: Duration,
    program: String,
    vitess: VitessReading,
}

impl ConnectOptions {
    /// Reads a `mysql://` or `mariadb://` URL: `mysql://user:password@host:3306/database`.
    ///
    /// Parameters: `socket`, `ssl-mode`, `ssl-ca`, `ssl-name`, `ssl-cert`, `ssl-key`, `connect-timeout`,
    /// `fuzzy`.
    /// Without `ssl-mode`, servers of this machine are spoken to without TLS and all others with
    /// TLS whose certificate and name are verified. A database must be named. `ConfigInvalid`
    /// says what is wrong, without the URL.
    pub fn parse(url: &str) -> Result<Self> {
        url::parse(url)
    }

    /// Returns where it is, for people: `user@host:port/database`.
    #[must_use]
    pub fn location(&self) -> String {
        format!("{}@{}/{}", self.user, self.address(), self.database)
    }

    /// Whether the address means this machine, whichever that is.
    #[must_use]
    pub fn is_local(&self) -> bool {
        match &self.host {
            Host::Socket(_) => true,
            Host::Tcp(name) => matches!(name.as_str(), "localhost" | "127.0.0.1" | "::1"),
        }
    }

    /// Returns the server's address: `host:port` or the socket's path.
    #[must_use]
    pub fn address(&self) -> String {
        match &self.host {
            Host::Tcp(name) if name.contains(':') => format!("[{name}]:{}", self.port),
            Host::Tcp(name) => format!("{name}:{}", self.port),
            Host::Socket(path) => path.display().to_string(),
        }
    }

    /// Returns the database's name.
    #[must_use]
    pub fn database(&self) -> &str {
        &self.database
    }

    /// Returns the user's name.
    #[must_use]
    pub fn user(&self) -> &str {
        &self.user
    }

    /// Returns whether the URL held a password.
    #[must_use]
    pub fn has_password(&self) -> bool {
        self.password.is_some()
    }

    /// Returns how much of TLS is demanded.
    #[must_use]
    pub fn ssl_mode(&self) -> SslMode {
        self.security.mode
    }

    /// Uses this password.
    #[must_use]
    pub fn with_password(mut self, password: Secret) -> Self {
        self.password = Some(password);
        self
    }

    /// Means another database of the same server.
    #[must_use]
    pub fn with_database(mut self, database: impl Into<String>) -> Self {
        self.database = database.into();
        self
    }

    /// Tells the server this program's name.
    #[must_use]
    pub fn with_program(mut self, program: impl Into<String>) -> Self {
        self.program = program.into();
        self
    }

    /// Means a server behind a socket, as `user` without a password.
    #[must_use]
    pub fn at_socket(socket: &Path, user: &str, database: &str) -> Self {
        Self {
            host: Host::Socket(socket.to_owned()),
            port: DEFAULT_PORT,
            user: user.to_owned(),
            password: None,
            database: database.to_owned(),
            security: Security::default(),
            connect_timeout: DEFAULT_CONNECT_TIMEOUT,
            program: "backupctl".to_owned(),
            vitess: VitessReading::default(),
        }
    }

    /// Returns the options by which the server's own client reaches it, without the password, as
    /// words of a shell.
    pub(crate) fn client_words(&self) -> String {
        let word = |name: &str, value: &str| format!("--{name}='{}'", value.replace('\'', "'\\''"));
        let place = match &self.host {
            Host::Tcp(host) => format!("{} --port={}", word("host", host), self.port),
            Host::Socket(path) => word("socket", &path.display().to_string()),
        };
        format!("{place} {}", word("user", &self.user))
    }

    pub(crate) fn connect_timeout(&self) -> Duration {
        self.connect_timeout
    }

    /// Returns what the driver is told; `database` is selected, where given.
    pub(crate) fn driver_options(&self, database: Option<&str>) -> Opts {
        let mut options = OptsBuilder::default()
            .user(Some(&self.user))
            .pass(self.password.as_ref().map(Secret::expose))
            .db_name(database)
            // It would go to the server's socket by itself, whatever was asked for.
            .prefer_socket(false)
            .stmt_cache_size(0)
            .tcp_keepalive(Some(KEEPALIVE))
            .max_allowed_packet(Some(MAX_PACKET))
            .wait_timeout(Some(usize::MAX >> 32))
            .connect_attribute("program_name", self.program.as_str())
            .ssl_opts(self.security.driver_options());
        options = match &self.host {
            Host::Tcp(name) => options.ip_or_hostname(name.as_str()).tcp_port(self.port),
            Host::Socket(path) => options.socket(Some(path.display().to_string())),
        };
        options.into()
    }
}

impl fmt::Debug for ConnectOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ConnectOptions")
            .field("location", &self.location())
            .field("ssl_mode", &self.security.mode.as_str())
            .finish_non_exhaustive()
    }
}
