//! A server of our own, started from local programs.

use std::path::PathBuf;

use async_trait::async_trait;
use backup_core::port::{DrillOptions, DrillTarget, Scratch};
use backup_core::{Error, ErrorKind, Finding, Result, Secret, Snapshot, SnapshotKind};

use super::folder::{self, DrillFolder};
use super::place::{Home, Place};
use super::server::{Programs, ROOT, Server};
use super::user::ServerUser;
use crate::ConnectOptions;

/// The database a snapshot is restored into.
const DATABASE: &str = "drill";

/// Starts a MariaDB server for each drill: in a temporary folder, on a Unix socket only its user
/// (and root) can reach, without durability.
#[derive(Clone, Debug)]
pub struct LocalServer {
    parent: PathBuf,
}

impl LocalServer {
    /// Puts the data under this folder. Its path must be short: a socket's is limited to about
    /// a hundred bytes.
    #[must_use]
    pub fn in_folder(parent: impl Into<PathBuf>) -> Self {
        Self { parent: parent.into() }
    }
}

#[async_trait]
impl DrillTarget for LocalServer {
    fn describe(&self) -> String {
        format!("a throw-away server under {}", self.parent.display())
    }

    async fn sweep(&self) -> Result<Vec<Finding>> {
        Ok(folder::sweep(&self.parent).iter().map(|name| Finding::swept(name)).collect())
    }

    async fn open(&self, snapshot: &Snapshot, options: &DrillOptions) -> Result<Box<dyn Scratch>> {
        let facts = &snapshot.evidence.facts;
        let is_ours =
            snapshot.kind == SnapshotKind::Logical && snapshot.identity.engine == crate::ENGINE;
        if !is_ours {
            return Err(Error::new(ErrorKind::Unsupported, "start throw-away server")
                .with("snapshot kind", snapshot.kind.as_str())
                .with("engine", &snapshot.identity.engine));
        }
        // MariaDB lacks types and collations of MySQL 8: a failure would tell nothing.
        if facts.get("flavor").is_some_and(|flavor| flavor != "MariaDB") {
            return Err(Error::new(ErrorKind::Unsupported, "start throw-away server")
                .because("the snapshot is of MySQL, and only MariaDB is started here")
                .hint("Name a MySQL server to drill on (--to mysql://…)."));
        }
        let programs = Programs::find()?;
        let user = ServerUser::choose()?;
        let folder = DrillFolder::create(&self.parent, user)?;
        let lower_case = facts.get("lower_case_table_names").map_or("0", String::as_str);
        let server = Server::start(&programs, user, folder.path(), lower_case).await?;
        let socket = server.socket().to_owned();
        let connect = ConnectOptions::at_socket(&socket, ROOT, DATABASE);
        let url = format!("mysql://{ROOT}@/{DATABASE}?socket={}", socket.display());
        let home = Home::Own { server: Box::new(server), folder };
        Ok(Box::new(Place::new(home, connect, Secret::new(url), options).await?))
    }
}
