//! The tools that are compared, each as the command lines a careful administrator would write.

use std::path::{Path, PathBuf};
use std::process::Command;

/// One of the tools.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Peer {
    Ours,
    Restic,
    Borg,
}

/// Where one tool keeps what it backs up, and what that is.
pub(super) struct Place<'a> {
    pub(super) program: &'a Path,
    pub(super) tree: &'a Path,
    pub(super) folder: PathBuf,
}

impl Peer {
    pub(super) const ALL: [Self; 3] = [Self::Ours, Self::Restic, Self::Borg];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Ours => "backupctl",
            Self::Restic => "restic",
            Self::Borg => "borg",
        }
    }

    /// The command lines, for the document.
    pub(super) fn lines(self) -> [&'static str; 3] {
        match self {
            Self::Ours => {
                ["backupctl init", "backupctl backup", "backupctl restore latest --to DIR"]
            }
            Self::Restic => [
                "restic init --repository-version 2",
                "restic backup TREE",
                "restic restore latest --target DIR && sync -f DIR",
            ],
            Self::Borg => [
                "borg init -e repokey-blake2",
                "borg create -C zstd,3 REPO::NAME TREE",
                "borg extract REPO::NAME && sync -f DIR",
            ],
        }
    }

    pub(super) fn init(self, place: &Place<'_>) -> Command {
        match self {
            Self::Ours => self.shell(place, "\"$PROGRAM\" init"),
            Self::Restic => self.shell(place, "restic init --repository-version 2"),
            Self::Borg => self.shell(place, "borg init -e repokey-blake2 \"$PLACE\""),
        }
    }

    pub(super) fn backup(self, place: &Place<'_>, number: u32) -> Command {
        let mut command = match self {
            Self::Ours => self.shell(place, "\"$PROGRAM\" backup"),
            Self::Restic => self.shell(place, "restic backup \"$TREE\""),
            Self::Borg => {
                self.shell(place, "cd \"$TREE\" && borg create -C zstd,3 \"$PLACE::$NUMBER\" .")
            }
        };
        command.env("NUMBER", format!("n{number}"));
        command
    }

    /// Restores the newest into a directory that is there and empty. All end when it is durable.
    pub(super) fn restore(self, place: &Place<'_>, number: u32, to: &Path) -> Command {
        let mut command = match self {
            Self::Ours => self.shell(place, "\"$PROGRAM\" restore latest --to \"$TO\""),
            Self::Restic => {
                self.shell(place, "restic restore latest --target \"$TO\" && sync -f \"$TO\"")
            }
            Self::Borg => self
                .shell(place, "cd \"$TO\" && borg extract \"$PLACE::$NUMBER\" && sync -f \"$TO\""),
        };
        command.env("NUMBER", format!("n{number}")).env("TO", to);
        command
    }

    fn shell(self, place: &Place<'_>, line: &str) -> Command {
        let mut command = Command::new("sh");
        let folder = &place.folder;
        command
            .args(["-c", line])
            .env("PROGRAM", place.program)
            .env("TREE", place.tree)
            .env("PLACE", folder.join("repository"))
            .env("HOME", folder)
            .env("XDG_CACHE_HOME", folder.join("cache"))
            .env("BACKUP_REPOSITORY", format!("file://{}", folder.join("repository").display()))
            .env("BACKUP_PASSPHRASE", "correct horse battery staple")
            .env("BACKUP_FILES_PATH", place.tree)
            .env("RESTIC_REPOSITORY", folder.join("repository"))
            .env("RESTIC_PASSWORD", "correct horse battery staple")
            .env("BORG_PASSPHRASE", "correct horse battery staple")
            .env("BORG_RELOCATED_REPO_ACCESS_IS_OK", "yes");
        command
    }
}
