//! As whom a server runs: ourselves, or an unprivileged user when we are root, as whom
//! PostgreSQL refuses to run.

use std::ffi::OsStr;
use std::path::Path;
use std::process::Stdio;

use backup_core::{Error, ErrorKind, Result};
use tokio::process::Command;

/// Users to become, in order of preference: the first keeps restored rows from others best.
const USERS: [&str; 2] = ["postgres", "nobody"];

/// What a server gets of our environment.
const KEPT: [&str; 5] = ["PATH", "HOME", "TMPDIR", "LD_LIBRARY_PATH", "ICU_DATA"];

/// The user of one throw-away server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ServerUser(Option<(u32, u32)>);

impl ServerUser {
    /// Chooses one; `Unsupported` when this is root and nobody else is known.
    pub(super) fn choose() -> Result<Self> {
        if !is_root() {
            return Ok(Self(None));
        }
        let users = std::fs::read_to_string("/etc/passwd").unwrap_or_default();
        let found = USERS.iter().find_map(|name| ids_of(&users, name));
        found.map(|ids| Self(Some(ids))).ok_or_else(|| {
            Error::new(ErrorKind::Unsupported, "choose user of throw-away server")
                .because("PostgreSQL does not run as root, and neither postgres nor nobody exist")
                .hint("Create a user postgres, or run the drill as another user than root.")
        })
    }

    /// Gives a file or folder to the user.
    pub(super) fn own(self, path: &Path) -> std::io::Result<()> {
        match self.0 {
            #[cfg(unix)]
            Some((user, group)) => std::os::unix::fs::chown(path, Some(user), Some(group)),
            _ => Ok(()),
        }
    }

    /// Gives a file to the user; of a link the link itself.
    pub(super) fn own_link(self, path: &Path) -> std::io::Result<()> {
        match self.0 {
            Some((user, group)) => std::os::unix::fs::lchown(path, Some(user), Some(group)),
            None => Ok(()),
        }
    }

    /// Returns whether it is somebody else than who runs this.
    pub(super) fn is_another(self) -> bool {
        self.0.is_some()
    }

    /// Prepares a program to run as the user, with nothing of our own connections.
    pub(super) fn command(self, program: &Path) -> Command {
        let mut command = Command::new(program);
        #[cfg(unix)]
        if let Some((user, group)) = self.0 {
            command.uid(user).gid(group);
        }
        // Settings of connections and secrets of ours are not the server's business: it runs code
        // that was restored.
        command.env_clear();
        command.envs(KEPT.iter().filter_map(|name| Some((name, std::env::var_os(name)?))));
        // Servers that were unpacked somewhere load libraries that only this leads to.
        let libraries = program.parent().map(|folder| folder.join("../lib"));
        if let Some(libraries) = libraries.filter(|folder| folder.join("libpq.so.5").exists()) {
            command.env("LD_LIBRARY_PATH", libraries);
        }
        command
            .env("LC_ALL", OsStr::new("C"))
            .env("TZ", "UTC")
            .current_dir("/")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped());
        command
    }
}

fn ids_of(users: &str, name: &str) -> Option<(u32, u32)> {
    let line = users.lines().find(|line| line.split(':').next() == Some(name))?;
    let mut fields = line.split(':').skip(2);
    Some((fields.next()?.parse().ok()?, fields.next()?.parse().ok()?))
}

#[cfg(unix)]
fn is_root() -> bool {
    use std::os::unix::fs::MetadataExt;
    std::fs::metadata("/proc/self").is_ok_and(|me| me.uid() == 0)
}

#[cfg(not(unix))]
fn is_root() -> bool {
    false
}

#[cfg(test)]
mod tests {
    use super::ids_of;

    #[test]
    fn users_are_found_by_their_whole_name() {
        let users = "root:x:0:0:root:/root:/bin/sh\npostgresql:x:7:7::/:/x\npostgres:x:70:71::/:/x";
        assert_eq!(ids_of(users, "postgres"), Some((70, 71)));
        assert_eq!(ids_of(users, "nobody"), None);
    }
}
