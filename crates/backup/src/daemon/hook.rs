//! Calling what its owner wants called before and after backups.

use std::process::Stdio;
use std::time::Duration;

use backup_config::{HookAction, HookMoment, HookSettings};
use backup_core::port::{Alert, Clock, Notifier, Phase};
use backup_core::{Error, ErrorKind, Result, Severity, SourceName};
use backup_notify::{Delivery, Webhook};
use std::sync::Arc;
use tokio::process::Command;

use crate::Composer;

/// What a hook is told.
pub(super) struct Occasion<'a> {
    pub(super) source: &'a SourceName,
    pub(super) run: String,
    pub(super) snapshot: Option<String>,
    pub(super) error: Option<String>,
}

/// Calls every hook of that moment, one after the other. A `before` hook that is required and
/// fails is the error; other failures are said and go no further.
pub(super) async fn call(
    composer: &Composer,
    clock: &Arc<dyn Clock>,
    hooks: &[HookSettings],
    moment: HookMoment,
    occasion: &Occasion<'_>,
) -> Result<()> {
    for hook in hooks.iter().filter(|hook| hook.moment == moment) {
        if !hook.sources.is_empty() && !hook.sources.contains(occasion.source) {
            continue;
        }
        let called = async {
            match &hook.action {
                HookAction::Command(words) => command(words, moment, occasion).await,
                HookAction::Post { url, secret } => {
                    let url = composer.secret(url)?;
                    let secret = secret.as_ref().map(|key| composer.secret(key)).transpose()?;
                    let delivery = Delivery {
                        timeout: hook.timeout.as_duration(),
                        attempts: 2,
                        first_pause: Duration::from_secs(1),
                        max_pause: Duration::from_secs(5),
                    };
                    let client = backup_notify::client()?;
                    let webhook = Webhook::new(client, Arc::clone(clock), &url, secret, delivery)?;
                    webhook.deliver(&notice(moment, occasion, clock)).await
                }
            }
        };
        let limit = hook.timeout.as_duration();
        let result = match tokio::time::timeout(limit, called).await {
            Ok(result) => result,
            Err(_) => Err(Error::new(ErrorKind::Failed, "call hook")
                .with("seconds", limit.as_secs())
                .because("it did not end in time; it was killed")),
        };
        let Err(error) = result else { continue };
        let error = Error::new(ErrorKind::Failed, format!("call hook {}", moment.as_str()))
            .with("source", occasion.source)
            .because(error)
            .hint("Run it by hand; `required = false` lets backups go on without it.");
        if moment == HookMoment::Before && hook.required {
            return Err(error);
        }
        tracing::error!(%error, "a hook failed; the run goes on");
    }
    Ok(())
}

/// Runs a program without a shell; what happened is in its environment. Dropped, it is killed.
async fn command(words: &[String], moment: HookMoment, occasion: &Occasion<'_>) -> Result<()> {
    let Some((program, arguments)) = words.split_first() else { return Ok(()) };
    let failed = || Error::new(ErrorKind::Failed, "run hook").with("program", program);
    let mut command = Command::new(program);
    command
        .args(arguments)
        .env("BACKUP_HOOK", moment.as_str())
        .env("BACKUP_HOOK_SOURCE", occasion.source.as_str())
        .env("BACKUP_HOOK_RUN", &occasion.run)
        .env("BACKUP_HOOK_SNAPSHOT", occasion.snapshot.as_deref().unwrap_or_default())
        .env("BACKUP_HOOK_ERROR", occasion.error.as_deref().unwrap_or_default())
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .kill_on_drop(true);
    // Secrets of the daemon are not the hook's.
    for (name, _) in std::env::vars_os() {
        let text = name.to_string_lossy();
        if ["PASSPHRASE", "PASSWORD", "SECRET", "TOKEN", "_KEY", "_URL"]
            .iter()
            .any(|s| text.contains(s))
        {
            command.env_remove(&name);
        }
    }
    let output = command.output().await.map_err(|error| failed().because(error))?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    let last = said.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or_default();
    let last: String = last.chars().filter(|c| !c.is_control()).take(200).collect();
    Err(failed().with("ended with", output.status).with("last line", last))
}

fn notice(moment: HookMoment, occasion: &Occasion<'_>, clock: &Arc<dyn Clock>) -> Alert {
    let mut facts = vec![("run".to_owned(), occasion.run.clone())];
    facts.extend(occasion.snapshot.clone().map(|id| ("snapshot".to_owned(), id)));
    Alert {
        severity: if moment == HookMoment::Failure { Severity::Critical } else { Severity::Info },
        event: format!("hook.{}", moment.as_str()),
        source: Some(occasion.source.to_string()),
        title: format!("backup of {}: {}", occasion.source, moment.as_str()),
        body: occasion.error.clone().unwrap_or_default(),
        at: clock.now(),
        facts,
        problem: None,
        phase: Phase::News,
    }
}
