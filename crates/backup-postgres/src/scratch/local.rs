//! A server of our own, of the snapshot's major version, started from local programs.

use std::path::PathBuf;

use async_trait::async_trait;
use backup_core::port::{DrillOptions, DrillTarget, Scratch};
use backup_core::{Error, ErrorKind, Result, Secret, Snapshot, SnapshotKind};

use super::folder::{self, DrillFolder};
use super::place::{Home, Place};
use super::server::{self, Server};
use super::user::ServerUser;
use crate::tools::ToolPaths;

/// The database a snapshot is restored into.
const DATABASE: &str = "drill";

/// Starts a server for each drill: in a temporary folder, on a Unix socket only its user (and
/// root) can reach, without durability.
#[derive(Clone, Debug)]
pub struct LocalServer {
    tools: ToolPaths,
    parent: PathBuf,
}

impl LocalServer {
    /// Looks for PostgreSQL's programs there; data goes to the folder for temporary files.
    #[must_use]
    pub fn new(tools: ToolPaths) -> Self {
        let parent = tools.temporary();
        Self { tools, parent }
    }

    /// Puts the data under this folder. Its path must be short: a socket's is limited to about
    /// a hundred bytes.
    #[must_use]
    pub fn in_folder(mut self, parent: impl Into<PathBuf>) -> Self {
        self.parent = parent.into();
        self
    }
}

#[async_trait]
impl DrillTarget for LocalServer {
    fn describe(&self) -> String {
        format!("a throw-away server under {}", self.parent.display())
    }

    async fn sweep(&self) -> Result<Vec<String>> {
        Ok(folder::sweep(&self.parent))
    }

    async fn open(&self, snapshot: &Snapshot, options: &DrillOptions) -> Result<Box<dyn Scratch>> {
        if snapshot.kind != SnapshotKind::Logical || snapshot.identity.engine != "postgres" {
            return Err(Error::new(ErrorKind::Unsupported, "start throw-away server")
                .with("snapshot kind", snapshot.kind.as_str())
                .with("engine", &snapshot.identity.engine)
                .hint("This version drills logical snapshots of PostgreSQL."));
        }
        let version = snapshot.evidence.facts.get("server_version_num");
        let version: u32 = version.and_then(|text| text.parse().ok()).unwrap_or(0);
        let initdb = self.tools.choose("initdb", version / 10_000).await.map_err(|error| {
            error.hint(format!(
                "Install the server programs of PostgreSQL {0} on this machine (Debian: apt \
                 install postgresql-{0}), or name a server to use instead (--to).",
                version / 10_000
            ))
        })?;
        let user = ServerUser::choose()?;
        let folder = DrillFolder::create(&self.parent, user)?;
        let data = folder.data();
        Server::initialize(&initdb, user, &data).await?;
        let postgres = initdb.sibling("postgres");
        let server = Server::start(&postgres, user, folder.path(), &data).await?;
        let connect = server.connect().clone().with_database(DATABASE);
        let url = Secret::new(server::url(folder.path(), DATABASE));
        let home = Home::Own { server: Box::new(server), folder };
        // Programs of the server itself first, so that versions fit.
        let tools = match initdb.path.parent() {
            Some(programs) => self.tools.clone().with_directory(programs),
            None => self.tools.clone(),
        };
        let place = Place::new(home, connect, url, tools, options).await?;
        Ok(Box::new(place.with_roles_created()))
    }
}
