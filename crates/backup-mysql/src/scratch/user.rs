//! As whom a server runs: ourselves, or an unprivileged user when we are root, as whom mariadbd
//! refuses to run.

use std::path::Path;
use std::process::Stdio;

use backup_core::{Error, ErrorKind, Result};
use tokio::process::Command;

/// Users to become, in order of preference.
const USERS: [&str; 2] = ["mysql", "nobody"];
/// What a server gets of our environment.
const KEPT: [&str; 3] = ["PATH", "HOME", "LD_LIBRARY_PATH"];

/// The user of one throw-away server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ServerUser(Option<(u32, u32)>);

impl ServerUser {
    /// Chooses one; `Unsupported` when this is root and nobody else is known.
    pub(super) fn choose() -> Result<Self> {
        if !rustix::process::geteuid().is_root() {
            return Ok(Self(None));
        }
        let users = std::fs::read_to_string("/etc/passwd").unwrap_or_default();
        let found = USERS.iter().find_map(|name| ids_of(&users, name));
        found.map(|ids| Self(Some(ids))).ok_or_else(|| {
            Error::new(ErrorKind::Unsupported, "choose user of throw-away server")
                .because("MariaDB does not run as root, and neither mysql nor nobody exist")
                .hint("Create a user mysql, or run the drill as another user than root.")
        })
    }

    /// Gives a file or folder to the user.
    pub(super) fn own(self, path: &Path) -> std::io::Result<()> {
        match self.0 {
            Some((user, group)) => std::os::unix::fs::chown(path, Some(user), Some(group)),
            None => Ok(()),
        }
    }

    /// Prepares a program to run as the user, with nothing of our own connections and secrets.
    pub(super) fn command(self, program: &Path) -> Command {
        let mut command = Command::new(program);
        if let Some((user, group)) = self.0 {
            command.uid(user).gid(group);
        }
        command.env_clear();
        command.envs(KEPT.iter().filter_map(|name| Some((name, std::env::var_os(name)?))));
        command
            .env("TZ", "UTC")
            .current_dir("/")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        command
    }
}

fn ids_of(users: &str, name: &str) -> Option<(u32, u32)> {
    let line = users.lines().find(|line| line.split(':').next() == Some(name))?;
    let mut fields = line.split(':').skip(2);
    Some((fields.next()?.parse().ok()?, fields.next()?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::ids_of;

    #[test]
    fn users_are_found_by_their_whole_name() {
        let users = "root:x:0:0:root:/root:/bin/sh\nmysqlx:x:7:7::/:/x\nmysql:x:70:71::/:/x";
        assert_eq!(ids_of(users, "mysql"), Some((70, 71)));
        assert_eq!(ids_of(users, "nobody"), None);
    }
}
