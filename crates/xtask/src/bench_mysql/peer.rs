//! The tools that are compared, each as the command lines a careful administrator would write.
//! Passwords travel by environment.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Result;
use backup_testkit::mariadb::MariaDb;

use crate::command::run;

/// One of the tools.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Peer {
    Ours,
    Mydumper,
    Dump,
}

/// Where one tool keeps the backups of one round.
pub(super) struct Place<'a> {
    pub(super) server: &'a MariaDb,
    pub(super) program: &'a Path,
    pub(super) folder: PathBuf,
}

impl Peer {
    pub(super) const ALL: [Self; 3] = [Self::Ours, Self::Mydumper, Self::Dump];

    /// What it is called in the tables.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Ours => "backupctl",
            Self::Mydumper => "mydumper -c -t2, myloader -t2",
            Self::Dump => "mariadb-dump \\| zstd -T2 -3 \\| openssl",
        }
    }

    /// The command lines, for the document.
    pub(super) fn lines(self) -> [&'static str; 2] {
        match self {
            Self::Ours => ["backupctl backup", "backupctl restore latest --to mysql://…/new --yes"],
            Self::Mydumper => {
                ["mydumper -c -t 2 -r 100000 -B shop -o DIR", "myloader -t 2 -d DIR -B new"]
            }
            Self::Dump => [
                "mariadb-dump --single-transaction shop | zstd -q -T2 -3 | openssl enc \
                 -aes-256-ctr -pbkdf2 -pass env:P > FILE",
                "openssl enc -d … < FILE | zstd -q -d | mariadb new",
            ],
        }
    }

    /// Prepares the place for its first backup.
    pub(super) fn prepare(self, place: &Place<'_>) -> Result<()> {
        std::fs::create_dir_all(&place.folder)?;
        if self == Self::Ours {
            run(place.ours().arg("init"))?;
        }
        Ok(())
    }

    /// The command that takes a backup of `shop`.
    pub(super) fn back_up(self, place: &Place<'_>) -> Command {
        match self {
            Self::Ours => {
                let mut command = place.ours();
                command.args(["-q", "backup"]);
                command
            }
            Self::Mydumper => {
                let mut command = place.to_server("mydumper");
                command.args(["-c", "-t", "2", "-r", "100000", "-B", "shop", "-o"]);
                command.arg(place.folder.join("dump"));
                command
            }
            Self::Dump => place.shell(
                "mariadb-dump --no-defaults -h127.0.0.1 -P$PORT -uroot --single-transaction shop \
                 | zstd -q -T2 -3 | openssl enc -aes-256-ctr -pbkdf2 -pass env:P > $FILE",
            ),
        }
    }

    /// The command that restores the backup into the empty database `fresh` (ours makes it).
    pub(super) fn restore(self, place: &Place<'_>) -> Command {
        match self {
            Self::Ours => {
                let mut command = place.ours();
                command.args(["-q", "restore", "latest", "--yes", "--to"]);
                command.arg(place.server.url("fresh"));
                command
            }
            Self::Mydumper => {
                let mut command = place.to_server("myloader");
                command.args(["-t", "2", "-B", "fresh", "-d"]);
                command.arg(place.folder.join("dump"));
                command
            }
            Self::Dump => place.shell(
                "openssl enc -d -aes-256-ctr -pbkdf2 -pass env:P < $FILE | zstd -q -d \
                 | mariadb --no-defaults -h127.0.0.1 -P$PORT -uroot fresh",
            ),
        }
    }
}

impl Place<'_> {
    fn ours(&self) -> Command {
        let mut command = Command::new(self.program);
        let repository = format!("file://{}", self.folder.join("repository").display());
        command
            .env("BACKUP_REPOSITORY", repository)
            .env("BACKUP_PASSPHRASE", "measured")
            .env("DB_PROVIDER", "mysql")
            .env("MYSQL_DB_URL", self.server.url("shop"))
            .env("BACKUP_JOBS", "2")
            .current_dir(&self.folder);
        command
    }

    fn to_server(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        let port = self.server.port().to_string();
        command.args(["-h", "127.0.0.1", "-P", &port, "-u", "root"]);
        command
    }

    fn shell(&self, line: &str) -> Command {
        let mut command = Command::new("bash");
        command
            .args(["-o", "pipefail", "-c", line])
            .env("PORT", self.server.port().to_string())
            .env("FILE", self.folder.join("shop.sql.zst.enc"))
            .env("P", "measured");
        command
    }
}
