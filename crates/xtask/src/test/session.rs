//! What the steps share: the workspace, the target folder, and running commands whose output is
//! both shown and read.

use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Mutex, PoisonError};

use anyhow::{Context, Result};

use super::count::Count;
use crate::workspace;

/// One run of `cargo xtask test`.
pub(super) struct Session {
    root: PathBuf,
    target: PathBuf,
}

/// What a command printed, and whether it succeeded.
pub(super) struct Finished {
    pub(super) success: bool,
    pub(super) lines: Vec<String>,
}

impl Session {
    /// Finds the workspace and its target folder.
    pub(super) fn new() -> Result<Self> {
        Ok(Self { root: workspace::root()?, target: workspace::target()? })
    }

    /// The folder of the workspace.
    pub(super) fn root(&self) -> &Path {
        &self.root
    }

    /// The folder of build results.
    pub(super) fn target(&self) -> &Path {
        &self.target
    }

    /// `cargo` with these words, in the workspace.
    pub(super) fn cargo(&self, words: &[&str]) -> Command {
        let mut command = Command::new(std::env::var("CARGO").unwrap_or_else(|_| "cargo".into()));
        command.args(words).current_dir(&self.root);
        // Real servers are part of the tests here: a missing one is a failure, not a skip.
        command.env("BACKUP_REQUIRE_SERVERS", "1");
        command
    }

    /// As [`Session::check`], but what the command prints is shown only when it fails.
    pub(super) fn check_quietly(&self, command: &mut Command) -> Result<Count> {
        let output = command.stdin(Stdio::null()).output()?;
        if output.status.success() {
            return Ok(Count::ONE);
        }
        print!("{}", String::from_utf8_lossy(&output.stdout));
        print!("{}", String::from_utf8_lossy(&output.stderr));
        Ok(Count { passed: 0, failed: 1 })
    }

    /// Runs a command that is one check: it passed or it failed.
    pub(super) fn check(&self, command: &mut Command) -> Result<Count> {
        let finished = self.show(command)?;
        Ok(if finished.success { Count::ONE } else { Count { passed: 0, failed: 1 } })
    }

    /// Runs a test runner and adds up its summaries; a failure without one (it did not compile)
    /// counts once.
    pub(super) fn count(&self, command: &mut Command) -> Result<Count> {
        let finished = self.show(command)?;
        let mut count = Count::read(&finished.lines);
        if !finished.success && count.failed == 0 {
            count.failed = 1;
        }
        Ok(count)
    }

    /// Runs a command without input, showing its output as it comes and keeping it.
    pub(super) fn show(&self, command: &mut Command) -> Result<Finished> {
        let name = command.get_program().to_string_lossy().into_owned();
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .with_context(|| format!("cannot start {name}"))?;
        let (output, errors) = (child.stdout.take(), child.stderr.take());
        let lines = Mutex::new(Vec::new());
        std::thread::scope(|scope| {
            scope.spawn(|| output.map(|pipe| forward(pipe, &lines)));
            scope.spawn(|| errors.map(|pipe| forward(pipe, &lines)));
        });
        let success = child.wait()?.success();
        Ok(Finished { success, lines: lines.into_inner().unwrap_or_else(PoisonError::into_inner) })
    }
}

fn forward(pipe: impl Read, lines: &Mutex<Vec<String>>) {
    let mut pipe = BufReader::new(pipe);
    let mut line = Vec::new();
    while pipe.read_until(b'\n', &mut line).is_ok_and(|read| read > 0) {
        let text = String::from_utf8_lossy(&line).trim_end().to_owned();
        println!("{text}");
        lines.lock().unwrap_or_else(PoisonError::into_inner).push(text);
        line.clear();
    }
}
