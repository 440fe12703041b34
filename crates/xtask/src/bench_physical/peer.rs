//! The tools that are compared, each as the command lines a careful administrator would write.
//! Passwords travel by environment or by a file.

use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};
use backup_testkit::postgres::Cluster;

use super::open_to_all;
use crate::bench_peers::measure;
use crate::command::run;
use crate::ctl::Backupctl;

/// Who may not read the server's files: what it backs up comes over the wire.
const STRANGER: [&str; 3] = ["--reuid=daemon", "--regid=daemon", "--clear-groups"];

/// One of the tools.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Peer {
    /// Ours, reading the data directory.
    Local,
    /// Ours, over the replication protocol.
    Remote,
    PgBackRest,
    Bundle,
    /// `pg_basebackup` into a directory.
    Plain,
    /// `pg_basebackup` through zstd and openssl.
    Pipe,
    Barman,
}

/// Where one tool keeps the backups of one round.
pub(super) struct Place<'a> {
    pub(super) cluster: &'a Cluster,
    pub(super) program: &'a Path,
    pub(super) folder: PathBuf,
}

impl Peer {
    pub(super) const ALL: [Self; 7] = [
        Self::Local,
        Self::Remote,
        Self::PgBackRest,
        Self::Bundle,
        Self::Plain,
        Self::Pipe,
        Self::Barman,
    ];

    /// What it is called in the tables.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Local => "backupctl, local",
            Self::Remote => "backupctl, remote",
            Self::PgBackRest => "pgBackRest",
            Self::Bundle => "pgBackRest, bundles",
            Self::Plain => "pg_basebackup",
            Self::Pipe => "pg_basebackup \\| zstd -T2 -3 \\| openssl",
            Self::Barman => "Barman",
        }
    }

    /// Whether it keeps what is common to several backups once.
    pub(super) fn is_incremental(self) -> bool {
        matches!(self, Self::Local | Self::Remote | Self::PgBackRest | Self::Bundle)
    }

    /// The command lines, for the document.
    pub(super) fn lines(self) -> [&'static str; 3] {
        match self {
            Self::Local => [
                "backupctl backup --mode physical --jobs 2",
                "the same again",
                "backupctl restore latest --to DIR --yes [--delta]",
            ],
            Self::Remote => [
                "the same, by a user who may not read the server's files",
                "the same again",
                "the same",
            ],
            Self::PgBackRest => [
                "pgbackrest --type=full backup (process-max=2, zst level 2, aes-256-cbc, \
                 archive-check=n)",
                "pgbackrest --type=incr backup",
                "pgbackrest [--delta] restore",
            ],
            Self::Bundle => ["the same with repo1-bundle=y", "the same", "the same"],
            Self::Plain => ["pg_basebackup -D DIR -c fast", "the same again", "cp -a DIR NEW"],
            Self::Pipe => [
                "pg_basebackup -D - -Ft -X fetch -c fast | zstd -q -T2 -3 | openssl enc \
                 -aes-256-ctr -pbkdf2 -pass env:P > FILE",
                "the same again",
                "openssl enc -d … < FILE | zstd -q -d | tar -x -C DIR",
            ],
            Self::Barman => [
                "barman backup shop (backup_method = postgres, streaming_archiver = on)",
                "the same again",
                "barman recover shop latest DIR",
            ],
        }
    }

    /// Creates what must exist before the first backup; not measured.
    pub(super) fn prepare(self, place: &Place<'_>) -> Result<()> {
        std::fs::create_dir_all(&place.folder)?;
        let ready = || -> Result<()> {
            match self {
                Self::Local => run(&mut place.ours().command(&["--quiet", "init"])),
                Self::Remote => {
                    open_to_all(&place.folder)?;
                    let words = ["daemon:daemon", &place.folder.display().to_string()];
                    run(Command::new("chown").args(words))?;
                    run(&mut place.strange(&["--quiet", "init"]))
                }
                Self::PgBackRest | Self::Bundle => {
                    std::fs::create_dir_all(place.folder.join("log"))?;
                    let data = place.cluster.data_directory();
                    place.pgbackrest_config("conf", &data, self == Self::Bundle, "")?;
                    run(&mut place.pgbackrest("conf", &["stanza-create"]))
                }
                Self::Barman => place.barman_ready(),
                Self::Plain | Self::Pipe => Ok(()),
            }
        };
        ready().with_context(|| format!("preparing {}", self.name()))
    }

    /// Takes the first backup.
    pub(super) fn full(self, place: &Place<'_>) -> Command {
        self.backup(place, "full")
    }

    /// Takes a later one, named.
    pub(super) fn backup(self, place: &Place<'_>, name: &str) -> Command {
        let ours = ["--quiet", "backup", "--mode", "physical", "--jobs", "2"];
        match self {
            Self::Local => place.ours().command(&ours),
            Self::Remote => place.strange(&ours),
            Self::PgBackRest | Self::Bundle => {
                let kind = if name == "full" { "--type=full" } else { "--type=incr" };
                place.pgbackrest("conf", &[kind, "backup"])
            }
            Self::Plain => place.shell(&format!("pg_basebackup -D {name} -c fast")),
            Self::Pipe => place.shell(&format!(
                "pg_basebackup -D - -Ft -X fetch -c fast | zstd -q -T2 -3 | {SEAL} > {name}"
            )),
            Self::Barman => place.barman("backup shop"),
        }
    }

    /// Restores the newest backup, which is named so, into a directory that is not there yet.
    pub(super) fn restore(self, place: &Place<'_>, name: &str, to: &Path) -> Command {
        let to = to.display().to_string();
        match self {
            Self::Local => place.ours().command(&["--quiet", "restore", "latest", "--to", &to, "--yes"]),
            Self::Remote => place.strange(&["--quiet", "restore", "latest", "--to", &to, "--yes"]),
            Self::PgBackRest | Self::Bundle => place.shell(&format!(
                "mkdir -m 700 {to}; pgbackrest --config=$PWD/conf --stanza=shop --pg1-path={to} restore"
            )),
            Self::Plain => place.shell(&format!("cp -a {name} {to}")),
            Self::Pipe => place
                .shell(&format!("mkdir -m 700 {to}; {OPEN} < {name} | zstd -q -d | tar -x -C {to}")),
            Self::Barman => place.barman(&format!("recover shop latest {to}")),
        }
    }

    /// Turns a directory into the newest backup; `None` where a tool cannot.
    pub(super) fn delta(self, place: &Place<'_>, to: &Path) -> Option<Command> {
        let to = to.display().to_string();
        match self {
            Self::Local => {
                let words = ["--quiet", "restore", "latest", "--to", &to, "--yes", "--delta"];
                Some(place.ours().command(&words))
            }
            Self::PgBackRest | Self::Bundle => {
                let path = format!("--pg1-path={to}");
                Some(place.pgbackrest("conf", &[&path, "--delta", "restore"]))
            }
            Self::Remote | Self::Plain | Self::Pipe | Self::Barman => None,
        }
    }

    /// Bytes kept for the backups so far.
    pub(super) fn stored(self, place: &Place<'_>) -> Result<u64> {
        match self {
            Self::Local | Self::Remote | Self::PgBackRest | Self::Bundle => {
                measure::stored(&place.folder.join("repository"))
            }
            Self::Barman => measure::stored(&place.folder.join("home/shop/base")),
            Self::Plain | Self::Pipe => measure::stored(&place.folder),
        }
    }
}

const SEAL: &str = "openssl enc -aes-256-ctr -pbkdf2 -pass env:BENCH_PASSWORD";
const OPEN: &str = "openssl enc -d -aes-256-ctr -pbkdf2 -pass env:BENCH_PASSWORD";

impl Place<'_> {
    /// Our program on this place's repository.
    pub(super) fn ours(&self) -> Backupctl {
        let repository = self.folder.join("repository");
        Backupctl::new(self.program, self.cluster, "postgres", &repository)
    }

    /// The same by somebody who may not read the server's files.
    fn strange(&self, words: &[&str]) -> Command {
        let ours = self.ours().command(words);
        let mut command = Command::new("setpriv");
        command.args(STRANGER).arg(ours.get_program()).args(ours.get_args());
        command.current_dir(&self.folder);
        for (name, value) in ours.get_envs() {
            match value {
                Some(value) => command.env(name, value),
                None => command.env_remove(name),
            };
        }
        command
    }

    /// Writes a configuration of pgBackRest; `more` are further lines of its global part.
    pub(super) fn pgbackrest_config(
        &self,
        name: &str,
        data: &Path,
        bundle: bool,
        more: &str,
    ) -> Result<()> {
        let folder = self.folder.display();
        let mut text = format!(
            "[global]\nrepo1-path={folder}/repository\nrepo1-cipher-type=aes-256-cbc\n\
             repo1-cipher-pass=correct horse battery staple\ncompress-type=zst\n\
             compress-level=2\nprocess-max=2\nlog-path={folder}/log\nlock-path={folder}/log\n\
             spool-path={folder}/log\nlog-level-console=warn\nlog-level-file=off\n\
             start-fast=y\narchive-check=n\n{more}"
        );
        if bundle {
            text.push_str("repo1-bundle=y\n");
        }
        let _ = write!(
            text,
            "[shop]\npg1-path={}\npg1-port={}\npg1-socket-path={}\npg1-user=postgres\n",
            data.display(),
            self.cluster.port(),
            self.cluster.socket_folder().display()
        );
        std::fs::write(self.folder.join(name), text).context("writing pgBackRest's configuration")
    }

    /// pgBackRest on this place's repository.
    pub(super) fn pgbackrest(&self, config: &str, words: &[&str]) -> Command {
        let mut command = self.shell("exec \"$@\"");
        let config = format!("--config={}", self.folder.join(config).display());
        command.args(["bash", "pgbackrest", &config, "--stanza=shop"]).args(words);
        command
    }

    fn barman_ready(&self) -> Result<()> {
        let folder = self.folder.display();
        let dsn = format!(
            "host={} port={} user=postgres dbname=postgres",
            self.cluster.socket_folder().display(),
            self.cluster.port()
        );
        let text = format!(
            "[barman]\nbarman_user = root\nbarman_home = {folder}/home\nlog_file = {folder}/log\n\
             configuration_files_directory = {folder}/none\nlog_level = WARNING\n[shop]\n\
             description = shop\nconninfo = {dsn}\nstreaming_conninfo = {dsn}\n\
             backup_method = postgres\nstreaming_archiver = on\nslot_name = barman\n\
             create_slot = auto\nimmediate_checkpoint = true\n\
             path_prefix = {}\n",
            self.cluster.bin("").display()
        );
        std::fs::create_dir_all(self.folder.join("home"))?;
        std::fs::write(self.folder.join("conf"), text)?;
        // Once for the folders, once for the receiver of WAL; a switched segment proves it.
        let script = "barman -c conf -q cron; sleep 3; barman -c conf -q cron; sleep 2; \
                      barman -c conf -q switch-wal --force --archive --archive-timeout 60 shop";
        run(&mut self.shell(script))
    }

    fn barman(&self, words: &str) -> Command {
        self.shell(&format!("barman -c conf -q {words}"))
    }

    /// Ends what a tool left running.
    pub(super) fn stop(&self, peer: Peer) -> Result<()> {
        if peer != Peer::Barman {
            return Ok(());
        }
        run(&mut self.barman("receive-wal --stop shop"))?;
        run(&mut self.barman("receive-wal --drop-slot shop"))
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
            .env("PGHOST", self.cluster.socket_folder())
            .env("PGPORT", self.cluster.port().to_string())
            .env("PGUSER", "postgres")
            .env("BENCH_PASSWORD", "correct horse battery staple")
            .env("LC_ALL", "C.UTF-8");
        command
    }
}
