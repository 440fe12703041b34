//! A group: its members one after the other, as one recovery set.

use backup::config::GroupSettings;
use backup::repository::set_id;
use backup_core::{Result, SetPlace};

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
    let (screen, id, group) = (&session.screen, id.short(), &group.name);
    if !missing.is_empty() {
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
