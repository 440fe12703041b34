//! A `backupd` beside the server, through which WAL is pushed.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;

use anyhow::{Context, Result, bail};

use super::peer::Place;

/// A daemon; dropped, it is ended.
pub(super) struct Daemon {
    child: Child,
}

impl Daemon {
    /// Starts it on a place's repository and waits until it runs; it keeps its state in `state`.
    pub(super) fn start(program: &Path, place: &Place<'_>, state: &Path) -> Result<Self> {
        let ours = place.ours().command(&[]);
        let mut command = Command::new(program);
        for (name, value) in ours.get_envs() {
            match value {
                Some(value) => command.env(name, value),
                None => command.env_remove(name),
            };
        }
        let mut child = command
            .current_dir(&place.folder)
            .env("BACKUPD_STATE", state)
            .env("BACKUPD_LISTEN", "127.0.0.1:0")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .with_context(|| format!("cannot start {}", program.display()))?;
        let mut lines = BufReader::new(child.stderr.take().context("no log")?).lines();
        let mut said = String::new();
        loop {
            let Some(line) = lines.next() else { bail!("backupd ended:\n{said}") };
            let line = line?;
            if line.contains("backupd runs") {
                break;
            }
            said.push_str(&line);
            said.push('\n');
        }
        thread::spawn(move || lines.map_while(Result::ok).for_each(drop));
        Ok(Self { child })
    }

    pub(super) fn process_id(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        // It may have ended already; then there is nothing to do.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
