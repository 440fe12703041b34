//! A running daemon, questioned by schemathesis about what it says of itself.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use anyhow::{Context, Result, bail};

use super::count::Count;
use super::session::Session;
use crate::command::{capture, run};
use crate::workspace;

/// Of every operation but the stream of events, which does not end.
pub(super) fn api(session: &Session) -> Result<Count> {
    run(&mut workspace::cargo(&["build", "--quiet", "-p", "backupctl", "-p", "backupd"])?)?;
    let folder = tempfile::tempdir()?;
    let program = |name: &str| program(&session.target().join("debug").join(name), folder.path());
    capture(program("backupctl").arg("init"))?;
    let token = capture(program("backupd").args(["token", "add", "api", "--role", "admin"]))?;
    let mut daemon = program("backupd")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .context("cannot start backupd")?;
    let asked = address(&mut daemon).and_then(|address| {
        let python = backup_testkit::tools::folder().join("py/bin");
        let mut st = Command::new(python.join("st"));
        st.arg("--config-file")
            .arg(session.root().join("crates/xtask/src/test/schemathesis.toml"))
            .args(["run", &format!("http://{address}/api/v1/openapi.json")])
            .args(["--header", &format!("Authorization: Bearer {}", token.trim())])
            .args(["--exclude-path", "/api/v1/events", "--no-color"])
            .current_dir(folder.path());
        session.check(&mut st)
    });
    // It is asked to stop, and ends whatever happened.
    let _ = run(Command::new("kill").arg(daemon.id().to_string()));
    let _ = daemon.wait();
    asked
}

/// Everything it needs, and a database that nobody can reach.
fn program(path: &PathBuf, folder: &Path) -> Command {
    let mut command = Command::new(path);
    command
        .env_clear()
        .env("PATH", std::env::var("PATH").unwrap_or_default())
        .env("BACKUP_REPOSITORY", format!("file://{}/repository", folder.display()))
        .env("BACKUP_PASSPHRASE", "correct horse battery staple")
        .env("DATABASE_URL", "postgres://nobody@127.0.0.1:1/shop")
        .env("BACKUPD_STATE", folder.join("state"))
        .env("BACKUPD_LISTEN", "127.0.0.1:0")
        .current_dir(folder);
    command
}

/// The address that the daemon says it serves on, once it runs.
fn address(daemon: &mut Child) -> Result<String> {
    let mut lines = BufReader::new(daemon.stderr.take().context("no log")?).lines();
    let mut said = String::new();
    let mut address = None;
    while let Some(line) = lines.next().transpose()? {
        if let Some((_, rest)) = line.split_once("serving HTTP address=") {
            address = rest.split_whitespace().next().map(str::to_owned);
        }
        if let Some(address) = address.take_if(|_| line.contains("backupd runs")) {
            // Nobody reads on, and the daemon must not be held up by that.
            std::thread::spawn(move || lines.map_while(Result::ok).for_each(drop));
            return Ok(address);
        }
        said.push_str(&line);
        said.push('\n');
    }
    bail!("backupd ended:\n{said}")
}
