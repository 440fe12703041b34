//! Drills of recovery sets.

use backup::ops::group::{self, MemberDrill, RecoverySet, SetDrill};
use backup_core::{Error, Result, SourceName};

use super::{place, show, tell_left_behind, worse};
use crate::args::DrillArgs;
use crate::session::Session;

/// Drills a set, shows what was found of each member and of the set, and returns the worst of it.
pub(super) async fn run(
    session: &Session,
    args: &DrillArgs,
    set: &RecoverySet,
) -> Result<Option<Error>> {
    let settings = session.settings()?;
    let keys = backup::group(settings, &set.group).map(backup::keys_asked).unwrap_or_default();
    if keys.is_empty() {
        session.screen.warn(&format!(
            "group {} has no drill.keys_sql: whether the files are there that the database refers \
             to is not asked",
            set.group
        ));
    }
    let member = |source: &SourceName| -> Result<MemberDrill> {
        let record = set.records().find(|record| record.snapshot.source == *source);
        let kind =
            record.map(|record| record.snapshot.kind).unwrap_or(backup_core::SnapshotKind::Logical);
        let (target, request) = place(session, args, source, kind, <_>::default())?;
        Ok(MemberDrill { target, request })
    };
    let how = SetDrill { member: &member, keys, holdings: backup::holdings };
    let repository = session.repository().await?;
    let observer = session.observer();
    let (clock, interrupt) = (&session.clock, &session.interrupt);
    let drilled = group::drill_set(repository, set, &how, clock, &observer, interrupt).await?;
    drop(observer);
    for receipt in drilled.members.iter().chain([&drilled.receipt]) {
        show::receipt(session, receipt)?;
    }
    for receipt in &drilled.members {
        tell_left_behind(session, receipt).await;
    }
    // The set's own verdict has its members' in it.
    Ok(worse(None, &drilled.receipt))
}
