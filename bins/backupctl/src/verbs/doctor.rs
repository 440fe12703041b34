//! `doctor`: everything a backup and a restore need, one check after the other.

use backup::ops::doctor::{self, Check, Outcome};
use backup::ops::document::DoctorDocument;
use backup_core::{Error, ErrorKind, Result};

use crate::args::DoctorArgs;
use crate::exit::Ending;
use crate::render::{Align, Table};
use crate::session::Session;

pub(super) async fn run(session: &Session, args: &DoctorArgs) -> Result<Ending> {
    let checks = session.interrupt.unless(async { Ok(examine(session, args.live).await) }).await?;
    show(session, "doctor", &checks)?;
    demand("examine", &checks)
}

async fn examine(session: &Session, live: bool) -> Vec<Check> {
    let settings = match session.settings() {
        Ok(settings) => settings,
        Err(error) => return vec![Check::failure("configuration", error)],
    };
    let mut checks = vec![Check::ok(
        "configuration",
        format!("{} sources, {} channels", settings.sources.len(), settings.notify.len()),
    )];
    repository(session, live, &mut checks).await;
    if settings.sources.is_empty() {
        checks.push(Check::warning(
            "sources",
            "none is configured",
            "Set DATABASE_URL, or describe a source in backup.toml.",
        ));
    }
    // Only PostgreSQL's schemas are written by programs of this machine.
    let mut programs = settings.sources.is_empty();
    for source in &settings.sources {
        match session.choose(source) {
            Ok(source) => {
                programs |= !matches!(source.provider.name(), "mysql" | "files");
                checks.extend(doctor::check_source(&source.name, source.provider.as_ref()).await);
            }
            Err(error) => checks.push(Check::failure(format!("source {}", source.name), error)),
        }
    }
    if programs {
        checks.push(backup::check_tools(session.composer().tools()).await);
    }
    checks.push(alerts(session));
    checks
}

async fn repository(session: &Session, live: bool, checks: &mut Vec<Check>) {
    let repository = match session.repository().await {
        Ok(repository) => repository,
        Err(error) => {
            checks.push(Check::failure("repository", error));
            checks.push(Check::skipped("create if absent", "the repository was not opened"));
            return;
        }
    };
    let store = repository.store().as_ref();
    let detail = format!("{} at {}", repository.id().short(), store.location());
    checks.push(Check::ok("repository", detail));
    checks.push(match repository.keys().await {
        Ok(keys) if keys.len() == 1 => Check::warning(
            "keys",
            "one key opens the repository",
            "Make a recovery sheet: `backupctl key sheet`.",
        ),
        Ok(keys) => Check::ok("keys", format!("{} keys open the repository", keys.len())),
        Err(error) => Check::failure("keys", error),
    });
    checks.push(if live {
        doctor::check_capabilities(store)
    } else {
        Check::skipped("create if absent", "pass --live to try it")
    });
    checks.extend(session.repository_url().ok().and_then(|url| backup::check_space(&url)));
    if live {
        checks.extend(doctor::check_live(store, &session.clock).await);
    } else {
        checks.push(Check::skipped("store round trip", "pass --live to write a small object"));
    }
}

fn alerts(session: &Session) -> Check {
    match session.destinations() {
        Ok(destinations) if destinations.is_empty() => Check::warning(
            "alerts",
            "nobody is told when a run fails",
            "Set SLACK_WEBHOOK_URL or BACKUP_WEBHOOK_URL, then `backupctl notify test`.",
        ),
        Ok(destinations) => {
            let names: Vec<String> =
                destinations.iter().map(|destination| destination.channel.clone()).collect();
            Check::ok("alerts", names.join(", "))
        }
        Err(error) => Check::failure("alerts", error),
    }
}

/// Shows checks as a table or as a document.
pub(super) fn show(session: &Session, verb: &str, checks: &[Check]) -> Result<()> {
    if session.screen.json() {
        return session.screen.document(&DoctorDocument::new(verb, checks));
    }
    let mut table =
        Table::new(&[("RESULT", Align::Left), ("CHECK", Align::Left), ("FOUND", Align::Left)]);
    for check in checks {
        table.row([check.outcome.as_str().into(), check.name.clone(), check.detail.clone()]);
    }
    let mut text = table.render();
    for check in checks.iter().filter(|check| check.outcome != Outcome::Skipped) {
        if let Some(remedy) = &check.remedy {
            text.push_str(&format!("{}: {remedy}\n", check.name));
        }
    }
    session.screen.data(&text);
    Ok(())
}

/// Ends with the kind of the first failure.
pub(super) fn demand(operation: &str, checks: &[Check]) -> Result<Ending> {
    let Some(first) = checks.iter().find(|check| check.failed()) else {
        return Ok(Ending::Ok);
    };
    let kind = first.error.as_ref().map_or(ErrorKind::Failed, |error| error.kind());
    let failed = checks.iter().filter(|check| check.failed()).count();
    let mut error = Error::new(kind, format!("{operation} setup"))
        .with("failed checks", failed)
        .with("first", &first.name);
    if let Some(remedy) = &first.remedy {
        error = error.hint(remedy.clone());
    }
    Err(error)
}
