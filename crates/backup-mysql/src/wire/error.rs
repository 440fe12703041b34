//! The driver's errors in our words.

use std::fmt;

use backup_core::{Error, ErrorKind};
use mysql_async::{DriverError, Error as DriverFailure, IoError};

/// What the server answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DbError {
    /// The server's number: 1045, 1412 …
    pub code: u16,
    /// The five characters of the standard.
    pub state: String,
    /// What it said.
    pub message: String,
}

impl fmt::Display for DbError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (error {}, SQLSTATE {})", self.message, self.code, self.state)
    }
}

impl std::error::Error for DbError {}

/// Numbers of the server's errors that are told apart.
pub(crate) mod code {
    pub(crate) const ACCESS_DENIED_DATABASE: u16 = 1044;
    pub(crate) const ACCESS_DENIED: u16 = 1045;
    pub(crate) const UNKNOWN_DATABASE: u16 = 1049;
    pub(crate) const TABLE_EXISTS: u16 = 1050;
    pub(crate) const UNKNOWN_COLUMN: u16 = 1054;
    pub(crate) const TABLE_ACCESS_DENIED: u16 = 1142;
    pub(crate) const ACCOUNT_STATEMENT_FAILED: u16 = 1396;
    pub(crate) const PACKET_TOO_LARGE: u16 = 1153;
    pub(crate) const NO_SUCH_TABLE: u16 = 1146;
    pub(crate) const LOCK_WAIT: u16 = 1205;
    pub(crate) const DEADLOCK: u16 = 1213;
    pub(crate) const SPECIAL_ACCESS_DENIED: u16 = 1227;
    pub(crate) const DEFINITION_CHANGED: u16 = 1412;
}

/// Returns the number of the server's error that an error comes from.
#[must_use]
pub fn error_code(error: &Error) -> Option<u16> {
    db_error(error).map(|found| found.code)
}

/// Returns the server's answer that an error comes from.
pub(crate) fn db_error(error: &Error) -> Option<&DbError> {
    let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(one) = cause {
        if let Some(found) = one.downcast_ref::<DbError>() {
            return Some(found);
        }
        cause = one.source();
    }
    None
}

/// Turns a failure into ours. `operation` is what failed, `location` where.
pub(super) fn failed(operation: &'static str, location: &str, failure: DriverFailure) -> Error {
    let (kind, temporary, hint) = judge(&failure);
    let mut error = Error::new(kind, operation).with("server", location);
    if temporary {
        error = error.temporary();
    }
    if let Some(hint) = hint {
        error = error.hint(hint);
    }
    match failure {
        DriverFailure::Server(server) => error.because(DbError {
            code: server.code,
            state: server.state,
            message: server.message,
        }),
        other => error.because(deepest(&other)),
    }
}

/// The driver's errors repeat what caused them; the innermost says it all.
fn deepest(failure: &DriverFailure) -> String {
    let mut cause: &dyn std::error::Error = failure;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    cause.to_string()
}

/// Whether TLS was refused, which the driver tells as any failure of the connection.
fn is_tls(failure: &DriverFailure) -> bool {
    let said = deepest(failure);
    matches!(failure, DriverFailure::Io(IoError::Tls(_)))
        || ["certificate", "handshake", "TLS"].iter().any(|word| said.contains(word))
}

fn judge(failure: &DriverFailure) -> (ErrorKind, bool, Option<&'static str>) {
    match failure {
        DriverFailure::Server(server) => judge_code(server.code),
        DriverFailure::Io(_) if is_tls(failure) => (
            ErrorKind::SourceUnavailable,
            false,
            Some(
                "Name the certificates to trust with ssl-ca=FILE and the name they are for with \
                 ssl-name=NAME, or say how much of TLS is wanted with ssl-mode=required or \
                 ssl-mode=disabled.",
            ),
        ),
        DriverFailure::Io(_) => (
            ErrorKind::SourceUnavailable,
            true,
            Some("Check that the server runs and can be reached from here, and what its log says."),
        ),
        DriverFailure::Driver(DriverError::NoClientSslFlagFromServer) => (
            ErrorKind::SourceUnavailable,
            false,
            Some("The server offers no TLS: set it up there, or say ssl-mode=disabled."),
        ),
        DriverFailure::Driver(DriverError::ConnectionClosed) => {
            (ErrorKind::SourceUnavailable, true, None)
        }
        _ => (ErrorKind::Failed, false, None),
    }
}

fn judge_code(code: u16) -> (ErrorKind, bool, Option<&'static str>) {
    match code {
        1040 | 1203 => (
            ErrorKind::SourceUnavailable,
            true,
            Some("The server has no connection left: use fewer jobs, or raise max_connections."),
        ),
        code::ACCESS_DENIED | 1698 => (
            ErrorKind::SourceUnavailable,
            false,
            Some("Check user and password; MYSQL_PWD may hold the password."),
        ),
        code::ACCESS_DENIED_DATABASE | code::UNKNOWN_DATABASE => (
            ErrorKind::SourceUnavailable,
            false,
            Some("Check the database's name, and that the user may use it."),
        ),
        1130 => (
            ErrorKind::SourceUnavailable,
            false,
            Some("Let the user connect from this host (CREATE USER 'name'@'host')."),
        ),
        code::TABLE_ACCESS_DENIED | 1143 | code::SPECIAL_ACCESS_DENIED | 1370 => (
            ErrorKind::SourceUnavailable,
            false,
            Some("Grant the user what is missing; doctor prints the statements."),
        ),
        // Shutdown, lost in between, killed by somebody.
        1053 | 1077 | 1152 | 1158..=1161 | 1184 | 1317 | 1927 | 2006 | 2013 => {
            (ErrorKind::SourceUnavailable, true, None)
        }
        code::LOCK_WAIT | code::DEADLOCK => (
            ErrorKind::SourceUnavailable,
            true,
            Some(
                "Something else holds the lock: look at SHOW PROCESSLIST and end what runs for \
                 long, or run at another time.",
            ),
        ),
        code::PACKET_TOO_LARGE => (
            ErrorKind::Failed,
            false,
            Some("Raise max_allowed_packet on the server: a row is longer than it takes."),
        ),
        1021 | 1114 => (ErrorKind::Failed, false, Some("Free space on the server's disk.")),
        _ => (ErrorKind::Failed, false, None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_servers_number_is_found_beneath_our_words() {
        let server = mysql_async::ServerError {
            code: 1412,
            message: "Table definition has changed".into(),
            state: "HY000".into(),
        };
        let error = failed("read rows", "u@h/d", DriverFailure::Server(server));
        let outer = Error::new(ErrorKind::Failed, "copy table").because(error);
        assert_eq!(error_code(&outer), Some(1412));
        assert!(outer.to_string().contains("error 1412, SQLSTATE HY000"), "{outer}");
    }

    #[test]
    fn what_passes_is_told_from_what_stays() {
        for (code, kind, temporary) in [
            (1045, ErrorKind::SourceUnavailable, false),
            (1142, ErrorKind::SourceUnavailable, false),
            (1205, ErrorKind::SourceUnavailable, true),
            (1053, ErrorKind::SourceUnavailable, true),
            (1062, ErrorKind::Failed, false),
        ] {
            let (found, passes, _) = judge_code(code);
            assert_eq!((found, passes), (kind, temporary), "{code}");
        }
    }
}
