//! Handing a backup over to a running daemon.

use backup::daemon::{Answer, Client, Question, state_directory};
use backup::ops::document::{BackupDocument, BackupOutcome, ErrorDocument, SnapshotDocument};
use backup_core::{ByteSize, Error, ErrorKind, JobKey, JobKind, Result, Run, RunState, SourceName};

use crate::args::BackupArgs;
use crate::exit::Ending;
use crate::session::Session;

/// Asks the daemon for a backup of each source, waits, and ends as if it had been taken here.
pub(super) async fn backup(session: &Session, args: &BackupArgs) -> Result<Ending> {
    let directory = state_directory(session.settings()?, session.environment())?;
    let client = Client::find(&directory).await.ok_or_else(|| {
        Error::new(ErrorKind::Failed, "find the daemon")
            .with("directory", directory.display())
            .because("none answers there")
            .hint("Start backupd, set BACKUPD_STATE to its directory, or leave --via-daemon out.")
    })?;
    let names: Vec<SourceName> =
        session.sources(&args.sources)?.iter().map(|source| source.name.clone()).collect();
    let mut worst = Ending::Ok;
    for name in &names {
        let run = session.interrupt.unless(wait(session, &client, name)).await?;
        match run.state {
            RunState::Succeeded => {}
            RunState::Suspect => worst = Ending::Found(ErrorKind::Suspect),
            _ if names.len() == 1 => return Err(failure(&run)),
            _ => {
                session.screen.error(&failure(&run));
                worst = Ending::Found(ErrorKind::Failed);
            }
        }
        show(session, name, &run).await?;
    }
    Ok(worst)
}

async fn wait(session: &Session, client: &Client, name: &SourceName) -> Result<Run> {
    let question = Question::Run {
        job: JobKey::of(JobKind::Backup, name),
        actor: Some("backupctl".into()),
        wait: true,
    };
    let told = |answer: &Answer| {
        if let Answer::Run(run) = answer {
            session.screen.say(&format!("{name}: {} by the daemon", run.state.as_str()));
        }
    };
    match client.ask(&question, told).await? {
        Answer::Run(run) if !matches!(run.state, RunState::Queued | RunState::Running) => Ok(*run),
        _ => Err(Error::new(ErrorKind::Failed, "wait for the daemon")
            .with("source", name)
            .because("it ended before the run did")
            .hint("The run goes on when the daemon is started again.")),
    }
}

fn failure(run: &Run) -> Error {
    let error = Error::new(ErrorKind::Failed, "back up by the daemon").with("run", run.id);
    match &run.error {
        Some(known) => {
            let error = error.because(known.message.clone());
            match &known.hint {
                Some(hint) => error.hint(hint.clone()),
                None => error,
            }
        }
        None => error.because(run.state.as_str()),
    }
}

async fn show(session: &Session, name: &SourceName, run: &Run) -> Result<()> {
    let record = match run.snapshot {
        Some(id) => Some(session.repository().await?.snapshot(id).await?),
        None => None,
    };
    if session.screen.json() {
        return session.screen.document(&BackupDocument {
            schema: "backupctl.backup.v1".into(),
            source: name.to_string(),
            outcome: match run.state {
                RunState::Succeeded => BackupOutcome::Ok,
                RunState::Suspect => BackupOutcome::Suspect,
                _ => BackupOutcome::Failed,
            },
            snapshot: record.as_ref().map(SnapshotDocument::new),
            error: run.error.is_some().then(|| ErrorDocument::new(&failure(run))),
            seconds: run.seconds(),
            requests: None,
        });
    }
    if let Some(record) = record {
        let snapshot = &record.snapshot;
        session.screen.data(&format!(
            "snapshot {} of {name}: {} read, {} stored, verified {}, by the daemon\n",
            snapshot.id.short(),
            ByteSize(snapshot.read_bytes),
            ByteSize(snapshot.stored_bytes),
            record.verified.level.as_str(),
        ));
    }
    Ok(())
}
