//! The tools that are compared, each as the command lines a careful administrator would write.
//! Passwords travel by environment.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};
use backup_testkit::postgres::Cluster;

use super::measure;
use crate::command::run;
use crate::ctl::Backupctl;

/// Parallel workers of the tools that take a number.
const JOBS: &str = "2";

/// One of the tools.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Peer {
    Ours,
    Directory,
    Zstd,
    Gzip,
    Restic,
}

/// Where one tool keeps the backups of one round.
pub(super) struct Place<'a> {
    pub(super) cluster: &'a Cluster,
    pub(super) program: &'a Path,
    pub(super) database: &'a str,
    pub(super) folder: PathBuf,
}

impl Peer {
    pub(super) const ALL: [Self; 5] =
        [Self::Ours, Self::Directory, Self::Zstd, Self::Gzip, Self::Restic];

    /// What it is called in the tables.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Ours => "backupctl",
            Self::Directory => "pg_dump -Fd -j2",
            Self::Zstd => "pg_dump \\| zstd -T2 -3 \\| openssl",
            Self::Gzip => "pg_dump \\| gzip \\| openssl",
            Self::Restic => "pg_dump \\| restic",
        }
    }

    /// The command lines, for the document.
    pub(super) fn lines(self) -> [&'static str; 3] {
        match self {
            Self::Ours => [
                "backupctl backup",
                "backupctl verify --all --read-data",
                "backupctl restore latest --to postgres://…/new --yes",
            ],
            Self::Directory => [
                "pg_dump -Fd -j2 -f DIR shop",
                "pg_restore -f /dev/null DIR",
                "pg_restore -j2 -d new DIR",
            ],
            Self::Zstd => [
                "pg_dump shop | zstd -q -T2 -3 | openssl enc -aes-256-ctr -pbkdf2 -pass env:P > FILE",
                "openssl enc -d … < FILE | zstd -q -d > /dev/null",
                "openssl enc -d … < FILE | zstd -q -d | psql -X -q -v ON_ERROR_STOP=1 -d new",
            ],
            Self::Gzip => [
                "pg_dump shop | gzip | openssl enc -aes-256-ctr -pbkdf2 -pass env:P > FILE",
                "openssl enc -d … < FILE | gzip -d > /dev/null",
                "openssl enc -d … < FILE | gzip -d | psql -X -q -v ON_ERROR_STOP=1 -d new",
            ],
            Self::Restic => [
                "pg_dump shop | restic backup --stdin --stdin-filename shop.sql",
                "restic check --read-data",
                "restic dump latest shop.sql | psql -X -q -v ON_ERROR_STOP=1 -d new",
            ],
        }
    }

    /// Creates what must exist before the first backup; not measured.
    pub(super) fn prepare(self, place: &Place<'_>) -> Result<()> {
        std::fs::create_dir_all(&place.folder)?;
        match self {
            Self::Ours => run(&mut place.ours().command(&["--quiet", "init"])),
            Self::Restic => {
                run(place.shell("restic init --quiet").stdout(std::process::Stdio::null()))
            }
            Self::Directory | Self::Zstd | Self::Gzip => Ok(()),
        }
        .with_context(|| format!("preparing {}", self.name()))
    }

    /// Takes a backup of that day.
    pub(super) fn backup(self, place: &Place<'_>, day: u64) -> Command {
        match self {
            Self::Ours => place.ours().command(&["--quiet", "backup", "--jobs", JOBS]),
            Self::Directory => place.shell(&format!("pg_dump -Fd -j{JOBS} -f day{day} $DB")),
            Self::Zstd => place.shell(&format!("pg_dump $DB | zstd -q -T2 -3 | {SEAL} > day{day}")),
            Self::Gzip => place.shell(&format!("pg_dump $DB | gzip | {SEAL} > day{day}")),
            Self::Restic => {
                place.shell("pg_dump $DB | restic backup --quiet --stdin --stdin-filename shop.sql")
            }
        }
    }

    /// Reads everything stored for that day (or at all) and checks what the tool can check.
    pub(super) fn verify(self, place: &Place<'_>, day: u64) -> Command {
        match self {
            Self::Ours => place.ours().command(&["--quiet", "verify", "--all", "--read-data"]),
            Self::Directory => place.shell(&format!("pg_restore -f /dev/null day{day}")),
            Self::Zstd => place.shell(&format!("{OPEN} < day{day} | zstd -q -d > /dev/null")),
            Self::Gzip => place.shell(&format!("{OPEN} < day{day} | gzip -d > /dev/null")),
            Self::Restic => place.shell("restic check --quiet --read-data"),
        }
    }

    /// Restores that day into an empty database; our tools and restic take the newest.
    pub(super) fn restore(self, place: &Place<'_>, day: u64, target: &str) -> Command {
        let psql = format!("psql -X -q -v ON_ERROR_STOP=1 -o /dev/null -d {target}");
        match self {
            Self::Ours => {
                let url = place.cluster.url(target);
                let words = ["--quiet", "restore", "latest", "--to", &url, "--yes", "--jobs", JOBS];
                place.ours().command(&words)
            }
            Self::Directory => place.shell(&format!("pg_restore -j{JOBS} -d {target} day{day}")),
            Self::Zstd => place.shell(&format!("{OPEN} < day{day} | zstd -q -d | {psql}")),
            Self::Gzip => place.shell(&format!("{OPEN} < day{day} | gzip -d | {psql}")),
            Self::Restic => place.shell(&format!("restic dump latest shop.sql | {psql}")),
        }
    }

    /// Bytes kept for the backups so far; local caches of a tool are not backups.
    pub(super) fn stored(self, place: &Place<'_>) -> Result<u64> {
        match self {
            Self::Ours | Self::Restic => measure::stored(&place.folder.join("repository")),
            Self::Directory | Self::Zstd | Self::Gzip => measure::stored(&place.folder),
        }
    }
}

const SEAL: &str = "openssl enc -aes-256-ctr -pbkdf2 -pass env:BENCH_PASSWORD";
const OPEN: &str = "openssl enc -d -aes-256-ctr -pbkdf2 -pass env:BENCH_PASSWORD";

impl Place<'_> {
    /// Our program on this place's repository.
    pub(super) fn ours(&self) -> Backupctl {
        let repository = self.folder.join("repository");
        Backupctl::new(self.program, self.cluster, self.database, &repository)
    }

    /// A pipeline that fails when any part of it fails, with the server's own client programs.
    pub(super) fn shell(&self, script: &str) -> Command {
        let path = std::env::var("PATH").unwrap_or_default();
        let tools = self.cluster.bin("").display().to_string();
        let mut command = Command::new("bash");
        command
            .args(["-o", "pipefail", "-ec", script])
            .current_dir(&self.folder)
            .env("PATH", format!("{tools}:{path}"))
            .env("PGHOST", "127.0.0.1")
            .env("PGPORT", self.cluster.port().to_string())
            .env("PGUSER", "postgres")
            .env("DB", self.database)
            .env("BENCH_PASSWORD", "correct horse battery staple")
            .env("RESTIC_PASSWORD", "correct horse battery staple")
            .env("RESTIC_REPOSITORY", self.folder.join("repository"))
            .env("RESTIC_CACHE_DIR", self.folder.join("cache"))
            .env("LC_ALL", "C.UTF-8");
        command
    }
}
