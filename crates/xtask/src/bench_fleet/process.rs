//! A daemon under way, and what the system says of it.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use super::bare;
use crate::command::run;

/// Ticks of processor time in a second: the same on every Linux.
const TICKS: f64 = 100.0;

/// A daemon; dropped, it is killed.
pub(super) struct Daemon {
    child: Child,
    pub(super) address: SocketAddr,
}

impl Daemon {
    /// Starts it and waits until it runs, its repository open.
    pub(super) fn start(program: &Path, folder: &Path) -> Result<Self> {
        let mut child = bare(program)
            .arg("--config")
            .arg(folder.join("backup.toml"))
            .env("BACKUPD_LISTEN", "127.0.0.1:0")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .context("cannot start backupd")?;
        let mut lines = BufReader::new(child.stderr.take().context("no log")?).lines();
        let mut said = String::new();
        let mut address = None;
        let address = loop {
            let Some(line) = lines.next() else { bail!("backupd ended:\n{said}") };
            let line = line?;
            if let Some((_, rest)) = line.split_once("serving HTTP address=") {
                let word = rest.split_whitespace().next().unwrap_or_default();
                address = Some(word.parse().with_context(|| line.clone())?);
            }
            if let Some(address) = address.filter(|_| line.contains("backupd runs")) {
                break address;
            }
            said.push_str(&line);
            said.push('\n');
        };
        thread::spawn(move || lines.map_while(Result::ok).for_each(drop));
        Ok(Self { child, address })
    }

    /// Processor time it has used, in seconds.
    pub(super) fn cpu(&self) -> Result<f64> {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.child.id()))?;
        // Behind the name, which may hold anything.
        let fields: Vec<&str> =
            stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
        let ticks = |place: usize| fields.get(place).and_then(|text| text.parse::<f64>().ok());
        let (user, system) = ticks(11).zip(ticks(12)).context("/proc/PID/stat")?;
        Ok((user + system) / TICKS)
    }

    /// One of its sizes, in KiB.
    pub(super) fn memory(&self, name: &str) -> Result<u64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id()))?;
        let line =
            status.lines().find(|line| line.starts_with(name)).context("/proc/PID/status")?;
        let number = line.split_whitespace().nth(1).and_then(|text| text.parse().ok());
        number.with_context(|| line.to_owned())
    }

    /// Stops it as a service manager does.
    pub(super) fn stop(mut self) -> Result<()> {
        run(std::process::Command::new("kill").arg(self.child.id().to_string()))?;
        let begun = Instant::now();
        while self.child.try_wait()?.is_none() {
            if begun.elapsed() > Duration::from_secs(60) {
                bail!("backupd did not stop");
            }
            thread::sleep(Duration::from_millis(20));
        }
        Ok(())
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        // It has ended already, as a rule.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
