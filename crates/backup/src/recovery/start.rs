//! Bringing a restored cluster up, and saying where it stands.

use std::path::{Path, PathBuf};
use std::time::Duration;

use backup_core::{Error, ErrorKind, Finding, Result};
use backup_postgres::tools::ToolPaths;
use backup_postgres::{Client, ConnectOptions, sqlstate};

use super::log::{Said, fatal, said};
use super::needs::{self, Raised};
use super::quiet;
use super::server::{Running, Seat};

/// A restored cluster that runs.
#[derive(Clone, Debug)]
pub struct Reached {
    /// Where it stands.
    pub state: ReachedState,
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
    /// What was done to the copy so that it could recover.
    pub findings: Vec<Finding>,
}

/// Where a recovered cluster stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReachedState {
    /// It waits at its target, readable.
    AtTarget,
    /// It is a server of its own.
    Open,
}

const LOOK: Duration = Duration::from_millis(100);
/// The original may have raised its settings several times along the way.
const ATTEMPTS: usize = 10;

/// Starts the cluster in a restored directory on a Unix socket that only its owner reaches, and
/// waits until it is at its target, or open. The server stays up when this returns, and is stopped
/// when it fails or is given up.
///
/// It applies no subscriptions of the original and runs no scheduled jobs: lines in its
/// `postgresql.auto.conf` keep it from that, and findings name them. Settings that are lower than the original had them, and that recovery needs, are raised in the
/// copy's `postgresql.auto.conf`; each is a finding. A server that stands still elsewhere than at
/// its target is an error. Fails with the reason in the server's log when it gives up;
/// `Unsupported` without programs of its major version, or as root, which PostgreSQL refuses.
pub async fn start(directory: &Path, tools: &ToolPaths) -> Result<Reached> {
    let directory = std::path::absolute(directory)
        .map_err(|error| Error::new(ErrorKind::Failed, "start cluster").because(error))?;
    if rustix::process::geteuid().is_root() {
        return Err(Error::new(ErrorKind::Unsupported, "start cluster")
            .with("directory", directory.display())
            .because("PostgreSQL does not run as root")
            .hint("Restore and start as the user that servers run as: `sudo -u postgres backupctl …`."));
    }
    let seat = Seat::prepare(&directory, tools).await?;
    let mut findings = quiet::keep(&directory, &seat.program).await?;
    for _ in 0..ATTEMPTS {
        let raised = needs::raise(&directory, &seat.program).await?;
        findings.extend(raised.iter().map(told));
        let mut running = seat.start()?;
        match wait(&seat, &mut running).await? {
            Waited::For(look) => {
                running.let_go();
                // What was fetched ahead and is not needed does not stay with the copy.
                crate::wal::remove_ahead(&directory.join("pg_wal/RECOVERYXLOG"));
                return Ok(reached(&seat, look, findings));
            }
            Waited::TooLow(why) => {
                // The control file says by now what is needed.
                running.stop().await?;
                if needs::are_met(&directory, &seat.program).await {
                    return Err(too_low(&seat, &why));
                }
            }
        }
    }
    Err(too_low(&seat, "the original raised its settings too often"))
}

fn told(raised: &Raised) -> Finding {
    Finding::note(format!(
        "{} was raised from {} to {} in postgresql.auto.conf: the original ran with that, and \
         recovery needs as much.",
        raised.name, raised.from, raised.to
    ))
}

enum Waited {
    For(Look),
    TooLow(String),
}

/// Waits until recovery stands still, or is over.
async fn wait(seat: &Seat, running: &mut Running) -> Result<Waited> {
    loop {
        if let Some(status) = running.ended() {
            return match said(&seat.said()) {
                Said::Insufficient(why) => Ok(Waited::TooLow(why)),
                _ => Err(gave_up(seat, &status)),
            };
        }
        match look(seat).await? {
            Some(look) if !look.in_recovery => return Ok(Waited::For(look)),
            Some(look) if look.paused => match said(&seat.said()) {
                Said::AtTarget => return Ok(Waited::For(look)),
                Said::Insufficient(why) => return Ok(Waited::TooLow(why)),
                Said::Nothing => return Err(stands_still(seat, &look)),
            },
            _ => {}
        }
        tokio::time::sleep(LOOK).await;
    }
}

struct Look {
    in_recovery: bool,
    paused: bool,
    position: String,
    last_transaction: Option<String>,
}

/// Asks where recovery stands; nothing while nobody can be asked.
async fn look(seat: &Seat) -> Result<Option<Look>> {
    let host = percent_encode(&seat.socket.display().to_string());
    let role = std::env::var("PGUSER").unwrap_or_else(|_| "postgres".to_owned());
    let url = format!("postgres://{}@{host}:{}/postgres", percent_encode(&role), seat.port);
    let mut client = match Client::connect(&ConnectOptions::parse(&url)?).await {
        Ok(client) => client,
        Err(error) if matches!(sqlstate(&error), Some("28000" | "3D000")) => {
            return Err(error.hint("Set PGUSER to a role that the cluster has, and start again."));
        }
        Err(_) => return Ok(None),
    };
    let paused = if seat.program.major >= 14 {
        "pg_catalog.pg_get_wal_replay_pause_state() = 'paused'"
    } else {
        "pg_catalog.pg_is_wal_replay_paused()"
    };
    let sql = format!(
        "select r, case when r then {paused} else false end, \
         coalesce(pg_catalog.pg_last_wal_replay_lsn()::text, \
           case when r then null else pg_catalog.pg_current_wal_lsn()::text end), \
         pg_catalog.pg_last_xact_replay_timestamp()::text \
         from (select pg_catalog.pg_is_in_recovery() as r) as state"
    );
    // It may end between two looks; the next one says how.
    let Ok(rows) = client.query(&sql).await else { return Ok(None) };
    client.close().await;
    Ok(rows.first().map(|row| Look {
        in_recovery: row.get(0) == Some("t"),
        paused: row.get(1) == Some("t"),
        position: row.get(2).unwrap_or("?").to_owned(),
        last_transaction: row.get(3).map(ToOwned::to_owned),
    }))
}

fn reached(seat: &Seat, look: Look, findings: Vec<Finding>) -> Reached {
    let control = seat.program.sibling("pg_ctl").path;
    let command =
        |verb: &str| format!("{} -D {} {verb}", control.display(), seat.directory.display());
    Reached {
        state: if look.in_recovery { ReachedState::AtTarget } else { ReachedState::Open },
        position: look.position,
        last_transaction: look.last_transaction,
        socket: seat.socket.clone(),
        port: seat.port,
        stop: command("stop"),
        promote: command("promote"),
        findings,
    }
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

fn gave_up(seat: &Seat, status: &str) -> Error {
    let log = seat.said();
    Error::new(ErrorKind::Failed, "recover cluster")
        .with("directory", seat.directory.display())
        .with("server", status)
        .because(fatal(&log).unwrap_or("the server ended").to_owned())
        .hint(format!(
            "{} says more. `wal fetch` ends with 126 when the repository cannot be read: the \
             server needs BACKUP_PASSPHRASE, or a key file, in its environment.",
            seat.log.display()
        ))
}

fn too_low(seat: &Seat, why: &str) -> Error {
    Error::new(ErrorKind::Failed, "recover cluster")
        .with("directory", seat.directory.display())
        .because(why.to_owned())
        .hint(
            "A setting is lower than the original had it, and could not be raised in the copy's \
             postgresql.auto.conf. Raise it by hand and start the copy with pg_ctl.",
        )
}

fn stands_still(seat: &Seat, look: &Look) -> Error {
    Error::new(ErrorKind::Failed, "recover cluster")
        .with("directory", seat.directory.display())
        .with("replayed up to", &look.position)
        .because("recovery is paused elsewhere than at its target")
        .hint(format!("{} may say why; start the copy again with pg_ctl.", seat.log.display()))
}
