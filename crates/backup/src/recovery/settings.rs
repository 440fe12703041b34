//! From a plan to what a copy is told.

use backup_core::port::{
    RecoveryAction, RecoverySettings, RecoverySignal, RecoveryTarget, RecoveryTimeline,
};
use backup_ops::wal::{RecoveryGoal, RecoveryPlan};

/// Returns what a copy is told to follow a plan: where its WAL comes from, where to stop, and
/// what to do there.
#[must_use]
pub fn settings(
    plan: &RecoveryPlan,
    restore_command: Option<String>,
    action: RecoveryAction,
) -> RecoverySettings {
    let target = match &plan.goal {
        RecoveryGoal::Latest => None,
        RecoveryGoal::Immediate => Some(RecoveryTarget::Immediate),
        // PostgreSQL takes this form, with its zone, under any setting of DateStyle.
        RecoveryGoal::Time(time) => {
            let text = time.strftime("%Y-%m-%d %H:%M:%S%.6f+00").to_string();
            Some(RecoveryTarget::Time(text))
        }
        RecoveryGoal::Lsn(lsn) => Some(RecoveryTarget::Lsn(*lsn)),
        RecoveryGoal::Xid(xid) => Some(RecoveryTarget::Xid(u64::from(*xid))),
        RecoveryGoal::RestorePoint(name) => Some(RecoveryTarget::Name(name.clone())),
    };
    RecoverySettings {
        restore_command,
        action: target.is_some().then_some(action),
        target,
        timeline: Some(RecoveryTimeline::Number(plan.timeline)),
        signal: RecoverySignal::Recovery,
        ..RecoverySettings::default()
    }
}
