//! Restores at the provider: targets that are no URL.

use backup::config::SourceSettings;
use backup::ops::Selector;
use backup::ops::document::ReceiptDocument;
use backup::ops::managed::{self, Conductor};
use backup_core::port::{Ability, CopyFrom, Intent, NativeState};
use backup_core::{Error, ErrorKind, Purpose, Result, SourceName};
use jiff::SignedDuration;

use super::{able, conductor, resume};
use crate::args::RestoreArgs;
use crate::exit::Ending;
use crate::session::Session;

/// Where a provider restores to.
pub(crate) enum NativeTarget {
    /// A new branch or service of this name; empty: a name of our own.
    New(String),
    /// The database itself.
    InPlace,
}

impl NativeTarget {
    /// Reads a target; nothing where it is a URL or a path.
    pub(crate) fn parse(to: &str) -> Option<Self> {
        if to == "in-place" {
            return Some(Self::InPlace);
        }
        let name = to.strip_prefix("branch:").or_else(|| to.strip_prefix("service:"))?;
        Some(Self::New(name.to_owned()))
    }
}

/// `restore … --to branch:NAME`, `--to in-place`: at the provider.
pub(crate) async fn restore(
    session: &Session,
    args: &RestoreArgs,
    to: NativeTarget,
) -> Result<Ending> {
    demand_whole(args)?;
    let source = source_of(session, &args.snapshot)?;
    let conductor = conductor(session, source)?;
    let from = from(session, &conductor, args).await?;
    let run = backup::run_id()?;
    let intent = match to {
        NativeTarget::New(name) => Intent::Copy {
            name: if name.is_empty() {
                conductor.name(Purpose::Restore, run).to_string()
            } else {
                name
            },
            from,
            expires_at: None,
        },
        NativeTarget::InPlace => {
            let keep_as = conductor.name(Purpose::Before, run).to_string();
            Intent::RestoreInPlace { from, keep_as }
        }
    };
    let mut what = describe(&conductor, &source.name, &intent);
    let in_place = matches!(intent, Intent::RestoreInPlace { .. });
    for more in session.interrupt.unless(conductor.platform.preview(&intent)).await? {
        what.push_str(&format!("\n- {more}"));
    }
    if args.preview {
        session.screen.data(&format!("{what}\nnothing was changed (--preview)\n"));
        return Ok(Ending::Ok);
    }
    if in_place && !args.yes {
        return Err(Error::new(ErrorKind::Usage, "restore database in place")
            .with("source", &source.name)
            .because("that replaces the database that is in use, and nobody confirmed it")
            .hint(format!(
                "{what} Take a backup first, then pass --yes; or restore to branch:NAME and look."
            )));
    }
    if in_place && !conductor.platform.can(Ability::KeepBefore) && !args.without_backup {
        demand_fresh(session, source, conductor.platform.name()).await?;
    }
    session.screen.say(&what);
    resume(session, &conductor).await?;
    refuse_taken(session, &conductor, &intent).await?;
    let done = session.interrupt.unless(conductor.run(intent.clone())).await?;
    let id = done.id.unwrap_or_default();
    let mut receipt = ReceiptDocument::new("restore", &what)
        .fact("provider", &conductor.platform.name())
        .fact("made", &id);
    if matches!(intent, Intent::Copy { .. }) {
        let endpoint = session.interrupt.unless(conductor.platform.copy_endpoint(&id)).await?;
        let location = backup::location(endpoint.url.expose());
        receipt = receipt.fact("location", &location);
        session.interrupt.unless(conductor.platform.release(&endpoint)).await?;
        if !session.screen.json() {
            session.screen.data(&format!("restored to {} ({id}) at {location}\n", intent.object()));
        }
    } else if !session.screen.json() {
        session.screen.data(&format!("restored {} in place ({id})\n", source.name));
    }
    for note in &done.notes {
        session.screen.say(&format!("note: {note}"));
    }
    if session.screen.json() {
        session.screen.document(&receipt)?;
    }
    Ok(Ending::Ok)
}

/// A provider restores a whole database to a moment or a snapshot; whatever else was asked for would
/// be left out in silence.
fn demand_whole(args: &RestoreArgs) -> Result<()> {
    let recovery = &args.recovery;
    let asked = [
        ("--database", args.database.is_some()),
        ("--table", !args.tables.is_empty()),
        ("--schema", !args.schemas.is_empty()),
        ("--delta", args.delta),
        ("--tablespace", !args.tablespaces.is_empty()),
        ("--no-owner", args.no_owner),
        ("--no-privileges", args.no_privileges),
        ("--create-roles", args.create_roles),
        ("--map-role", !args.map_roles.is_empty()),
        ("--xid", recovery.xid.is_some()),
        ("--restore-point", recovery.restore_point.is_some()),
        ("--immediate", recovery.immediate),
        ("--latest", recovery.latest),
        ("--timeline", recovery.timeline.is_some()),
        ("--start", recovery.start),
    ];
    let Some((option, _)) = asked.into_iter().find(|(_, given)| *given) else { return Ok(()) };
    Err(Error::new(ErrorKind::Usage, "restore at the provider")
        .with("option", option)
        .because(
            "a provider restores a whole database, to --at, to --lsn or to one of its snapshots",
        )
        .hint("Leave the option out, or restore a snapshot of the repository to postgres://…"))
}

/// How old the newest snapshot of a database may be that is put back in its place.
const FRESH: SignedDuration = SignedDuration::from_hours(1);

/// Fails where what is in the database now is nowhere else: the provider keeps nothing of it.
async fn demand_fresh(session: &Session, source: &SourceSettings, provider: &str) -> Result<()> {
    let records = session.records().await?;
    let newest = records
        .iter()
        .map(|record| &record.snapshot)
        .filter(|snapshot| snapshot.source == source.name && !snapshot.is_suspect())
        .map(|snapshot| snapshot.started_at)
        .max();
    if newest.is_some_and(|at| session.clock.now().duration_since(at) <= FRESH) {
        return Ok(());
    }
    let newest = newest.map_or_else(|| "none".to_owned(), |at| at.to_string());
    Err(Error::new(ErrorKind::Conflict, "restore database in place")
        .with("source", &source.name)
        .with("newest snapshot", newest)
        .because(format!("{provider} keeps nothing of the state before, and no snapshot is fresh"))
        .hint(format!(
            "Take one first: `backupctl backup {} --verify read`. Where the database cannot be read \
             any more, add --without-backup.",
            source.name
        )))
}

/// What is there already would be taken for what was asked for: an earlier attempt's, or somebody
/// else's.
async fn refuse_taken(session: &Session, conductor: &Conductor, intent: &Intent) -> Result<()> {
    let Intent::Copy { name, .. } = intent else { return Ok(()) };
    let there = session.interrupt.unless(conductor.platform.copies(name)).await?;
    if there.iter().any(|copy| copy.name == *name) {
        return Err(Error::new(ErrorKind::Conflict, "restore at the provider")
            .with("provider", conductor.platform.name())
            .with("name", name)
            .because("there is one of that name already; nothing was restored")
            .hint(
                "Choose another name. If an interrupted restore made it, look at it, or delete it.",
            ));
    }
    Ok(())
}

/// What is restored: a moment, a position, a snapshot of that id or name, or the newest.
async fn from(session: &Session, conductor: &Conductor, args: &RestoreArgs) -> Result<CopyFrom> {
    if let Some(at) = args.recovery.at {
        let window = session.interrupt.unless(conductor.platform.window()).await?;
        let now = session.clock.now();
        if let Some(window) = window.filter(|window| !window.holds(at, now)) {
            return Err(Error::new(ErrorKind::NotFound, "restore at the provider")
                .with("at", at)
                .with("earliest", window.earliest)
                .with("latest", window.latest.unwrap_or(now))
                .hint("The provider keeps no history of that moment; snapshots of the repository may."));
        }
        return Ok(CopyFrom::At(at));
    }
    if let Some(lsn) = args.recovery.lsn {
        return Ok(CopyFrom::Lsn(lsn));
    }
    let snapshots = session.interrupt.unless(conductor.platform.snapshots()).await?;
    let found = match &args.snapshot {
        Selector::Prefix(word) => snapshots.iter().find(|one| super::is_called(one, word)),
        _ => managed::newest_native(&snapshots),
    };
    match found {
        Some(snapshot) if snapshot.state == NativeState::Ready => {
            Ok(CopyFrom::Snapshot(snapshot.id.clone()))
        }
        Some(snapshot) => Err(Error::new(ErrorKind::Suspect, "restore provider snapshot")
            .with("snapshot", &snapshot.id)
            .with("state", snapshot.state.as_str())
            .hint("Wait for its end, or choose another: `backupctl snapshots --native`.")),
        None => Err(Error::new(ErrorKind::NotFound, "find provider snapshot")
            .with("snapshot", &args.snapshot)
            .hint("`backupctl snapshots --native` lists them; --at restores a moment instead.")),
    }
}

/// Which source a selector means: the one it names, else the only one that has a provider.
fn source_of<'a>(session: &'a Session, selector: &Selector) -> Result<&'a SourceSettings> {
    if let Selector::LatestOf(name) = selector {
        let found = session.sources(std::slice::from_ref(name))?;
        return found
            .first()
            .copied()
            .ok_or_else(|| Error::new(ErrorKind::NotFound, "find source").with("source", name));
    }
    let able = able(session, &[], Ability::CopyNow)?;
    match able.as_slice() {
        [only] => Ok(only),
        _ => Err(Error::new(ErrorKind::Usage, "choose source")
            .with("sources", able.len())
            .hint("Several sources have a provider; write SOURCE@latest.")),
    }
}

fn describe(conductor: &Conductor, source: &SourceName, intent: &Intent) -> String {
    let provider = conductor.platform.name();
    let (from, to) = match intent {
        Intent::Copy { name, from, .. } => (from, format!("to the new branch {name}")),
        Intent::RestoreInPlace { from, keep_as } => (
            from,
            format!(
                "in place, in use or not; the state before is kept as {keep_as} where {provider} can"
            ),
        ),
        _ => return intent.verb().to_owned(),
    };
    let from = match from {
        CopyFrom::Now => "as it is now".to_owned(),
        CopyFrom::At(at) => format!("as it was at {at}"),
        CopyFrom::Lsn(lsn) => format!("as it was at position {lsn}"),
        CopyFrom::Snapshot(id) => format!("from the provider snapshot {id}"),
    };
    format!("restore {source} at {provider} {from}, {to}.")
}
