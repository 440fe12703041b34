//! A group: its members one after the other, as one recovery set.

use backup::config::GroupSettings;
use backup::ops::group::SetState;
use backup::repository::set_id;
use backup_core::{Result, SetPlace, SourceName};

use super::{Tally, one_of_several};
use crate::args::BackupArgs;
use crate::session::Session;

/// Takes a set. A member that fails leaves it incomplete; those after it are taken all the same, on
/// their own: they are backups of their sources.
pub(super) async fn run(
    session: &Session,
    group: &GroupSettings,
    args: &BackupArgs,
    tally: &mut Tally,
) -> Result<()> {
    let id = set_id()?;
    let mut place = Some(SetPlace::first(id, group.name.clone(), group.sources.clone()));
    let (mut missing, mut suspect) = (Vec::new(), false);
    for name in &group.sources {
        let source = session.settings()?.source(name.as_str())?;
        match one_of_several(session, source, args, place.as_ref(), tally).await? {
            Some(record) => {
                suspect |= record.snapshot.is_suspect();
                place = place.and_then(|place| place.next(record.snapshot.id));
            }
            None => {
                missing.push(name.as_str());
                place = None;
            }
        }
    }
    let (screen, whole, id) = (&session.screen, id, id.short());
    let last = group.sources.last().map(SourceName::as_str);
    // A last member that failed after its manifest was stored has completed the set.
    let committed = missing.len() == 1 && missing.first().copied() == last && {
        let sets = session.sets().await.map(|(_, sets)| sets).unwrap_or_default();
        sets.iter().any(|set| set.id == whole && set.state() != SetState::Incomplete)
    };
    let group = &group.name;
    if committed {
        let what = missing.join(", ");
        screen.warn(&format!("set {id} of {group} is complete and not proved: {what} failed"));
        screen.hint(&format!("Prove it: `backupctl verify {group}@{id} --read-data`."));
    } else if !missing.is_empty() {
        let what = missing.join(", ");
        screen.warn(&format!("set {id} of {group} is incomplete: {what} failed"));
        screen.hint("It never counts. The next backup of the group begins a new set.");
    } else if suspect {
        screen.warn(&format!("set {id} of {group} is suspect, and does not count"));
    } else if !screen.json() {
        screen.data(&format!("set {id} of {group}: complete\n"));
    }
    Ok(())
}
