//! Provider snapshots, and restores at the provider: `--native`, and targets that are no URL.

use backup::config::SourceSettings;
use backup::ops::Selector;
use backup::ops::document::{NativeDocument, ReceiptDocument};
use backup::ops::managed::{self, Conductor, NativePlan};
use backup_core::port::{Ability, CopyFrom, Intent, NativeSnapshot, NativeState};
use backup_core::{ByteSize, Error, ErrorKind, Purpose, Result, SourceName};

use jiff::SignedDuration;

use crate::args::RestoreArgs;
use crate::exit::Ending;
use crate::render::{self, Align, Table};
use crate::session::Session;

/// Where a provider restores to.
pub(super) enum NativeTarget {
    /// A new branch or service of this name; empty: a name of our own.
    New(String),
    /// The database itself.
    InPlace,
}

impl NativeTarget {
    /// Reads a target; nothing where it is a URL or a path.
    pub(super) fn parse(to: &str) -> Option<Self> {
        if to == "in-place" {
            return Some(Self::InPlace);
        }
        let name = to.strip_prefix("branch:").or_else(|| to.strip_prefix("service:"))?;
        Some(Self::New(name.to_owned()))
    }
}

/// `backup --native`: a provider snapshot of each source, then their retention.
pub(super) async fn backup(session: &Session, names: &[SourceName]) -> Result<Ending> {
    let mut all = Vec::new();
    for source in able(session, names, Ability::CreateSnapshot)? {
        let conductor = conductor(session, source)?;
        resume(session, &conductor).await?;
        let keep_for = Some(source.native.keep_for.as_duration());
        let taking = managed::take_snapshot(&conductor, backup::run_id()?, keep_for);
        let receipt = session.interrupt.unless(taking).await?;
        let plan = retain(session, source, &conductor, false).await?;
        all.push((source, conductor, receipt, plan));
    }
    for (source, conductor, receipt, plan) in all {
        let provider = conductor.platform.name();
        if session.screen.json() {
            let listed = NativeDocument::listed(&source.name, provider, &[receipt.snapshot]);
            session.screen.document(&listed.with_notes(receipt.notes))?;
            continue;
        }
        let snapshot = &receipt.snapshot;
        let expires = snapshot.expires_at.map(|at| format!(", kept until {}", render::time(at)));
        session.screen.data(&format!(
            "provider snapshot {} of {} ({}){}\n",
            snapshot.id,
            source.name,
            snapshot.name,
            expires.unwrap_or_default()
        ));
        for gone in &plan.forget {
            session.screen.data(&format!("deleted  {} ({})\n", gone.id, gone.name));
        }
        session.screen.hint(&format!(
            "It rests at {provider} and dies with the project; `backupctl backup {}` takes one that does not.",
            source.name
        ));
    }
    Ok(Ending::Ok)
}

/// `snapshots --native`: what providers keep.
pub(super) async fn list(session: &Session, source: Option<&SourceName>) -> Result<Ending> {
    let names: Vec<SourceName> = source.into_iter().cloned().collect();
    for source in able(session, &names, Ability::ListSnapshots)? {
        let conductor = conductor(session, source)?;
        let snapshots = session.interrupt.unless(conductor.platform.snapshots()).await?;
        if session.screen.json() {
            let provider = conductor.platform.name();
            session.screen.document(&NativeDocument::listed(&source.name, provider, &snapshots))?;
        } else {
            session.screen.data(&table(&source.name, &snapshots));
        }
    }
    Ok(Ending::Ok)
}

/// `forget --native`: the retention of provider snapshots.
pub(super) async fn forget(
    session: &Session,
    names: &[SourceName],
    dry_run: bool,
) -> Result<Ending> {
    let mut refused = false;
    for source in able(session, names, Ability::DeleteSnapshot)? {
        let conductor = conductor(session, source)?;
        if !dry_run {
            resume(session, &conductor).await?;
        }
        let plan = retain(session, source, &conductor, dry_run).await?;
        refused |= plan.refused.is_some();
        if session.screen.json() {
            let provider = conductor.platform.name();
            session.screen.document(&NativeDocument::planned(&source.name, provider, &plan))?;
        } else {
            session.screen.data(&plan_text(&source.name, &plan, dry_run));
        }
    }
    Ok(if refused { Ending::Found(ErrorKind::Suspect) } else { Ending::Ok })
}

/// `restore … --to branch:NAME`, `--to in-place`: at the provider.
pub(super) async fn restore(
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
        let location = backup::postgres::ConnectOptions::parse(endpoint.url.expose())
            .map_or_else(|_| "unknown".to_owned(), |options| options.location());
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

/// Ends what earlier runs left under way.
async fn resume(session: &Session, conductor: &Conductor) -> Result<()> {
    for finding in session.interrupt.unless(conductor.resume()).await? {
        session.screen.say(&render::finding(&finding));
    }
    Ok(())
}

/// Plans by the configured policy, and carries it out.
async fn retain(
    session: &Session,
    source: &SourceSettings,
    conductor: &Conductor,
    dry_run: bool,
) -> Result<NativePlan> {
    let policy = source.native.retention.unwrap_or_default();
    let snapshots = session.interrupt.unless(conductor.platform.snapshots()).await?;
    let (zone, now) = (session.zone(), session.clock.now());
    let plan = managed::plan_native(&snapshots, &source.name, &policy, &zone, now);
    if !dry_run && conductor.platform.can(Ability::DeleteSnapshot) {
        for gone in &plan.forget {
            let deleting = conductor.run(Intent::DeleteSnapshot { id: gone.id.clone() });
            session.interrupt.unless(deleting).await?;
        }
    }
    Ok(plan)
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
        Selector::Prefix(word) => snapshots.iter().find(|one| one.id == *word || one.name == *word),
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

/// Returns the named sources, or all that can do something at their provider.
fn able<'a>(
    session: &'a Session,
    names: &[SourceName],
    ability: Ability,
) -> Result<Vec<&'a SourceSettings>> {
    let mut found = Vec::new();
    for source in session.sources(names)? {
        let platform = session.composer().platform(source)?;
        match platform {
            Some(platform) if platform.can(ability) => found.push(source),
            _ if names.is_empty() => {}
            Some(platform) => {
                return Err(platform
                    .unsupported("use provider snapshots")
                    .with("source", &source.name));
            }
            None => return Err(no_provider(source)),
        }
    }
    if found.is_empty() {
        return Err(Error::new(ErrorKind::NotFound, "find provider")
            .hint("No source has a provider whose API is configured; docs/providers says how."));
    }
    Ok(found)
}

fn conductor(session: &Session, source: &SourceSettings) -> Result<Conductor> {
    session.composer().conductor(source, session.observer())?.ok_or_else(|| no_provider(source))
}

fn no_provider(source: &SourceSettings) -> Error {
    Error::new(ErrorKind::Unsupported, "use provider's API")
        .with("source", &source.name)
        .with("provider", source.provider)
        .hint("This source is a plain database: use the verbs without --native.")
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

fn table(source: &SourceName, snapshots: &[NativeSnapshot]) -> String {
    use Align::{Left, Right};
    let mut table = Table::new(&[
        ("PROVIDER ID", Left),
        ("STARTED (UTC)", Left),
        ("SOURCE", Left),
        ("SIZE", Right),
        ("EXPIRES (UTC)", Left),
        ("STATE", Left),
        ("NAME", Left),
    ]);
    for snapshot in snapshots {
        table.row([
            snapshot.id.clone(),
            render::time(snapshot.created_at),
            source.to_string(),
            snapshot.bytes.map_or_else(|| "-".into(), |bytes| ByteSize(bytes).to_string()),
            snapshot.expires_at.map_or_else(|| "never".into(), render::time),
            snapshot.state.as_str().into(),
            snapshot.name.clone(),
        ]);
    }
    table.render()
}

fn plan_text(source: &SourceName, plan: &NativePlan, dry_run: bool) -> String {
    let mut text = String::new();
    for kept in &plan.keep {
        text.push_str(&format!(
            "keep    {} of {source}: {}\n",
            kept.snapshot.id,
            kept.reasons.join(", ")
        ));
    }
    let done = if dry_run { "would forget" } else { "forgot" };
    for gone in &plan.forget {
        text.push_str(&format!("{done} {} of {source} ({})\n", gone.id, gone.name));
    }
    if let Some(refused) = &plan.refused {
        text.push_str(&format!("{source}: {refused}\n"));
    }
    text
}
