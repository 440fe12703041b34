//! The data plane of a fake of PlanetScale's MySQL: every branch a real MariaDB behind Vitess's
//! rules.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex};

use crate::mariadb::MariaDb;
use crate::sync::lock;
use crate::vitess::{Keyspace, Limits, Vitess};

/// Branches, and backups of branches, by name.
#[derive(Debug)]
pub struct MysqlEstate {
    keyspaces: Vec<Keyspace>,
    branches: Mutex<BTreeMap<String, Arc<MysqlBranch>>>,
    /// Backups as the server's own program writes them.
    backups: Mutex<BTreeMap<String, Arc<String>>>,
}

/// A branch: a server, and what stands before it.
#[derive(Debug)]
pub struct MysqlBranch {
    /// The server.
    pub server: MariaDb,
    /// The way in for everybody else.
    pub vitess: Vitess,
}

impl MysqlEstate {
    /// Starts the first branch, with empty databases for its keyspaces; `None` (and a line on
    /// standard error) when MariaDB is not installed and servers are not required.
    #[must_use]
    #[track_caller]
    pub fn start(name: &str, keyspaces: Vec<Keyspace>) -> Option<Self> {
        let estate = Self { keyspaces, branches: Mutex::default(), backups: Mutex::default() };
        let branch = estate.launch()?;
        for database in estate.databases() {
            branch.server.sql("", &format!("CREATE DATABASE `{database}` CHARACTER SET utf8mb4"));
        }
        lock(&estate.branches).insert(name.to_owned(), Arc::new(branch));
        Some(estate)
    }

    fn launch(&self) -> Option<MysqlBranch> {
        let server = MariaDb::start(&["--log-bin", "--server-id=1", "--skip-ssl"])?;
        let vitess = Vitess::before(server.port(), self.keyspaces.clone());
        Some(MysqlBranch { server, vitess })
    }

    /// The databases of all keyspaces; of a sharded one also that of its own name, which is empty.
    fn databases(&self) -> Vec<String> {
        let mut all: Vec<String> = self.keyspaces.iter().flat_map(Keyspace::databases).collect();
        for keyspace in &self.keyspaces {
            if !all.contains(&keyspace.name) {
                all.push(keyspace.name.clone());
            }
        }
        all
    }

    /// Keeps a branch as it is now.
    pub(super) async fn back_up(self: &Arc<Self>, from: &str, id: &str) -> io::Result<()> {
        let (branch, databases) = (self.branch(from)?, self.databases());
        let dumped = tokio::task::spawn_blocking(move || {
            let mut command = branch.server.command("mariadb-dump");
            command.args(["--single-transaction", "--hex-blob", "--databases"]).args(databases);
            let output = command.output()?;
            if !output.status.success() {
                return Err(io::Error::other(String::from_utf8_lossy(&output.stderr).into_owned()));
            }
            String::from_utf8(output.stdout).map_err(io::Error::other)
        });
        let text = dumped.await.map_err(io::Error::other)??;
        lock(&self.backups).insert(id.to_owned(), Arc::new(text));
        Ok(())
    }

    /// Makes a branch out of a backup. It is held to stricter limits than the vendor's, so that small
    /// tables meet them.
    pub(super) async fn restore(self: &Arc<Self>, id: &str, name: &str) -> io::Result<()> {
        let text = lock(&self.backups).get(id).cloned();
        let text = text.ok_or_else(|| io::Error::other(format!("no backup {id}")))?;
        let estate = Arc::clone(self);
        let made = tokio::task::spawn_blocking(move || {
            let branch = estate.launch().ok_or_else(|| io::Error::other("no MariaDB"))?;
            branch.server.try_sql("", &text)?;
            branch.vitess.limit(Limits { rows: 1_000, ..Limits::default() });
            Ok::<_, io::Error>(branch)
        });
        let branch = made.await.map_err(io::Error::other)??;
        lock(&self.branches).insert(name.to_owned(), Arc::new(branch));
        Ok(())
    }

    pub(super) fn drop_branch(&self, name: &str) {
        let dropped = lock(&self.branches).remove(name);
        // Stopping a server takes a moment; the lock is free meanwhile.
        drop(dropped);
    }

    /// Returns a branch.
    pub fn branch(&self, name: &str) -> io::Result<Arc<MysqlBranch>> {
        let found = lock(&self.branches).get(name).cloned();
        found.ok_or_else(|| io::Error::new(io::ErrorKind::NotFound, format!("no branch {name}")))
    }

    /// Lets somebody in, and returns the address: to read, or to do anything.
    pub(super) fn admit(
        &self,
        branch: &str,
        user: &str,
        password: &str,
        role: &str,
    ) -> io::Result<String> {
        let branch = self.branch(branch)?;
        let what = if role == "reader" { "SELECT, SHOW VIEW" } else { "ALL PRIVILEGES" };
        branch.server.try_sql(
            "",
            &format!("CREATE USER '{user}'@'%' IDENTIFIED BY '{password}'; GRANT {what} ON *.* TO '{user}'@'%'"),
        )?;
        Ok(format!("127.0.0.1:{}?ssl-mode=disabled", branch.vitess.port()))
    }

    pub(super) fn turn_away(&self, branch: &str, user: &str) {
        if let Ok(branch) = self.branch(branch) {
            let _ = branch.server.try_sql("", &format!("DROP USER '{user}'@'%'"));
        }
    }

    /// The names of all branches.
    #[must_use]
    pub fn names(&self) -> Vec<String> {
        lock(&self.branches).keys().cloned().collect()
    }

    pub(super) fn keyspaces(&self) -> &[Keyspace] {
        &self.keyspaces
    }
}
