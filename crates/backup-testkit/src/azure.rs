//! A throw-away Azure Blob server (Azurite) on the loopback interface: signatures, conditions and
//! ranges behave as on the real service.
//!
//! ```no_run
//! use backup_testkit::azure::Server;
//!
//! let Some(server) = Server::start() else { return };
//! assert!(server.url("prefix").starts_with("azure://"));
//! ```

use std::io;
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::{process, tools};

const PATIENCE: Duration = Duration::from_secs(90);

/// Makes a container: a request signed with the account's key, which is all that Node's own
/// modules are needed for.
const MAKE_CONTAINER: &str = r"
const [port, account, key, container] = process.argv.slice(1);
const crypto = require('crypto'), http = require('http');
const date = new Date().toUTCString(), version = '2022-11-02';
const text = 'PUT' + '\n'.repeat(12) + `x-ms-date:${date}\nx-ms-version:${version}\n`
  + `/${account}/${account}/${container}\nrestype:container`;
const mac = crypto.createHmac('sha256', Buffer.from(key, 'base64')).update(text).digest('base64');
const request = http.request({ host: '127.0.0.1', port, method: 'PUT',
  path: `/${account}/${container}?restype=container`,
  headers: { 'x-ms-date': date, 'x-ms-version': version, 'content-length': 0,
    authorization: `SharedKey ${account}:${mac}` } }, (answer) => {
  answer.resume();
  process.exitCode = answer.statusCode === 201 ? 0 : 1;
  if (process.exitCode) console.error('status', answer.statusCode, answer.headers);
});
request.on('error', (error) => { console.error(error.message); process.exitCode = 1; });
request.end();
";

/// A running server with one empty container; everything is gone when it is dropped.
#[derive(Debug)]
pub struct Server {
    port: u16,
    process: Child,
    folder: tempfile::TempDir,
}

impl Server {
    /// Starts a server; `None` (and a line on standard error) when Azurite is not there, which npm
    /// brings where there is npm.
    ///
    /// # Panics
    /// When it is there and does not start.
    #[must_use]
    #[allow(clippy::panic, clippy::print_stderr, reason = "a fixture fails or skips its test")]
    pub fn start() -> Option<Self> {
        let (Some(script), Some(node)) = (script(), tools::find_program("node")) else {
            eprintln!("skipped: Azurite is missing; `cargo xtask tools` brings it where npm is");
            return None;
        };
        match Self::launch(&node, &script) {
            Ok(server) => Some(server),
            Err(error) => panic!("Azurite: {error}"),
        }
    }

    fn launch(node: &Path, script: &Path) -> io::Result<Self> {
        let folder = tempfile::Builder::new().prefix("azurite-").tempdir()?;
        let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port();
        let log = std::fs::File::create(folder.path().join("log"))?;
        let errors = log.try_clone()?;
        let process = process::spawn(node, "KILL", false, |command| {
            command.arg(script).args(["--silent", "--skipApiVersionCheck"]);
            command.args([
                "--blobHost",
                "127.0.0.1",
                "--blobPort",
                &port.to_string(),
                "--location",
            ]);
            command.arg(folder.path()).env("NODE_NO_WARNINGS", "1");
            command.stdin(Stdio::null()).stdout(log).stderr(errors);
        })?;
        let mut server = Self { port, process, folder };
        let begun = Instant::now();
        while TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_err() {
            if server.process.try_wait()?.is_some() || begun.elapsed() > PATIENCE {
                let said = std::fs::read_to_string(server.folder.path().join("log"))?;
                return Err(io::Error::other(format!("it did not start: {said}")));
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        let made = Command::new(node)
            .args(["-e", MAKE_CONTAINER, &port.to_string(), server.account(), server.key()])
            .arg(server.container())
            .output()?;
        if made.status.success() {
            return Ok(server);
        }
        Err(io::Error::other(String::from_utf8_lossy(&made.stderr).into_owned()))
    }

    /// A store's URL for `prefix` in the container made at the start.
    #[must_use]
    pub fn url(&self, prefix: &str) -> String {
        self.url_in(self.container(), prefix)
    }

    /// The same in a container of that name, which need not exist.
    #[must_use]
    pub fn url_in(&self, container: &str, prefix: &str) -> String {
        let (port, account) = (self.port, self.account());
        format!(
            "azure://{container}/{prefix}?account={account}&endpoint=http://127.0.0.1:{port}/{account}"
        )
    }

    /// The account, the same on every Azurite.
    #[must_use]
    pub fn account(&self) -> &'static str {
        "devstoreaccount1"
    }

    /// Its key, which Azurite's documentation gives: a secret to nobody.
    #[must_use]
    pub fn key(&self) -> &'static str {
        "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
    }

    /// The container made at the start.
    #[must_use]
    pub fn container(&self) -> &'static str {
        "backup-test"
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Nothing to save; an error means that it has ended already.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn script() -> Option<PathBuf> {
    let own = tools::folder().join("azurite/node_modules/azurite/dist/src/blob/main.js");
    own.is_file().then_some(own)
}
