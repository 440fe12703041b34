//! A server on a data directory, reachable only through a socket beside it.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use backup_core::{Error, ErrorKind, Result};
use tokio::io::AsyncReadExt;
use tokio::process::Child;

use super::user::ServerUser;
use crate::tools::Tool;
use crate::{ConnectOptions, sqlstate};

const START: &str = "start throw-away server";
/// How long a server that shows no progress may take to answer.
const PATIENCE: Duration = Duration::from_secs(600);
/// How often it is asked.
const LOOK: Duration = Duration::from_millis(50);
/// How much of its log is shown.
const LOG_END: usize = 2000;

/// A running server; killed when dropped.
#[derive(Debug)]
pub(super) struct Server {
    child: Child,
    connect: ConnectOptions,
    log: PathBuf,
    program: String,
}

/// How long a server may take to end in order.
const ENDING: Duration = Duration::from_secs(20);

/// Returns whether nobody will be let in, however long one waits: no such role, no database to
/// connect to, or none whose locale this machine knows.
fn lets_nobody_in(refused: &Error) -> bool {
    matches!(sqlstate(refused), Some("28000" | "3D000"))
        || refused.to_string().contains("incompatible with operating system")
}

impl Server {
    /// Creates a data directory. `initdb` is the program to use.
    pub(super) async fn initialize(initdb: &Tool, user: ServerUser, data: &Path) -> Result<()> {
        let output = user
            .command(&initdb.path)
            .args(["--auth=trust", "--username=postgres", "--encoding=UTF8", "--locale=C"])
            .args(["--no-sync", "-D"])
            .arg(data)
            .kill_on_drop(true)
            .output()
            .await
            .map_err(|error| cannot("initialize throw-away server", initdb).because(error))?;
        if output.status.success() {
            return Ok(());
        }
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        Err(cannot("initialize throw-away server", initdb).because(last_lines(&said)))
    }

    /// Starts a server on `data` with its socket in `folder`; `settings` are `name=value`, `role`
    /// is who connects. Whether it comes up [`Server::answers`] tells.
    pub(super) fn spawn(
        postgres: &Tool,
        user: ServerUser,
        folder: &Path,
        data: &Path,
        role: &str,
        settings: &[String],
    ) -> Result<Self> {
        let failed = |error: std::io::Error| cannot(START, postgres).because(error);
        let mut command = user.command(&postgres.path);
        command.arg("-D").arg(data).arg("-k").arg(folder);
        for setting in settings {
            command.args(["-c", setting]);
        }
        let log = folder.join("server.log");
        let file = std::fs::File::create(&log).map_err(failed)?;
        let child = command.stderr(file).kill_on_drop(true).spawn().map_err(failed)?;
        let connect = ConnectOptions::parse(&url(folder, role, "postgres"))?;
        let program = postgres.path.display().to_string();
        Ok(Self { child, connect, log, program })
    }

    /// Returns how to connect to its maintenance database.
    pub(super) fn connect(&self) -> &ConnectOptions {
        &self.connect
    }

    /// Waits until it answers, however long that takes while its log or `progress` grows. Fails
    /// with `Failed` and the end of its log when it ends, or cannot let anybody in.
    pub(super) async fn answers(&mut self, progress: impl Fn() -> u64) -> Result<()> {
        let (mut since, mut seen) = (Instant::now(), (0, 0));
        loop {
            let refused = match crate::logical::maintenance(&self.connect).await {
                Ok(client) => {
                    client.close().await;
                    return Ok(());
                }
                Err(error) => error,
            };
            let written = std::fs::metadata(&self.log).map_or(0, |log| log.len());
            if seen != (written, progress()) {
                (since, seen) = (Instant::now(), (written, progress()));
            }
            let ended = self.child.try_wait().ok().flatten().is_some();
            let text = refused.to_string();
            let never = lets_nobody_in(&refused);
            if ended || never || since.elapsed() > PATIENCE {
                let said = if never { String::new() } else { read_end(&self.log).await };
                return Err(Error::new(ErrorKind::Failed, START)
                    .with("program", &self.program)
                    .because(if said.is_empty() { text } else { said }));
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    /// Ends the server; nothing of it is kept, so that it need not be gentle. Its processes are
    /// gone when this returns, so that nobody writes into what is removed next.
    pub(super) async fn stop(mut self) {
        let process = self.child.id().and_then(|id| i32::try_from(id).ok());
        let process = process.and_then(rustix::process::Pid::from_raw);
        if let Some(process) = process {
            // An immediate shutdown. It has ended already when this fails.
            let _ = rustix::process::kill_process(process, rustix::process::Signal::QUIT);
            let _ = tokio::time::timeout(ENDING, self.child.wait()).await;
        }
        let _ = self.child.kill().await;
    }
}

impl Drop for Server {
    /// Given up in the middle, as by an interrupt: its processes must be gone before its folder
    /// goes. That takes a moment, which nobody else waits for.
    fn drop(&mut self) {
        let process = self.child.id().and_then(|id| i32::try_from(id).ok());
        let Some(process) = process.and_then(rustix::process::Pid::from_raw) else { return };
        let _ = rustix::process::kill_process(process, rustix::process::Signal::QUIT);
        let begun = Instant::now();
        while matches!(self.child.try_wait(), Ok(None)) && begun.elapsed() < ENDING {
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

/// Settings of every throw-away server. No durability: what is here is thrown away, and a restore
/// that counts is done with settings of its own. Nothing listens on a network, nothing is archived,
/// and nothing acts by itself: a copy's subscriptions would take the original's changes away from
/// it, and what extensions schedule (pg_cron) would be done twice. Workers are refused for that.
pub(super) const SETTINGS: [&str; 16] = [
    "listen_addresses=",
    "port=5432",
    "unix_socket_permissions=0700",
    "fsync=off",
    "full_page_writes=off",
    "synchronous_commit=off",
    "max_wal_size=4GB",
    "archive_mode=off",
    "autovacuum=off",
    "max_logical_replication_workers=0",
    "max_worker_processes=0",
    "shared_buffers=128MB",
    "maintenance_work_mem=256MB",
    "logging_collector=off",
    "ssl=off",
    "huge_pages=try",
];

/// Returns the address of a database of the server whose socket is in `folder`.
pub(super) fn url(folder: &Path, role: &str, database: &str) -> String {
    let plain = |text: &str| {
        percent_encoding::utf8_percent_encode(text, percent_encoding::NON_ALPHANUMERIC).to_string()
    };
    let socket = plain(&folder.display().to_string());
    format!("postgres://{}@{socket}:5432/{}", plain(role), plain(database))
}

async fn read_end(log: &Path) -> String {
    let mut text = String::new();
    if let Ok(mut file) = tokio::fs::File::open(log).await {
        // Half a log is better than none.
        let _ = file.read_to_string(&mut text).await;
    }
    last_lines(&text)
}

fn last_lines(text: &str) -> String {
    let from = text.len().saturating_sub(LOG_END);
    let from = (from..=text.len()).find(|at| text.is_char_boundary(*at)).unwrap_or(from);
    text.get(from..).unwrap_or_default().trim().to_owned()
}

fn cannot(operation: &str, tool: &Tool) -> Error {
    Error::new(ErrorKind::Unsupported, operation).with("program", tool.path.display()).hint(
        "A drill needs PostgreSQL's server programs on this machine; or name a server to use \
         instead (--to).",
    )
}

/// Ends the server that an earlier, killed drill left running on `data`.
pub(super) fn end_orphan(data: &Path) {
    let file: PathBuf = data.join("postmaster.pid");
    let Ok(text) = std::fs::read_to_string(file) else { return };
    let mut lines = text.lines();
    let process = lines.next().and_then(|line| line.trim().parse::<u32>().ok());
    let folder = lines.next().map(str::trim);
    let Some(process) = process.filter(|_| folder == data.to_str()) else { return };
    let command = std::fs::read(format!("/proc/{process}/cmdline")).unwrap_or_default();
    // The number may be another program's by now.
    if String::from_utf8_lossy(&command).contains(&data.display().to_string()) {
        // SIGQUIT: an immediate shutdown.
        let _ = std::process::Command::new("kill").args(["-QUIT", &process.to_string()]).status();
    }
}
