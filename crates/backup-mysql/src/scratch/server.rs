//! A MariaDB server of our own, on a Unix socket that only its user (and root) can reach.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use backup_core::{Error, ErrorKind, Result};
use tokio::process::Child;

use super::user::ServerUser;
use crate::{Client, ConnectOptions};

/// How long a server may take to start.
const PATIENCE: Duration = Duration::from_secs(120);
/// Where servers are besides `$PATH`.
const FOLDERS: [&str; 5] =
    ["/usr/sbin", "/usr/local/sbin", "/usr/local/bin", "/usr/local/mysql/bin", "/opt/homebrew/bin"];
/// The account that a new server has.
pub(super) const ROOT: &str = "root";

/// Programs of one installation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Programs {
    server: PathBuf,
    install: PathBuf,
}

impl Programs {
    /// Finds them; `Unsupported` says what to install.
    pub(super) fn find() -> Result<Self> {
        match (find("mariadbd"), find("mariadb-install-db")) {
            (Some(server), Some(install)) => Ok(Self { server, install }),
            _ => Err(Error::new(ErrorKind::Unsupported, "find MariaDB's server programs").hint(
                "Install them on this machine (Debian: apt install mariadb-server), or name a \
                 server to use instead (--to mysql://…).",
            )),
        }
    }
}

fn find(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::env::split_paths(&path).chain(FOLDERS.iter().map(PathBuf::from));
    folders.map(|folder| folder.join(program)).find(|path| path.is_file())
}

/// A running server; killed on drop.
#[derive(Debug)]
pub(super) struct Server {
    child: Child,
    socket: PathBuf,
}

impl Server {
    /// Makes an empty data directory in `folder` and starts a server on it, without durability and
    /// without a network. `lower_case` is what the source's `lower_case_table_names` was.
    pub(super) async fn start(
        programs: &Programs,
        user: ServerUser,
        folder: &Path,
        lower_case: &str,
    ) -> Result<Self> {
        let data = folder.join("data");
        let names = format!("--lower-case-table-names={lower_case}");
        let installed = user
            .command(&programs.install)
            .arg("--no-defaults")
            .arg(format!("--datadir={}", data.display()))
            .args(["--auth-root-authentication-method=normal", "--skip-test-db"])
            .arg("--skip-name-resolve")
            .arg(&names)
            .env("TMPDIR", folder)
            .kill_on_drop(true)
            .stdout(std::process::Stdio::piped())
            .stderr(std::process::Stdio::piped())
            .output()
            .await
            .map_err(|error| failed("make data directory").because(error))?;
        if !installed.status.success() {
            return Err(failed("make data directory").because(last_lines(&installed.stderr)));
        }
        let socket = folder.join("s.sock");
        let child = user
            .command(&programs.server)
            .arg("--no-defaults")
            .arg(format!("--datadir={}", data.display()))
            .arg(format!("--socket={}", socket.display()))
            .arg(format!("--pid-file={}", folder.join("pid").display()))
            .arg(format!("--log-error={}", folder.join("log").display()))
            .args(SETTINGS)
            .arg(&names)
            // A server that starts removes temporary tables that it finds: never those of another.
            .env("TMPDIR", folder)
            .kill_on_drop(true)
            .spawn()
            .map_err(|error| failed("start throw-away server").because(error))?;
        let mut server = Self { child, socket };
        server.answers(folder).await?;
        Ok(server)
    }

    /// Waits until it answers.
    async fn answers(&mut self, folder: &Path) -> Result<()> {
        let begun = Instant::now();
        loop {
            let connect = ConnectOptions::at_socket(&self.socket, ROOT, "");
            if let Ok(client) = Client::connect_to_server(&connect).await {
                client.close().await;
                return Ok(());
            }
            let ended = self.child.try_wait().ok().flatten().is_some();
            if ended || begun.elapsed() > PATIENCE {
                let log = std::fs::read(folder.join("log")).unwrap_or_default();
                return Err(failed("start throw-away server").because(last_lines(&log)));
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    pub(super) fn socket(&self) -> &Path {
        &self.socket
    }

    /// Ends it; nothing in it is wanted.
    pub(super) async fn stop(mut self) {
        let _ = self.child.kill().await;
    }
}

/// It holds what can be had again, and runs nothing by itself.
const SETTINGS: [&str; 14] = [
    "--skip-networking",
    "--skip-log-bin",
    "--skip-slave-start",
    "--event-scheduler=OFF",
    "--local-infile=1",
    "--max-allowed-packet=1G",
    "--max-connections=100",
    "--innodb-buffer-pool-size=128M",
    "--innodb-log-file-size=256M",
    "--innodb-flush-log-at-trx-commit=0",
    "--innodb-flush-method=nosync",
    "--skip-innodb-doublewrite",
    "--innodb-stats-persistent=0",
    "--character-set-server=utf8mb4",
];

fn failed(operation: &'static str) -> Error {
    Error::new(ErrorKind::Unsupported, operation)
        .hint("What it said is above; it is about this machine, not the backup.")
}

fn last_lines(text: &[u8]) -> String {
    let text = String::from_utf8_lossy(text);
    let lines: Vec<&str> = text.lines().filter(|line| !line.trim().is_empty()).collect();
    lines.get(lines.len().saturating_sub(5)..).unwrap_or_default().join(" | ")
}

/// Kills the server of a drill that was killed: the number in its folder, if that is still it.
pub(super) fn end_orphan(folder: &Path) {
    let text = std::fs::read_to_string(folder.join("pid")).unwrap_or_default();
    let Ok(number) = text.trim().parse::<i32>() else { return };
    let command = std::fs::read(format!("/proc/{number}/cmdline")).unwrap_or_default();
    // The number may be another program's by now.
    if !String::from_utf8_lossy(&command).contains(&folder.display().to_string()) {
        return;
    }
    if let Some(process) = rustix::process::Pid::from_raw(number) {
        let _ = rustix::process::kill_process(process, rustix::process::Signal::KILL);
    }
}
