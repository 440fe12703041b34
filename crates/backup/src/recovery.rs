//! Restored clusters: what they fetch WAL with, and bringing them up.

use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use backup_config::Environment;
use backup_core::{Error, ErrorKind, Result};
use backup_ops::wal::WalLog;
use backup_postgres::tools::{Tool, ToolPaths};
use backup_postgres::{Client, ConnectOptions};

/// Variables that say where the repository is and which file opens it; none is a secret itself.
const CARRIED: [&str; 9] = [
    "BACKUP_CONFIG",
    "BACKUP_REPOSITORY",
    "BACKUP_DIR",
    "BACKUP_PASSPHRASE_FILE",
    "BACKUP_KEY_FILE",
    "AWS_REGION",
    "AWS_DEFAULT_REGION",
    "AWS_ENDPOINT_URL_S3",
    "AWS_ENDPOINT_URL",
];

/// Returns the `restore_command` of a copy: this program, with what it needs to find the
/// repository again. Secrets are not part of it: the server's environment has to hold them.
pub fn restore_command(
    environment: &Environment,
    config: Option<&Path>,
    log: &WalLog,
) -> Result<String> {
    let failed = |error| Error::new(ErrorKind::Failed, "find own program").because(error);
    let program = std::env::current_exe().map_err(failed)?;
    let mut words = Vec::new();
    for name in CARRIED {
        if let Some(value) = environment.get(name)? {
            words.push(format!("{name}={}", quoted(&absolute(name, value))));
        }
    }
    words.push(quoted(&program.display().to_string()));
    if let Some(config) = config {
        let config = std::path::absolute(config).map_err(failed)?;
        words.push(format!("--config {}", quoted(&config.display().to_string())));
    }
    words.push(format!(
        "wal fetch %f %p --source {} --system {}",
        quoted(log.source.as_str()),
        log.system
    ));
    Ok(words.join(" "))
}

/// The server runs it in its data directory.
fn absolute(name: &str, value: &str) -> String {
    let path = matches!(
        name,
        "BACKUP_CONFIG" | "BACKUP_DIR" | "BACKUP_PASSPHRASE_FILE" | "BACKUP_KEY_FILE"
    );
    match std::path::absolute(value) {
        Ok(absolute) if path => absolute.display().to_string(),
        _ => value.to_owned(),
    }
}

/// Quotes for the shell, and for PostgreSQL, which replaces what follows a percent sign.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "'\\''").replace('%', "%%"))
}

/// A restored cluster that runs.
#[derive(Clone, Debug)]
pub struct Reached {
    /// Whether it waits at its target; otherwise it is a server of its own.
    pub in_recovery: bool,
    /// Position up to which WAL was replayed.
    pub position: String,
    /// When the last replayed transaction ended.
    pub last_transaction: Option<String>,
    /// The folder of its socket.
    pub socket: PathBuf,
    /// The number in its socket's name.
    pub port: u16,
    /// The command that stops it.
    pub stop: String,
    /// The command that makes it a server of its own.
    pub promote: String,
}

const LOOK: Duration = Duration::from_millis(100);

/// Starts the cluster in a restored directory on a Unix socket that only its owner reaches, and
/// waits until it is at its target, or open. The server stays up when this returns.
///
/// Fails with the end of the server's log when it gives up; `Unsupported` without programs of its
/// major version, or as root, which PostgreSQL refuses.
pub async fn start(directory: &Path, tools: &ToolPaths) -> Result<Reached> {
    let directory = std::path::absolute(directory)
        .map_err(|error| Error::new(ErrorKind::Failed, "start cluster").because(error))?;
    if rustix::process::geteuid().is_root() {
        return Err(Error::new(ErrorKind::Unsupported, "start cluster")
            .with("directory", directory.display())
            .because("PostgreSQL does not run as root")
            .hint("Restore and start as the user that servers run as: `sudo -u postgres backupctl …`."));
    }
    let program = program(&directory, tools).await?;
    let socket = socket(&directory)?;
    let port = (5432..6000).find(|port| !socket.join(format!(".s.PGSQL.{port}")).exists());
    let port = port.unwrap_or(5432);
    let hba = private(&directory.join("backupctl.hba.conf"), "local all all trust\n")?;
    let log = directory.join("backupctl.start.log");
    let output = std::fs::File::create(&log).map_err(|error| failed(&directory, error))?;
    let errors = output.try_clone().map_err(|error| failed(&directory, error))?;
    let setting = |name: &str, value: &str| format!("{name}={value}");
    let mut server = tokio::process::Command::new(&program.path)
        .arg("-D")
        .arg(&directory)
        .args(["-c", "listen_addresses=", "-c", "hot_standby=on"])
        .args(["-c", &setting("unix_socket_directories", &socket.display().to_string())])
        .args(["-c", &setting("port", &port.to_string())])
        .args(["-c", &setting("hba_file", &hba.display().to_string())])
        .args(["-c", "logging_collector=off"])
        .current_dir(&directory)
        .stdin(Stdio::null())
        .stdout(output)
        .stderr(errors)
        .process_group(0)
        .spawn()
        .map_err(|error| failed(&directory, error))?;
    let state = loop {
        if let Ok(Some(status)) = server.try_wait() {
            return Err(gave_up(&directory, &log, &status.to_string()));
        }
        if let Some(state) = look(&socket, port, program.major).await {
            break state;
        }
        tokio::time::sleep(LOOK).await;
    };
    let control = program.sibling("pg_ctl").path;
    let command = |verb: &str| format!("{} -D {} {verb}", control.display(), directory.display());
    Ok(Reached {
        in_recovery: state.0,
        position: state.1,
        last_transaction: state.2,
        socket,
        port,
        stop: command("stop"),
        promote: command("promote"),
    })
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

/// Asks where recovery stands; nothing while it goes on, or nobody can be asked.
async fn look(socket: &Path, port: u16, major: u32) -> Option<(bool, String, Option<String>)> {
    let host = percent_encode(&socket.display().to_string());
    let role = std::env::var("PGUSER").unwrap_or_else(|_| "postgres".to_owned());
    let url = format!("postgres://{role}@{host}:{port}/postgres");
    let mut client = Client::connect(&ConnectOptions::parse(&url).ok()?).await.ok()?;
    let paused = if major >= 14 {
        "pg_catalog.pg_get_wal_replay_pause_state() = 'paused'"
    } else {
        "pg_catalog.pg_is_wal_replay_paused()"
    };
    let sql = format!(
        "select r, case when r then {paused} else true end, \
         coalesce(pg_catalog.pg_last_wal_replay_lsn()::text, \
           case when r then null else pg_catalog.pg_current_wal_lsn()::text end), \
         pg_catalog.pg_last_xact_replay_timestamp()::text \
         from (select pg_catalog.pg_is_in_recovery() as r) as state"
    );
    let rows = client.query(&sql).await.ok()?;
    client.close().await;
    let row = rows.first()?;
    (row.get(1) == Some("t")).then(|| {
        let position = row.get(2).unwrap_or("?").to_owned();
        (row.get(0) == Some("t"), position, row.get(3).map(ToOwned::to_owned))
    })
}

fn percent_encode(text: &str) -> String {
    let mut out = String::new();
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.') {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}

fn gave_up(directory: &Path, log: &Path, status: &str) -> Error {
    let text = std::fs::read_to_string(log).unwrap_or_default();
    let fatal = text.lines().rev().find(|line| line.contains("FATAL") || line.contains("PANIC"));
    Error::new(ErrorKind::Failed, "recover cluster")
        .with("directory", directory.display())
        .with("server", status)
        .because(fatal.unwrap_or("the server ended").to_owned())
        .hint(format!(
            "{} says more. `wal fetch` ends with 126 when the repository cannot be read: the \
             server needs BACKUP_PASSPHRASE, or a key file, in its environment.",
            log.display()
        ))
}

fn failed(path: &Path, error: std::io::Error) -> Error {
    Error::new(ErrorKind::Failed, "start cluster").with("path", path.display()).because(error)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_restore_command_carries_no_secret_and_survives_two_quotings() {
        let environment = Environment::from_pairs([
            ("BACKUP_REPOSITORY", "file:///srv/it's 100%"),
            ("BACKUP_PASSPHRASE", "hunter2"),
            ("AWS_SECRET_ACCESS_KEY", "hunter3"),
            ("BACKUP_KEY_FILE", "keys/a"),
        ]);
        let log = WalLog { source: "shop".parse().unwrap(), system: 42 };
        let command = restore_command(&environment, None, &log).unwrap();
        assert!(!command.contains("hunter"), "{command}");
        assert!(command.contains("BACKUP_REPOSITORY='file:///srv/it'\\''s 100%%'"), "{command}");
        assert!(command.contains("/keys/a'"), "{command}");
        assert!(command.ends_with("wal fetch %f %p --source 'shop' --system 42"), "{command}");
    }
}
