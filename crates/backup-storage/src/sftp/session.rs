//! A login: one `ssh` process, one SFTP session over its pipes.

use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use backup_core::{Error, ErrorKind, Result};
use openssh_sftp_client::{Error as SftpError, Sftp, SftpOptions};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, ChildStderr, Command};
use tokio::sync::Mutex;

use super::error::{described, ends_session};
use crate::url::SftpUrl;

/// Lines of `ssh` that an error shows.
const SAID: usize = 4;

/// Opens a session when one is needed, and a new one after it broke.
#[derive(Debug)]
pub(super) struct Sessions {
    url: SftpUrl,
    timeout: Duration,
    current: Mutex<Option<Arc<Session>>>,
}

/// An open session; the process ends with it.
#[derive(Debug)]
pub(super) struct Session {
    pub(super) sftp: Sftp,
    _ssh: Child,
}

impl Sessions {
    pub(super) fn new(url: SftpUrl, timeout: Duration) -> Self {
        Self { url, timeout, current: Mutex::default() }
    }

    /// How long one answer may take.
    pub(super) fn timeout(&self) -> Duration {
        self.timeout
    }

    /// Returns the session, opening it where there is none. `StoreUnavailable` with what `ssh` said.
    pub(super) async fn get(&self) -> Result<Arc<Session>> {
        let mut current = self.current.lock().await;
        if let Some(session) = current.as_ref() {
            return Ok(Arc::clone(session));
        }
        let session = Arc::new(self.open().await?);
        *current = Some(Arc::clone(&session));
        Ok(session)
    }

    /// Forgets `broken` if `error` means that it is of no more use.
    pub(super) async fn drop_if_broken(&self, broken: &Arc<Session>, error: &SftpError) {
        if ends_session(error) {
            self.forget(broken).await;
        }
    }

    /// Forgets a session; the next request opens another.
    pub(super) async fn forget(&self, broken: &Arc<Session>) {
        let mut current = self.current.lock().await;
        if current.as_ref().is_some_and(|session| Arc::ptr_eq(session, broken)) {
            *current = None;
        }
    }

    async fn open(&self) -> Result<Session> {
        let unavailable = || {
            Error::new(ErrorKind::StoreUnavailable, "log in by ssh").with("host", &self.url.host)
        };
        let mut ssh = self.command().spawn().map_err(|error| {
            unavailable()
                .because(error)
                .hint("SFTP goes through the program `ssh`: install OpenSSH's client.")
        })?;
        let (Some(stdin), Some(stdout), Some(stderr)) =
            (ssh.stdin.take(), ssh.stdout.take(), ssh.stderr.take())
        else {
            return Err(unavailable().because("its pipes are missing"));
        };
        let said = tokio::spawn(last_lines(stderr));
        let opened =
            tokio::time::timeout(self.timeout, Sftp::new(stdin, stdout, SftpOptions::new()));
        match opened.await {
            Ok(Ok(sftp)) => Ok(Session { sftp, _ssh: ssh }),
            Ok(Err(error)) => {
                // The process has ended, or ends now: then its last words are known.
                let _ = ssh.start_kill();
                let words = said.await.unwrap_or_default();
                let words = if words.is_empty() { described(&error) } else { words };
                let failed = unavailable().hint(remedy(&words)).because(words.clone());
                Err(if passes(&words) { failed.temporary() } else { failed })
            }
            Err(_) => Err(unavailable()
                .because(format!("no answer within {} s", self.timeout.as_secs()))
                .hint("Check the host, the port and the network.")
                .temporary()),
        }
    }

    fn command(&self) -> Command {
        let mut ssh = Command::new("ssh");
        // Nobody is there to be asked: an unknown host or a missing key is a failure.
        ssh.args(["-oBatchMode=yes", "-oServerAliveInterval=15", "-oServerAliveCountMax=4"])
            .arg(format!("-oConnectTimeout={}", self.timeout.as_secs().max(1)))
            .args(["-oForwardAgent=no", "-oForwardX11=no", "-oClearAllForwardings=yes"]);
        if let Some(user) = &self.url.user {
            ssh.arg("-l").arg(user);
        }
        if let Some(port) = self.url.port {
            ssh.arg("-p").arg(port.to_string());
        }
        if let Some(identity) = &self.url.identity {
            ssh.arg("-i").arg(identity).arg("-oIdentitiesOnly=yes");
        }
        if let Some(hosts) = &self.url.known_hosts {
            ssh.arg(format!("-oUserKnownHostsFile={}", hosts.display()));
        }
        let host = self.url.host.trim_start_matches('[').trim_end_matches(']');
        ssh.args(["-s", "--", host, "sftp"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        ssh
    }
}

/// Reads what `ssh` says until it ends; returns the last of it.
async fn last_lines(stderr: ChildStderr) -> String {
    let mut lines = BufReader::new(stderr).lines();
    let mut last = Vec::new();
    while let Ok(Some(line)) = lines.next_line().await {
        let line: String = line.chars().filter(|c| !c.is_control()).take(200).collect();
        if line.is_empty() {
            continue;
        }
        if last.len() == SAID {
            last.remove(0);
        }
        last.push(line);
    }
    last.join("; ")
}

/// Returns whether what `ssh` said may pass by itself.
fn passes(words: &str) -> bool {
    const LASTING: [&str; 5] = [
        "Permission denied",
        "Host key verification failed",
        "Could not resolve hostname",
        "subsystem request failed",
        "Bad configuration option",
    ];
    !LASTING.iter().any(|lasting| words.contains(lasting))
}

fn remedy(words: &str) -> &'static str {
    if words.contains("Host key verification failed") {
        "Compare the host's key with what its owner says, then add it to known_hosts (or name a \
         file with ?known_hosts=…)."
    } else if words.contains("Permission denied") {
        "Install this user's public key on the server, or name the private key with ?identity=…; \
         passwords are not asked for."
    } else if words.contains("Could not resolve") {
        "Correct the host in the URL."
    } else if words.contains("subsystem request failed") {
        "The server has SFTP switched off: enable `Subsystem sftp` there."
    } else {
        "Try `sftp` by hand with the same host, port and user."
    }
}
