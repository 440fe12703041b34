//! A vendor's control plane: what it can do with a database beside answering SQL.

mod facts;
mod intent;

use async_trait::async_trait;
use jiff::Timestamp;

pub use facts::{
    Endpoint, EndpointKind, NativeSchedule, NativeSnapshot, NativeState, Placement, PlatformFacts,
    RateFacts, TemporaryCopy, Window,
};
pub use intent::{CopyFrom, Done, Handle, Intent, Progress};

use crate::{Error, ErrorKind, Result};

/// The control plane that hosts one source: branches, provider snapshots, point-in-time restore.
///
/// Contract, held by `backup_testkit::conformance::platform`:
///
/// - [`Platform::capabilities`] is data and the truth. What it does not declare fails with
///   `Unsupported` at once, without a request that changes something.
/// - `facts`, `endpoint` of a database that is there, `snapshots`, `copies` and `poll` change
///   nothing (a short-lived credential that an [`Endpoint`] names is the one exception).
/// - `begin` starts what an intent says and returns without waiting for its end. The intent's
///   name is the idempotency key that vendors lack: where something of that name is there
///   already, it is adopted, so that `begin` after a crash or a lost response makes no second.
///   Deleting what is gone already is done, not an error.
/// - A [`Handle`] is everything `poll` needs; it survives this process.
/// - Words that a vendor adds later are no error: an unknown state is "still running".
/// - No token, password or connection string reaches `Debug`, an error, a handle or a finding.
#[async_trait]
pub trait Platform: Send + Sync + std::fmt::Debug {
    /// Returns the provider's word in configuration: `neon`, `planetscale` …
    fn name(&self) -> &'static str;

    /// Returns what this control plane can do.
    fn capabilities(&self) -> &'static [Ability];

    /// Whether the database itself cannot be read at one instant, so that only a copy of it can be
    /// backed up.
    fn needs_copy(&self) -> bool {
        false
    }

    /// Looks at the account, the project and the database's host; reads only. Its findings say
    /// what a token lacks, what the plan does not include, and what cannot be protected.
    async fn facts(&self) -> Result<PlatformFacts>;

    /// Returns a way to the source's own database that is fit for dump and restore: direct, or
    /// pooled by session, never by transaction.
    async fn endpoint(&self) -> Result<Endpoint>;

    /// Returns a way to the same database of a copy that an intent made, by the id that
    /// [`Done`] holds.
    async fn copy_endpoint(&self, copy: &str) -> Result<Endpoint> {
        let _ = copy;
        Err(self.unsupported("connect to copy"))
    }

    /// Returns a way to a copy that a drill may fill: with the right to make databases on it. By
    /// default the same as [`Platform::copy_endpoint`].
    async fn drill_endpoint(&self, copy: &str) -> Result<Endpoint> {
        self.copy_endpoint(copy).await
    }

    /// Has the credential of an endpoint live on for as long again, and returns when it ends now;
    /// nothing where it does not end.
    async fn renew(&self, endpoint: &Endpoint) -> Result<Option<Timestamp>> {
        Ok(endpoint.expires_at)
    }

    /// Returns when the vendor takes snapshots of the source by itself; empty where it does not, or
    /// does not say so.
    async fn schedules(&self) -> Result<Vec<NativeSchedule>> {
        Ok(Vec::new())
    }

    /// Gives back what an endpoint was given for a while (a role, a password). An endpoint
    /// without a credential needs nothing.
    async fn release(&self, endpoint: &Endpoint) -> Result<()> {
        let _ = endpoint;
        Ok(())
    }

    /// Lists every provider snapshot of the source, whoever made it; newest first.
    async fn snapshots(&self) -> Result<Vec<NativeSnapshot>> {
        Err(self.unsupported("list provider snapshots"))
    }

    /// Lists copies (branches, services) whose names begin with `prefix`.
    async fn copies(&self, prefix: &str) -> Result<Vec<TemporaryCopy>> {
        let _ = prefix;
        Err(self.unsupported("list copies"))
    }

    /// Returns how far back the vendor can restore to any moment, now; nothing where it cannot.
    async fn window(&self) -> Result<Option<Window>> {
        Ok(None)
    }

    /// Starts what the intent says, or adopts what an earlier attempt started.
    async fn begin(&self, intent: &Intent) -> Result<Handle> {
        Err(self.unsupported(intent.verb()))
    }

    /// Says what an intent would do beyond its own words, a sentence each; fails where it would be
    /// refused. Changes nothing.
    async fn preview(&self, intent: &Intent) -> Result<Vec<String>> {
        let _ = intent;
        Ok(Vec::new())
    }

    /// Looks once how far it is.
    async fn poll(&self, handle: &Handle) -> Result<Progress> {
        Err(self.unsupported(handle.intent.verb()))
    }

    /// Returns what the vendor's answers said about its limit on requests, the newest word.
    fn rate(&self) -> Option<RateFacts> {
        None
    }

    /// Returns whether something can be done here.
    fn can(&self, ability: Ability) -> bool {
        self.capabilities().contains(&ability)
    }

    /// Returns the error for what is not declared.
    fn unsupported(&self, operation: &str) -> Error {
        Error::new(ErrorKind::Unsupported, operation)
            .with("provider", self.name())
            .hint("This provider's API does not offer it, or no API token is configured.")
    }
}

/// Something a control plane can do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Ability {
    /// List provider snapshots.
    ListSnapshots,
    /// Create them.
    CreateSnapshot,
    /// Create them with an expiry that the vendor heeds.
    ExpireSnapshot,
    /// Delete them.
    DeleteSnapshot,
    /// Protect them against deletion, and let go again.
    ProtectSnapshot,
    /// Protect them against deletion, for ever.
    LockSnapshot,
    /// Copy the database as it is now to a new branch or service.
    CopyNow,
    /// Copy the database as it was at a moment to a new branch or service.
    CopyAt,
    /// Restore a provider snapshot to a new branch or service.
    CopySnapshot,
    /// Drop such a copy.
    DropCopy,
    /// Put a database back to a moment, in its place.
    RestoreAt,
    /// Put a provider snapshot back in the database's place.
    RestoreSnapshot,
    /// Keep the state before when a database is put back in its place.
    KeepBefore,
    /// Hand out a credential that ends by itself.
    ShortLivedCredential,
    /// Change how often the vendor takes snapshots.
    Schedule,
}
