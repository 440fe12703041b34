//! Drills from settings: where to, and what to ask.

use std::num::NonZeroUsize;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use backup_config::{AssertSettings, DrillSettings, RestorePreferences};
use backup_core::port::{DrillOptions, DrillTarget, Scratch, SmokeTest};
use backup_core::{Finding, Result, Secret, Snapshot, SnapshotKind};
use backup_files::restore::ScratchTree;
use backup_mysql::scratch as mysql;
use backup_ops::drill::{Assertion, DrillRequest};
use backup_postgres::scratch::{GivenServer, LocalServer, Recovery};

use crate::Composer;
use crate::provider::{connect_options, directory, is_mysql, mysql_options};
use crate::smoke::SmokeCommand;

/// How long one question, or the smoke test, may take unless somebody said.
const LIMIT: Duration = Duration::from_secs(300);

impl Composer {
    /// Returns where a drill restores to: a database on the server at `to`, or a server started
    /// on this machine, below the folder `to` where that is a path. Of a physical snapshot a
    /// server of this machine is made wherever logical ones go. Connects to nothing.
    pub fn drill_target(
        &self,
        to: Option<&Secret>,
        preferences: &RestorePreferences,
    ) -> Result<Arc<dyn DrillTarget>> {
        self.drill_target_at(to, preferences, Recovery::default())
    }

    /// Returns where a drill restores to, as [`Composer::drill_target`] does; physical snapshots
    /// are brought to a point (see [`crate::scratch_recovery`]).
    pub fn drill_target_at(
        &self,
        to: Option<&Secret>,
        preferences: &RestorePreferences,
        recovery: Recovery,
    ) -> Result<Arc<dyn DrillTarget>> {
        let local = LocalServer::new(self.tools().clone()).with_recovery(recovery);
        let here = |local: LocalServer, folder: &Path| Here {
            postgres: local,
            mysql: mysql::LocalServer::in_folder(folder),
            files: ScratchTree::below(folder),
        };
        let Some(to) = to else { return Ok(Arc::new(here(local, &self.tools().temporary()))) };
        if let Some(folder) = directory(to.expose()) {
            return Ok(Arc::new(here(local.in_folder(folder), folder)));
        }
        if is_mysql(to.expose()) {
            let connect = mysql_options(to.expose(), self.password_of(to.expose())?)?;
            let given = mysql::GivenServer::new(to.clone(), connect);
            let map = preferences.role_map.clone();
            return Ok(Arc::new(given.with_ownership(!preferences.no_owner, map)));
        }
        let connect = connect_options(to.expose(), self.password()?)?;
        let given = GivenServer::new(to.clone(), connect, self.tools().clone())
            .with_ownership(!preferences.no_owner, !preferences.no_privileges)
            .with_roles(preferences.create_roles, preferences.role_map.clone());
        let here = here(local, &self.tools().temporary());
        Ok(Arc::new(ByKind { given, here }))
    }

    /// Reads the URL of the server that drills of a source restore to: BACKUP_DRILL_URL, else
    /// the one that is configured, if any.
    pub fn drill_url(&self, settings: &DrillSettings) -> Result<Option<Secret>> {
        let to = self.given("BACKUP_DRILL_URL")?.or_else(|| settings.to.clone());
        to.as_ref().map(|to| self.resolve(to)).transpose()
    }
}

/// Returns what a drill asks by these settings; `program` names who drills.
#[must_use]
pub fn drill_request(settings: &DrillSettings, jobs: NonZeroUsize, program: &str) -> DrillRequest {
    let limit = |period: Option<backup_retention::Period>| {
        period.map_or(LIMIT, backup_retention::Period::as_duration)
    };
    let smoke = settings.smoke.as_ref().map(|line| {
        let smoke = SmokeCommand::new(line, limit(settings.smoke_timeout));
        Arc::new(smoke) as Arc<dyn SmokeTest>
    });
    DrillRequest {
        jobs,
        assertions: settings.asserts.iter().map(assertion).collect(),
        smoke,
        limit: limit(settings.question_timeout),
        disaster: false,
        point: None,
        program: program.to_owned(),
        keys: Vec::new(),
    }
}

/// What this machine has: servers of its own by the engine of the snapshot, directories for files.
struct Here {
    postgres: LocalServer,
    mysql: mysql::LocalServer,
    files: ScratchTree,
}

#[async_trait]
impl DrillTarget for Here {
    fn describe(&self) -> String {
        self.postgres.describe()
    }

    async fn sweep(&self) -> Result<Vec<Finding>> {
        let mut swept = self.postgres.sweep().await?;
        swept.extend(self.mysql.sweep().await?);
        swept.extend(self.files.sweep().await?);
        Ok(swept)
    }

    async fn open(&self, snapshot: &Snapshot, options: &DrillOptions) -> Result<Box<dyn Scratch>> {
        if snapshot.kind == SnapshotKind::Files {
            return self.files.open(snapshot, options).await;
        }
        if snapshot.identity.engine == backup_mysql::ENGINE {
            return self.mysql.open(snapshot, options).await;
        }
        self.postgres.open(snapshot, options).await
    }
}

/// A server that was given takes databases; a cluster has to become a server of its own.
struct ByKind {
    given: GivenServer,
    here: Here,
}

#[async_trait]
impl DrillTarget for ByKind {
    fn describe(&self) -> String {
        self.given.describe()
    }

    async fn sweep(&self) -> Result<Vec<Finding>> {
        let mut swept = self.here.sweep().await?;
        swept.extend(self.given.sweep().await?);
        Ok(swept)
    }

    async fn open(&self, snapshot: &Snapshot, options: &DrillOptions) -> Result<Box<dyn Scratch>> {
        match snapshot.kind {
            SnapshotKind::Logical => self.given.open(snapshot, options).await,
            _ => self.here.open(snapshot, options).await,
        }
    }
}

fn assertion(settings: &AssertSettings) -> Assertion {
    Assertion {
        name: settings.name.clone(),
        sql: settings.sql.clone(),
        equals: settings.equals.clone(),
        tolerance: settings.tolerance,
        at_least: settings.at_least,
        at_most: settings.at_most,
        younger_than: settings.younger_than.map(backup_retention::Period::as_duration),
    }
}
