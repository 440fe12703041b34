//! A throw-away OpenSSH server on the loopback interface, with SFTP and nothing else, for the user
//! who runs the tests.
//!
//! ```no_run
//! use backup_testkit::sftp::Server;
//!
//! let Some(server) = Server::start() else { return };
//! assert!(server.url("repository").starts_with("sftp://"));
//! ```

use std::io;
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::{process, tools};

const PATIENCE: Duration = Duration::from_secs(60);

/// A running server; what it stores is gone when it is dropped.
#[derive(Debug)]
pub struct Server {
    port: u16,
    folder: tempfile::TempDir,
    process: Child,
}

impl Server {
    /// Starts a server; `None` (and a line on standard error) when OpenSSH's server is not
    /// installed and servers are not required.
    ///
    /// # Panics
    /// When it is installed and does not start, or is missing and required.
    #[must_use]
    #[track_caller]
    #[allow(clippy::panic, reason = "a fixture fails the test that uses it")]
    pub fn start() -> Option<Self> {
        Self::start_with("")
    }

    /// The same with more lines of configuration, such as `ForceCommand internal-sftp -R`.
    #[must_use]
    #[track_caller]
    #[allow(clippy::panic, reason = "a fixture fails the test that uses it")]
    pub fn start_with(settings: &str) -> Option<Self> {
        let Some(program) = program() else {
            tools::skip("sshd (OpenSSH's server)");
            return None;
        };
        match Self::launch(&program, settings) {
            Ok(server) => Some(server),
            Err(error) => panic!("sshd: {error}"),
        }
    }

    fn launch(program: &Path, settings: &str) -> io::Result<Self> {
        if tools::is_root() {
            // Where the server keeps its unprivileged half; Debian makes it at boot.
            std::fs::create_dir_all("/run/sshd")?;
        }
        let folder = tempfile::Builder::new().prefix("sshd-").tempdir()?;
        let at = |name: &str| folder.path().join(name);
        for key in ["host", "user", "stranger"] {
            let mut keygen = Command::new("ssh-keygen");
            keygen.args(["-q", "-t", "ed25519", "-N", "", "-f"]).arg(at(key));
            if !keygen.stdin(Stdio::null()).status()?.success() {
                return Err(io::Error::other("ssh-keygen failed"));
            }
        }
        std::fs::create_dir(at("data"))?;
        let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port();
        let host_key = std::fs::read_to_string(at("host.pub"))?;
        std::fs::write(at("known_hosts"), format!("[127.0.0.1]:{port} {host_key}"))?;
        std::fs::write(
            at("sshd_config"),
            format!(
                "Port {port}\nListenAddress 127.0.0.1\nHostKey {}\nAuthorizedKeysFile {}\n\
                 PidFile none\nStrictModes no\nUsePAM no\nPasswordAuthentication no\n\
                 PermitRootLogin yes\nMaxStartups 100\nSubsystem sftp internal-sftp\n{settings}\n",
                at("host").display(),
                at("user.pub").display(),
            ),
        )?;
        let log = std::fs::File::create(at("log"))?;
        let process = process::spawn(program, "KILL", false, |command| {
            command.args(["-D", "-e", "-f"]).arg(folder.path().join("sshd_config"));
            command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
        })?;
        let mut server = Self { port, folder, process };
        let begun = Instant::now();
        while TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_err() {
            if server.process.try_wait()?.is_some() || begun.elapsed() > PATIENCE {
                return Err(io::Error::other(format!("it did not start: {}", server.log())));
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        Ok(server)
    }

    /// A store's URL for the directory `name` on it, with a key it accepts and its own known.
    #[must_use]
    pub fn url(&self, name: &str) -> String {
        self.url_with(name, "user", "known_hosts")
    }

    /// The same with the key `identity` (`user`, or `stranger`, which the server does not know) and
    /// another file of known hosts.
    #[must_use]
    pub fn url_with(&self, name: &str, identity: &str, known_hosts: &str) -> String {
        let at = |name: &str| self.folder.path().join(name).display().to_string();
        format!(
            "sftp://127.0.0.1:{}{}/{name}?identity={}&known_hosts={}",
            self.port,
            at("data"),
            at(identity),
            at(known_hosts),
        )
    }

    /// Where the server keeps what is written to it.
    #[must_use]
    pub fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    /// What the server has said.
    #[must_use]
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }

    /// Ends the processes that serve logins, as a network that breaks would; the server goes on.
    pub fn cut(&self) -> io::Result<()> {
        let own = self.process.id().to_string();
        let _ = Command::new("pkill").args(["-KILL", "-P", &own]).status()?;
        Ok(())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.cut();
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// The server, which wants to be started by its whole path.
fn program() -> Option<PathBuf> {
    let debian = PathBuf::from("/usr/sbin/sshd");
    if debian.is_file() { Some(debian) } else { tools::find_program("sshd") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn starts_and_ends_with_its_value() {
        let Some(server) = Server::start() else { return };
        let port = server.port;
        drop(server);
        assert!(TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_err());
    }
}
