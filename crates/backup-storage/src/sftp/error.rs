//! What a server's refusal means, and what to do about it.

use backup_core::{Error, ErrorKind};
use openssh_sftp_client::Error as SftpError;
use openssh_sftp_client::error::SftpErrorKind;

/// Turns a refusal into an error; never `NotFound`.
pub(super) fn refused(operation: &'static str, place: &str, error: &SftpError) -> Error {
    let wrapped = Error::new(ErrorKind::StoreUnavailable, operation).with("path", place);
    let (status, remedy) = match error {
        SftpError::SftpError(SftpErrorKind::PermDenied, _) => (
            false,
            "Give the user that logs in read, write and search permission on the repository's \
             directory and the directories above it.",
        ),
        SftpError::SftpError(SftpErrorKind::NoSuchFile, _) => {
            (false, "Check the path in the URL, and that the volume is mounted on the server.")
        }
        SftpError::SftpError(SftpErrorKind::OpUnsupported, _)
        | SftpError::UnsupportedExtension(_)
        | SftpError::UnsupportedSftpProtocol { .. } => {
            (false, "The server does not know the operation; OpenSSH's does.")
        }
        SftpError::SftpError(SftpErrorKind::Failure, _) => (
            false,
            "The server says no more than that it failed: look at free space, quota, and its log.",
        ),
        // Everything else is a connection that broke.
        _ => (true, "Check the network and the server; its log tells why it hung up."),
    };
    let wrapped = wrapped.hint(remedy).because(described(error));
    if status { wrapped.temporary() } else { wrapped }
}

/// Returns whether the failure is the confirmed absence of a file.
pub(super) fn is_absence(error: &SftpError) -> bool {
    matches!(error, SftpError::SftpError(SftpErrorKind::NoSuchFile, _))
}

/// Returns whether the server failed without saying why: among else for a name that is taken, or
/// a path that leads through a file.
pub(super) fn is_failure(error: &SftpError) -> bool {
    matches!(error, SftpError::SftpError(SftpErrorKind::Failure, _))
}

/// Returns whether the server knows no such operation.
pub(super) fn is_unsupported(error: &SftpError) -> bool {
    matches!(
        error,
        SftpError::UnsupportedExtension(_)
            | SftpError::SftpError(SftpErrorKind::OpUnsupported, _)
            // What OpenSSH passes on from filesystems without links (EPERM).
            | SftpError::SftpError(SftpErrorKind::PermDenied, _)
    )
}

/// Returns whether the session is of no more use.
pub(super) fn ends_session(error: &SftpError) -> bool {
    !matches!(error, SftpError::SftpError(..) | SftpError::UnsupportedExtension(_))
}

/// Returns a refusal's own words on one line.
pub(super) fn described(error: &SftpError) -> String {
    match error {
        SftpError::SftpError(kind, _) => format!("the server answered: {kind:?}"),
        other => other.to_string().chars().filter(|c| !c.is_control()).take(200).collect(),
    }
}
