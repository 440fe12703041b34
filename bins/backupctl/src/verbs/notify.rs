//! `notify test`: does anybody hear?

use backup::ops::alert::Destination;
use backup::ops::document::ReceiptDocument;
use backup_core::port::{Alert, Phase};
use backup_core::{Error, ErrorKind, Result, Severity};
use jiff::Timestamp;

use crate::args::NotifyCommand;
use crate::exit::Ending;
use crate::session::Session;

pub(super) async fn run(session: &Session, command: &NotifyCommand) -> Result<Ending> {
    match command {
        NotifyCommand::Test { channel } => test(session, channel).await,
    }
}

async fn test(session: &Session, names: &[String]) -> Result<Ending> {
    let destinations = chosen(session.destinations()?, names)?;
    let now = session.clock.now();
    let mut receipt = ReceiptDocument::new("notify_test", "");
    let mut first = None;
    let mut delivered = 0;
    for destination in &destinations {
        let (name, place) = (&destination.channel, destination.notifier.name());
        match send(destination, now).await {
            Ok(()) => {
                delivered += 1;
                receipt = receipt.fact(name, "delivered");
                session.screen.say(&format!("{name}: sent ({place})"));
            }
            Err(error) => {
                receipt = receipt.fact(name, &error);
                session.screen.say(&format!("{name}: FAILED ({place}): {error}"));
                first.get_or_insert_with(|| error.with("channel", name));
            }
        }
    }
    if session.screen.json() {
        receipt.message = match delivered == destinations.len() {
            true => "every channel took the test alert".into(),
            false => "not every channel took the test alert".into(),
        };
        let receipt = receipt
            .number("channels", destinations.len() as u64)
            .number("delivered", delivered as u64);
        session.screen.document(&receipt)?;
    }
    first.map_or(Ok(Ending::Ok), Err)
}

fn chosen(all: Vec<Destination>, names: &[String]) -> Result<Vec<Destination>> {
    if all.is_empty() {
        return Err(Error::new(ErrorKind::ConfigInvalid, "send test alert").hint(
            "No channel is configured: set SLACK_WEBHOOK_URL or BACKUP_WEBHOOK_URL, or add \
             one to backup.toml.",
        ));
    }
    let known: Vec<String> = all.iter().map(|one| one.channel.clone()).collect();
    if let Some(unknown) = names.iter().find(|name| !known.contains(name)) {
        return Err(Error::new(ErrorKind::NotFound, "find channel")
            .with("channel", unknown.escape_debug())
            .hint(format!("Configured are {}.", known.join(", "))));
    }
    Ok(all.into_iter().filter(|one| names.is_empty() || names.contains(&one.channel)).collect())
}

/// Sends whatever the channel wants to hear otherwise. Where a problem stays open at the other
/// end, it is opened and solved again.
async fn send(destination: &Destination, now: Timestamp) -> Result<()> {
    let test = Alert {
        severity: Severity::Warning,
        event: "notify.test".into(),
        source: None,
        title: "test alert from backupctl".into(),
        body: "If you can read this, alerts reach you. Nothing is wrong.".into(),
        at: now,
        facts: Vec::new(),
        problem: None,
        phase: Phase::News,
    };
    if !destination.route.tracks {
        return destination.notifier.deliver(&test).await;
    }
    let problem = Some("notify.test".to_owned());
    let open = Alert { problem, phase: Phase::Open, ..test };
    destination.notifier.deliver(&open).await?;
    let title = "the test alert from backupctl is over".into();
    let solved = Alert { severity: Severity::Info, title, phase: Phase::Solved, ..open };
    destination.notifier.deliver(&solved).await
}
