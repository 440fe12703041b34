//! A daemon that could not start, or broke off, tells people: once, however often it is started
//! again, and when it runs again.
//!
//! What it told is kept beside what a daemon remembers, in a file of its own: a daemon that
//! cannot read its configuration knows only some of its channels, and must not take those that it
//! does not know for gone.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use backup_catalog::SqliteCatalog;
use backup_config::{Environment, Overrides, Settings};
use backup_core::port::{Alert, Catalog, Clock, Phase};
use backup_core::{Error, ErrorKind, Result, Severity};
use backup_ops::Interrupt;
use backup_ops::alert::{self, Destination};
use backup_ops::alerting::AlertDesk;
use futures::future::join_all;

use super::alerts::desk;
use super::ledger::CatalogLedger;
use super::start::Daemon;
use super::state::{ANOTHER, state_directory, usual_directory};
use crate::{Composer, load_channels, load_settings};

/// What was told, in the directory of the daemon.
const FILE: &str = "unable.db";

/// How long telling may take: whoever starts it again waits for its end.
const PATIENCE: Duration = Duration::from_secs(20);

/// The verb that names the problem.
const VERB: &str = "daemon";

/// Tells everyone who is to hear of failures that the daemon ended with this error: once, until
/// it runs again. Never fails; who could not be told is in the log, and is told by the next start.
pub async fn tell_unable(config: Option<&Path>, environment: &Environment, error: &Error) {
    // The one that runs speaks for itself.
    if error.operation() == ANOTHER {
        return;
    }
    let settings = load_settings(config, environment, &Overrides::default()).ok();
    let channels = match &settings {
        Some(settings) => settings.notify.clone(),
        None => load_channels(config, environment),
    };
    let clock = crate::system_clock();
    let composer = Composer::new(environment.clone(), Arc::clone(&clock));
    let destinations = composer.announcers(&channels);
    if destinations.is_empty() {
        tracing::warn!("nobody is told of it: no channel is configured");
        return;
    }
    let told = alert::failure(VERB, None, error, clock.now());
    for directory in places(settings.as_ref(), environment) {
        match open(&directory, &clock, destinations.clone(), true).await {
            Ok(Some(desk)) => {
                desk.tell(&[told]).await;
                if tokio::time::timeout(PATIENCE, desk.deliver_due()).await.is_err() {
                    tracing::warn!("telling people takes too long; the next start goes on");
                }
                return;
            }
            Ok(None) => {}
            Err(error) => tracing::debug!(%error, "what was told cannot be kept there"),
        }
    }
    // It may be told again by the next start: better than not at all.
    for (name, error) in alert::announce(&destinations, &told).await {
        tracing::warn!("{name} was not told: {error}");
    }
}

impl Daemon {
    /// Tells those who heard that the daemon could not start that it runs; goes on for as long as
    /// somebody cannot be reached.
    pub(super) async fn tell_able(&self, stop: &Interrupt) {
        let loaded = self.inner.work.loaded();
        let places = places(Some(&loaded.settings), &self.inner.environment);
        join_all(places.iter().map(|place| self.settle(place, &loaded, stop))).await;
    }

    async fn settle(&self, place: &Path, loaded: &super::work::Loaded, stop: &Interrupt) {
        let destinations = loaded.composer.announcers(&loaded.settings.notify);
        let clock = &self.inner.clock;
        let desk = match open(place, clock, destinations, false).await {
            Ok(Some(desk)) => desk,
            Ok(None) => return,
            Err(error) => return tracing::debug!(%error, "what was told cannot be read"),
        };
        desk.tell(&[Alert {
            severity: Severity::Info,
            event: "daemon.restored".into(),
            source: None,
            title: "the daemon runs".into(),
            body: String::new(),
            at: clock.now(),
            facts: Vec::new(),
            problem: Some(alert::problem(VERB, None)),
            phase: Phase::Solved,
        }])
        .await;
        desk.serve(stop).await;
    }
}

/// Opens what was told in a directory; nothing where nothing was, unless it is to be begun.
async fn open(
    directory: &Path,
    clock: &Arc<dyn Clock>,
    destinations: Vec<Destination>,
    begin: bool,
) -> Result<Option<Arc<AlertDesk>>> {
    let file = directory.join(FILE);
    if !begin && !file.exists() {
        return Ok(None);
    }
    own(directory)?;
    let (catalog, _) = SqliteCatalog::open(&file, clock.now())?;
    let catalog: Arc<dyn Catalog> = Arc::new(catalog);
    let ledger = Arc::new(CatalogLedger(catalog));
    desk(ledger, Arc::clone(clock), destinations).await.map(Some)
}

/// Makes a directory for this user alone; one that is somebody else's is an error.
fn own(directory: &Path) -> Result<()> {
    use std::os::unix::fs::{DirBuilderExt, MetadataExt};
    let failed = |why: String| {
        Error::new(ErrorKind::ConfigInvalid, "use directory of the daemon")
            .with("directory", directory.display())
            .because(why)
    };
    let mut builder = std::fs::DirBuilder::new();
    builder.recursive(true).mode(0o700);
    builder.create(directory).map_err(|error| failed(error.to_string()))?;
    let found = std::fs::symlink_metadata(directory).map_err(|error| failed(error.to_string()))?;
    let ours = std::env::temp_dir();
    // In a directory that everybody may write to, a name proves nothing.
    if directory.starts_with(&ours) && (!found.is_dir() || found.mode() & 0o077 != 0) {
        return Err(failed("others may enter it".into()));
    }
    Ok(())
}

/// Where it may be kept, best first: also where the configuration, or the best place, cannot be
/// used.
fn places(settings: Option<&Settings>, environment: &Environment) -> Vec<PathBuf> {
    let configured = settings.and_then(|settings| state_directory(settings, environment).ok());
    let usual = usual_directory(environment).ok();
    let last = std::env::temp_dir().join("backupd-unable");
    let mut places: Vec<PathBuf> = Vec::new();
    for place in configured.into_iter().chain(usual).chain([last]) {
        if !places.contains(&place) {
            places.push(place);
        }
    }
    places
}
