//! `backup --native`: a provider snapshot of each source.

use backup::config::SourceSettings;
use backup::ops::alert;
use backup::ops::document::NativeDocument;
use backup::ops::managed::{self, NativePlan, NativeReceipt};
use backup_core::port::{Ability, NativeState};
use backup_core::{Error, ErrorKind, Finding, OwnedName, Result, SourceName};

use super::{able, conductor};
use crate::alerts;
use crate::exit::Ending;
use crate::render;
use crate::session::Session;

/// What was done for one source.
struct Taken {
    provider: &'static str,
    receipt: NativeReceipt,
    plan: NativePlan,
}

/// A provider snapshot of each source, then their retention. One source ends with its own error; of
/// several each is tried, and says how it went.
pub(crate) async fn backup(session: &Session, names: &[SourceName]) -> Result<Ending> {
    let sources = able(session, names, Ability::CreateSnapshot)?;
    let alone = sources.len() == 1;
    let mut worst = Ending::Ok;
    for source in sources {
        let (error, taken) = match one(session, source).await {
            Ok(taken) => (taken.plan.failure(), Some(taken)),
            Err(error) => (Some(error), None),
        };
        if let Some(taken) = &taken {
            show(session, source, taken)?;
        }
        let Some(error) = error else { continue };
        let stopped = matches!(error.kind(), ErrorKind::Interrupted | ErrorKind::Terminated);
        // One that was taken has its document, which says this too.
        if session.screen.json() && taken.is_none() {
            let provider = source.provider.as_str();
            session.screen.document(&NativeDocument::failed(&source.name, provider, &error))?;
        }
        let error = error.with("source", &source.name);
        if alone || stopped {
            return Err(error);
        }
        alerts::failed(session, "native", Some(source.name.as_str()), &error).await;
        session.screen.error(&error);
        worst = Ending::Found(ErrorKind::Failed);
    }
    Ok(worst)
}

async fn one(session: &Session, source: &SourceSettings) -> Result<Taken> {
    let conductor = conductor(session, source)?;
    let found = session.interrupt.unless(async { Ok(conductor.settle().await) }).await?;
    tell(session, source, &found).await;
    let keep_for = Some(source.native.keep_for.as_duration());
    let taking = managed::take_snapshot(&conductor, backup::run_id()?, keep_for);
    let receipt = session.interrupt.unless(taking).await?;
    let plan = super::retain(session, source, &conductor, false).await?;
    Ok(Taken { provider: conductor.platform.name(), receipt, plan })
}

/// Says what earlier runs left behind; somebody hears of what costs money.
async fn tell(session: &Session, source: &SourceSettings, found: &[Finding]) {
    for finding in found {
        session.screen.say(&render::finding(finding));
    }
    let found = found.iter().map(|finding| finding.message.as_str());
    let now = session.clock.now();
    if let Some(alert) = alert::left_behind_of(source.name.as_str(), found, now) {
        alerts::tell(session, &alert).await;
    }
}

fn show(session: &Session, source: &SourceSettings, taken: &Taken) -> Result<()> {
    let Taken { provider, receipt, plan } = taken;
    let snapshot = &receipt.snapshot;
    if session.screen.json() {
        let listed = NativeDocument::listed(&source.name, provider, std::slice::from_ref(snapshot));
        let stay = plan.failed.iter().map(|one| format!("an older one was not deleted: {one}"));
        let notes = receipt.notes.iter().cloned().chain(stay).collect();
        return session.screen.document(&listed.with_notes(notes));
    }
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
    Ok(())
}

/// Shows the snapshot that a run of the daemon took, as if it had been taken here: the newest of ours
/// that was begun since.
pub(crate) async fn show_newest(
    session: &Session,
    source: &SourceSettings,
    since: jiff::Timestamp,
) -> Result<()> {
    let conductor = conductor(session, source)?;
    let listed = session.interrupt.unless(conductor.platform.snapshots()).await?;
    let begun = |name: &str| OwnedName::parse(name).map(|name| name.at());
    let newest = listed
        .into_iter()
        .filter(|one| managed::is_ours(&one.name, &source.name))
        .filter(|one| one.state == NativeState::Ready)
        .filter(|one| begun(&one.name).is_some_and(|at| at.as_second() >= since.as_second()))
        .max_by_key(|one| one.created_at);
    let snapshot = newest.ok_or_else(|| {
        Error::new(ErrorKind::Suspect, "find provider snapshot")
            .with("source", &source.name)
            .because("the daemon says that it was taken, and the provider does not list it here")
            .hint("Is the same project configured here? `backupctl snapshots --native` lists it.")
    })?;
    let receipt = NativeReceipt { snapshot, notes: Vec::new() };
    let provider = conductor.platform.name();
    show(session, source, &Taken { provider, receipt, plan: NativePlan::default() })
}
