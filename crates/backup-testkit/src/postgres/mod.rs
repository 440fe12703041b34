//! Throw-away PostgreSQL clusters: real servers of several majors, in temporary folders, on free
//! ports of the loopback interface, stopped when dropped.
//!
//! ```no_run
//! use backup_testkit::postgres::Cluster;
//!
//! let Some(cluster) = Cluster::start(17) else { return };
//! cluster.sql("postgres", "create table t as select 1 as a");
//! assert_eq!(cluster.sql("postgres", "select a from t").trim(), "1");
//! ```

mod builder;
mod home;
mod installation;
mod template;
#[cfg(test)]
mod tests;

use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::Signal;

pub use builder::Builder;
use home::Home;
pub use installation::Installation;

use crate::process;

/// How long a server may take to start or stop on a busy machine.
const PATIENCE: Duration = Duration::from_secs(90);

/// A running server with one superuser, `postgres`, who needs no password unless the builder's
/// `hba` lines say otherwise. Dropping it stops the server and removes its files.
#[derive(Debug)]
pub struct Cluster {
    installation: Installation,
    home: Home,
    port: u16,
    server: Option<Child>,
}

impl Cluster {
    /// The majors that can be started on this machine, oldest first.
    #[must_use]
    pub fn majors() -> Vec<u32> {
        Installation::all().iter().map(Installation::major).collect()
    }

    /// Starts a server of that major with default settings; `None` (and a line on standard error)
    /// when it is not installed and servers are not required.
    ///
    /// # Panics
    /// When the server is installed and does not start, or is missing and required.
    #[must_use]
    #[track_caller]
    pub fn start(major: u32) -> Option<Self> {
        Self::builder(major).start()
    }

    /// As [`Cluster::start`], for the newest major on this machine.
    #[must_use]
    #[track_caller]
    pub fn start_newest() -> Option<Self> {
        Self::start(Self::majors().last().copied().unwrap_or(18))
    }

    /// A server of that major with settings of your own.
    #[must_use]
    pub fn builder(major: u32) -> Builder {
        Builder::new(major)
    }

    /// The server's major version.
    #[must_use]
    pub fn major(&self) -> u32 {
        self.installation.major()
    }

    /// The TCP port on 127.0.0.1.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The process number of the running server (its postmaster).
    #[must_use]
    pub fn process_id(&self) -> Option<u32> {
        self.server.as_ref().map(Child::id)
    }

    /// `postgres://postgres@127.0.0.1:PORT/DB`.
    #[must_use]
    pub fn url(&self, database: &str) -> String {
        format!("postgres://postgres@127.0.0.1:{}/{database}", self.port)
    }

    /// The same server through its Unix socket.
    #[must_use]
    pub fn socket_url(&self, database: &str) -> String {
        let folder = self.socket_folder().display().to_string().replace('/', "%2F");
        format!("postgres://postgres@{folder}:{}/{database}", self.port)
    }

    /// The folder of the Unix socket.
    #[must_use]
    pub fn socket_folder(&self) -> &Path {
        self.home.path()
    }

    /// The data directory.
    #[must_use]
    pub fn data_directory(&self) -> PathBuf {
        self.home.data()
    }

    /// The server's log.
    #[must_use]
    pub fn log(&self) -> PathBuf {
        self.home.log()
    }

    /// The path of one of this major's programs (`psql`, `pg_dump`, …).
    #[must_use]
    pub fn bin(&self, program: &str) -> PathBuf {
        self.installation.providing(program).bin(program)
    }

    /// One of this major's client programs, set up by environment to reach this server.
    #[must_use]
    pub fn command(&self, program: &str) -> Command {
        let installation = self.installation.providing(program);
        let mut command = Command::new(installation.bin(program));
        installation.prepare(&mut command);
        command
            .env("PGHOST", self.socket_folder())
            .env("PGPORT", self.port.to_string())
            .env("PGUSER", "postgres")
            .stdin(Stdio::null());
        command
    }

    /// Runs SQL by psql (several statements allowed, the first error stops); returns the rows as
    /// psql's unaligned text, fields separated by `|`.
    ///
    /// # Panics
    /// When a statement fails, with psql's message and the server's log.
    #[track_caller]
    #[allow(clippy::panic, reason = "a fixture fails the test that uses it")]
    pub fn sql(&self, database: &str, sql: &str) -> String {
        match self.try_sql(database, sql) {
            Ok(text) => text,
            Err(error) => panic!("{error}\nserver log {}:\n{}", self.log().display(), self.tail()),
        }
    }

    /// As [`Cluster::sql`], as another role than `postgres`.
    ///
    /// # Panics
    /// As [`Cluster::sql`].
    #[track_caller]
    #[allow(clippy::panic, reason = "a fixture fails the test that uses it")]
    pub fn sql_as(&self, role: &str, database: &str, sql: &str) -> String {
        match self.run_sql(role, database, sql) {
            Ok(text) => text,
            Err(error) => panic!("{error}\nserver log {}:\n{}", self.log().display(), self.tail()),
        }
    }

    /// As [`Cluster::sql`], with the failure as a value.
    pub fn try_sql(&self, database: &str, sql: &str) -> io::Result<String> {
        self.run_sql("postgres", database, sql)
    }

    fn run_sql(&self, role: &str, database: &str, sql: &str) -> io::Result<String> {
        let mut command = self.command("psql");
        command.env("PGUSER", role);
        command.args(["-X", "-A", "-t", "-q", "-v", "ON_ERROR_STOP=1", "-f", "-", "-d", database]);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn()?;
        let mut input = child.stdin.take().ok_or_else(|| io::Error::other("psql has no input"))?;
        let text = sql.to_owned();
        let writer = std::thread::spawn(move || input.write_all(text.as_bytes()));
        let output = child.wait_with_output()?;
        // psql stops reading at the first error; its exit code tells that better.
        let _ = writer.join();
        if output.status.success() {
            return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
        }
        Err(io::Error::other(String::from_utf8_lossy(&output.stderr).into_owned()))
    }

    /// Stops in order if running (as `pg_ctl stop -m fast`), then starts on the same port.
    ///
    /// # Panics
    /// When the server does not come back.
    #[track_caller]
    #[allow(clippy::panic, reason = "a fixture fails the test that uses it")]
    pub fn restart(&mut self) {
        self.stop(Signal::INT);
        if let Err(error) = self.launch() {
            panic!("{error}");
        }
    }

    /// Stops in order (as `pg_ctl stop -m fast`), with a last checkpoint.
    pub fn stop_in_order(&mut self) {
        self.stop(Signal::INT);
    }

    /// Stops at once without a checkpoint (as `pg_ctl stop -m immediate`): clients see the
    /// connection break, the next start recovers.
    pub fn stop_immediate(&mut self) {
        self.stop(Signal::QUIT);
    }

    /// Kills the server process outright; its children notice and end by themselves.
    pub fn kill9(&mut self) {
        self.stop(Signal::KILL);
    }

    fn stop(&mut self, signal: Signal) {
        let Some(mut server) = self.server.take() else { return };
        // A failure means that it is gone already; what remains is to collect it.
        let _ = process::signal(&server, signal);
        if !process::wait(&mut server, PATIENCE).unwrap_or(false) {
            let _ = server.kill();
            let _ = server.wait();
        }
    }

    /// Starts the server on its port and waits until it accepts connections.
    fn launch(&mut self) -> io::Result<()> {
        let begun = Instant::now();
        loop {
            match self.launch_once() {
                Ok(server) => {
                    self.server = Some(server);
                    return Ok(());
                }
                // Children of a killed server hold its shared memory for a moment.
                Err(_)
                    if self.tail().contains("shared memory block")
                        && begun.elapsed() < PATIENCE =>
                {
                    std::thread::sleep(Duration::from_millis(100));
                    File::create(self.log())?;
                }
                Err(error) => return Err(error),
            }
        }
    }

    fn launch_once(&self) -> io::Result<Child> {
        let log = File::options().create(true).append(true).open(self.log())?;
        let errors = log.try_clone()?;
        let data = self.data_directory();
        let mut server = process::spawn(&self.bin("postgres"), "QUIT", true, |command| {
            self.installation.prepare(command);
            command
                .arg("-D")
                .arg(&data)
                .current_dir(&data)
                .stdin(Stdio::null())
                .stdout(log)
                .stderr(errors);
        })?;
        let begun = Instant::now();
        while !self.is_ready(&server) {
            if server.try_wait()?.is_some() || begun.elapsed() > PATIENCE {
                let _ = server.kill();
                let _ = server.wait();
                return Err(io::Error::other(format!(
                    "PostgreSQL {} did not start; its log says:\n{}",
                    self.major(),
                    self.tail()
                )));
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        Ok(server)
    }

    /// The server writes its number and, when it accepts connections, the word `ready` (or
    /// `standby`, while it recovers) here.
    fn is_ready(&self, server: &Child) -> bool {
        let Ok(text) = std::fs::read_to_string(self.data_directory().join("postmaster.pid")) else {
            return false;
        };
        let mut lines = text.lines();
        lines.next() == Some(&server.id().to_string())
            && lines.nth(6).is_some_and(|state| matches!(state.trim(), "ready" | "standby"))
    }

    fn tail(&self) -> String {
        let text = std::fs::read(self.log()).unwrap_or_default();
        let text = String::from_utf8_lossy(&text);
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(20)..].join("\n")
    }
}

impl Drop for Cluster {
    #[allow(clippy::print_stderr, reason = "the log of a failed test is shown where tests look")]
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("PostgreSQL {} log (end):\n{}", self.major(), self.tail());
        }
        // Nothing in it is wanted: no checkpoint, no waiting for clients.
        self.stop(Signal::QUIT);
    }
}
