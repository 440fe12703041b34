//! `validate`: is the configuration usable? With `--repository`: are the sources protected?

use std::time::Duration;

use backup::config::{Settings, SourceSettings};
use backup::ops::Standing;
use backup::ops::doctor::{Check, check_source};
use backup_core::port::{Alert, Phase};
use backup_core::{Error, ErrorKind, Result, Severity};
use jiff::SignedDuration;

use crate::args::ValidateArgs;
use crate::exit::Ending;
use crate::session::Session;
use crate::verbs::doctor;

pub(super) async fn run(session: &Session, args: &ValidateArgs) -> Result<Ending> {
    let settings = session.settings()?;
    let mut checks = vec![Check::ok("configuration", "every key and value is usable")];
    checks.push(match settings.repository() {
        Ok(repository) => Check::ok("repository", &repository.url),
        Err(error) => Check::failure("repository", error),
    });
    checks.push(match settings.repository().and_then(|repository| repository.key().cloned()) {
        Ok(key) => Check::ok("key", format!("from {}", key.secret().place())),
        Err(error) => Check::failure("key", error),
    });
    for source in &settings.sources {
        describe(session, settings, source, args.sources, &mut checks).await;
    }
    if settings.sources.is_empty() {
        checks.push(Check::warning(
            "sources",
            "none is configured",
            "Set DATABASE_URL, or describe a source in backup.toml.",
        ));
    }
    alerts(session, settings, &mut checks);
    for note in &settings.notes {
        checks.push(Check::warning("note", note, "Look at backup.toml and the environment."));
    }
    let mut ending = Ending::Ok;
    if args.repository {
        match session.standings(&[]).await {
            Ok((mut sources, mut groups)) => {
                let promised =
                    sources.iter_mut().filter(|source| source.promise.rpo_of_both.is_some());
                session.count_natives(promised).await?;
                backup::ops::group::count_members(&mut groups, &sources);
                for group in groups {
                    let name = format!("protection of group {}", group.group);
                    if group.standing == Standing::Protected {
                        checks.push(Check::ok(name, "fresh, and a drill passed"));
                        continue;
                    }
                    ending = Ending::Found(ErrorKind::Suspect);
                    let why = group.reasons.join(" ");
                    checks.push(Check::unmet(name, group.standing.label(), why));
                }
                for source in sources {
                    let name = format!("protection of {}", source.source);
                    if source.standing == Standing::Protected {
                        checks.push(Check::ok(name, "fresh and verified"));
                        continue;
                    }
                    ending = Ending::Found(ErrorKind::Suspect);
                    let why = source.reasons.join(" ");
                    checks.push(Check::unmet(name, source.standing.label(), why));
                }
            }
            Err(error) if stops(&error) => return Err(error),
            Err(error) => checks.push(Check::failure("protection", error)),
        }
    }
    doctor::show(session, "validate", &checks)?;
    // What failed decides before what is unprotected: nothing is known about the rest.
    if checks.iter().any(|check| check.failed() && check.error.is_some()) {
        checks.retain(|check| !check.failed() || check.error.is_some());
        return doctor::demand("validate", &checks);
    }
    Ok(ending)
}

fn stops(error: &Error) -> bool {
    matches!(error.kind(), ErrorKind::Interrupted | ErrorKind::Terminated)
}

async fn describe(
    session: &Session,
    settings: &Settings,
    source: &SourceSettings,
    reach: bool,
    checks: &mut Vec<Check>,
) {
    let name = format!("source {}", source.name);
    match session.composer().source(source) {
        Ok(provider) => {
            checks
                .push(Check::ok(name, format!("{}, keeps {}", source.provider, source.retention)));
            if reach {
                checks.extend(check_source(&source.name, provider.as_ref()).await);
            }
        }
        Err(error) => checks.push(Check::failure(name, error)),
    }
    checks.push(schedule(session, settings, source));
}

/// A schedule that leaves longer gaps than the RPO allows cannot keep what was promised.
fn schedule(session: &Session, settings: &Settings, source: &SourceSettings) -> Check {
    let name = format!("schedule of {}", source.name);
    let Some(cron) = &source.schedule.backup else {
        return Check::skipped(name, "none here: something else starts its backups");
    };
    let now = session.clock.now();
    let month = now.saturating_add(SignedDuration::from_hours(35 * 24)).unwrap_or(now);
    let mut runs = vec![now];
    while let Some(next) = runs.last().and_then(|last| cron.next(*last, &settings.zone)) {
        runs.push(next);
        // Enough of them to see every gap of a week and of a month; not every minute of it.
        if next > month || runs.len() > 5_000 {
            break;
        }
    }
    let gaps = runs.windows(2).skip(1).map(|pair| pair[1].duration_since(pair[0]));
    let gap = gaps.max().and_then(|gap| Duration::try_from(gap).ok()).unwrap_or_default();
    let next = runs.get(1).map_or_else(|| "never".into(), |next| format!("{next:.0}"));
    if gap > source.protection.rpo.as_duration() {
        return Check::warning(
            name,
            format!(
                "'{}' leaves gaps of {} h; at most {} was promised",
                cron.as_str(),
                gap.as_secs() / 3600,
                source.protection.rpo
            ),
            "Run backups more often, or promise less: protection.rpo.",
        );
    }
    Check::ok(name, format!("'{}', next {next}", cron.as_str()))
}

/// A source whose failures nobody hears of is as good as not watched.
fn alerts(session: &Session, settings: &Settings, checks: &mut Vec<Check>) {
    let destinations = match session.destinations() {
        Ok(destinations) => destinations,
        Err(error) => return checks.push(Check::failure("alerts", error)),
    };
    let remedy = "Set SLACK_WEBHOOK_URL or BACKUP_WEBHOOK_URL, or add a [[notify]]; see \
                  docs/alerts.md.";
    if destinations.is_empty() {
        return checks.push(Check::warning("alerts", "nobody is told when a run fails", remedy));
    }
    let names: Vec<&str> = destinations.iter().map(|one| one.channel.as_str()).collect();
    checks.push(Check::ok("alerts", names.join(", ")));
    for source in &settings.sources {
        let failure = Alert {
            severity: Severity::Critical,
            event: "backup.failed".into(),
            source: Some(source.name.to_string()),
            title: String::new(),
            body: String::new(),
            at: session.clock.now(),
            facts: Vec::new(),
            problem: None,
            phase: Phase::Open,
        };
        if destinations.iter().all(|destination| !destination.route.wants(&failure)) {
            checks.push(Check::warning(
                format!("alerts of {}", source.name),
                "no channel hears of its failures",
                "Look at sources, events, severity and on_failure of every [[notify]].",
            ));
        }
    }
}
