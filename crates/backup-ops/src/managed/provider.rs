//! A database at a vendor's, behind the port that plain databases stand behind.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use backup_core::port::{
    Ability, Capability, CopyFrom, DataPlane, Discovery, Endpoint, Intent, NativeSnapshot,
    NativeState, Observer, PartSink, PartSource, PlatformFacts, Provider, RateFacts,
    RestoreOptions, Restored, Source, SourceFacts, SourceOptions, Survey, Target,
};
use backup_core::{
    Error, ErrorKind, ErrorStatus, Event, Evidence, Finding, Purpose, Result, RunId, Snapshot,
    SnapshotKind, SourceIdentity,
};

use jiff::Timestamp;

use super::lease::Lease;
use super::leftovers::LEFT_BEHIND;
use super::renewal::Renewal;
use super::snapshots::{newest_native, take_named, take_or_adopt};
use super::{Conductor, Patience};

/// How long a copy may live if nobody drops it.
const COPY_LIFE: Duration = Duration::from_secs(24 * 3600);
/// How old a provider snapshot may be that a run which died had made for itself.
const LATELY: Duration = Duration::from_secs(3600);
/// How often a database that sleeps is knocked at.
const KNOCKS: u32 = 6;

/// How a consistent copy of the data is come by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Strategy {
    /// The vendor makes a copy of the database, which is dumped and dropped: no load on the
    /// database itself. Where the vendor cannot, the database itself is dumped.
    #[default]
    Freeze,
    /// The database itself is dumped, at one instant.
    Live,
}

/// A source whose vendor has a control plane.
#[derive(Clone, Debug)]
pub struct ManagedProvider {
    conductor: Conductor,
    plane: Arc<dyn DataPlane>,
    strategy: Strategy,
    run: RunId,
    reading: BackupToRead,
}

/// Which provider snapshot is read where only copies of the database can be.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BackupToRead {
    /// How old one may be that is there already; absent: a new one is taken.
    pub reuse: Option<Duration>,
    /// How long the vendor keeps a new one; absent: as long as it likes.
    pub keep_for: Option<Duration>,
}

impl ManagedProvider {
    /// Takes the vendor, what speaks to its databases, and the id of this run, which the copies'
    /// names carry.
    #[must_use]
    pub fn new(
        conductor: Conductor,
        plane: Arc<dyn DataPlane>,
        strategy: Strategy,
        run: RunId,
    ) -> Self {
        Self { conductor, plane, strategy, run, reading: BackupToRead::default() }
    }

    /// Says which provider snapshot is read where only copies of the database can be.
    #[must_use]
    pub fn reading(self, reading: BackupToRead) -> Self {
        Self { reading, ..self }
    }

    fn watched_by(&self, observer: &Arc<dyn Observer>) -> Self {
        let conductor = Conductor { observer: Arc::clone(observer), ..self.conductor.clone() };
        Self { conductor, ..self.clone() }
    }

    fn freezes(&self) -> bool {
        let platform = &self.conductor.platform;
        self.strategy == Strategy::Freeze
            && (platform.can(Ability::CopyNow) || platform.needs_copy())
    }

    /// Makes a copy for a while, of the database as it is or of a provider snapshot, which is told.
    async fn copy(&self) -> Result<(Lease, Option<NativeSnapshot>)> {
        let conductor = &self.conductor;
        let (from, taken) = if conductor.platform.needs_copy() {
            let taken = self.backup_to_read().await?;
            (CopyFrom::Snapshot(taken.id.clone()), Some(taken))
        } else {
            (CopyFrom::Now, None)
        };
        let name = conductor.name(Purpose::Freeze, self.run).to_string();
        let expires_at = conductor.clock.now().checked_add(COPY_LIFE).ok();
        let lease = conductor.lease(Intent::Copy { name, from, expires_at }).await?;
        Ok((lease, taken))
    }

    /// Returns a provider snapshot to copy: one that is young enough, else one that a run which died
    /// had begun, else a new one.
    async fn backup_to_read(&self) -> Result<NativeSnapshot> {
        let conductor = &self.conductor;
        let (now, keep_for) = (conductor.clock.now(), self.reading.keep_for);
        let since = self.reading.reuse.and_then(|reuse| now.checked_sub(reuse).ok());
        if let Some(since) = since {
            let listed = conductor.platform.snapshots().await?;
            if let Some(newest) = newest_native(&listed).filter(|one| one.created_at >= since) {
                return Ok(newest.clone());
            }
        }
        let taken = match self.begun_by_the_dead(since).await? {
            Some(name) => take_named(conductor, name, keep_for).await?,
            None => take_or_adopt(conductor, self.run, keep_for, since.unwrap_or(now)).await?,
        };
        Ok(taken.snapshot)
    }

    /// Returns the name of a provider snapshot that a run which died had begun: one that is being
    /// made, or was made so lately that nobody would call it old.
    async fn begun_by_the_dead(&self, since: Option<Timestamp>) -> Result<Option<String>> {
        let conductor = &self.conductor;
        let Some(name) = conductor.snapshot_under_way().await? else { return Ok(None) };
        let oldest = since.or_else(|| conductor.clock.now().checked_sub(LATELY).ok());
        let good = |one: &NativeSnapshot| match one.state {
            NativeState::Ready => oldest.is_none_or(|oldest| one.created_at >= oldest),
            NativeState::Failed => false,
            NativeState::Running | NativeState::Other(_) => true,
        };
        let listed = conductor.platform.snapshots().await?;
        Ok(listed.iter().any(|one| one.name == name && good(one)).then_some(name))
    }

    /// Ends what earlier runs left behind; that it cannot be, or takes more than a minute, is no
    /// reason not to back up, and is said: it stays in the book.
    async fn tidy(&self) -> Vec<Finding> {
        let conductor = &self.conductor;
        let findings = conductor.tidy().await;
        for finding in &findings {
            conductor.observer.on_event(&Event::Found(finding.clone()));
        }
        findings
    }

    /// Opens the database at an endpoint; one that sleeps is woken by the first knock.
    async fn open(
        &self,
        database: Arc<dyn Provider>,
        endpoint: &Endpoint,
        options: &SourceOptions,
    ) -> Result<Box<dyn Source>> {
        for finding in &endpoint.findings {
            options.observer.on_event(&Event::Found(finding.clone()));
        }
        let mut pause = Duration::from_secs(1);
        for attempt in 1.. {
            match database.open_source(options).await {
                Ok(source) => return Ok(source),
                Err(error) if attempt >= KNOCKS || error.status() == ErrorStatus::Permanent => {
                    return Err(error);
                }
                Err(error) => {
                    options.observer.on_event(&Event::Retrying {
                        operation: "connect to database".to_owned(),
                        attempt,
                        error: error.to_string(),
                    });
                    self.conductor.clock.sleep(pause).await;
                    pause *= 2;
                }
            }
        }
        Err(Error::new(ErrorKind::SourceUnavailable, "connect to database"))
    }

    async fn open_frozen(
        &self,
        options: &SourceOptions,
        facts: &PlatformFacts,
    ) -> Result<ManagedSource> {
        let (lease, taken) = self.copy().await?;
        let opened = async {
            let endpoint = self.conductor.platform.copy_endpoint(lease.id()).await?;
            let opened = match self.plane.frozen(&endpoint) {
                Ok(database) => self.open(database, &endpoint, options).await,
                Err(error) => Err(error),
            };
            match opened {
                Ok(source) => Ok((endpoint, source)),
                Err(error) => {
                    self.give_back(&endpoint).await;
                    Err(error)
                }
            }
        };
        match opened.await {
            Ok((endpoint, source)) => {
                let source = self.wrap(source, facts, endpoint, Some(lease));
                Ok(ManagedSource { taken, ..source })
            }
            Err(error) => {
                let name = lease.name().to_owned();
                Err(stayed(lease.end().await, &name, error, &*options.observer))
            }
        }
    }

    fn wrap(
        &self,
        source: Box<dyn Source>,
        platform: &PlatformFacts,
        endpoint: Endpoint,
        lease: Option<Lease>,
    ) -> ManagedSource {
        let mut facts = source.facts().clone();
        if !platform.system.is_empty() {
            // A copy is the same database, wherever it is; so is one that was restored in place.
            facts.identity = SourceIdentity {
                system: platform.system.clone(),
                database: facts.database.clone(),
                ..facts.identity
            };
            facts.location.clone_from(&platform.location);
        }
        ManagedSource {
            conductor: self.conductor.clone(),
            source: Some(source),
            facts,
            endpoint,
            lease,
            taken: None,
            findings: Vec::new(),
        }
    }

    /// Returns the database itself.
    async fn database(&self) -> Result<(Endpoint, Arc<dyn Provider>)> {
        let endpoint = self.conductor.platform.endpoint().await?;
        let database = self.plane.database(&endpoint)?;
        Ok((endpoint, database))
    }

    /// Gives an endpoint back; what the vendor ends by itself anyway is no error.
    async fn give_back(&self, endpoint: &Endpoint) {
        give_back(&self.conductor, endpoint).await;
    }
}

/// What is said of a frozen copy that may still be there.
fn left(name: &str, stays: &Error) -> Finding {
    Finding::warning(format!(
        "{LEFT_BEHIND}the frozen copy {name}, which costs money; it is not known to be dropped: {stays}"
    ))
}

/// Returns the error that ended a backup, and says that its copy may be there still, which costs money:
/// the first error is the one that matters, and whoever hears of it hears of the copy.
fn stayed(dropped: Result<()>, name: &str, error: Error, observer: &dyn Observer) -> Error {
    let Err(stays) = dropped else { return error };
    observer.on_event(&Event::Found(left(name, &stays)));
    error.with("left behind at the provider", name)
}

/// How a vendor's limit on requests stands.
fn shown(rate: RateFacts) -> Finding {
    let left = match (rate.remaining, rate.limit) {
        (Some(left), Some(limit)) => format!("; {left} of {limit} are left in this window"),
        _ => String::new(),
    };
    Finding::note(format!(
        "{} requests were made of the provider's API, {} of them were told to wait{left}",
        rate.requests, rate.throttled
    ))
}

async fn give_back(conductor: &Conductor, endpoint: &Endpoint) {
    if let Err(error) = conductor.platform.release(endpoint).await {
        tracing::warn!(%error, "a credential for this run could not be revoked; it ends by itself");
    }
}

#[async_trait]
impl Provider for ManagedProvider {
    fn name(&self) -> &'static str {
        self.conductor.platform.name()
    }

    fn capabilities(&self) -> &'static [Capability] {
        &[Capability::LogicalBackup, Capability::LogicalRestore]
    }

    async fn discover(&self) -> Result<Discovery> {
        let facts = self.conductor.platform.facts().await?;
        let (endpoint, database) = self.database().await?;
        let found = database.discover().await;
        self.give_back(&endpoint).await;
        let mut discovery = found?;
        if !facts.location.is_empty() {
            discovery.facts.location = facts.location;
        }
        let rate = self.conductor.platform.rate().map(shown);
        let told = facts.findings.into_iter().chain(endpoint.findings).chain(rate);
        discovery.findings.splice(0..0, told);
        Ok(discovery)
    }

    async fn open_source(&self, options: &SourceOptions) -> Result<Box<dyn Source>> {
        if options.kind != SnapshotKind::Logical {
            return Err(Error::new(ErrorKind::Unsupported, "open database for backup")
                .with("provider", self.name())
                .with("kind", options.kind.as_str())
                .hint("A managed database is copied logically; its files are the provider's."));
        }
        let watched = self.watched_by(&options.observer);
        let facts = watched.conductor.platform.facts().await?;
        let tidied = watched.tidy().await;
        if watched.freezes() {
            let mut source = watched.open_frozen(options, &facts).await?;
            source.findings = tidied;
            return Ok(Box::new(source));
        }
        let (endpoint, database) = self.database().await?;
        match self.open(database, &endpoint, options).await {
            Ok(source) => {
                let mut source = self.wrap(source, &facts, endpoint, None);
                source.findings = tidied;
                Ok(Box::new(source))
            }
            Err(error) => {
                self.give_back(&endpoint).await;
                Err(error)
            }
        }
    }

    async fn open_target(&self, options: &RestoreOptions) -> Result<Box<dyn Target>> {
        let (_, database) = self.database().await?;
        database.open_target(options).await
    }

    async fn survey(&self) -> Result<Survey> {
        let (endpoint, database) = self.database().await?;
        let found = database.survey().await;
        self.give_back(&endpoint).await;
        found
    }

    async fn examine(
        &self,
        snapshot: &Snapshot,
        parts: &Arc<dyn PartSource>,
        options: &RestoreOptions,
    ) -> Result<Restored> {
        let (endpoint, database) = self.database().await?;
        let found = database.examine(snapshot, parts, options).await;
        self.give_back(&endpoint).await;
        found
    }
}

/// A database opened for one backup, with what has to be given back after it.
struct ManagedSource {
    conductor: Conductor,
    /// Gone once it was copied.
    source: Option<Box<dyn Source>>,
    facts: SourceFacts,
    endpoint: Endpoint,
    lease: Option<Lease>,
    /// The provider snapshot that the copy is of.
    taken: Option<NativeSnapshot>,
    /// What earlier runs left behind, and what became of it.
    findings: Vec<Finding>,
}

#[async_trait]
impl Source for ManagedSource {
    fn facts(&self) -> &SourceFacts {
        &self.facts
    }

    fn instant(&self) -> Option<Timestamp> {
        self.taken.as_ref().map(|taken| taken.created_at)
    }

    async fn copy_to(&mut self, sink: &dyn PartSink) -> Result<Evidence> {
        let Some(mut source) = self.source.take() else {
            return Err(Error::new(ErrorKind::Usage, "copy database twice"));
        };
        let renewal = Renewal::of(&self.conductor, &self.endpoint);
        let copied = source.copy_to(sink).await;
        drop((source, renewal));
        give_back(&self.conductor, &self.endpoint).await;
        let copied = copied.map(|mut evidence| {
            evidence.findings.extend(self.endpoint.findings.iter().cloned());
            evidence.findings.append(&mut self.findings);
            if let Some(taken) = &self.taken {
                let facts = &mut evidence.facts;
                facts.insert("instant".to_owned(), taken.created_at.to_string());
                facts.insert("provider_backup".to_owned(), taken.id.clone());
                evidence.findings.push(Finding::note(format!(
                    "the data is of the provider's backup {} ({}), begun at {}: that is its recovery \
                     point",
                    taken.name, taken.id, taken.created_at
                )));
            }
            evidence
        });
        let Some(lease) = self.lease.take() else { return copied };
        let name = lease.name().to_owned();
        // The manifest waits for this.
        let dropped = lease.end_within(Patience::SHORT).await;
        let mut evidence = match copied {
            Ok(evidence) => evidence,
            Err(error) => return Err(stayed(dropped, &name, error, &*self.conductor.observer)),
        };
        evidence.findings.push(match dropped {
            Ok(()) => Finding::note(format!("read from the frozen copy {name}, which was dropped")),
            Err(stays) => left(&name, &stays),
        });
        Ok(evidence)
    }
}
