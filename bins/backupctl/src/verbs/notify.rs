//! `notify test`: does anybody hear?

use backup::ops::alert;
use backup::ops::document::ReceiptDocument;
use backup_core::port::{Alert, Phase};
use backup_core::{Error, ErrorKind, Result, Severity};

use crate::args::NotifyCommand;
use crate::exit::Ending;
use crate::session::Session;

pub(super) async fn run(session: &Session, command: &NotifyCommand) -> Result<Ending> {
    match command {
        NotifyCommand::Test => test(session).await,
    }
}

async fn test(session: &Session) -> Result<Ending> {
    let destinations = session.destinations()?;
    if destinations.is_empty() {
        return Err(Error::new(ErrorKind::ConfigInvalid, "send test alert").hint(
            "No channel is configured: set SLACK_WEBHOOK_URL or BACKUP_WEBHOOK_URL, or add \
             one to backup.toml.",
        ));
    }
    // A warning, so that it reaches channels that want no good news.
    let message = Alert {
        severity: Severity::Warning,
        event: "notify.test".into(),
        source: None,
        title: "test alert from backupctl".into(),
        body: "If you can read this, alerts reach you. Nothing is wrong.".into(),
        at: session.clock.now(),
        facts: Vec::new(),
        problem: None,
        phase: Phase::News,
    };
    let missed = alert::announce(&destinations, &message).await;
    for destination in &destinations {
        let name = &destination.channel;
        let how = if missed.iter().any(|(other, _)| other == name) { "FAILED" } else { "sent" };
        session.screen.say(&format!("{name}: {how}"));
    }
    if let Some((name, error)) = missed.into_iter().next() {
        return Err(error.with("channel", name));
    }
    if session.screen.json() {
        let receipt = ReceiptDocument::new("notify_test", "every channel took the test alert")
            .number("channels", destinations.len() as u64);
        session.screen.document(&receipt)?;
    }
    Ok(Ending::Ok)
}
