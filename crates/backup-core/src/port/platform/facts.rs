//! What a control plane says.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{Finding, Secret};

/// Where a copy of the data rests, as far as its fate goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Placement {
    /// With the vendor that runs the database: it dies with the account or the project, and
    /// nobody else has read it. The weaker class.
    OnProvider,
    /// In a repository of one's own.
    OffProvider,
}

impl Placement {
    /// Returns the stable word used in JSON.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::OnProvider => "on_provider",
            Self::OffProvider => "off_provider",
        }
    }
}

/// What was found of an account and a project.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PlatformFacts {
    /// Project, branch and the like, for people, without secrets.
    pub location: String,
    /// What stays the same when the database moves: what snapshots of it are known by.
    pub system: String,
    /// The plan that is paid for, as the vendor calls it.
    pub plan: Option<String>,
    /// The server's major version, where the control plane says so.
    pub server_major: Option<u32>,
    /// How far back any moment can be restored.
    pub window: Option<Window>,
    /// Each check made: a note where all is well, a warning where something is lacking, and
    /// *suspect* where a backup or restore will not work.
    pub findings: Vec<Finding>,
}

/// How far back any moment can be restored by the vendor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Window {
    /// The earliest moment.
    pub earliest: Timestamp,
    /// The latest; absent: now.
    pub latest: Option<Timestamp>,
}

impl Window {
    /// Returns whether a moment lies inside.
    #[must_use]
    pub fn holds(&self, at: Timestamp, now: Timestamp) -> bool {
        at >= self.earliest && at <= self.latest.unwrap_or(now)
    }
}

/// A way to a database.
#[derive(Clone, Debug)]
pub struct Endpoint {
    /// The connection URL, with its password.
    pub url: Secret,
    /// What is at the other end.
    pub kind: EndpointKind,
    /// The vendor's id of a credential made for this, to be given back by
    /// [`Platform::release`](super::Platform::release).
    pub credential: Option<String>,
    /// When that credential ends by itself.
    pub expires_at: Option<Timestamp>,
    /// What was changed to make it safe, and why.
    pub findings: Vec<Finding>,
}

/// What a connection goes through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EndpointKind {
    /// The server itself.
    Direct,
    /// A pooler that keeps a session on one server process.
    SessionPooler,
}

/// A snapshot that the vendor keeps.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NativeSnapshot {
    /// The vendor's id.
    pub id: String,
    /// Its name; what we made is known by it.
    pub name: String,
    /// When it was begun.
    pub created_at: Timestamp,
    /// When the vendor deletes it.
    pub expires_at: Option<Timestamp>,
    /// How far it is.
    pub state: NativeState,
    /// Its size, where the vendor says so.
    pub bytes: Option<u64>,
    /// Whether it is protected against deletion.
    pub protected: bool,
    /// Whether a schedule of the vendor made it.
    pub automatic: bool,
}

/// When a vendor takes snapshots by itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NativeSchedule {
    /// How often, for people: `daily at 03:00 UTC`, `every 12 hours`.
    pub often: String,
    /// How long each is kept, in seconds, where the vendor says so.
    pub kept_seconds: Option<u64>,
}

/// How far a provider snapshot is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NativeState {
    /// Being made.
    Running,
    /// It can be restored, says the vendor.
    Ready,
    /// It cannot.
    Failed,
    /// A word this version does not know: not counted on.
    Other(String),
}

impl NativeState {
    /// Returns the word for people and JSON.
    #[must_use]
    pub fn as_str(&self) -> &str {
        match self {
            Self::Running => "running",
            Self::Ready => "ready",
            Self::Failed => "failed",
            Self::Other(word) => word,
        }
    }
}

/// A branch or service that was made as a copy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TemporaryCopy {
    /// The vendor's id.
    pub id: String,
    /// Its name.
    pub name: String,
    /// When it was made.
    pub created_at: Timestamp,
    /// When the vendor deletes it by itself.
    pub expires_at: Option<Timestamp>,
    /// Whether the vendor bills it for as long as it is there.
    pub costs: bool,
}

/// What a vendor said about its limit on requests.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RateFacts {
    /// Requests that were made by this process.
    pub requests: u64,
    /// Of these, how many were told to wait.
    pub throttled: u64,
    /// Requests allowed in a window.
    pub limit: Option<u64>,
    /// Requests left in it.
    pub remaining: Option<u64>,
    /// When the window ends.
    pub resets_at: Option<Timestamp>,
}
