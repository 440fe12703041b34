//! From what went wrong on the wire to errors that say what to do next.

use std::io;

use backup_core::{Error, ErrorKind};

use super::error::DbError;
use crate::connect::{ConnectOptions, Host};

/// The operation named by every failure to get a usable connection.
const CONNECT: &str = "connect to database";

/// The server refused the login.
pub(crate) fn refused(options: &ConnectOptions, error: DbError) -> Error {
    let role = options.user();
    let database = options.database();
    let no_entry = error.message().contains("pg_hba.conf");
    let hint = match error.code() {
        "28000" | "28P01" if no_entry => format!(
            "Allow role {role} to reach database {database} from this address in the server's \
             pg_hba.conf (with or without TLS, as the message says)."
        ),
        "28P01" => format!("Check the password of role {role}."),
        "28000" => format!("Check that role {role} exists and may log in."),
        "3D000" => format!("Create database {database}, or correct its name in the URL."),
        "42501" => format!("Grant CONNECT on database {database} to role {role}."),
        "53300" => "Wait, raise max_connections, or close idle sessions; fewer jobs need fewer \
                    connections."
            .to_owned(),
        "57P03" => "Wait until the server has started up, then try again.".to_owned(),
        _ => error.hint().map_or_else(
            || "Read the server's log; it says more than it tells clients.".to_owned(),
            ToOwned::to_owned,
        ),
    };
    let passing = passes(error.code());
    let refused = connect(options).hint(hint).because(error);
    if passing { refused.temporary() } else { refused }
}

/// The server could not be reached, or vanished during the login.
pub(crate) fn unreachable(options: &ConnectOptions, error: io::Error) -> Error {
    let hint = match (&options.host, error.kind()) {
        (Host::Socket(directory), io::ErrorKind::NotFound) => format!(
            "Start the server, or name the directory of its socket: {} holds none for port {}.",
            directory.display(),
            options.port()
        ),
        (_, io::ErrorKind::PermissionDenied) => {
            "Let this user open the server's socket.".to_owned()
        }
        (_, io::ErrorKind::ConnectionRefused) => {
            "Check host and port, and that the server runs and listens there.".to_owned()
        }
        (_, io::ErrorKind::TimedOut) => {
            "Check host, port and firewalls, or raise connect_timeout.".to_owned()
        }
        (_, io::ErrorKind::UnexpectedEof | io::ErrorKind::ConnectionReset) => {
            "Check that a PostgreSQL server listens there, and its log.".to_owned()
        }
        _ => "Check the host name and the network.".to_owned(),
    };
    connect(options).hint(hint).because(error).temporary()
}

/// The connection itself failed for a reason that trying again does not cure.
pub(crate) fn unusable(
    options: &ConnectOptions,
    reason: impl Into<Box<dyn std::error::Error + Send + Sync>>,
    hint: impl Into<String>,
) -> Error {
    connect(options).hint(hint).because(reason)
}

fn connect(options: &ConnectOptions) -> Error {
    Error::new(ErrorKind::SourceUnavailable, CONNECT).with("database", options.location())
}

/// The server answered a statement with an error.
pub(crate) fn statement(operation: &'static str, error: DbError) -> Error {
    let passing = passes(error.code());
    let gone = matches!(error.code().get(..2), Some("08"))
        || matches!(error.code(), "57P01" | "57P02" | "57P03" | "57P05");
    let kind = if gone { ErrorKind::SourceUnavailable } else { ErrorKind::Failed };
    let hint = match error.code() {
        "42501" => Some("Grant the role what the message names, or connect as another role."),
        "53100" => Some("Free space on the server's disk."),
        "55P03" | "40P01" => Some("Try again when other sessions hold no conflicting locks."),
        "57P01" | "57P02" | "57P05" => Some("The server ended the session; try again."),
        _ => None,
    };
    let hint = error.hint().or(hint).map(ToOwned::to_owned);
    let mut failed = Error::new(kind, operation).because(error);
    if let Some(hint) = hint {
        failed = failed.hint(hint);
    }
    if passing { failed.temporary() } else { failed }
}

/// The connection broke in the middle of an operation.
pub(crate) fn lost(operation: &'static str, error: io::Error) -> Error {
    Error::new(ErrorKind::SourceUnavailable, operation)
        .hint("The connection to the database was lost; check the server's log and the network.")
        .because(error)
        .temporary()
}

/// The server said something that the protocol does not allow here.
pub(crate) fn violation(operation: &'static str, what: impl std::fmt::Display) -> Error {
    Error::new(ErrorKind::SourceUnavailable, operation)
        .hint("Check that a PostgreSQL server, or a pooler in session mode, listens there.")
        .because(format!("protocol violation: {what}"))
}

/// Whether an SQLSTATE describes a state that passes by itself.
fn passes(code: &str) -> bool {
    matches!(
        code,
        "40001" | "40P01" | "53300" | "55P03" | "57P01" | "57P02" | "57P03" | "57P05" | "58030"
    ) || code.starts_with("08")
}
