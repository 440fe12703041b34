//! Operations at a vendor's, from the wish to the end, whatever ends this process meanwhile.

use std::sync::Arc;
use std::time::Duration;

use backup_core::port::{Clock, Done, Handle, HandleBook, Intent, Observer, Platform, Progress};
use backup_core::{
    Error, ErrorKind, ErrorStatus, Event, Finding, OwnedName, Purpose, Result, RunId, SourceName,
};

use super::lease::Lease;
use super::leftovers::{LEFT_BEHIND, leftovers};

/// How long the end of an operation is waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Patience {
    /// In all.
    pub limit: Duration,
    /// The longest pause between two looks.
    pub longest_pause: Duration,
}

impl Patience {
    /// What is waited for by somebody who has something else to do: a minute.
    pub const SHORT: Self =
        Self { limit: Duration::from_secs(60), longest_pause: Duration::from_secs(5) };
}

impl Default for Patience {
    /// Six hours, since a large restore takes some; looks at most a minute apart.
    fn default() -> Self {
        Self { limit: Duration::from_secs(6 * 3600), longest_pause: Duration::from_secs(60) }
    }
}

/// Carries out intents for one source: each is written down before the vendor is asked, and
/// struck out when it has ended.
#[derive(Clone)]
pub struct Conductor {
    /// The vendor.
    pub platform: Arc<dyn Platform>,
    /// Where operations under way are written down.
    pub book: Arc<dyn HandleBook>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Whose things these are.
    pub source: SourceName,
    /// Who watches.
    pub observer: Arc<dyn Observer>,
    /// How long ends are waited for.
    pub patience: Patience,
}

impl std::fmt::Debug for Conductor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Conductor")
            .field("platform", &self.platform)
            .field("source", &self.source)
            .finish_non_exhaustive()
    }
}

impl Conductor {
    /// Returns one that waits for so long, less what has passed since `begun` on its clock.
    #[must_use]
    pub(super) fn hurried(&self, patience: Patience, begun: Duration) -> Self {
        let limit = patience.limit.saturating_sub(self.clock.elapsed().saturating_sub(begun));
        Self { patience: Patience { limit, ..patience }, ..self.clone() }
    }

    /// Returns a name of this source for something that is begun now.
    #[must_use]
    pub fn name(&self, purpose: Purpose, run: RunId) -> OwnedName {
        OwnedName::of_run(&self.source, purpose, self.clock.now(), run)
    }

    /// Does it, or adopts what was begun under the same name, and waits for the end. An error
    /// that may pass leaves it written down: [`Conductor::resume`] goes on with it.
    pub async fn run(&self, intent: Intent) -> Result<Done> {
        let key = key(&intent);
        let done = self.begin_and_wait(&key, intent).await?;
        self.book.strike(&self.source, &key).await?;
        Ok(done)
    }

    /// Makes a copy that is wanted for a while only. It stays written down until the lease ends.
    pub async fn lease(&self, intent: Intent) -> Result<Lease> {
        let key = key(&intent);
        let name = intent.object().to_owned();
        let done = self.begin_and_wait(&key, intent).await?;
        let id = done.id.ok_or_else(|| {
            Error::new(ErrorKind::Failed, "copy database at the provider")
                .with("copy", &name)
                .because("the provider does not say what it made")
        })?;
        Ok(Lease::new(self.clone(), key, name, id))
    }

    async fn begin_and_wait(&self, key: &str, intent: Intent) -> Result<Done> {
        let verb = intent.verb();
        self.observer.on_event(&Event::PhaseStarted { phase: verb.to_owned() });
        let intended = Handle::intended(self.platform.name(), intent, self.clock.now());
        self.book.keep(&self.source, key, &intended).await?;
        let handle = match self.platform.begin(&intended.intent).await {
            Ok(handle) => handle,
            Err(error) => {
                // What was refused has not happened; of everything else, who knows.
                if error.status() == ErrorStatus::Permanent {
                    self.book.strike(&self.source, key).await?;
                }
                return Err(error);
            }
        };
        self.book.keep(&self.source, key, &handle).await?;
        self.wait(key, &handle).await
    }

    /// Looks until it has ended.
    async fn wait(&self, key: &str, handle: &Handle) -> Result<Done> {
        let begun = self.clock.elapsed();
        let mut said = None;
        loop {
            match self.platform.poll(handle).await? {
                Progress::Done(done) => return Ok(done),
                Progress::Failed { reason } => {
                    self.book.strike(&self.source, key).await?;
                    return Err(self.failed(handle).because(reason).hint(
                        "Look at the provider's console; nothing of the database was changed by us \
                         after that.",
                    ));
                }
                Progress::Running { state, look_again } => {
                    if said.as_ref() != Some(&state) {
                        let phase = format!("{}: {state}", handle.intent.verb());
                        self.observer.on_event(&Event::PhaseStarted { phase });
                        said = Some(state.clone());
                    }
                    if self.clock.elapsed().saturating_sub(begun) >= self.patience.limit {
                        return Err(self
                            .failed(handle)
                            .with("state", state)
                            .because("it has not ended yet")
                            .temporary()
                            .persistent()
                            .hint("It goes on at the provider; the next run looks after it."));
                    }
                    let least = Duration::from_millis(250);
                    self.clock.sleep(look_again.clamp(least, self.patience.longest_pause)).await;
                }
            }
        }
    }

    fn failed(&self, handle: &Handle) -> Error {
        Error::new(ErrorKind::SourceUnavailable, handle.intent.verb())
            .with("provider", self.platform.name())
            .with("of", handle.intent.object())
    }

    /// Ends what processes that died left under way, and says what came of it. A copy that was
    /// wanted for a while is dropped; everything else is waited for. What was only intended, and
    /// of which the vendor knows nothing, is not begun now: nobody waits for it any more.
    /// All that is waited for together takes no longer than one wait may.
    pub async fn resume(&self) -> Result<Vec<Finding>> {
        let (mut findings, begun) = (Vec::new(), self.clock.elapsed());
        for (key, handle) in self.book.abandoned(&self.source).await? {
            if handle.platform != self.platform.name() {
                continue;
            }
            let (verb, object) = (handle.intent.verb(), handle.intent.object().to_owned());
            match self.hurried(self.patience, begun).resume_one(&key, handle).await {
                Ok(ended) => {
                    self.book.strike(&self.source, &key).await?;
                    findings.push(Finding::note(format!(
                        "an earlier run left behind: {verb} {object}: {ended}"
                    )));
                }
                Err(error) => findings.push(Finding::warning(format!(
                    "{LEFT_BEHIND}{verb} {object} of an earlier run: {error}"
                ))),
            }
        }
        Ok(findings)
    }

    async fn resume_one(&self, key: &str, handle: Handle) -> Result<&'static str> {
        if let Intent::Copy { name, .. } = &handle.intent
            && OwnedName::parse(name).is_some_and(|name| name.purpose().is_temporary())
        {
            let found = match &handle.made {
                Some(id) => Some(id.clone()),
                None => self.copy_named(name).await?,
            };
            let Some(id) = found else { return Ok("it had not begun") };
            self.run(Intent::DropCopy { id }).await?;
            return Ok("dropped");
        }
        if handle.begun {
            self.wait(key, &handle).await?;
            return Ok("it has ended well");
        }
        let there = match &handle.intent {
            Intent::CreateSnapshot { name, .. } => {
                self.platform.snapshots().await?.iter().any(|snapshot| snapshot.name == *name)
            }
            Intent::Copy { name, .. } => self.copy_named(name).await?.is_some(),
            // To do these again is to do them once.
            Intent::DeleteSnapshot { .. }
            | Intent::ProtectSnapshot { .. }
            | Intent::DropCopy { .. } => true,
            Intent::RestoreInPlace { .. } => {
                return Err(Error::new(ErrorKind::Suspect, "restore database in place")
                    .because("nobody knows whether the provider took the request")
                    .hint("Look at the provider's console, then ask again."));
            }
        };
        if !there {
            return Ok("it had not begun");
        }
        let handle = self.platform.begin(&handle.intent).await?;
        self.wait(key, &handle).await?;
        Ok("it has ended well")
    }

    async fn copy_named(&self, name: &str) -> Result<Option<String>> {
        let copies = self.platform.copies(name).await?;
        Ok(copies.into_iter().find(|copy| copy.name == name).map(|copy| copy.id))
    }

    /// Drops copies that runs left behind whose book is elsewhere (a machine that is gone): ours by
    /// name, of this source, made for a while, older than `age`. Says what was dropped, and warns
    /// of what could not be and costs money.
    pub async fn sweep(&self, age: Duration) -> Result<Vec<Finding>> {
        let copies = self.platform.copies(&OwnedName::prefix(&self.source)).await?;
        let (mut findings, begun) = (Vec::new(), self.clock.elapsed());
        for copy in leftovers(&copies, &self.source, self.clock.now(), age) {
            let hurried = self.hurried(self.patience, begun);
            let dropped = hurried.run(Intent::DropCopy { id: copy.id.clone() }).await;
            let costs = if copy.costs { ", which costs money as long as it is there" } else { "" };
            findings.push(match dropped {
                Ok(_) => Finding::note(format!("dropped the leftover {}", copy.name)),
                Err(error) => Finding::warning(format!(
                    "{LEFT_BEHIND}{}{costs}; it could not be dropped: {error}",
                    copy.name
                )),
            });
        }
        Ok(findings)
    }
}

/// Under what an intent is written down.
pub(super) fn key(intent: &Intent) -> String {
    let word = match intent {
        Intent::CreateSnapshot { .. } => "create",
        Intent::DeleteSnapshot { .. } => "delete",
        Intent::ProtectSnapshot { .. } => "protect",
        Intent::Copy { .. } => "copy",
        Intent::DropCopy { .. } => "drop",
        Intent::RestoreInPlace { .. } => "restore",
    };
    let object = intent.object().chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' });
    // It becomes the name of a file; names at vendors may be longer.
    format!("{word}-{}", object.take(100).collect::<String>())
}
