//! Throw-away MariaDB servers: real ones, in temporary folders, on free ports of the loopback
//! interface, stopped when dropped.
//!
//! ```no_run
//! use backup_testkit::mariadb::MariaDb;
//!
//! let Some(server) = MariaDb::start(&[]) else { return };
//! server.sql("", "create database shop");
//! assert_eq!(server.sql("shop", "select 1").trim(), "1");
//! ```

use std::fs::File;
use std::io::{self, Write};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use rustix::process::Signal;

use crate::{process, tools};

/// How long a server may take to start or stop on a busy machine.
const PATIENCE: Duration = Duration::from_secs(90);
/// Another process may take the chosen port before the server does.
const ATTEMPTS: usize = 5;

/// A running server whose `root` needs no password. Dropping it stops the server and removes its
/// files.
#[derive(Debug)]
pub struct MariaDb {
    folder: tempfile::TempDir,
    port: u16,
    settings: Vec<String>,
    server: Option<Child>,
}

impl MariaDb {
    /// Starts a server with further options (`--local-infile=0`); `None` (and a line on standard
    /// error) when it is not installed and servers are not required.
    ///
    /// # Panics
    /// When the server is installed and does not start, or is missing and required.
    #[must_use]
    #[track_caller]
    #[allow(clippy::panic, reason = "a fixture fails the test that uses it")]
    pub fn start(settings: &[&str]) -> Option<Self> {
        if program("mariadbd").is_none() {
            tools::skip("MariaDB");
            return None;
        }
        let mut last = None;
        for _ in 0..ATTEMPTS {
            match Self::try_start(settings) {
                Ok(server) => return Some(server),
                Err(error) if error.to_string().contains("Address already in use") => {
                    last = Some(error);
                }
                Err(error) => panic!("{error}"),
            }
        }
        panic!("no free port: {last:?}")
    }

    fn try_start(settings: &[&str]) -> io::Result<Self> {
        let folder = tempfile::Builder::new().prefix("backup-maria-").tempdir()?;
        open_to_all(folder.path())?;
        copy_template(&folder.path().join("data"))?;
        let port = TcpListener::bind(("127.0.0.1", 0))?.local_addr()?.port();
        let settings = settings.iter().map(|setting| (*setting).to_owned()).collect();
        let mut server = Self { folder, port, settings, server: None };
        server.launch()?;
        Ok(server)
    }

    /// The TCP port on 127.0.0.1.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The process number of the running server.
    #[must_use]
    pub fn process_id(&self) -> Option<u32> {
        self.server.as_ref().map(Child::id)
    }

    /// `mysql://root@127.0.0.1:PORT/DB`.
    #[must_use]
    pub fn url(&self, database: &str) -> String {
        self.url_of("root", database)
    }

    /// As [`MariaDb::url`], of another user; `user` may hold `:password`.
    #[must_use]
    pub fn url_of(&self, user: &str, database: &str) -> String {
        format!("mysql://{user}@127.0.0.1:{}/{database}", self.port)
    }

    /// The server's Unix socket.
    #[must_use]
    pub fn socket(&self) -> PathBuf {
        self.folder.path().join("s.sock")
    }

    /// One of the client programs, set up to reach this server as root.
    ///
    /// # Panics
    /// When it is not installed.
    #[must_use]
    #[track_caller]
    #[allow(clippy::panic, reason = "a fixture fails the test that uses it")]
    pub fn command(&self, name: &str) -> Command {
        let Some(path) = program(name) else { panic!("{name} is not installed") };
        let mut command = Command::new(path);
        command
            .arg("--no-defaults")
            .arg(format!("--socket={}", self.socket().display()))
            .arg("--user=root")
            .stdin(Stdio::null());
        command
    }

    /// Runs SQL (several statements allowed, the first error stops); returns the rows, values
    /// separated by tabs. No database is selected where `database` is empty.
    ///
    /// # Panics
    /// When a statement fails, with the server's message.
    #[track_caller]
    #[allow(clippy::panic, reason = "a fixture fails the test that uses it")]
    pub fn sql(&self, database: &str, sql: &str) -> String {
        match self.try_sql(database, sql) {
            Ok(text) => text,
            Err(error) => panic!("{error}\nserver log:\n{}", self.tail()),
        }
    }

    /// As [`MariaDb::sql`], with the failure as a value.
    pub fn try_sql(&self, database: &str, sql: &str) -> io::Result<String> {
        let mut command = self.command("mariadb");
        command.args(["--batch", "--skip-column-names", "--default-character-set=utf8mb4"]);
        if !database.is_empty() {
            command.arg(database);
        }
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn()?;
        let mut input = child.stdin.take().ok_or_else(|| io::Error::other("no input"))?;
        let text = sql.to_owned();
        let writer = std::thread::spawn(move || input.write_all(text.as_bytes()));
        let output = child.wait_with_output()?;
        // It stops reading at the first error; its exit code tells that better.
        let _ = writer.join();
        if output.status.success() {
            return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
        }
        Err(io::Error::other(String::from_utf8_lossy(&output.stderr).into_owned()))
    }

    /// Returns what `mariadb-dump` says of a database, without the database's name and without
    /// what changes from one run to the next.
    ///
    /// # Panics
    /// When the dump fails.
    #[must_use]
    #[track_caller]
    #[allow(clippy::panic, reason = "a fixture fails the test that uses it")]
    pub fn dump(&self, database: &str) -> String {
        let mut command = self.command("mariadb-dump");
        command.args(["--skip-dump-date", "--skip-comments", "--routines", "--events"]);
        command.args(["--triggers", "--hex-blob", "--order-by-primary", "--skip-extended-insert"]);
        command.args(["--default-character-set=utf8mb4", "--single-transaction", database]);
        match command.output() {
            Ok(output) if output.status.success() => {
                String::from_utf8_lossy(&output.stdout).into_owned()
            }
            Ok(output) => panic!("mariadb-dump: {}", String::from_utf8_lossy(&output.stderr)),
            Err(error) => panic!("mariadb-dump: {error}"),
        }
    }

    /// Overwrites the beginning of a file in the data directory, so that its table is broken.
    ///
    /// # Panics
    /// When the file is not there.
    #[track_caller]
    #[allow(clippy::panic, reason = "a fixture fails the test that uses it")]
    pub fn damage(&self, file: &str) {
        let path = self.folder.path().join("data").join(file);
        let damaged = File::options().write(true).open(&path);
        if let Err(error) = damaged.and_then(|mut file| file.write_all(&[0xA5; 512])) {
            panic!("{}: {error}", path.display());
        }
    }

    /// Kills the server outright.
    pub fn kill9(&mut self) {
        self.stop(Signal::KILL);
    }

    /// Stops in order if running, then starts on the same port.
    ///
    /// # Panics
    /// When the server does not come back.
    #[track_caller]
    #[allow(clippy::panic, reason = "a fixture fails the test that uses it")]
    pub fn restart(&mut self) {
        self.stop(Signal::TERM);
        if let Err(error) = self.launch() {
            panic!("{error}");
        }
    }

    fn stop(&mut self, signal: Signal) {
        let Some(mut server) = self.server.take() else { return };
        let _ = process::signal(&server, signal);
        if !process::wait(&mut server, PATIENCE).unwrap_or(false) {
            let _ = server.kill();
            let _ = server.wait();
        }
    }

    fn launch(&mut self) -> io::Result<()> {
        let log = File::options().create(true).append(true).open(self.log())?;
        let errors = log.try_clone()?;
        let folder = self.folder.path();
        let program = program("mariadbd").ok_or_else(|| io::Error::other("no mariadbd"))?;
        let mut server = process::spawn(&program, "KILL", true, |command| {
            command
                .arg("--no-defaults")
                .arg(format!("--datadir={}", folder.join("data").display()))
                .arg(format!("--socket={}", folder.join("s.sock").display()))
                .arg(format!("--pid-file={}", folder.join("pid").display()))
                .arg(format!("--port={}", self.port))
                .args(["--bind-address=127.0.0.1", "--innodb-buffer-pool-size=64M"])
                // Throw-away data: durability costs time and proves nothing here.
                .args(["--innodb-flush-log-at-trx-commit=0", "--skip-innodb-doublewrite"])
                .args(["--innodb-flush-method=nosync", "--innodb-fast-shutdown=2"])
                .args(&self.settings)
                // A server that starts removes temporary tables that it finds, another's too.
                .env("TMPDIR", folder)
                .current_dir(folder)
                .stdin(Stdio::null())
                .stdout(log)
                .stderr(errors);
        })?;
        let begun = Instant::now();
        while self.try_sql("", "select 1").is_err() {
            if server.try_wait()?.is_some() || begun.elapsed() > PATIENCE {
                let _ = server.kill();
                let _ = server.wait();
                return Err(io::Error::other(format!("MariaDB did not start:\n{}", self.tail())));
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        self.server = Some(server);
        Ok(())
    }

    fn log(&self) -> PathBuf {
        self.folder.path().join("server.log")
    }

    fn tail(&self) -> String {
        let text = std::fs::read(self.log()).unwrap_or_default();
        let text = String::from_utf8_lossy(&text);
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(20)..].join("\n")
    }
}

impl Drop for MariaDb {
    fn drop(&mut self) {
        // Nothing in it is wanted.
        self.stop(Signal::KILL);
    }
}

/// Finds a program, also where only root looks for it.
fn program(name: &str) -> Option<PathBuf> {
    let beside = Path::new("/usr/sbin").join(name);
    tools::find_program(name).or_else(|| beside.is_file().then_some(beside))
}

fn open_to_all(folder: &Path) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    std::fs::set_permissions(folder, std::fs::Permissions::from_mode(0o777))
}

/// Copies an empty data directory that is made once for this process.
fn copy_template(to: &Path) -> io::Result<()> {
    static TEMPLATE: Mutex<Option<PathBuf>> = Mutex::new(None);
    let mut template = TEMPLATE.lock().unwrap_or_else(PoisonError::into_inner);
    if template.is_none() {
        let folder = tools::folder().join("mariadb-template");
        make_template(&folder)?;
        *template = Some(folder);
    }
    let Some(from) = template.as_ref() else { return Ok(()) };
    let mut command = process::wrapped(Path::new("/bin/cp"), None, true);
    let status = command.arg("-r").arg(from).arg(to).status()?;
    if status.success() { Ok(()) } else { Err(io::Error::other("cannot copy the data directory")) }
}

/// Makes the template, one process at a time; it stays for later runs.
fn make_template(folder: &Path) -> io::Result<()> {
    let parent = folder.parent().unwrap_or(Path::new("/tmp"));
    std::fs::create_dir_all(parent)?;
    let lock = File::create(parent.join("mariadb-template.lock"))?;
    lock.lock()?;
    if folder.join("ready").exists() {
        return Ok(());
    }
    let _ = std::fs::remove_dir_all(folder);
    std::fs::create_dir(folder)?;
    open_to_all(folder)?;
    let program =
        program("mariadb-install-db").ok_or_else(|| io::Error::other("no mariadb-install-db"))?;
    let output = process::wrapped(&program, None, true)
        .arg("--no-defaults")
        .arg(format!("--datadir={}", folder.display()))
        .args(["--auth-root-authentication-method=normal", "--skip-test-db"])
        .env("TMPDIR", folder)
        .output()?;
    if !output.status.success() {
        return Err(io::Error::other(String::from_utf8_lossy(&output.stderr).into_owned()));
    }
    std::fs::write(folder.join("ready"), "")
}
