//! Settings of a throw-away cluster.

use std::fmt::Write;
use std::io;
use std::net::TcpListener;
use std::path::Path;

use super::home::Home;
use super::installation::Installation;
use super::{Cluster, template};
use crate::tools;

/// Another process may take the chosen port before the server does; then another is chosen.
const ATTEMPTS: usize = 5;

/// What the cluster is to be like; made by [`Cluster::builder`].
#[derive(Debug, Clone)]
pub struct Builder {
    major: u32,
    settings: Vec<(String, String)>,
    hba: Option<String>,
    tls: Option<(String, String)>,
    segment_mib: Option<u32>,
}

impl Builder {
    pub(super) fn new(major: u32) -> Self {
        Self { major, settings: Vec::new(), hba: None, tls: None, segment_mib: None }
    }

    /// One line of `postgresql.conf`; quoting is done here. Later settings win.
    #[must_use]
    pub fn setting(mut self, name: &str, value: &str) -> Self {
        self.settings.push((name.to_owned(), value.to_owned()));
        self
    }

    /// The lines of `pg_hba.conf` for TCP connections, instead of trusting everyone. The Unix
    /// socket stays open to all, so that the fixture itself always gets in.
    #[must_use]
    pub fn hba(mut self, lines: &str) -> Self {
        self.hba = Some(lines.to_owned());
        self
    }

    /// Turns TLS on with this certificate (chain) and key, both PEM.
    #[must_use]
    pub fn tls(mut self, certificate: &str, key: &str) -> Self {
        self.tls = Some((certificate.to_owned(), key.to_owned()));
        self
    }

    /// The size of WAL segments in MiB, a power of two, instead of 16.
    #[must_use]
    pub fn wal_segment_mib(mut self, size: u32) -> Self {
        self.segment_mib = Some(size);
        self
    }

    /// Starts the server; `None` (and a line on standard error) when that major is not installed
    /// and servers are not required.
    ///
    /// # Panics
    /// When the server is installed and does not start, or is missing and required.
    #[must_use]
    #[track_caller]
    #[allow(clippy::panic, reason = "a fixture fails the test that uses it")]
    pub fn start(&self) -> Option<Cluster> {
        match self.try_start() {
            Ok(cluster) => Some(cluster),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                tools::skip(&format!("PostgreSQL {}", self.major));
                None
            }
            Err(error) => panic!("{error}"),
        }
    }

    /// Starts the server; `NotFound` when that major is not installed, any other error carries
    /// the end of the server's log.
    pub fn try_start(&self) -> io::Result<Cluster> {
        let Some(installation) = Installation::find(self.major) else {
            return Err(self.not_installed());
        };
        let mut last = None;
        for _ in 0..ATTEMPTS {
            match self.attempt(&installation) {
                Err(error) if error.to_string().contains("Address already in use") => {
                    last = Some(error);
                }
                result => return result,
            }
        }
        Err(last.unwrap_or_else(|| io::Error::other("no free port")))
    }

    /// Starts a server on a data directory that `fill` writes at the path it is given: a restored
    /// copy, a standby. Ports, sockets and access are set as for any throw-away cluster; what
    /// `postgresql.auto.conf` says wins. Fails as [`Builder::try_start`], or as `fill` does.
    pub fn try_start_from(
        &self,
        fill: impl FnOnce(&Path) -> io::Result<()>,
    ) -> io::Result<Cluster> {
        let Some(installation) = Installation::find(self.major) else {
            return Err(self.not_installed());
        };
        let home = Home::create()?;
        fill(&home.data())?;
        let port = TcpListener::bind(("127.0.0.1", 0))?.local_addr()?.port();
        self.configure(&home, port).map_err(own_kind)?;
        home.own_all()?;
        let mut cluster = Cluster { installation, home, port, server: None };
        cluster.launch().map_err(own_kind)?;
        Ok(cluster)
    }

    fn not_installed(&self) -> io::Error {
        io::Error::new(
            io::ErrorKind::NotFound,
            format!("PostgreSQL {} is not installed; run `cargo xtask tools`", self.major),
        )
    }

    fn attempt(&self, installation: &Installation) -> io::Result<Cluster> {
        let home = Home::create()?;
        template::copy_to(installation, self.segment_mib, &home.data()).map_err(own_kind)?;
        let port = TcpListener::bind(("127.0.0.1", 0))?.local_addr()?.port();
        self.configure(&home, port).map_err(own_kind)?;
        let installation = installation.clone();
        let mut cluster = Cluster { installation, home, port, server: None };
        cluster.launch().map_err(own_kind)?;
        Ok(cluster)
    }

    fn configure(&self, home: &Home, port: u16) -> io::Result<()> {
        let data = home.data();
        let socket = home.path().display().to_string();
        let mut lines = vec![
            ("listen_addresses", "127.0.0.1".to_owned()),
            ("port", port.to_string()),
            ("unix_socket_directories", socket),
            // Throw-away data: durability costs time and proves nothing here.
            ("fsync", "off".to_owned()),
            ("synchronous_commit", "off".to_owned()),
            ("shared_buffers", "64MB".to_owned()),
            ("max_wal_size", "512MB".to_owned()),
            ("timezone", "UTC".to_owned()),
        ];
        if let Some((certificate, key)) = &self.tls {
            home.write(&data.join("server.crt"), certificate.as_bytes())?;
            home.write(&data.join("server.key"), key.as_bytes())?;
            lines.push(("ssl", "on".to_owned()));
        }
        let given = self.settings.iter().map(|(name, value)| (name.as_str(), value.clone()));
        let mut text = std::fs::read_to_string(data.join("postgresql.conf"))?;
        text.push('\n');
        for (name, value) in lines.into_iter().chain(given) {
            writeln!(text, "{name} = '{}'", value.replace('\'', "''")).map_err(io::Error::other)?;
        }
        home.write(&data.join("postgresql.conf"), text.as_bytes())?;

        let open = "host all all 127.0.0.1/32 trust\nhost replication all 127.0.0.1/32 trust";
        let tcp = self.hba.as_deref().unwrap_or(open);
        let hba = format!("local all all trust\nlocal replication all trust\n{tcp}\n");
        home.write(&data.join("pg_hba.conf"), hba.as_bytes())
    }
}

/// `NotFound` is reserved for "not installed"; a missing file on the way is a plain failure.
fn own_kind(error: io::Error) -> io::Error {
    match error.kind() {
        io::ErrorKind::NotFound => io::Error::other(error.to_string()),
        _ => error,
    }
}
