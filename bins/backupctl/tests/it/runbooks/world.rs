//! A shop with a history, and a shell for the person with the runbook.

use std::process::Stdio;

use backup_testkit::postgres::Cluster;

use super::blocks;
use crate::program::{Program, shop};
use crate::wal::Archive;

/// A server with the database `shop`, a repository with snapshots of it, and what a runbook's
/// reader has at hand.
pub(crate) struct World {
    pub(crate) cluster: Cluster,
    pub(crate) ctl: Program,
    variables: Vec<(String, String)>,
}

impl World {
    /// A shop that was backed up twice, with a change between.
    pub(crate) fn with_history() -> Option<Self> {
        let world = Self::before_the_first_backup()?;
        world.ctl.ok(&["init", "--sheet", "recovery.txt"]);
        world.ctl.ok(&["backup", "--verify", "read"]);
        world.cluster.sql("shop", "update orders set note = 'sent' where id % 50 = 1");
        world.ctl.ok(&["backup", "--verify", "read"]);
        Some(world)
    }

    /// A shop, and no repository yet.
    pub(crate) fn before_the_first_backup() -> Option<Self> {
        let cluster = Cluster::start_newest()?;
        shop(&cluster, "shop", 2_000);
        let mut ctl = Program::of(&cluster, "shop");
        let program = std::path::Path::new(env!("CARGO_BIN_EXE_backupctl"));
        let path = format!(
            "{}:{}:{}",
            program.parent().unwrap().display(),
            cluster.bin("").display(),
            std::env::var("PATH").unwrap_or_default()
        );
        ctl.set("PATH", path);
        std::fs::write(ctl.path("passphrase"), "correct horse battery staple\n").unwrap();
        std::fs::write(ctl.path("new-passphrase"), "another horse, another battery\n").unwrap();
        ctl.unset("BACKUP_PASSPHRASE");
        ctl.set("BACKUP_PASSPHRASE_FILE", "passphrase");
        ctl.set("BACKUP_RETENTION", "standard");
        let server = cluster.url("");
        let mut world = Self { cluster, ctl, variables: Vec::new() };
        world.tell("SERVER_URL", server.trim_end_matches('/'));
        for (name, database) in [("SCRATCH_URL", "scratch"), ("NEW_URL", "new")] {
            let url = world.cluster.url(database);
            world.tell(name, &url);
        }
        Some(world)
    }

    /// A shop on a server that archives its WAL, backed up whole.
    pub(crate) fn with_archive() -> Option<Self> {
        let archive = Archive::new("shop");
        let newest = Cluster::majors().last().copied()?;
        let cluster = archive.archiving(Cluster::builder(newest)).start()?;
        shop(&cluster, "shop", 2_000);
        let mut ctl = archive.program;
        let path = std::env::var("PATH").unwrap_or_default();
        let here = ctl.path("").display().to_string();
        ctl.set("PATH", format!("{here}:{}:{path}", cluster.bin("").display()));
        ctl.set("DATABASE_URL", cluster.url("shop"));
        ctl.ok(&["backup", "--mode", "physical", "--verify", "read"]);
        let folder = ctl.path("before").display().to_string();
        let mut world = Self { cluster, ctl, variables: Vec::new() };
        world.tell("SCRATCH_FOLDER", &folder);
        Some(world)
    }

    /// Lets the reader know something that the page calls `$name`.
    pub(crate) fn tell(&mut self, name: &str, value: &str) {
        self.variables.push((name.to_owned(), value.to_owned()));
    }

    /// The id of the newest snapshot.
    pub(crate) fn newest(&self) -> String {
        let listed = self.ctl.json(&["snapshots"]);
        let last = listed["snapshots"].as_array().unwrap().last().unwrap().clone();
        last["id"].as_str().unwrap().to_owned()
    }

    /// Executes a scenario in one shell that stops at the first command that fails, and returns
    /// what was printed.
    #[track_caller]
    pub(crate) fn follow(&self, scenario: &str) -> String {
        let script = blocks::of(scenario).join("\n\n");
        let mut shell = self.ctl.shell_command(std::path::Path::new("bash"));
        let template = self.ctl.command(&[]);
        shell.env_clear().stdin(Stdio::null()).current_dir(self.ctl.path(""));
        for (name, value) in template.get_envs() {
            if let Some(value) = value {
                shell.env(name, value);
            }
        }
        shell.envs(self.variables.iter().map(|(name, value)| (name, value)));
        shell.args(["-euo", "pipefail", "-c", &script]);
        let output = shell.output().unwrap();
        let text = format!(
            "{}{}",
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        );
        assert!(output.status.success(), "{scenario}: {:?}\n{text}", output.status);
        text
    }
}
