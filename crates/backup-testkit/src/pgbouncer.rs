//! A real PgBouncer in front of a throw-away cluster.

use std::fs::{File, Permissions};
use std::io;
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use rustix::process::Signal;
use tempfile::TempDir;

use crate::postgres::Cluster;
use crate::{process, tools};

/// How long it may take to listen.
const PATIENCE: Duration = Duration::from_secs(60);

/// A pooler that logs in as `postgres` whoever asks. Dropping it stops it.
#[derive(Debug)]
pub struct PgBouncer {
    port: u16,
    server: Child,
    _folder: TempDir,
}

impl PgBouncer {
    /// Starts one in `mode` (`transaction`, `session`); `None` (and a line on standard error) when
    /// it is not installed and servers are not required.
    ///
    /// # Panics
    /// When it is installed and does not start, or is missing and required.
    #[must_use]
    #[track_caller]
    #[allow(clippy::panic, reason = "a fixture fails the test that uses it")]
    pub fn start(cluster: &Cluster, mode: &str) -> Option<Self> {
        Self::start_with(cluster, mode, "")
    }

    /// Starts one as [`PgBouncer::start`] does, with more lines of its settings.
    ///
    /// # Panics
    /// As that does.
    #[must_use]
    #[track_caller]
    #[allow(clippy::panic, reason = "a fixture fails the test that uses it")]
    pub fn start_with(cluster: &Cluster, mode: &str, more: &str) -> Option<Self> {
        let Some(program) = find() else {
            tools::skip("PgBouncer");
            return None;
        };
        match Self::launch(&program, cluster, mode, more) {
            Ok(pooler) => Some(pooler),
            Err(error) => panic!("PgBouncer: {error}"),
        }
    }

    fn launch(
        program: &std::path::Path,
        cluster: &Cluster,
        mode: &str,
        more: &str,
    ) -> io::Result<Self> {
        let folder = tempfile::Builder::new()
            .prefix("pgbouncer-")
            .permissions(Permissions::from_mode(0o755))
            .tempdir()?;
        let port = TcpListener::bind(("127.0.0.1", 0))?.local_addr()?.port();
        let settings = folder.path().join("pgbouncer.ini");
        std::fs::write(
            &settings,
            format!(
                "[databases]\n* = host=127.0.0.1 port={} user=postgres\n[pgbouncer]\n\
                 listen_addr = 127.0.0.1\nlisten_port = {port}\nunix_socket_dir =\nauth_type = any\n\
                 pool_mode = {mode}\ndefault_pool_size = 10\nserver_login_retry = 1\n{more}\n",
                cluster.port()
            ),
        )?;
        std::fs::set_permissions(&settings, Permissions::from_mode(0o644))?;
        let log = File::create(folder.path().join("log"))?;
        let errors = log.try_clone()?;
        let mut server = process::spawn(program, "KILL", true, |command| {
            command.arg(&settings).stdin(Stdio::null()).stdout(log).stderr(errors);
        })?;
        let begun = Instant::now();
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            if server.try_wait()?.is_some() || begun.elapsed() > PATIENCE {
                let _ = server.kill();
                let said = std::fs::read_to_string(folder.path().join("log"))?;
                return Err(io::Error::other(format!("it did not start: {said}")));
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        Ok(Self { port, server, _folder: folder })
    }

    /// `postgres://postgres@127.0.0.1:PORT/DB`, through the pooler.
    #[must_use]
    pub fn url(&self, database: &str) -> String {
        format!("postgres://postgres@127.0.0.1:{}/{database}", self.port)
    }
}

impl Drop for PgBouncer {
    fn drop(&mut self) {
        // A failure means that it is gone already; what remains is to collect it.
        let _ = process::signal(&self.server, Signal::KILL);
        let _ = self.server.wait();
    }
}

fn find() -> Option<PathBuf> {
    // Debian puts it where only root looks for programs.
    let usual = PathBuf::from("/usr/sbin/pgbouncer");
    tools::find_program("pgbouncer").or_else(|| usual.is_file().then_some(usual))
}
