//! What is to be done, and how far it is: values that survive a crash.

use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::Lsn;

/// Something a control plane is asked to do; takes seconds to hours.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "intent", rename_all = "snake_case")]
pub enum Intent {
    /// Take a provider snapshot.
    CreateSnapshot {
        /// Its name, one of its own.
        name: String,
        /// When the vendor may delete it.
        expires_at: Option<Timestamp>,
    },
    /// Delete a provider snapshot.
    DeleteSnapshot {
        /// Its id.
        id: String,
    },
    /// Protect a provider snapshot against deletion, or let go of it.
    ProtectSnapshot {
        /// Its id.
        id: String,
        /// Which.
        protected: bool,
    },
    /// Copy the database to a new branch or service.
    Copy {
        /// What the copy is called.
        name: String,
        /// From what.
        from: CopyFrom,
        /// When the vendor may drop it; absent: it stays.
        expires_at: Option<Timestamp>,
    },
    /// Drop such a copy.
    DropCopy {
        /// Its id.
        id: String,
    },
    /// Put the database back, in its place. Whoever asks has asked a person.
    RestoreInPlace {
        /// To what.
        from: CopyFrom,
        /// What the state before is kept as, where the vendor keeps it.
        keep_as: String,
    },
}

/// What a copy is made from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CopyFrom {
    /// The database as it is.
    Now,
    /// As it was at a moment.
    At(Timestamp),
    /// As it was at a position of its write-ahead log.
    Lsn(Lsn),
    /// A provider snapshot, by id.
    Snapshot(String),
}

impl Intent {
    /// Returns the intent as a verb and its object, for errors.
    #[must_use]
    pub fn verb(&self) -> &'static str {
        match self {
            Self::CreateSnapshot { .. } => "create provider snapshot",
            Self::DeleteSnapshot { .. } => "delete provider snapshot",
            Self::ProtectSnapshot { .. } => "protect provider snapshot",
            Self::Copy { .. } => "copy database at the provider",
            Self::DropCopy { .. } => "drop copy at the provider",
            Self::RestoreInPlace { .. } => "restore database in place",
        }
    }

    /// Returns what the intent is about: a name, or an id.
    #[must_use]
    pub fn object(&self) -> &str {
        match self {
            Self::CreateSnapshot { name, .. } | Self::Copy { name, .. } => name,
            Self::DeleteSnapshot { id }
            | Self::ProtectSnapshot { id, .. }
            | Self::DropCopy { id } => id,
            Self::RestoreInPlace { keep_as, .. } => keep_as,
        }
    }
}

/// Something that was begun. Holds no secret, and everything that looking after it needs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Handle {
    /// The provider's word.
    pub platform: String,
    /// What was asked for.
    pub intent: Intent,
    /// When it was begun, by our clock.
    pub begun_at: Timestamp,
    /// Whether the vendor has answered; until then only the intent's name leads to it.
    pub begun: bool,
    /// The vendor's ids of what is to be waited for.
    #[serde(default)]
    pub waits: Vec<String>,
    /// The id of what is made, where the vendor names it at once.
    #[serde(default)]
    pub made: Option<String>,
}

impl Handle {
    /// Returns a handle of which nothing is known but what is wanted: what is written down before
    /// the vendor is asked.
    #[must_use]
    pub fn intended(platform: &str, intent: Intent, now: Timestamp) -> Self {
        Self {
            platform: platform.to_owned(),
            intent,
            begun_at: now,
            begun: false,
            waits: Vec::new(),
            made: None,
        }
    }

    /// Returns the handle as the vendor answered: what to wait for, and what is made.
    #[must_use]
    pub fn begun(mut self, waits: Vec<String>, made: Option<String>) -> Self {
        (self.begun, self.waits, self.made) = (true, waits, made);
        self
    }
}

/// How far something is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Progress {
    /// It goes on.
    Running {
        /// The vendor's word for it.
        state: String,
        /// When another look is worth a request.
        look_again: Duration,
    },
    /// It is done.
    Done(Done),
    /// It failed, and trying the same again is another operation.
    Failed {
        /// What the vendor said.
        reason: String,
    },
}

/// What an operation came to.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Done {
    /// The id of the snapshot or the copy.
    pub id: Option<String>,
    /// What to know, a sentence each.
    pub notes: Vec<String>,
}
