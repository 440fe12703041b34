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
  wal push, wal fetch: as PostgreSQL wants it; see docs/cli.md

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
    /// What was asked for is confirmed not to be there; `wal fetch` alone says so.
    NotThere,
}

/// Whose rules the exit code follows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Contract {
    /// The table above.
    Ours,
    /// `archive_command`: above 125 the server's archiver would die instead of trying again.
    Archive,
    /// `restore_command`: from 1 to 125 means "not there", upon which a recovering server ends
    /// its recovery and may be promoted. Anything that went wrong must be more than that, and
    /// not 143 (SIGTERM), at which the server shuts down without a word.
    Restore,
}

/// Something went wrong, in the eyes of a recovering server.
const RESTORE_FAILED: u8 = 126;

impl Contract {
    /// Reads it from the command line, before that was understood: it holds for usage errors too.
    pub(crate) fn of(words: impl Iterator<Item = std::ffi::OsString>) -> Self {
        let words: Vec<_> = words.collect();
        // Flags may stand between the two words.
        let verb = words
            .iter()
            .skip_while(|word| *word != "wal")
            .find(|word| ["push", "fetch", "stream", "status"].iter().any(|verb| *word == verb));
        match verb.and_then(|verb| verb.to_str()) {
            Some("fetch") => Self::Restore,
            Some("push") => Self::Archive,
            _ => Self::Ours,
        }
    }

    /// Returns the exit code for a failure that has this code by our table.
    pub(crate) fn failed(self, code: u8) -> ExitCode {
        ExitCode::from(self.failed_code(code))
    }

    /// As [`Contract::failed`], as a number.
    pub(crate) fn failed_code(self, code: u8) -> u8 {
        match self {
            Self::Ours => code,
            Self::Archive if code <= 125 => code,
            Self::Archive => 1,
            Self::Restore => RESTORE_FAILED,
        }
    }

    /// Returns the exit code for an ending.
    pub(crate) fn ended(self, ending: Ending) -> ExitCode {
        match ending {
            Ending::Ok => ExitCode::SUCCESS,
            Ending::NotThere => ExitCode::FAILURE,
            Ending::Found(kind) => self.failed(kind.exit_code()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(line: &str) -> Contract {
        Contract::of(line.split_whitespace().map(Into::into))
    }

    #[test]
    fn the_servers_rules_hold_for_its_verbs() {
        assert_eq!(of("backupctl --config x wal fetch --bogus"), Contract::Restore);
        assert_eq!(of("backupctl -q wal push x"), Contract::Archive);
        assert_eq!(of("backupctl wal -q fetch a b"), Contract::Restore);
        assert_eq!(of("backupctl wal --config x push y"), Contract::Archive);
        assert_eq!(of("backupctl wal status"), Contract::Ours);
        for code in 1..=255 {
            let fetch = Contract::Restore.failed_code(code);
            assert!(fetch >= 126 && fetch != 143, "{code}");
            assert!((1..=125).contains(&Contract::Archive.failed_code(code)), "{code}");
            assert_eq!(Contract::Ours.failed_code(code), code);
        }
    }
}
