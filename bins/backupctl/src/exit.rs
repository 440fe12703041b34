//! How a command ends.

use std::process::ExitCode;

use backup_core::ErrorKind;

/// The table shown under `--help`; docs/cli.md has the same with advice on retrying.
pub(crate) const HELP: &str = "\
Exit codes:
    0  ok
    1  failed (of several sources: the output says which)
    2  usage or configuration
    3  source unreachable or refused
    4  repository unreachable
    5  integrity failure
    6  wrong key
    7  nothing matched
    8  conflict (target not empty, lease held, exists already)
    9  suspect, or not protected
  130  interrupted    143  terminated

Environment:
  BACKUP_REPOSITORY   file:///path, s3://bucket/prefix?endpoint=…
  BACKUP_PASSPHRASE   or BACKUP_PASSPHRASE_FILE, BACKUP_PASSPHRASE_COMMAND
  DATABASE_URL        the source; BACKUP_SOURCE names it
  SLACK_WEBHOOK_URL, BACKUP_WEBHOOK_URL   told when a run fails";

/// How a verb that did not fail ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ending {
    /// As asked.
    Ok,
    /// It ran to its end and found something: this code says what.
    Found(ErrorKind),
}

impl Ending {
    /// Returns the exit code.
    pub(crate) fn code(self) -> ExitCode {
        match self {
            Self::Ok => ExitCode::SUCCESS,
            Self::Found(kind) => ExitCode::from(kind.exit_code()),
        }
    }
}
