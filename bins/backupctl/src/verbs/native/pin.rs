//! `pin --native`, `unpin --native`: provider snapshots that nobody deletes.

use backup::config::SourceSettings;
use backup::ops::Selector;
use backup::ops::document::ReceiptDocument;
use backup::ops::managed::{self, Conductor};
use backup_core::port::{Ability, NativeSnapshot};
use backup_core::{Error, ErrorKind, Result};

use super::{able_to_any, conductor, resume};
use crate::args::PinArgs;
use crate::exit::Ending;
use crate::session::Session;

/// Protects provider snapshots against deletion, or lets go of them. All of them are found before the
/// first is touched.
pub(crate) async fn pin(session: &Session, args: &PinArgs, protected: bool) -> Result<Ending> {
    let wanted = [Ability::ProtectSnapshot, Ability::LockSnapshot];
    let mut keepers = Vec::new();
    for source in able_to_any(session, &wanted)? {
        let conductor = conductor(session, source)?;
        let snapshots = session.interrupt.unless(conductor.platform.snapshots()).await?;
        keepers.push((source, conductor, snapshots));
    }
    let mut chosen = Vec::new();
    for selector in &args.snapshots {
        let found = keepers.iter().find_map(|(source, conductor, snapshots)| {
            Some((conductor, find(source, snapshots, selector)?))
        });
        let (conductor, snapshot) = found.ok_or_else(|| {
            Error::new(ErrorKind::NotFound, "find provider snapshot")
                .with("snapshot", selector)
                .hint("`backupctl snapshots --native` lists them, by id and by name.")
        })?;
        refuse(args, conductor, snapshot, protected)?;
        chosen.push((conductor, snapshot));
    }
    let (verb, done) = if protected { ("pin", "protected") } else { ("unpin", "let go of") };
    let mut receipt = ReceiptDocument::new(verb, format!("{} {done}", chosen.len()))
        .number("snapshots", chosen.len() as u64);
    for (conductor, snapshot) in chosen {
        resume(session, conductor).await?;
        session.interrupt.unless(conductor.protect(&snapshot.id, protected)).await?;
        receipt.steps.push(snapshot.id.clone());
        if !session.screen.json() {
            let provider = conductor.platform.name();
            session
                .screen
                .say(&format!("{done} {} ({}) at {provider}", snapshot.id, snapshot.name));
        }
    }
    if session.screen.json() {
        session.screen.document(&receipt)?;
    }
    Ok(Ending::Ok)
}

fn find<'a>(
    source: &SourceSettings,
    snapshots: &'a [NativeSnapshot],
    selector: &Selector,
) -> Option<&'a NativeSnapshot> {
    match selector {
        Selector::Prefix(word) => snapshots.iter().find(|one| super::is_called(one, word)),
        Selector::LatestOf(name) if *name != source.name => None,
        _ => managed::newest_native(snapshots),
    }
}

/// What cannot be undone needs a word of its own, and what cannot be done is said before anything is.
fn refuse(
    args: &PinArgs,
    conductor: &Conductor,
    snapshot: &NativeSnapshot,
    protected: bool,
) -> Result<()> {
    let platform = &conductor.platform;
    if platform.can(Ability::ProtectSnapshot) || (protected && args.yes) {
        return Ok(());
    }
    if !protected {
        return Err(platform.unsupported("let go of provider snapshot").with("id", &snapshot.id));
    }
    Err(Error::new(ErrorKind::Usage, "lock provider snapshot")
        .with("provider", platform.name())
        .with("snapshot", &snapshot.id)
        .because("it is locked for ever there: it never expires, and nobody can unlock it")
        .hint("Pass --yes if that is what you want."))
}
