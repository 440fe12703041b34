//! A PostgreSQL server in a temporary folder, reachable only through a socket in it.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use backup::postgres::tools::ToolPaths;
use backup_core::{Error, ErrorKind, Result};
use tokio::process::{Child, Command};

/// How long a server may take to answer.
const PATIENCE: Duration = Duration::from_secs(60);

/// A temporary folder, removed when dropped.
pub(super) struct Folder(PathBuf);

impl Folder {
    pub(super) fn create() -> Result<Self> {
        let name = format!("backupctl-demo-{}", std::process::id());
        // Short, because the path of a socket must be.
        let path = std::env::temp_dir().join(name);
        std::fs::create_dir(&path).map_err(|error| {
            Error::new(ErrorKind::Failed, "create temporary folder")
                .with("folder", path.display())
                .because(error)
        })?;
        Ok(Self(path))
    }

    pub(super) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // What is left over lies in the system's temporary folder.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// A running server; killed when dropped.
pub(super) struct Cluster {
    server: Child,
    socket: PathBuf,
    pub(super) version: String,
    pub(super) tools: ToolPaths,
}

impl Cluster {
    /// Creates and starts a server. `Unsupported` when its programs are not found, or when this
    /// is root, as whom PostgreSQL refuses to run, and there is no other user to become.
    pub(super) async fn start(folder: &Folder, bin: Option<&Path>) -> Result<Self> {
        let tools = match bin {
            Some(bin) => ToolPaths::only(vec![bin.to_owned()]),
            None => ToolPaths::system(),
        };
        let Some(initdb) = tools.find("initdb").await.into_iter().max_by_key(|tool| tool.major)
        else {
            return Err(Error::new(ErrorKind::Unsupported, "find PostgreSQL's server programs")
                .with("program", "initdb"));
        };
        let data = folder.path().join("data");
        std::fs::create_dir(&data).map_err(failed)?;
        let user = Runner::of(folder.path(), &data)?;
        let output = user
            .command(&initdb.path)
            .args(["--auth=trust", "--username=demo", "--encoding=UTF8", "--no-sync", "-D"])
            .arg(&data)
            .output()
            .await
            .map_err(failed)?;
        if !output.status.success() {
            let said = String::from_utf8_lossy(&output.stderr).into_owned();
            return Err(failed(said.lines().last().unwrap_or_default().to_owned()));
        }
        let server = user
            .command(&initdb.sibling("postgres").path)
            .arg("-D")
            .arg(&data)
            .args(["-c", "listen_addresses=", "-c", "fsync=off", "-c", "port=5432", "-k"])
            .arg(folder.path())
            .kill_on_drop(true)
            .spawn()
            .map_err(failed)?;
        let mut cluster = Self {
            server,
            socket: folder.path().to_owned(),
            version: initdb.version.clone(),
            tools: match initdb.path.parent() {
                Some(bin) => ToolPaths::system().with_directory(bin),
                None => ToolPaths::system(),
            },
        };
        cluster.wait().await?;
        Ok(cluster)
    }

    /// The address of one of its databases.
    pub(super) fn url(&self, database: &str) -> String {
        let socket = self.socket.display().to_string().replace('/', "%2F");
        format!("postgres://demo@{socket}:5432/{database}")
    }

    /// Runs statements in one of its databases.
    pub(super) async fn sql(&self, database: &str, statements: &[&str]) -> Result<()> {
        let options = backup::postgres::ConnectOptions::parse(&self.url(database))?;
        let mut client = backup::postgres::Client::connect(&options).await?;
        for statement in statements {
            client.execute(statement).await?;
        }
        client.close().await;
        Ok(())
    }

    /// Returns the first field of a query's first row.
    pub(super) async fn ask(&self, database: &str, query: &str) -> Result<String> {
        let options = backup::postgres::ConnectOptions::parse(&self.url(database))?;
        let mut client = backup::postgres::Client::connect(&options).await?;
        let rows = client.query(query).await?;
        client.close().await;
        let answer = rows.first().and_then(|row| row.get(0)).unwrap_or_default();
        Ok(answer.to_owned())
    }

    async fn wait(&mut self) -> Result<()> {
        let begun = std::time::Instant::now();
        loop {
            match self.sql("postgres", &["select 1"]).await {
                Ok(()) => return Ok(()),
                Err(error) if begun.elapsed() > PATIENCE => return Err(error),
                Err(_) => {}
            }
            if let Some(status) = self.server.try_wait().map_err(failed)? {
                return Err(failed(format!("it ended with {status}")));
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    /// Stops the server; nothing of it is kept, so that it need not be gentle.
    pub(super) async fn stop(mut self) {
        // It was stopped already when this fails.
        let _ = self.server.kill().await;
    }
}

fn failed(cause: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Error {
    Error::new(ErrorKind::Failed, "start throw-away server").because(cause)
}

/// As whom the server runs: ourselves, or `nobody` when we are root.
struct Runner {
    drop_root: bool,
}

impl Runner {
    fn of(folder: &Path, data: &Path) -> Result<Self> {
        let drop_root = is_root();
        if drop_root {
            let status = std::process::Command::new("chown")
                .arg("nobody")
                .args([folder, data])
                .status()
                .map_err(failed)?;
            if !status.success() {
                return Err(Error::new(ErrorKind::Unsupported, "give folder to user nobody"));
            }
        }
        Ok(Self { drop_root })
    }

    fn command(&self, program: &Path) -> Command {
        let mut command = if self.drop_root {
            let mut command = Command::new("setpriv");
            command.args(["--reuid=nobody", "--regid=nogroup", "--clear-groups", "--"]);
            command.arg(program);
            command
        } else {
            Command::new(program)
        };
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("PG") {
                command.env_remove(&name);
            }
        }
        command
            .env("LC_ALL", OsStr::new("C"))
            .current_dir("/")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped());
        command
    }
}

#[cfg(unix)]
fn is_root() -> bool {
    use std::os::unix::fs::MetadataExt;
    std::fs::metadata("/proc/self").is_ok_and(|me| me.uid() == 0)
}

#[cfg(not(unix))]
fn is_root() -> bool {
    false
}
