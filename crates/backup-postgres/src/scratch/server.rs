//! A server on a data directory, reachable only through a socket beside it.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use backup_core::{Error, ErrorKind, Result};
use tokio::io::AsyncReadExt;
use tokio::process::Child;

use super::user::ServerUser;
use crate::tools::Tool;
use crate::{Client, ConnectOptions};

/// How long a server may take to answer, recovery included.
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

    /// Starts a server on `data` with its socket in `folder` and waits until it answers. The
    /// error holds the end of its log.
    pub(super) async fn start(
        postgres: &Tool,
        user: ServerUser,
        folder: &Path,
        data: &Path,
    ) -> Result<Self> {
        let mut command = user.command(&postgres.path);
        command.arg("-D").arg(data).arg("-k").arg(folder);
        for setting in SETTINGS {
            command.args(["-c", setting]);
        }
        let log = folder.join("server.log");
        let file = std::fs::File::create(&log)
            .map_err(|error| cannot("start throw-away server", postgres).because(error))?;
        let child = command
            .stderr(file)
            .kill_on_drop(true)
            .spawn()
            .map_err(|error| cannot("start throw-away server", postgres).because(error))?;
        let mut server = Self { child, connect: address(folder)? };
        server.wait(&log).await.map_err(|error| error.with("program", postgres.path.display()))?;
        Ok(server)
    }

    /// Returns how to connect to its maintenance database.
    pub(super) fn connect(&self) -> &ConnectOptions {
        &self.connect
    }

    async fn wait(&mut self, log: &Path) -> Result<()> {
        let begun = Instant::now();
        loop {
            let refused = match Client::connect(&self.connect).await {
                Ok(client) => {
                    client.close().await;
                    return Ok(());
                }
                Err(error) => error,
            };
            let ended = self.child.try_wait().ok().flatten();
            if ended.is_some() || begun.elapsed() > PATIENCE {
                let said = read_end(log).await;
                return Err(Error::new(ErrorKind::Unsupported, "start throw-away server")
                    .hint("What its log says is above; it is about this machine, not the backup.")
                    .because(if said.is_empty() { refused.to_string() } else { said }));
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    /// Ends the server; nothing of it is kept, so that it need not be gentle.
    pub(super) async fn stop(mut self) {
        // It has ended already when this fails.
        let _ = self.child.kill().await;
    }
}

/// No durability: what is here is thrown away, and a restore that counts is done with settings
/// of its own. Nothing listens on a network, nothing is archived or replicated.
const SETTINGS: [&str; 16] = [
    "listen_addresses=",
    "port=5432",
    "unix_socket_permissions=0700",
    "fsync=off",
    "full_page_writes=off",
    "synchronous_commit=off",
    "wal_level=minimal",
    "max_wal_senders=0",
    "max_wal_size=4GB",
    "archive_mode=off",
    "autovacuum=off",
    "shared_buffers=128MB",
    "maintenance_work_mem=256MB",
    "max_connections=60",
    "logging_collector=off",
    "ssl=off",
];

fn address(folder: &Path) -> Result<ConnectOptions> {
    ConnectOptions::parse(&url(folder, "postgres"))
}

/// Returns the address of a database of the server whose socket is in `folder`.
pub(super) fn url(folder: &Path, database: &str) -> String {
    let socket = folder.display().to_string();
    let socket = percent_encoding::utf8_percent_encode(&socket, percent_encoding::NON_ALPHANUMERIC);
    format!("postgres://postgres@{socket}:5432/{database}")
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
