//! The process of a restored cluster's server.

use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use backup_core::{Error, ErrorKind, Result};
use backup_postgres::tools::{Tool, ToolPaths};
use rustix::process::{Pid, Signal, kill_process};
use tokio::process::Child;

/// How long a server may take to end in order.
const ENDING: Duration = Duration::from_secs(120);

/// Where a server is reached, and what it is started with.
#[derive(Clone, Debug)]
pub(super) struct Seat {
    pub(super) directory: PathBuf,
    pub(super) program: Tool,
    pub(super) socket: PathBuf,
    pub(super) port: u16,
    pub(super) log: PathBuf,
    hba: PathBuf,
}

/// A server that is stopped again unless it is let go.
pub(super) struct Running {
    child: Child,
    stays: bool,
}

impl Seat {
    /// Finds the program and a place for the socket.
    ///
    /// `Unsupported` without programs of the directory's major version.
    pub(super) async fn prepare(directory: &Path, tools: &ToolPaths) -> Result<Self> {
        let program = program(directory, tools).await?;
        let socket = socket(directory)?;
        let port = (5432..6000).find(|port| !socket.join(format!(".s.PGSQL.{port}")).exists());
        let hba = private(&directory.join("backupctl.hba.conf"), "local all all trust\n")?;
        let log = directory.join("backupctl.start.log");
        let directory = directory.to_owned();
        Ok(Self { directory, program, socket, port: port.unwrap_or(5432), log, hba })
    }

    /// Starts the server on a Unix socket that only its owner reaches. What it logs is read later:
    /// it says it in English, where we look.
    pub(super) fn start(&self) -> Result<Running> {
        let at = |error| failed(&self.directory, error);
        let output = std::fs::File::create(&self.log).map_err(at)?;
        let errors = output.try_clone().map_err(at)?;
        let setting = |name: &str, value: &dyn std::fmt::Display| format!("{name}={value}");
        let child = tokio::process::Command::new(&self.program.path)
            .arg("-D")
            .arg(&self.directory)
            .args(["-c", "listen_addresses=", "-c", "hot_standby=on"])
            .args(["-c", &setting("unix_socket_directories", &self.socket.display())])
            .args(["-c", &setting("port", &self.port)])
            .args(["-c", &setting("hba_file", &self.hba.display())])
            .args(["-c", "logging_collector=off", "-c", "log_destination=stderr"])
            .args(["-c", "lc_messages=C", "-c", "log_min_messages=warning"])
            .current_dir(&self.directory)
            .stdin(Stdio::null())
            .stdout(output)
            .stderr(errors)
            .process_group(0)
            .spawn()
            .map_err(at)?;
        Ok(Running { child, stays: false })
    }

    /// Returns what the server has logged since it was started.
    pub(super) fn said(&self) -> String {
        let bytes = std::fs::read(&self.log).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    }
}

impl Running {
    /// Returns how it ended, if it has.
    pub(super) fn ended(&mut self) -> Option<String> {
        self.child.try_wait().ok().flatten().map(|status| status.to_string())
    }

    /// Lets it run on when this is dropped.
    pub(super) fn let_go(mut self) {
        self.stays = true;
    }

    /// Stops it in order, and waits for that.
    pub(super) async fn stop(mut self) -> Result<()> {
        self.signal(Signal::INT);
        match tokio::time::timeout(ENDING, self.child.wait()).await {
            Ok(Ok(_)) => {
                self.stays = true;
                Ok(())
            }
            _ => Err(Error::new(ErrorKind::Failed, "stop restored cluster")
                .hint("It does not end; look at its log, and stop it with pg_ctl.")),
        }
    }

    fn signal(&self, signal: Signal) {
        let process = self.child.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw);
        if let Some(process) = process {
            // It has ended already when this fails.
            let _ = kill_process(process, signal);
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if !self.stays {
            self.signal(Signal::INT);
        }
    }
}

/// Returns the server's program of the major version that the directory is of.
async fn program(directory: &Path, tools: &ToolPaths) -> Result<Tool> {
    let version = std::fs::read_to_string(directory.join("PG_VERSION"))
        .map_err(|error| failed(directory, error))?;
    let major = version.trim().to_owned();
    let found = tools.find("postgres").await;
    let found = found.into_iter().find(|tool| tool.major.to_string() == major);
    found.ok_or_else(|| {
        Error::new(ErrorKind::Unsupported, "start cluster")
            .with("directory", directory.display())
            .with("major version", &major)
            .hint(format!("Install the server of PostgreSQL {major}, or put its programs on PATH."))
    })
}

/// Returns a folder for the socket, short enough for one, and private.
fn socket(directory: &Path) -> Result<PathBuf> {
    const LONGEST: usize = 80;
    if directory.as_os_str().len() <= LONGEST {
        return Ok(directory.to_owned());
    }
    let folder = std::env::temp_dir().join(format!("backupctl-{}", std::process::id()));
    let made = std::os::unix::fs::DirBuilderExt::mode(&mut std::fs::DirBuilder::new(), 0o700)
        .create(&folder)
        .and_then(|()| folder.symlink_metadata());
    match made {
        Ok(metadata) if metadata.uid() == rustix::process::geteuid().as_raw() => Ok(folder),
        Ok(_) => Err(Error::new(ErrorKind::Failed, "make folder for socket")),
        Err(error) => Err(failed(&folder, error)),
    }
}

fn private(path: &Path, text: &str) -> Result<PathBuf> {
    let file =
        std::fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path);
    file.and_then(|mut file| std::io::Write::write_all(&mut file, text.as_bytes()))
        .map_err(|error| failed(path, error))?;
    Ok(path.to_owned())
}

pub(super) fn failed(path: &Path, error: std::io::Error) -> Error {
    Error::new(ErrorKind::Failed, "start cluster").with("path", path.display()).because(error)
}
