//! Starting: everything is opened, and what was under way is found.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, RwLock};

use backup_catalog::{Found, SqliteCatalog};
use backup_config::{Environment, Overrides};
use backup_core::port::{Catalog, Clock};
use backup_core::{JobKey, Result, RunId};
use backup_ops::daemon::{Handle, RunIds, Setup, Supervisor, handle, rebuild, recover, states_of};
use backup_repository::Repository;
use backup_schedule::{JobState, Scheduler};
use jiff::Timestamp;
use tokio::sync::{mpsc, oneshot, watch};

use super::alerts::{Voice, desk};
use super::jobs::jobs;
use super::ledger::CatalogLedger;
use super::natives::Natives;
use super::opening::{Opening, Unopened};
use super::pushes::Pushes;
use super::remembered::{OWN, REPOSITORY, ended, recall};
use super::scene::Scene;
use super::serve::Life;
use super::state::{StateDirectory, state_directory};
use super::work::{Feed, Loaded, Work};
use crate::{Composer, load_settings};

/// What a daemon is started with.
pub struct Options {
    /// The configuration file, if one was named.
    pub config: Option<PathBuf>,
    /// The environment.
    pub environment: Environment,
    /// Who hears what happens inside runs.
    pub feed: Option<Feed>,
}

/// A daemon. Cheap to clone; all clones are the same.
#[derive(Clone)]
pub struct Daemon {
    pub(super) inner: Arc<Inner>,
}

pub(super) struct Inner {
    pub(super) config: Option<PathBuf>,
    pub(super) environment: Environment,
    pub(super) state: StateDirectory,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) catalog: Arc<dyn Catalog>,
    pub(super) work: Arc<Work>,
    pub(super) handle: Handle,
    pub(super) scene: Arc<Scene>,
    pub(super) pushes: Pushes,
    pub(super) started_at: Timestamp,
    /// Where it serves since it was started.
    pub(super) listen: String,
    pub(super) reloads: mpsc::Sender<oneshot::Sender<Result<()>>>,
}

impl Daemon {
    /// Reads the configuration, locks the daemon's directory, opens catalog and channels, and finds
    /// out what was under way when it last ended. Nothing runs yet.
    ///
    /// `Conflict` when another daemon uses the directory. A catalog that cannot be used is said
    /// and replaced: by what the repository knows, or by memory that ends with the program.
    pub async fn prepare(options: Options) -> Result<Opening> {
        let loaded = load(options.config.as_deref(), &options.environment)?;
        let settings = loaded.settings.clone();
        let state = StateDirectory::lock(state_directory(&settings, &options.environment)?)?;
        let clock = crate::system_clock();
        let scene = Arc::new(Scene::default());
        let now = clock.now();
        let (catalog, found) = open_catalog(&state.path, now, &scene)?;
        let destinations = loaded.composer.destinations(&settings.notify)?;
        let ledger = Arc::new(CatalogLedger(Arc::clone(&catalog)));
        let voice = Voice::new(desk(ledger, Arc::clone(&clock), destinations).await?);
        let jobs = jobs(&settings);
        let recovered = match recover(catalog.as_ref(), &jobs, now).await {
            Ok(recovered) => recovered,
            Err(error) => {
                tracing::error!(%error, "what was remembered cannot be read");
                scene.note(|problems| problems.catalog = Some(error.to_string()));
                backup_ops::daemon::Recovered::default()
            }
        };
        for run in &recovered.interrupted {
            tracing::warn!(run = %run.id, job = %run.job, "a run was interrupted; it runs again");
        }
        let waiting = watch::Sender::default();
        let unopened = Unopened {
            loaded: Arc::new(loaded),
            directory: state.path.clone(),
            catalog,
            clock,
            voice,
            started_at: now,
            waiting: waiting.subscribe(),
        };
        Ok(Opening {
            config: options.config,
            environment: options.environment,
            feed: options.feed,
            state,
            found,
            scene,
            jobs,
            recovered,
            waiting,
            unopened,
        })
    }
}

impl Opening {
    /// Opens the repository and puts everything together; nothing runs yet. A store that is away
    /// is waited for, for ever.
    pub async fn open(self) -> Result<(Daemon, Life)> {
        let repository = self.repository().await?;
        let Self { config, environment, feed, state, found, scene, jobs, recovered, .. } = self;
        let Unopened { loaded, catalog, clock, voice, started_at, .. } = self.unopened;
        let settings = loaded.settings.clone();
        let now = clock.now();
        know(catalog.as_ref(), &repository, &scene, now).await;
        let mut states = recovered.states;
        if found != Found::Catalog {
            restore(catalog.as_ref(), &repository, &mut states).await;
        }
        let work = Arc::new(Work {
            loaded: RwLock::new(loaded),
            repository,
            clock: Arc::clone(&clock),
            catalog: Arc::clone(&catalog),
            voice,
            natives: Natives::default(),
            feed: feed.unwrap_or_else(|| Arc::new(|_: RunId, _: &backup_core::Event| {})),
            holder: holder(catalog.as_ref()).await,
        });
        let supervisor = Supervisor::new(Setup {
            scheduler: Scheduler::new(jobs, states, settings.daemon.concurrency, now),
            queued: recovered.queued,
            catalog: Arc::clone(&catalog),
            clock: Arc::clone(&clock),
            worker: Arc::clone(&work) as _,
            watcher: Arc::clone(&scene) as _,
            ids: RunIds::new(chance()),
            patience: settings.daemon.stop_timeout.as_duration(),
        });
        let (handle, commands) = handle();
        let (reloads, heard) = mpsc::channel(4);
        let daemon = Daemon {
            inner: Arc::new(Inner {
                config,
                environment,
                state,
                clock,
                catalog,
                work,
                handle,
                scene,
                pushes: Pushes::default(),
                started_at,
                listen: settings.daemon.listen,
                reloads,
            }),
        };
        Ok((daemon, Life { supervisor, commands, reloads: heard }))
    }
}

/// Reads the configuration.
pub(super) fn load(config: Option<&Path>, environment: &Environment) -> Result<Loaded> {
    let settings = load_settings(config, environment, &Overrides::default())?;
    for note in &settings.notes {
        tracing::warn!("{note}");
    }
    settings.select(&[])?;
    // A daemon without a directory does not start; that is said where it is looked for.
    let state = state_directory(&settings, environment).ok();
    let composer = Composer::new(environment.clone(), crate::system_clock()).with_state(state);
    Ok(Loaded { settings, composer })
}

fn open_catalog(
    directory: &Path,
    now: Timestamp,
    scene: &Scene,
) -> Result<(Arc<dyn Catalog>, Found)> {
    match SqliteCatalog::open(&directory.join("catalog.db"), now) {
        Ok((catalog, found)) => {
            if let Found::Damaged(aside) = &found {
                let text = format!("it was damaged and lies in {} now", aside.display());
                tracing::error!("the catalog is begun anew: {text}");
                scene.note(|problems| problems.catalog = Some(text));
            }
            Ok((Arc::new(catalog), found))
        }
        Err(error) => {
            tracing::error!(%error, hint = error.remedy(), "nothing is remembered across restarts");
            scene.note(|problems| problems.catalog = Some(error.to_string()));
            Ok((Arc::new(SqliteCatalog::in_memory()?), Found::Nothing))
        }
    }
}

/// Fills a catalog that was lost with what the repository knows.
async fn restore(
    catalog: &dyn Catalog,
    repository: &Repository,
    states: &mut BTreeMap<JobKey, JobState>,
) {
    if !repository.can_read() {
        return;
    }
    let restored = async {
        let records = repository.scan_heads().await?.records;
        for (key, state) in states_of(&records) {
            states.entry(key).or_insert(state);
        }
        let runs = rebuild(&records);
        for run in &runs {
            catalog.record(run).await?;
        }
        Ok::<_, backup_core::Error>(runs.len())
    };
    match restored.await {
        Ok(0) => {}
        Ok(runs) => tracing::info!(runs, "the catalog was rebuilt from the repository"),
        Err(error) => tracing::error!(%error, "the catalog could not be rebuilt"),
    }
}

/// Notes which repository the catalog is about, and learns how backups of late went.
async fn know(catalog: &dyn Catalog, repository: &Repository, scene: &Scene, now: Timestamp) {
    let id = (REPOSITORY.into(), Some(repository.id().to_string()));
    if let Err(error) = catalog.put(OWN, &[id]).await {
        tracing::warn!(%error, "the catalog could not be marked with its repository");
    }
    recall(catalog, repository).await;
    match ended(catalog, now).await {
        Ok(ended) => scene.remember(ended),
        Err(error) => tracing::warn!(%error, "how backups went before is not known"),
    }
}

/// Who takes leases: the same after a restart, so that a kill blocks nobody.
async fn holder(catalog: &dyn Catalog) -> String {
    if let Ok(Some(holder)) = catalog.get(OWN, "holder").await {
        return holder;
    }
    let mut holder = String::from("backupd-");
    for byte in chance() {
        holder.push_str(&format!("{byte:02x}"));
    }
    // If it cannot be kept, a kill costs as long as the lease lasts.
    let _ = catalog.put(OWN, &[("holder".into(), Some(holder.clone()))]).await;
    holder
}

/// Eight random bytes; zeros where the system has none, and then ids differ by time alone.
fn chance() -> [u8; 8] {
    let mut bytes = [0; 8];
    let _ = getrandom::fill(&mut bytes);
    bytes
}
