//! Before the repository is open: everything else is there, people are told, and it can be seen
//! what is waited for.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use backup_catalog::Found;
use backup_core::port::{Catalog, Clock, NoObserver, OpenProblem};
use backup_core::{Error, ErrorKind, ErrorStatus, Result};
use backup_ops::Interrupt;
use backup_ops::alerting::Undelivered;
use backup_ops::daemon::Recovered;
use backup_repository::Repository;
use backup_schedule::Job;
use jiff::{SignedDuration, Timestamp};
use tokio::sync::watch;

use super::alerts::Voice;
use super::scene::Scene;
use super::start::{Daemon, Options};
use super::state::StateDirectory;
use super::work::{Feed, Loaded};

/// People are told of a store that is away for so long: a network may need a moment.
const AWAY: Duration = Duration::from_secs(5);

/// The longest pause between two attempts.
const LONGEST: Duration = Duration::from_secs(60);

/// A daemon whose repository is not open yet; [`Opening::open`] opens it.
pub struct Opening {
    pub(super) config: Option<PathBuf>,
    pub(super) environment: backup_config::Environment,
    pub(super) feed: Option<Feed>,
    pub(super) state: StateDirectory,
    pub(super) found: Found,
    pub(super) scene: Arc<Scene>,
    pub(super) jobs: Vec<Job>,
    pub(super) recovered: Recovered,
    pub(super) waiting: watch::Sender<Option<Waiting>>,
    pub(super) unopened: Unopened,
}

/// Why the repository is not open yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Waiting {
    /// Why the last attempt failed.
    pub error: String,
    /// What a person can do about it.
    pub hint: Option<String>,
    /// When it is tried again.
    pub next_try: Timestamp,
}

/// What can be seen of a daemon whose repository is not open yet. Cheap to clone.
#[derive(Clone)]
pub struct Unopened {
    pub(super) loaded: Arc<Loaded>,
    pub(super) directory: PathBuf,
    pub(super) catalog: Arc<dyn Catalog>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) voice: Voice,
    pub(super) started_at: Timestamp,
    pub(super) waiting: watch::Receiver<Option<Waiting>>,
}

impl Unopened {
    /// Returns the configuration it was started with.
    #[must_use]
    pub fn loaded(&self) -> Arc<Loaded> {
        Arc::clone(&self.loaded)
    }

    /// Returns the directory that is the daemon's own.
    #[must_use]
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// Returns the memory of runs.
    #[must_use]
    pub fn catalog(&self) -> &Arc<dyn Catalog> {
        &self.catalog
    }

    /// Returns the clock it goes by.
    #[must_use]
    pub fn clock(&self) -> &Arc<dyn Clock> {
        &self.clock
    }

    /// Returns when it started.
    #[must_use]
    pub fn started_at(&self) -> Timestamp {
        self.started_at
    }

    /// Returns what is waited for; nothing before the first attempt has failed. Ends with the
    /// opening.
    #[must_use]
    pub fn waiting(&self) -> watch::Receiver<Option<Waiting>> {
        self.waiting.clone()
    }

    /// Returns the problems people are told about, and what could not be told.
    pub async fn alerts(&self) -> (Vec<OpenProblem>, Vec<Undelivered>) {
        let desk = self.voice.desk();
        (desk.problems().await, desk.undelivered().await)
    }
}

impl Daemon {
    /// Opens the daemon at once: [`Daemon::prepare`], then [`Opening::open`].
    pub async fn open(options: Options) -> Result<(Self, super::Life)> {
        Box::pin(Self::prepare(options).await?.open()).await
    }
}

impl Opening {
    /// Returns what can be seen until the repository is open.
    #[must_use]
    pub fn unopened(&self) -> &Unopened {
        &self.unopened
    }

    /// Opens the repository; a store that is away is waited for, and people are told.
    pub(super) async fn repository(&self) -> Result<Repository> {
        let Unopened { voice, clock, .. } = &self.unopened;
        // Nothing runs yet that would send what is told.
        let desk = voice.desk();
        let never = Interrupt::never();
        let opened = tokio::select! {
            biased;
            opened = self.insist() => opened?,
            () = desk.serve(&never) => return Err(Error::new(ErrorKind::Failed, "open repository")),
        };
        voice.repository(None, clock.now()).await;
        Ok(opened)
    }

    /// Tries until it works, or fails for a reason that waiting does not mend.
    async fn insist(&self) -> Result<Repository> {
        let Unopened { loaded, voice, clock, .. } = &self.unopened;
        let settings = loaded.settings.repository()?;
        let secret = loaded.composer.key_secret(settings.key()?)?;
        let begun = clock.elapsed();
        let mut pause = Duration::from_secs(1);
        loop {
            let opened = loaded.composer.open(settings, &secret, true, Arc::new(NoObserver)).await;
            let error = match opened {
                Err(error) if error.status() != ErrorStatus::Permanent => error,
                opened => return opened,
            };
            tracing::error!(%error, hint = error.remedy(), "the repository is away; trying again");
            let now = clock.now();
            self.waiting.send_replace(Some(Waiting {
                error: error.to_string(),
                hint: error.remedy().map(str::to_owned),
                next_try: SignedDuration::try_from(pause)
                    .ok()
                    .and_then(|pause| now.checked_add(pause).ok())
                    .unwrap_or(now),
            }));
            if clock.elapsed().saturating_sub(begun) >= AWAY {
                voice.repository(Some(&error), now).await;
            }
            clock.sleep(pause).await;
            pause = (pause * 2).min(LONGEST);
        }
    }
}
