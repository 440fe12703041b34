//! The built `backupctl`, driven as its users drive it: by environment, arguments and JSON.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};
use backup_testkit::postgres::Cluster;
use serde::de::DeserializeOwned;

use crate::command::{capture, run};
use crate::workspace;

/// One repository as seen through the program.
#[derive(Debug, Clone)]
pub(crate) struct Backupctl {
    program: PathBuf,
    environment: Vec<(String, String)>,
}

/// How the program is built.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Profile {
    /// Quick to build; our own code is not optimized.
    Development,
    /// What users run.
    Release,
}

/// Builds the program and returns its path.
pub(crate) fn build(profile: Profile) -> Result<PathBuf> {
    let mut words = vec!["build", "--quiet", "--package", "backupctl"];
    let folder = match profile {
        Profile::Development => "debug",
        Profile::Release => {
            words.push("--release");
            "release"
        }
    };
    run(&mut workspace::cargo(&words)?)?;
    Ok(workspace::target()?.join(folder).join("backupctl"))
}

impl Backupctl {
    /// The program with everything it needs to know about one source and one repository. Secrets
    /// travel by environment, never by argument.
    pub(crate) fn new(
        program: &Path,
        cluster: &Cluster,
        database: &str,
        repository: &Path,
    ) -> Self {
        let tools = cluster.bin("").display().to_string();
        let path = std::env::var("PATH").unwrap_or_default();
        let environment = [
            ("BACKUP_REPOSITORY", format!("file://{}", repository.display())),
            ("BACKUP_PASSPHRASE", "correct horse battery staple".to_owned()),
            ("BACKUP_SOURCE", "shop".to_owned()),
            ("DATABASE_URL", cluster.url(database)),
            ("PATH", format!("{tools}:{path}")),
        ];
        let environment =
            environment.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
        Self { program: program.to_owned(), environment }
    }

    /// The program with these arguments, in a folder without a `backup.toml`.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(&self.program);
        command.current_dir(std::env::temp_dir()).env_remove("SLACK_WEBHOOK_URL");
        for (name, _) in std::env::vars_os() {
            let name = name.to_string_lossy().into_owned();
            if name.starts_with("BACKUP_") || name.starts_with("PG") {
                command.env_remove(name);
            }
        }
        command.envs(self.environment.iter().map(|(name, value)| (name, value)));
        command.args(arguments);
        command
    }

    /// Runs a verb and returns what it printed for people.
    pub(crate) fn text(&self, arguments: &[&str]) -> Result<String> {
        capture(&mut self.command(arguments))
    }

    /// Runs a verb with `--json` and reads the last document it printed.
    pub(crate) fn json<T: DeserializeOwned>(&self, arguments: &[&str]) -> Result<T> {
        let mut words = vec!["--json"];
        words.extend(arguments);
        let output = capture(&mut self.command(&words))?;
        let Some(document) =
            serde_json::Deserializer::from_str(&output).into_iter::<serde_json::Value>().last()
        else {
            bail!("backupctl {} printed no JSON", arguments.join(" "));
        };
        let document = document.context("backupctl printed something that is not JSON")?;
        serde_json::from_value(document.clone())
            .with_context(|| format!("backupctl {}: unexpected {document}", arguments.join(" ")))
    }
}
