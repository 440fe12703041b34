//! A migration, planned or done, as JSON.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{QuestionDocument, RestoreDocument, SnapshotDocument};
use crate::migrate::{Migration, demand};

/// `backupctl migrate --json`.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct MigrateDocument {
    /// `backupctl.migrate.v1`.
    #[schemars(extend("const" = "backupctl.migrate.v1"))]
    pub schema: String,
    /// `planned`: nothing was read or written; `migrated`: the target holds what the source held;
    /// `different`: it holds something else; `unproved`: that could not be told.
    #[schemars(extend("enum" = ["planned", "migrated", "different", "unproved"]))]
    pub outcome: String,
    /// The source's name.
    pub source: String,
    /// Where it is, without secrets.
    pub from: String,
    /// Where it goes, without secrets.
    pub to: String,
    /// Version of the source's server.
    pub source_version: String,
    /// Version of the target's server.
    pub target_version: String,
    /// Whether nothing stands in its way.
    pub possible: bool,
    /// What was looked at first.
    pub checks: Vec<FitDocument>,
    /// The snapshot it went through.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub snapshot: Option<SnapshotDocument>,
    /// What was written.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub restored: Option<RestoreDocument>,
    /// The target compared with what the source said in the snapshot's instant.
    pub questions: Vec<QuestionDocument>,
    /// What a person does next, in order.
    pub checklist: Vec<ChecklistDocument>,
    /// Seconds, all in all.
    pub seconds: f64,
}

/// One thing that was looked at.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct FitDocument {
    /// What: `version`, `target`, `roles`, `extensions` …
    pub name: String,
    /// `fits`, `warning`, or `blocked`.
    #[schemars(extend("enum" = ["fits", "warning", "blocked"]))]
    pub fit: String,
    /// What was found.
    pub detail: String,
    /// What to do about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub remedy: Option<String>,
}

/// One step of the cut-over.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct ChecklistDocument {
    /// What for.
    pub purpose: String,
    /// The command; the source's address is in `SOURCE_URL`, the target's in `TARGET_URL`.
    pub command: String,
}

impl MigrateDocument {
    /// Returns the document of a migration.
    #[must_use]
    pub fn new(migration: &Migration) -> Self {
        let outcome = match (&migration.restored, demand(migration)) {
            (None, _) => "planned",
            (Some(_), Ok(())) => "migrated",
            (Some(_), Err(error)) if error.kind() == backup_core::ErrorKind::Integrity => {
                "different"
            }
            (Some(_), Err(_)) => "unproved",
        };
        let checks = migration.checks.iter().map(|check| FitDocument {
            name: check.name.into(),
            fit: check.fit.as_str().into(),
            detail: check.detail.clone(),
            remedy: check.remedy.clone(),
        });
        let checklist = migration.checklist.iter().map(|step| ChecklistDocument {
            purpose: step.purpose.clone(),
            command: step.command.clone(),
        });
        Self {
            schema: "backupctl.migrate.v1".into(),
            outcome: outcome.into(),
            source: migration.source.to_string(),
            from: migration.from.location.clone(),
            to: migration.to.location.clone(),
            source_version: migration.from.server_version.clone(),
            target_version: migration.to.server_version.clone(),
            possible: migration.is_possible(),
            checks: checks.collect(),
            snapshot: migration.taken.as_ref().map(|taken| SnapshotDocument::new(&taken.record)),
            restored: migration.restored.as_ref().map(RestoreDocument::new),
            questions: migration.questions.clone(),
            checklist: checklist.collect(),
            seconds: migration.seconds,
        }
    }
}
