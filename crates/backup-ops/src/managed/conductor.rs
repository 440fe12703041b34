//! Operations at a vendor's, from the wish to the end, whatever ends this process meanwhile.

use std::sync::Arc;
use std::time::Duration;

use backup_core::port::{
    Ability, Clock, Done, Handle, HandleBook, Intent, NativeSnapshot, Observer, Platform, Progress,
    Wanted,
};
use backup_core::{
    Error, ErrorKind, ErrorStatus, Event, Finding, OwnedName, Purpose, Result, RunId, SourceName,
};

use super::lease::Lease;
use super::leftovers::{LEFT_BEHIND, LEFTOVER_AGE, leftovers};

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

/// What becomes of something that was given up.
fn late_hint(intent: &Intent) -> &'static str {
    match intent {
        Intent::Copy { name, .. } if is_temporary(name) => {
            "The copy goes on at the provider, and the next run drops it and makes another: if copies of \
             this database always take longer, ask for a larger cluster, or back it up in another way."
        }
        _ => "It goes on at the provider; the next run looks after it.",
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

    /// Protects a provider snapshot against deletion, or lets go of it. That it is pinned is written
    /// down first: what was pinned is not deleted by us, whether the vendor tells that or not.
    pub async fn protect(&self, id: &str, protected: bool) -> Result<Done> {
        let known = self.book.pins(&self.source).await?.iter().any(|pin| pin == id);
        if protected {
            self.book.pin(&self.source, id, true).await?;
        }
        let done = self.run(Intent::ProtectSnapshot { id: id.to_owned(), protected }).await;
        let free = match &done {
            Ok(_) => !protected,
            Err(error) => protected && !known && error.status() == ErrorStatus::Permanent,
        };
        if free {
            self.book.pin(&self.source, id, false).await?;
        }
        done
    }

    /// Returns what the vendor lists; what was pinned here is protected.
    pub async fn snapshots(&self) -> Result<Vec<NativeSnapshot>> {
        let mut listed = self.platform.snapshots().await?;
        let pins = self.book.pins(&self.source).await?;
        for snapshot in &mut listed {
            snapshot.protected |= pins.contains(&snapshot.id);
        }
        Ok(listed)
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

    /// Looks until it has ended. A look that fails for now says nothing about what is looked at: it
    /// goes on, and the next look tells.
    async fn wait(&self, key: &str, handle: &Handle) -> Result<Done> {
        let begun = self.clock.elapsed();
        let (mut said, mut failures) = (None, 0);
        loop {
            let late = self.clock.elapsed().saturating_sub(begun) >= self.patience.limit;
            let pause = match self.platform.poll(handle).await {
                Ok(Progress::Done(done)) => return Ok(done),
                Ok(Progress::Failed { reason }) => {
                    return Err(self.over(key, handle, reason).await?);
                }
                Ok(Progress::Running { state, look_again }) => {
                    failures = 0;
                    // A vendor that answers is a sign of life.
                    self.observer.on_event(&Event::Progress { bytes: 0 });
                    if said.as_ref() != Some(&state) {
                        let phase = format!("{}: {state}", handle.intent.verb());
                        self.observer.on_event(&Event::PhaseStarted { phase });
                        said = Some(state.clone());
                    }
                    if late {
                        return Err(self
                            .failed(handle)
                            .with("state", state)
                            .because("it has not ended yet")
                            .temporary()
                            .persistent()
                            .hint(late_hint(&handle.intent)));
                    }
                    look_again
                }
                Err(error) if late || error.status() == ErrorStatus::Permanent => {
                    return Err(error);
                }
                Err(error) => {
                    failures += 1;
                    self.observer.on_event(&Event::Retrying {
                        operation: format!("look at: {}", handle.intent.verb()),
                        attempt: failures,
                        error: error.to_string(),
                    });
                    Duration::from_secs(5).saturating_mul(failures)
                }
            };
            let least = Duration::from_millis(250);
            self.clock.sleep(pause.clamp(least, self.patience.longest_pause)).await;
        }
    }

    /// Returns the error of an operation that the vendor says has failed. Of a copy that was wanted
    /// for a while something may be there all the same, which is billed: it is dropped at once, and
    /// stays written down where that cannot be done.
    async fn over(&self, key: &str, handle: &Handle, reason: String) -> Result<Error> {
        let failed = self.failed(handle).because(reason);
        let dropped = match &handle.intent {
            Intent::Copy { name, .. } if is_temporary(name) => {
                Box::pin(self.drop_named(name, handle.made.as_deref())).await
            }
            _ => Ok(false),
        };
        let hint = match dropped {
            Ok(dropped) => {
                self.book.strike(&self.source, key).await?;
                if dropped { "What was there of it was dropped." } else { NOTHING_CHANGED }
            }
            Err(stays) => {
                let what = format!("{LEFT_BEHIND}{}, which costs money", handle.intent.object());
                let found = Finding::warning(format!("{what}; it could not be dropped: {stays}"));
                self.observer.on_event(&Event::Found(found));
                "Part of it may be there and cost money; the next run drops it."
            }
        };
        Ok(failed.hint(hint))
    }

    /// Drops the copy of that id, else of that name; returns whether there was one.
    async fn drop_named(&self, name: &str, id: Option<&str>) -> Result<bool> {
        let found = match id {
            Some(id) => Some(id.to_owned()),
            None => self.copy_named(name).await?,
        };
        let Some(id) = found else { return Ok(false) };
        self.run(Intent::DropCopy { id }).await?;
        Ok(true)
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
        self.resume_these(|_| true).await
    }

    /// Drops the copies of processes that died, and leaves what else they had under way to those
    /// who take provider snapshots or restore.
    pub(super) async fn resume_copies(&self) -> Result<Vec<Finding>> {
        self.resume_these(|handle| match &handle.intent {
            Intent::Copy { name, .. } => is_temporary(name),
            Intent::DropCopy { .. } => true,
            _ => false,
        })
        .await
    }

    async fn resume_these(&self, wanted: Wanted) -> Result<Vec<Finding>> {
        let (mut findings, begun) = (Vec::new(), self.clock.elapsed());
        for (key, handle) in self.book.abandoned(&self.source, wanted).await? {
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

    /// Returns the name of the provider snapshot that a process which died had begun last, within a
    /// day, and takes it over: whoever takes one of that name goes on with it.
    pub(super) async fn snapshot_under_way(&self) -> Result<Option<String>> {
        let wanted: Wanted = |handle| matches!(handle.intent, Intent::CreateSnapshot { .. });
        let oldest = self.clock.now().checked_sub(LEFTOVER_AGE).ok();
        let left = self.book.abandoned(&self.source, wanted).await?;
        let young = left.into_iter().map(|(_, handle)| handle).filter(|handle| {
            handle.platform == self.platform.name()
                && oldest.is_none_or(|oldest| handle.begun_at >= oldest)
        });
        let newest = young.max_by_key(|handle| handle.begun_at);
        Ok(newest.map(|handle| handle.intent.object().to_owned()))
    }

    async fn resume_one(&self, key: &str, handle: Handle) -> Result<&'static str> {
        if let Intent::Copy { name, .. } = &handle.intent
            && is_temporary(name)
        {
            let dropped = self.drop_named(name, handle.made.as_deref()).await?;
            return Ok(if dropped { "dropped" } else { "it had not begun" });
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
            Intent::DeleteSnapshot { id } if self.book.pins(&self.source).await?.contains(id) => {
                return Ok("it was pinned meanwhile, and stays");
            }
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

    /// Ends what dead processes left under way, and drops what they left behind: snapshots that were
    /// begun are waited for, copies that nobody wants a minute at most. That it cannot be is said and
    /// is no error: it stays in the book.
    pub async fn settle(&self) -> Vec<Finding> {
        let mut findings = self.tidy().await;
        findings.extend(told("under way", self.resume().await));
        findings
    }

    /// Drops copies that runs which died left behind, and waits a minute at most for that; what stays
    /// is said.
    pub(super) async fn tidy(&self) -> Vec<Finding> {
        if !self.platform.can(Ability::DropCopy) {
            return Vec::new();
        }
        let begun = self.clock.elapsed();
        let hurried = || self.hurried(Patience::SHORT, begun);
        let mut findings = told("under way", hurried().resume_copies().await);
        findings.extend(told("behind", hurried().sweep(LEFTOVER_AGE).await));
        findings
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

/// What is said of a failure that left nothing behind.
const NOTHING_CHANGED: &str = "Look at the provider's console; nothing of the database was changed by us \
                               after that.";

/// That it cannot be looked after is a finding like others.
fn told(what: &str, ended: Result<Vec<Finding>>) -> Vec<Finding> {
    match ended {
        Ok(findings) => findings,
        Err(error) => vec![Finding::warning(format!("what earlier runs left {what}: {error}"))],
    }
}

/// Whether a name says that nobody wants the copy once its run is over.
fn is_temporary(name: &str) -> bool {
    OwnedName::parse(name).is_some_and(|name| name.purpose().is_temporary())
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
