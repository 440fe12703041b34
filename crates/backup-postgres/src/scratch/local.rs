//! A server of our own, of the snapshot's major version, started from local programs.

use std::path::{Path, PathBuf};

use async_trait::async_trait;
use backup_core::port::{DrillOptions, DrillTarget, Scratch};
use backup_core::{Error, ErrorKind, Finding, Result, Secret, Snapshot, SnapshotKind};

use super::cluster::{Recovery, ScratchCluster};
use super::folder::{self, DrillFolder};
use super::place::{Home, Place};
use super::server::{self, SETTINGS, Server};
use super::user::ServerUser;
use super::whole::WholePlace;
use crate::tools::{Tool, ToolPaths};

/// The database a logical snapshot is restored into, and the role that does it.
const DATABASE: &str = "drill";
const ROLE: &str = "postgres";

/// Starts a server for each drill: in a temporary folder, on a Unix socket only its user (and
/// root) can reach, without durability. A logical snapshot is loaded into it; of a physical one
/// it is made.
#[derive(Clone)]
pub struct LocalServer {
    tools: ToolPaths,
    parent: PathBuf,
    recovery: Recovery,
}

impl LocalServer {
    /// Looks for PostgreSQL's programs there; data goes to the folder for temporary files.
    #[must_use]
    pub fn new(tools: ToolPaths) -> Self {
        let parent = tools.temporary();
        Self { tools, parent, recovery: Recovery::default() }
    }

    /// Puts the data under this folder. Its path must be short: a socket's is limited to about
    /// a hundred bytes.
    #[must_use]
    pub fn in_folder(mut self, parent: impl Into<PathBuf>) -> Self {
        self.parent = parent.into();
        self
    }

    /// Brings physical snapshots to a point in time.
    #[must_use]
    pub fn with_recovery(mut self, recovery: Recovery) -> Self {
        self.recovery = recovery;
        self
    }

    async fn loaded(&self, snapshot: &Snapshot, options: &DrillOptions) -> Result<Place> {
        let version = snapshot.evidence.facts.get("server_version_num");
        let version: u32 = version.and_then(|text| text.parse().ok()).unwrap_or(0);
        let initdb = self.tools.choose("initdb", version / 10_000).await;
        let initdb = initdb.map_err(|error| error.hint(install(version / 10_000)))?;
        let user = ServerUser::choose()?;
        let folder = DrillFolder::create(&self.parent, user)?;
        let data = folder.data();
        Server::initialize(&initdb, user, &data).await?;
        let postgres = initdb.sibling("postgres");
        let mut settings = SETTINGS.map(str::to_owned).to_vec();
        settings.extend(LOADING.map(str::to_owned));
        let mut server = Server::spawn(&postgres, user, folder.path(), &data, ROLE, &settings)?;
        server.answers(|| 0).await.map_err(|error| {
            error
                .into_kind(ErrorKind::Unsupported)
                .hint("What its log says is above; it is about this machine, not the backup.")
        })?;
        let connect = server.connect().clone().with_database(DATABASE);
        let url = Secret::new(server::url(folder.path(), ROLE, DATABASE));
        let home = Home::Own { server: Box::new(server), folder };
        let place = Place::new(home, connect, url, near(&self.tools, &initdb), options).await?;
        Ok(place.with_roles_created())
    }
}

/// Settings that rows are loaded with: WAL is needed for nothing.
const LOADING: [&str; 3] = ["wal_level=minimal", "max_wal_senders=0", "max_connections=60"];

/// Returns where programs are looked for: those of the server itself first, so that versions fit.
pub(super) fn near(tools: &ToolPaths, program: &Tool) -> ToolPaths {
    match program.path.parent() {
        Some(programs) => tools.clone().with_directory(programs),
        None => tools.clone(),
    }
}

/// Says how to get a server of a major version.
pub(super) fn install(major: u32) -> String {
    format!(
        "Install the server programs of PostgreSQL {major} on this machine (Debian: apt install \
         postgresql-{major}), or name a server to use instead (--to)."
    )
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
        if snapshot.identity.engine != "postgres" {
            return Err(refused(snapshot));
        }
        match snapshot.kind {
            SnapshotKind::Logical => Ok(Box::new(self.loaded(snapshot, options).await?)),
            SnapshotKind::Physical => {
                let parent: &Path = &self.parent;
                let cluster = ScratchCluster::prepare(&self.tools, parent, snapshot).await?;
                Ok(Box::new(WholePlace::new(cluster, self.recovery.clone(), options)))
            }
            SnapshotKind::Files => Err(refused(snapshot)),
        }
    }
}

fn refused(snapshot: &Snapshot) -> Error {
    Error::new(ErrorKind::Unsupported, "start throw-away server")
        .with("snapshot kind", snapshot.kind.as_str())
        .with("engine", &snapshot.identity.engine)
        .hint("This version drills snapshots of PostgreSQL.")
}
