//! Doctor: is everything in place for the next backup and the next restore?
//!
//! Each check is one question, one answer and one remedy. A check never ends the others.

use std::sync::Arc;
use std::time::Duration;

use backup_core::port::{Clock, Provider, Store};
use backup_core::{Error, FindingKind, ObjectName, Result, SourceName};
use bytes::Bytes;

/// How a check ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// As it should be.
    Ok,
    /// Works, but should be known.
    Warning,
    /// Will not work.
    Failed,
    /// Not asked, because something before it failed or is not configured.
    Skipped,
}

impl Outcome {
    /// Returns the stable word used in JSON and tables.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Warning => "warning",
            Self::Failed => "failed",
            Self::Skipped => "skipped",
        }
    }
}

/// One question and its answer.
#[derive(Clone, Debug)]
pub struct Check {
    /// What was checked.
    pub name: String,
    /// How it ended.
    pub outcome: Outcome,
    /// What was found.
    pub detail: String,
    /// What to do about it.
    pub remedy: Option<String>,
    /// The error behind a failure: it decides the exit code.
    pub error: Option<Arc<Error>>,
}

impl Check {
    /// Returns a check that found everything in order.
    #[must_use]
    pub fn ok(name: impl Into<String>, detail: impl Into<String>) -> Self {
        Self::new(name, Outcome::Ok, detail)
    }

    /// Returns a check that found something to know, with its remedy.
    #[must_use]
    pub fn warning(
        name: impl Into<String>,
        detail: impl Into<String>,
        remedy: impl Into<String>,
    ) -> Self {
        Self { remedy: Some(remedy.into()), ..Self::new(name, Outcome::Warning, detail) }
    }

    /// Returns a check that failed with `error`, whose hint is the remedy.
    #[must_use]
    pub fn failure(name: impl Into<String>, error: Error) -> Self {
        Self {
            remedy: error.remedy().map(str::to_owned),
            detail: error.to_string(),
            error: Some(Arc::new(error)),
            ..Self::new(name, Outcome::Failed, "")
        }
    }

    /// Returns a check that worked and whose answer is no: what was found, and what to do.
    #[must_use]
    pub fn unmet(
        name: impl Into<String>,
        detail: impl Into<String>,
        remedy: impl Into<String>,
    ) -> Self {
        Self { remedy: Some(remedy.into()), ..Self::new(name, Outcome::Failed, detail) }
    }

    /// Returns a check that was not made, and why.
    #[must_use]
    pub fn skipped(name: impl Into<String>, why: impl Into<String>) -> Self {
        Self::new(name, Outcome::Skipped, why)
    }

    fn new(name: impl Into<String>, outcome: Outcome, detail: impl Into<String>) -> Self {
        Self { name: name.into(), outcome, detail: detail.into(), remedy: None, error: None }
    }

    /// Returns whether it failed.
    #[must_use]
    pub fn failed(&self) -> bool {
        self.outcome == Outcome::Failed
    }
}

/// Looks at a database without changing anything: reachable, what it is, and every finding of
/// its provider (client programs, privileges, what cannot be protected).
pub async fn check_source(source: &SourceName, provider: &dyn Provider) -> Vec<Check> {
    let name = format!("source {source}");
    let discovery = match provider.discover().await {
        Ok(discovery) => discovery,
        Err(error) => return vec![Check::failure(name, error)],
    };
    let facts = &discovery.facts;
    let mut checks = vec![Check::ok(
        &name,
        format!(
            "{} at {}, {}, about {}",
            facts.database,
            facts.location,
            facts.server_version,
            backup_core::ByteSize(facts.estimated_bytes)
        ),
    )];
    checks.extend(discovery.findings.into_iter().map(|finding| match finding.kind {
        FindingKind::Note => Check::ok(&name, finding.message),
        FindingKind::Warning => Check::new(&name, Outcome::Warning, finding.message),
        FindingKind::Suspect => Check::new(&name, Outcome::Failed, finding.message),
    }));
    checks
}

/// Returns what a store can do, as checks; asks nothing.
#[must_use]
pub fn check_capabilities(store: &dyn Store) -> Check {
    if store.capabilities().create_if_absent {
        Check::ok("create if absent", "refused atomically by this store")
    } else {
        Check::warning(
            "create if absent",
            "this store would overwrite an object that exists",
            "Backups are safe (names are random), but prune refuses to run beside writers here; \
             use a store with conditional writes to have it.",
        )
    }
}

/// Writes, stats, reads back and deletes one small object; also compares clocks.
pub async fn check_live(store: &dyn Store, clock: &Arc<dyn Clock>) -> Vec<Check> {
    match probe(store, clock).await {
        Ok(checks) => checks,
        Err(error) => vec![Check::failure("store round trip", error)],
    }
}

/// Skew beyond this confuses people who read times; nothing in the repository depends on it.
const TOLERATED_SKEW: Duration = Duration::from_secs(60);

async fn probe(store: &dyn Store, clock: &Arc<dyn Clock>) -> Result<Vec<Check>> {
    let begun = clock.elapsed();
    let now = clock.now();
    let name: ObjectName = format!("probes/doctor-{}", now.as_nanosecond()).parse()?;
    let body = Bytes::from_static(b"written by `backupctl doctor --live`; may be deleted\n");
    store.create(&name, body.clone()).await?;
    let looked = async {
        let object = store.stat(&name).await?;
        let read = store.get(&name).await?;
        Ok::<_, Error>((object, read))
    }
    .await;
    store.delete(&name).await?;
    let (object, read) = looked?;
    let took = clock.elapsed().saturating_sub(begun);
    let mut checks = Vec::new();
    if read == body && object.size == body.len() as u64 {
        let detail = format!("wrote, read and deleted an object in {} ms", took.as_millis());
        checks.push(Check::ok("store round trip", detail));
    } else {
        checks.push(Check::failure(
            "store round trip",
            Error::new(backup_core::ErrorKind::Integrity, "read back object")
                .with("object", &name)
                .hint("The store returned other bytes than were written; do not use it."),
        ));
    }
    let skew = object.modified.duration_since(now).unsigned_abs();
    let detail = format!("the store's clock and ours differ by {} s", skew.as_secs());
    checks.push(if skew <= TOLERATED_SKEW {
        Check::ok("clock", detail)
    } else {
        Check::warning("clock", detail, "Set this machine's clock (NTP); shown times are wrong.")
    });
    Ok(checks)
}
