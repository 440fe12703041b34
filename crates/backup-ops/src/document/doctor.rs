//! Checks as JSON.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::doctor::Check;

/// `backupctl doctor --json` and `backupctl validate --json`.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct DoctorDocument {
    /// `backupctl.doctor.v1` or `backupctl.validate.v1`.
    #[schemars(extend("enum" = ["backupctl.doctor.v1", "backupctl.validate.v1"]))]
    pub schema: String,
    /// Whether nothing failed; warnings are allowed.
    pub ok: bool,
    /// Each check, in order.
    pub checks: Vec<CheckDocument>,
}

/// One check.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct CheckDocument {
    /// What was checked.
    pub name: String,
    /// `ok`, `warning`, `failed` or `skipped`.
    #[schemars(extend("enum" = ["ok", "warning", "failed", "skipped"]))]
    pub outcome: String,
    /// What was found.
    pub detail: String,
    /// What to do about it.
    pub remedy: Option<String>,
}

impl DoctorDocument {
    /// Returns the document of checks; `verb` is `doctor` or `validate`.
    #[must_use]
    pub fn new(verb: &str, checks: &[Check]) -> Self {
        Self {
            schema: format!("backupctl.{verb}.v1"),
            ok: checks.iter().all(|check| !check.failed()),
            checks: checks.iter().map(CheckDocument::new).collect(),
        }
    }
}

impl CheckDocument {
    fn new(check: &Check) -> Self {
        Self {
            name: check.name.clone(),
            outcome: check.outcome.as_str().into(),
            detail: check.detail.clone(),
            remedy: check.remedy.clone(),
        }
    }
}
