//! The data plane of a fake: every branch a real PostgreSQL server with its own data directory.

use std::collections::BTreeMap;
use std::fmt;
use std::fs::File;
use std::io;
use std::path::Path;
use std::process::Command;
use std::sync::{Arc, Mutex};

use tempfile::TempDir;

use crate::postgres::{Builder, Cluster};
use crate::sync::lock;

/// Servers, and stopped copies of servers, by name. A fork has the same databases, roles, oids
/// and system identifier as what it was forked from, as a branch at a vendor's has.
pub struct Estate {
    major: u32,
    /// Who is let in; absent: everybody.
    hba: Option<String>,
    branches: Mutex<BTreeMap<String, Branch>>,
}

#[derive(Clone)]
enum Branch {
    Running(Arc<Cluster>),
    Frozen(Arc<TempDir>),
}

impl fmt::Debug for Estate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(lock(&self.branches).keys()).finish()
    }
}

impl Estate {
    /// Starts the first server; `None` (and a line on standard error) when that major is not
    /// installed and servers are not required.
    #[must_use]
    #[track_caller]
    pub fn start(major: u32, name: &str) -> Option<Self> {
        Self::begin(major, name, None)
    }

    /// Starts the first server as [`Estate::start`] does; it and its forks let in whom these lines of
    /// `pg_hba.conf` say.
    #[must_use]
    #[track_caller]
    pub fn guarded(major: u32, name: &str, hba: &str) -> Option<Self> {
        Self::begin(major, name, Some(hba.to_owned()))
    }

    #[track_caller]
    fn begin(major: u32, name: &str, hba: Option<String>) -> Option<Self> {
        let cluster = builder(major, hba.as_deref()).start()?;
        let branches = BTreeMap::from([(name.to_owned(), Branch::Running(Arc::new(cluster)))]);
        Some(Self { major, hba, branches: Mutex::new(branches) })
    }

    /// Makes a server of its own out of a server as it is now, or of a frozen copy.
    pub async fn fork(self: &Arc<Self>, from: &str, name: &str) -> io::Result<()> {
        let (source, builder) = (self.branch(from)?, builder(self.major, self.hba.as_deref()));
        let forked = tokio::task::spawn_blocking(move || {
            builder.try_start_from(|data| match &source {
                Branch::Running(cluster) => copy_running(cluster, data),
                Branch::Frozen(folder) => copy_frozen(&folder.path().join("data"), data),
            })
        });
        let cluster = forked.await.map_err(io::Error::other)??;
        lock(&self.branches).insert(name.to_owned(), Branch::Running(Arc::new(cluster)));
        Ok(())
    }

    /// Keeps a copy of a server as it is now; costs no process. It can be forked.
    pub async fn freeze(self: &Arc<Self>, from: &str, name: &str) -> io::Result<()> {
        let Branch::Running(cluster) = self.branch(from)? else {
            return Err(io::Error::other(format!("{from} is frozen itself")));
        };
        let copied = tokio::task::spawn_blocking(move || {
            let folder = tempfile::tempdir()?;
            copy_running(&cluster, &folder.path().join("data"))?;
            Ok::<_, io::Error>(folder)
        });
        let folder = copied.await.map_err(io::Error::other)??;
        lock(&self.branches).insert(name.to_owned(), Branch::Frozen(Arc::new(folder)));
        Ok(())
    }

    /// Gives a branch another name, in place of one of that name.
    pub fn rename(&self, from: &str, name: &str) {
        let mut branches = lock(&self.branches);
        if let Some(branch) = branches.remove(from) {
            branches.insert(name.to_owned(), branch);
        }
    }

    /// Drops a branch with its data; one that is not there is dropped already.
    pub fn drop_branch(&self, name: &str) {
        let dropped = lock(&self.branches).remove(name);
        // Stopping a server takes a moment; the lock is free meanwhile.
        drop(dropped);
    }

    /// Returns the server of a branch.
    pub fn server(&self, name: &str) -> io::Result<Arc<Cluster>> {
        match self.branch(name)? {
            Branch::Running(cluster) => Ok(cluster),
            Branch::Frozen(_) => Err(io::Error::other(format!("{name} is frozen"))),
        }
    }

    /// Runs SQL on a branch; see [`Cluster::sql`].
    ///
    /// # Panics
    /// When there is no such branch, or a statement fails.
    #[track_caller]
    #[allow(clippy::panic, reason = "a fixture fails the test that uses it")]
    pub fn sql(&self, branch: &str, database: &str, sql: &str) -> String {
        match self.server(branch) {
            Ok(server) => server.sql(database, sql),
            Err(error) => panic!("{error}"),
        }
    }

    /// Returns the names of all branches, frozen copies included.
    #[must_use]
    pub fn names(&self) -> Vec<String> {
        lock(&self.branches).keys().cloned().collect()
    }

    fn branch(&self, name: &str) -> io::Result<Branch> {
        let found = lock(&self.branches).get(name).cloned();
        found.ok_or_else(|| io::Error::new(io::ErrorKind::NotFound, format!("no branch {name}")))
    }
}

fn builder(major: u32, hba: Option<&str>) -> Builder {
    let builder = Cluster::builder(major);
    match hba {
        Some(lines) => builder.hba(lines),
        None => builder,
    }
}

fn copy_running(cluster: &Cluster, data: &Path) -> io::Result<()> {
    let mut command = cluster.command("pg_basebackup");
    command.arg("-D").arg(data).args(["-X", "stream", "-c", "fast", "--no-sync", "--no-manifest"]);
    ended(command, "pg_basebackup")
}

fn copy_frozen(from: &Path, data: &Path) -> io::Result<()> {
    let mut command = Command::new("cp");
    command.args(["-a", "--reflink=auto"]).arg(from).arg(data);
    ended(command, "cp")
}

fn ended(mut command: Command, what: &str) -> io::Result<()> {
    let said = tempfile::tempfile()?;
    let status = command.stdout(File::open("/dev/null")?).stderr(said.try_clone()?).status()?;
    if status.success() {
        return Ok(());
    }
    let mut text = String::new();
    io::Seek::seek(&mut &said, io::SeekFrom::Start(0))?;
    io::Read::read_to_string(&mut &said, &mut text)?;
    Err(io::Error::other(format!("{what} failed ({status}): {text}")))
}
