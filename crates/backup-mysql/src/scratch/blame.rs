//! Whether a failure is the machine's fault or the snapshot's.

use backup_core::{Error, ErrorKind};

use crate::error_code;

/// Turns a failure that is about the machine into one that says so; what stays `Failed` blames
/// the snapshot.
pub(super) fn blame(error: Error) -> Error {
    if error.kind() != ErrorKind::Failed {
        return error;
    }
    let hint = match error_code(&error) {
        Some(1115 | 1273) => {
            "Drill on a server of the source's series: this one lacks a collation."
        }
        Some(1286 | 1289) => "Drill on a server with the storage engine that the source uses.",
        Some(1021 | 1114) => "Free space where the drill puts its data, or name another place.",
        Some(1037 | 1038 | 1041) => "Give the drill's server more memory, or use fewer jobs.",
        Some(1227 | 1449) => {
            "Drill as an administrator of that server, or leave definers out (no_owner)."
        }
        Some(1040 | 1203) => "Use fewer jobs, or raise max_connections.",
        Some(1153) => "Raise max_allowed_packet on the drill's server.",
        _ => return error,
    };
    error.into_kind(ErrorKind::Unsupported).hint(hint)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::DbError;

    #[test]
    fn machines_and_snapshots_are_told_apart() {
        let kind = |code| {
            let said = DbError { code, state: "HY000".into(), message: "x".into() };
            let inner = Error::new(ErrorKind::Failed, "execute statement").because(said);
            blame(Error::new(ErrorKind::Failed, "create object").because(inner)).kind()
        };
        assert_eq!(kind(1286), ErrorKind::Unsupported);
        assert_eq!(kind(1064), ErrorKind::Failed);
        assert_eq!(kind(1062), ErrorKind::Failed);
    }
}
