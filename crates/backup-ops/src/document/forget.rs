//! A retention plan as JSON.

use backup_core::SnapshotRecord;
use backup_retention::Plan;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// `backupctl forget --json`.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct ForgetDocument {
    /// `backupctl.forget.v1`.
    #[schemars(extend("const" = "backupctl.forget.v1"))]
    pub schema: String,
    /// Whether it stopped after the plan.
    pub dry_run: bool,
    /// Snapshots that went, or would go.
    pub forgotten: u64,
    /// Every snapshot that was considered, with its reasons.
    pub decisions: Vec<DecisionDocument>,
    /// Why nothing of a source may go, and what to look at, a sentence each.
    pub warnings: Vec<String>,
}

/// What becomes of one snapshot.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct DecisionDocument {
    /// The snapshot's id.
    pub snapshot: String,
    /// Its source.
    pub source: String,
    /// `keep` or `forget`.
    #[schemars(extend("enum" = ["keep", "forget"]))]
    pub action: String,
    /// Why.
    pub reasons: Vec<String>,
}

impl ForgetDocument {
    /// Returns the document of plans by policy.
    #[must_use]
    pub fn planned(plans: &[Plan], dry_run: bool) -> Self {
        let mut decisions = Vec::new();
        let mut warnings = Vec::new();
        for plan in plans {
            decisions.extend(plan.keep.iter().map(|kept| DecisionDocument {
                snapshot: kept.snapshot.id.to_string(),
                source: kept.snapshot.source.to_string(),
                action: "keep".into(),
                reasons: kept.reasons.iter().map(ToString::to_string).collect(),
            }));
            decisions.extend(plan.forget.iter().map(|gone| DecisionDocument {
                snapshot: gone.snapshot.id.to_string(),
                source: gone.snapshot.source.to_string(),
                action: "forget".into(),
                reasons: vec![gone.reason.to_string()],
            }));
            let about = |text: String| match &plan.source {
                Some(source) => format!("{source}: {text}"),
                None => text,
            };
            warnings.extend(plan.refused.iter().map(|refusal| about(refusal.to_string())));
            warnings.extend(plan.warnings.iter().cloned().map(about));
        }
        let forgotten = plans.iter().map(|plan| plan.forget.len() as u64).sum();
        Self { schema: "backupctl.forget.v1".into(), dry_run, forgotten, decisions, warnings }
    }

    /// Returns the document of snapshots that a person named.
    #[must_use]
    pub fn named(records: &[SnapshotRecord], dry_run: bool) -> Self {
        Self {
            schema: "backupctl.forget.v1".into(),
            dry_run,
            forgotten: records.len() as u64,
            decisions: records
                .iter()
                .map(|record| DecisionDocument {
                    snapshot: record.snapshot.id.to_string(),
                    source: record.snapshot.source.to_string(),
                    action: "forget".into(),
                    reasons: vec!["named on the command line".into()],
                })
                .collect(),
            warnings: Vec::new(),
        }
    }
}
