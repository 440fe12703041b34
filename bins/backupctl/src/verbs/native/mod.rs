//! Provider snapshots: `--native`, and restores at the provider.

mod pin;
mod restore;
mod take;

use std::sync::Arc;

use backup::config::SourceSettings;
use backup::ops::document::NativeDocument;
use backup::ops::managed::{self, Conductor, NativePlan};
use backup_core::port::{Ability, NativeSchedule, NativeSnapshot, Platform};
use backup_core::{ByteSize, Error, ErrorKind, Result, SourceName};

pub(crate) use pin::pin;
pub(crate) use restore::{NativeTarget, restore};
pub(crate) use take::{backup, show_newest};

use crate::exit::Ending;
use crate::render::{self, Align, Table};
use crate::session::Session;

/// `snapshots --native`: what providers keep.
pub(super) async fn list(session: &Session, source: Option<&SourceName>) -> Result<Ending> {
    let names: Vec<SourceName> = source.into_iter().cloned().collect();
    for source in able(session, &names, Ability::ListSnapshots)? {
        let conductor = conductor(session, source)?;
        let snapshots = session.interrupt.unless(conductor.snapshots()).await?;
        let schedules = session.interrupt.unless(conductor.platform.schedules()).await?;
        let provider = conductor.platform.name();
        if session.screen.json() {
            let listed = NativeDocument::listed(&source.name, provider, &snapshots);
            session.screen.document(&listed.with_schedules(&schedules))?;
            continue;
        }
        session.screen.data(&table(&source.name, &snapshots));
        for schedule in &schedules {
            session.screen.say(&by_itself(provider, schedule));
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
    let (mut refused, mut failed) = (false, false);
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
        if let Some(error) = plan.failure() {
            failed = true;
            session.screen.error(&error.with("source", &source.name));
        }
    }
    if failed {
        return Ok(Ending::Found(ErrorKind::Failed));
    }
    Ok(if refused { Ending::Found(ErrorKind::Suspect) } else { Ending::Ok })
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
    let zone = session.zone();
    let retaining = managed::retain_snapshots(conductor, &policy, &zone, dry_run);
    session.interrupt.unless(retaining).await
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

/// Returns all sources whose provider can do any of these.
fn able_to_any<'a>(session: &'a Session, abilities: &[Ability]) -> Result<Vec<&'a SourceSettings>> {
    let mut found = Vec::new();
    for source in session.sources(&[])? {
        let platform = session.composer().platform(source)?;
        let can = |platform: &Arc<dyn Platform>| abilities.iter().any(|one| platform.can(*one));
        found.extend(platform.as_ref().is_some_and(can).then_some(source));
    }
    if found.is_empty() {
        return Err(Error::new(ErrorKind::NotFound, "find provider")
            .hint("No source has a provider that can do this; docs/providers says which do."));
    }
    Ok(found)
}

/// Whether a person means this one: by its id, or by its name.
fn is_called(snapshot: &NativeSnapshot, word: &str) -> bool {
    snapshot.id.eq_ignore_ascii_case(word) || snapshot.name.eq_ignore_ascii_case(word)
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

/// What the provider does without us.
fn by_itself(provider: &str, schedule: &NativeSchedule) -> String {
    let kept = schedule.kept_seconds.map(|seconds| match seconds {
        days if days % 86_400 == 0 => format!(", kept {} d", days / 86_400),
        hours => format!(", kept {} h", hours / 3_600),
    });
    format!("{provider} takes snapshots by itself: {}{}", schedule.often, kept.unwrap_or_default())
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
