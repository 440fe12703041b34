//! A physical snapshot as a running server of its own, brought to a point in time, thrown away.

use std::path::{Path, PathBuf};
use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use backup_core::port::{
    DrillOptions, Observer, PartSource, RecoverySettings, RecoverySignal, Replay, RestoreOptions,
    RestoreReport, Target, WalFiles,
};
use backup_core::{Error, ErrorKind, Event, Finding, Result, Secret, Snapshot};
use futures::future::{Either, select};

use super::absent::absent_paths;
use super::blame::blame;
use super::feed::Feed;
use super::folder::DrillFolder;
use super::local::{install, near};
use super::server::{self, SETTINGS, Server};
use super::user::ServerUser;
use crate::physical::{ClusterFacts, DirectoryTarget, auto_conf};
use crate::tools::{Tool, ToolPaths};
use crate::{Client, ConnectOptions};

/// Who connects where the snapshot does not say who may do everything.
const ROLE: &str = "postgres";
/// How often a long silence is told to be none.
const ATTENDED: Duration = Duration::from_secs(60);

/// How far to bring a cluster, and where its WAL comes from. The default goes to the end of the
/// snapshot itself.
#[derive(Clone, Default)]
pub struct Recovery {
    /// Where to stop; the action there should be to promote, so that questions may be asked that
    /// write. `restore_command` is replaced where there are `files`.
    pub settings: RecoverySettings,
    /// Gives WAL; without, only what the snapshot holds is replayed.
    pub files: Option<Arc<dyn WalFiles>>,
}

/// A throw-away server made of a physical snapshot. Nobody but the user it runs as (and root)
/// can reach it. [`ScratchCluster::remove`] says whether it is gone; dropping it instead kills
/// and removes what can be without waiting.
///
/// It starts with settings of its own, not with those in the snapshot: libraries to preload that
/// are not on this machine are left out and told as [`ScratchCluster::missing_libraries`].
pub struct ScratchCluster {
    // Before the folder: the server goes first.
    server: Option<Server>,
    folder: DrillFolder,
    user: ServerUser,
    postgres: Tool,
    tools: ToolPaths,
    facts: ClusterFacts,
    role: String,
    missing: Vec<String>,
    absent: Vec<String>,
}

impl ScratchCluster {
    /// Finds the programs and makes the folder, below `parent`; restores nothing yet.
    ///
    /// Fails with `Unsupported` and the remedy when this machine lacks the server's programs.
    pub async fn prepare(tools: &ToolPaths, parent: &Path, snapshot: &Snapshot) -> Result<Self> {
        let facts = ClusterFacts::of(snapshot)?;
        let major = facts.version / 10_000;
        let found = tools.find("postgres").await;
        let postgres = found.iter().find(|tool| tool.major == major).cloned().ok_or_else(|| {
            let here: Vec<String> = found.iter().map(|tool| tool.major.to_string()).collect();
            let here = if here.is_empty() { "none".to_owned() } else { here.join(", ") };
            Error::new(ErrorKind::Unsupported, "start throw-away server")
                .with("needed", format!("PostgreSQL {major}"))
                .with("found", here)
                .because("a physical snapshot only starts with its own major version")
                .hint(install(major))
        })?;
        let user = ServerUser::choose()?;
        let folder = DrillFolder::create(parent, user)?;
        let role = if facts.superuser.is_empty() { ROLE } else { &facts.superuser };
        Ok(Self {
            role: role.to_owned(),
            server: None,
            folder,
            user,
            tools: near(tools, &postgres),
            postgres,
            facts,
            missing: Vec::new(),
            absent: Vec::new(),
        })
    }

    /// Restores the snapshot, starts it, and waits until it was brought to its point and answers.
    /// The report has the phases `write files`, `make durable`, `start and replay`.
    ///
    /// `Integrity` and `Failed` blame the snapshot or the stored WAL; `StoreUnavailable` says that
    /// the repository could not be read; every other kind blames this machine, with the remedy.
    pub async fn restore(
        &mut self,
        snapshot: &Snapshot,
        parts: Arc<dyn PartSource>,
        recovery: &Recovery,
        options: &DrillOptions,
    ) -> Result<RestoreReport> {
        let data = self.folder.data();
        let moved = self.facts.tablespaces.iter();
        let moved = moved.map(|(oid, place)| (place.clone(), self.tablespace(*oid)));
        let restore = RestoreOptions {
            jobs: options.jobs,
            tables: Vec::new(),
            schemas: Vec::new(),
            no_owner: false,
            no_privileges: false,
            create_roles: false,
            role_map: Vec::new(),
            without_extensions: Vec::new(),
            ordered: false,
            recovery: recovery.settings.clone(),
            delta: false,
            tablespaces: moved.collect(),
            files: <_>::default(),
            observer: Arc::clone(&options.observer),
        };
        let mut target = DirectoryTarget::new(&data, restore);
        let mut report = target.restore(snapshot, parts).await.map_err(blame)?;
        // It says how to start it, which is done here.
        report.findings.clear();
        let begun = Instant::now();
        options.observer.on_event(&Event::PhaseStarted { phase: "start and replay".into() });
        self.absent = absent_paths(&data);
        report.findings.extend(self.absent.iter().map(|what| {
            Finding::warning(format!(
                "{what}; the drill starts without it, a real restore has to bring it or to change \
                 the setting"
            ))
        }));
        let feed = self.configure(recovery, &data)?;
        attended(&*options.observer, self.start(feed.as_ref())).await?;
        report.replay = Some(self.replayed(feed.as_ref()).await?);
        report.phases.push(("start and replay".into(), begun.elapsed().as_secs_f64()));
        Ok(report)
    }

    fn tablespace(&self, oid: u32) -> String {
        self.folder.path().join(format!("space-{oid}")).display().to_string()
    }

    /// Replaces the settings of the original by those of the drill, and gives the files to the
    /// server's user.
    fn configure(&self, recovery: &Recovery, data: &Path) -> Result<Option<Feed>> {
        let folder = self.folder.path();
        let files = recovery.files.clone();
        let feed = files
            .map(|files| Feed::create(folder, self.user, files, self.facts.wal_segment_bytes))
            .transpose()?;
        let mut settings = recovery.settings.clone();
        if let Some(feed) = &feed {
            settings.restore_command = Some(feed.command());
            settings.signal = RecoverySignal::Recovery;
        }
        let write = |path: PathBuf, text: &str| {
            std::fs::write(&path, text).map_err(|error| failed("configure", &path, error))
        };
        write(data.join("postgresql.auto.conf"), &auto_conf("", &settings))?;
        if settings.signal == RecoverySignal::Recovery {
            write(data.join("recovery.signal"), "")?;
        }
        write(folder.join("drill.conf"), "")?;
        write(folder.join("hba.conf"), "local all all trust\n")?;
        write(folder.join("ident.conf"), "")?;
        self.give(folder).map_err(|error| failed("give files to its user", folder, error))?;
        Ok(feed)
    }

    /// Gives everything below a folder to the server's user; follows no link.
    fn give(&self, folder: &Path) -> std::io::Result<()> {
        if !self.user.is_another() {
            return Ok(());
        }
        let mut folders = vec![folder.to_owned()];
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(&folder)? {
                let entry = entry?;
                self.user.own_link(&entry.path())?;
                if entry.file_type()?.is_dir() {
                    folders.push(entry.path());
                }
            }
        }
        Ok(())
    }

    /// Starts it, without the libraries that it says it cannot load.
    async fn start(&mut self, feed: Option<&Feed>) -> Result<()> {
        let preloaded = self.facts.settings.get("shared_preload_libraries");
        let mut libraries: Vec<String> = preloaded
            .map(|list| list.split(',').map(|one| one.trim().trim_matches('"').to_owned()))
            .into_iter()
            .flatten()
            .filter(|one| !one.is_empty())
            .collect();
        loop {
            let error = match self.attempt(&libraries, feed).await {
                Ok(server) => {
                    self.server = Some(server);
                    return Ok(());
                }
                Err(error) => error,
            };
            let text = error.to_string();
            let is_named = |library: &String| {
                let cannot = ["could not access file", "could not load library"];
                text.lines().any(|line| {
                    line.contains(library.as_str()) && cannot.iter().any(|sign| line.contains(sign))
                })
            };
            match libraries.iter().position(is_named) {
                Some(at) => self.missing.push(libraries.remove(at)),
                None => return Err(blame(error)),
            }
        }
    }

    async fn attempt(&self, libraries: &[String], feed: Option<&Feed>) -> Result<Server> {
        let folder = self.folder.path();
        let mut settings = SETTINGS.map(str::to_owned).to_vec();
        let path = |name: &str| folder.join(name).display().to_string();
        settings.push(format!("config_file={}", path("drill.conf")));
        settings.push(format!("hba_file={}", path("hba.conf")));
        settings.push(format!("ident_file={}", path("ident.conf")));
        // Nobody looks before it is open; then a copy needs fewer of the original's settings.
        settings.push("hot_standby=off".to_owned());
        settings.push("wal_level=replica".to_owned());
        // Its jobs are not done twice, be it without workers.
        settings.push("cron.launch_active_jobs=off".to_owned());
        settings.push(format!("shared_preload_libraries={}", libraries.join(",")));
        for (name, least) in NEEDED {
            let wanted = self.facts.settings.get(name).and_then(|text| text.parse().ok());
            settings.push(format!("{name}={}", wanted.unwrap_or(least).max(least)));
        }
        let data = self.folder.data();
        let mut server =
            Server::spawn(&self.postgres, self.user, folder, &data, &self.role, &settings)?;
        match feed {
            None => server.answers(|| 0).await?,
            Some(feed) => {
                let serving = pin!(feed.serve());
                let answering = pin!(server.answers(|| feed.given().1));
                match select(answering, serving).await {
                    Either::Left((answered, _)) => answered?,
                    Either::Right((error, _)) => return Err(error),
                }
            }
        }
        Ok(server)
    }

    /// Asks how far it came.
    async fn replayed(&self, feed: Option<&Feed>) -> Result<Replay> {
        let mut client = Client::connect(&self.connect("postgres")?).await.map_err(blame)?;
        let sql = "SELECT pg_catalog.pg_last_wal_replay_lsn(), pg_catalog.to_char(\
             pg_catalog.pg_last_xact_replay_timestamp() AT TIME ZONE 'UTC', \
             'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"')";
        let rows = client.query(sql).await?;
        client.close().await;
        let value = |column| rows.first().and_then(|row| row.get(column));
        let (segments, wal_bytes) = feed.map(Feed::given).unwrap_or_default();
        Ok(Replay {
            position: value(0).and_then(|text| text.parse().ok()),
            last_commit: value(1).and_then(|text| text.parse().ok()),
            segments,
            wal_bytes,
        })
    }

    /// Returns how to connect to a database of it, as the role that may do everything.
    ///
    /// # Errors
    /// `Failed` before it was restored.
    pub fn connect(&self, database: &str) -> Result<ConnectOptions> {
        let server = self.server.as_ref();
        let server = server.ok_or_else(|| Error::new(ErrorKind::Failed, "connect to cluster"))?;
        Ok(server.connect().clone().with_database(database))
    }

    /// Returns the address of a database of it, for programs.
    #[must_use]
    pub fn url(&self, database: &str) -> Secret {
        Secret::new(server::url(self.folder.path(), &self.role, database))
    }

    /// Returns the folder that everything of it is in.
    #[must_use]
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Returns where programs of its version are found first.
    #[must_use]
    pub fn tools(&self) -> &ToolPaths {
        &self.tools
    }

    /// Returns what is known of the original.
    #[must_use]
    pub fn facts(&self) -> &ClusterFacts {
        &self.facts
    }

    /// Returns the version of its server, as its program prints it.
    #[must_use]
    pub fn server_version(&self) -> &str {
        let version = &self.postgres.version;
        version.rsplit_once("(PostgreSQL) ").map_or(version, |(_, version)| version)
    }

    /// Returns the libraries that the original preloads and this machine cannot.
    #[must_use]
    pub fn missing_libraries(&self) -> &[String] {
        &self.missing
    }

    /// Stops it and removes everything of it; the error says what is left.
    pub async fn remove(mut self) -> Result<()> {
        if let Some(server) = self.server.take() {
            server.stop().await;
        }
        self.folder.remove()
    }
}

/// Tells again and again that something goes on which is silent however well it goes.
async fn attended<T>(observer: &dyn Observer, work: impl Future<Output = T>) -> T {
    let telling = async {
        loop {
            tokio::time::sleep(ATTENDED).await;
            observer.on_event(&Event::Progress { bytes: 0 });
        }
    };
    match select(pin!(work), pin!(telling)).await {
        Either::Left((done, _)) => done,
        Either::Right((never, _)) => never,
    }
}

/// What recovery needs at least as much of as the original had, and the least to begin with.
const NEEDED: [(&str, u64); 4] = [
    ("max_connections", 60),
    ("max_wal_senders", 10),
    ("max_prepared_transactions", 0),
    ("max_locks_per_transaction", 64),
];

fn failed(operation: &str, path: &Path, error: std::io::Error) -> Error {
    Error::new(ErrorKind::Unsupported, format!("{operation} of throw-away server"))
        .with("path", path.display())
        .hint("Check the space and the permissions of the folder for temporary files.")
        .because(error)
}
