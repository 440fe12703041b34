//! A person's own command that tries a restored database.

use std::process::Stdio;
use std::time::Duration;

use async_trait::async_trait;
use backup_core::port::SmokeTest;
use backup_core::{Error, ErrorKind, Result, Secret};
use tokio::process::Command;

/// How much of what it said is kept.
const SAID: usize = 500;

/// A command run by `sh -c`, with the restored database's URL in `DATABASE_URL`.
#[derive(Clone, Debug)]
pub struct SmokeCommand {
    line: String,
    limit: Duration,
}

impl SmokeCommand {
    /// Takes the command and how long it may take.
    #[must_use]
    pub fn new(line: impl Into<String>, limit: Duration) -> Self {
        Self { line: line.into(), limit }
    }
}

#[async_trait]
impl SmokeTest for SmokeCommand {
    fn describe(&self) -> String {
        self.line.clone()
    }

    async fn run(&self, url: &Secret) -> Result<String> {
        let failed = |kind| Error::new(kind, "run smoke test").with("command", &self.line);
        let child = Command::new("sh")
            .args(["-c", &self.line])
            .env("DATABASE_URL", url.expose())
            .stdin(Stdio::null())
            .kill_on_drop(true)
            .output();
        let output = tokio::time::timeout(self.limit, child).await.map_err(|_| {
            failed(ErrorKind::Failed).because(format!("not done after {} s", self.limit.as_secs()))
        })?;
        let output = output.map_err(|error| failed(ErrorKind::ConfigInvalid).because(error))?;
        let said = |bytes: &[u8]| end(&String::from_utf8_lossy(bytes).replace(url.expose(), "***"));
        if output.status.success() {
            return Ok(said(&output.stdout));
        }
        // 126 and 127 are the shell's words for "cannot run" and "not found".
        let kind = match output.status.code() {
            Some(126 | 127) => ErrorKind::ConfigInvalid,
            _ => ErrorKind::Failed,
        };
        let text = said(&output.stderr);
        let text = if text.is_empty() { said(&output.stdout) } else { text };
        Err(failed(kind).because(format!("{}: {text}", output.status)))
    }
}

fn end(text: &str) -> String {
    let text = text.trim();
    let from = text.len().saturating_sub(SAID);
    let from = (from..=text.len()).find(|at| text.is_char_boundary(*at)).unwrap_or(from);
    text.get(from..).unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn run(line: &str, limit: u64) -> Result<String> {
        let url = Secret::new("postgres://u:hunter2@h/d");
        SmokeCommand::new(line, Duration::from_secs(limit)).run(&url).await
    }

    #[tokio::test]
    async fn finds_the_database_in_its_environment_and_keeps_its_secret() {
        let said = run("echo \"got $DATABASE_URL\"", 60).await.unwrap();
        assert_eq!(said, "got ***");
        let error = run("echo \"no rows in $DATABASE_URL\" >&2; exit 3", 60).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Failed);
        assert!(error.to_string().contains("no rows in ***"), "{error}");
    }

    #[tokio::test]
    async fn a_command_that_is_not_there_is_not_the_backups_fault_one_that_hangs_is_ended() {
        let missing = run("no-such-program-here", 60).await.unwrap_err();
        assert_eq!(missing.kind(), ErrorKind::ConfigInvalid);
        let slow = run("sleep 600", 0).await.unwrap_err();
        assert!(slow.to_string().contains("not done after 0 s"), "{slow}");
    }
}
