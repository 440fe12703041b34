//! Handing work over to a running daemon.

use backup::config::SourceSettings;
use backup::daemon::{Answer, Client, Question, state_directory};
use backup::ops::document::{
    BackupDocument, BackupOutcome, ErrorDocument, NativeDocument, SnapshotDocument,
};
use backup::ops::drill::{self, DrillReceipt};
use backup::ops::group::SET_KIND;
use backup_core::{
    ByteSize, Error, ErrorKind, JobKey, JobKind, Result, Run, RunState, SnapshotRecord, SourceName,
};

use crate::args::BackupArgs;
use crate::exit::Ending;
use crate::session::{Job, Session};

/// Asks the daemon for a backup of each source, waits, and ends as if it had been taken here.
pub(super) async fn backup(session: &Session, args: &BackupArgs) -> Result<Ending> {
    let daemon = Daemon::find(session).await?;
    let jobs = session.jobs(&args.sources)?;
    let names: Vec<SourceName> = jobs
        .iter()
        .map(|job| match job {
            Job::Source(source) => source.name.clone(),
            Job::Group(group) => group.name.clone(),
        })
        .collect();
    let mut worst = Ending::Ok;
    for name in &names {
        let run = session.interrupt.unless(daemon.run(JobKind::Backup, name)).await?;
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

/// Asks the daemon for a provider snapshot of each source, waits, and ends as if it had been taken
/// here.
pub(super) async fn native(session: &Session, names: &[SourceName]) -> Result<Ending> {
    let daemon = Daemon::find(session).await?;
    let sources = session.sources(names)?;
    let takes = |source: &&SourceSettings| source.provider.takes_snapshots();
    let able: Vec<&SourceSettings> =
        if names.is_empty() { sources.into_iter().filter(takes).collect() } else { sources };
    if able.is_empty() {
        return Err(Error::new(ErrorKind::NotFound, "find provider")
            .hint("No source has a provider that takes snapshots; docs/providers says which do."));
    }
    let mut worst = Ending::Ok;
    for source in &able {
        let run = session.interrupt.unless(daemon.run(JobKind::Native, &source.name)).await?;
        match run.state {
            RunState::Succeeded => {
                super::native::show_newest(session, source, run.started_at).await?;
            }
            _ if able.len() == 1 => return Err(failure(&run)),
            _ => {
                if session.screen.json() {
                    let provider = source.provider.as_str();
                    let failed = NativeDocument::failed(&source.name, provider, &failure(&run));
                    session.screen.document(&failed)?;
                }
                session.screen.error(&failure(&run));
                worst = Ending::Found(ErrorKind::Failed);
            }
        }
    }
    Ok(worst)
}

/// Asks the daemon for a drill of a source, waits, and returns its receipt. A run that left none
/// is the error.
pub(super) async fn drill(session: &Session, source: &SourceName) -> Result<DrillReceipt> {
    let daemon = Daemon::find(session).await?;
    let run = session.interrupt.unless(daemon.run(JobKind::Drill, source)).await?;
    let (Some(snapshot), Some(ended)) = (run.snapshot, run.ended_at) else {
        return Err(failure(&run));
    };
    let repository = session.repository().await?;
    let reading = drill::history(repository, Some(source), LOOKED_AT);
    let receipts = session.interrupt.unless(reading).await?;
    let its = |receipt: &DrillReceipt| {
        (receipt.snapshot == snapshot.to_string() || receipt.kind == SET_KIND)
            && receipt.at >= run.started_at
            && receipt.at <= ended
    };
    receipts.into_iter().find(its).ok_or_else(|| failure(&run))
}

/// Receipts of the source looked through for the one of this run: others may be newer.
const LOOKED_AT: usize = 20;

/// A daemon that answers.
struct Daemon<'a> {
    session: &'a Session,
    client: Client,
}

impl<'a> Daemon<'a> {
    async fn find(session: &'a Session) -> Result<Self> {
        let directory = state_directory(session.settings()?, session.environment())?;
        let client = Client::find(&directory).await.ok_or_else(|| {
            Error::new(ErrorKind::Failed, "find the daemon")
                .with("directory", directory.display())
                .because("none answers there")
                .hint(
                    "Start backupd, set BACKUPD_STATE to its directory, or leave --via-daemon out.",
                )
        })?;
        Ok(Self { session, client })
    }

    /// Has it run a job, and waits for the end.
    async fn run(&self, kind: JobKind, name: &SourceName) -> Result<Run> {
        let question = Question::Run {
            job: JobKey::of(kind, name),
            actor: Some("backupctl".into()),
            wait: true,
        };
        let told = |answer: &Answer| {
            if let Answer::Run(run) = answer {
                let state = run.state.as_str();
                self.session.screen.say(&format!("{kind} of {name}: {state} by the daemon"));
            }
        };
        match self.client.ask(&question, told).await? {
            Answer::Run(run) if !matches!(run.state, RunState::Queued | RunState::Running) => {
                Ok(*run)
            }
            _ => Err(Error::new(ErrorKind::Failed, "wait for the daemon")
                .with("source", name)
                .because("it ended before the run did")
                .hint("The run goes on when the daemon is started again.")),
        }
    }
}

/// Returns the error that a run ended with, of its kind: what failed there fails here. That the
/// run was stopped does not mean that this program was.
fn failure(run: &Run) -> Error {
    let kind = run.error.as_ref().and_then(|error| ErrorKind::of(&error.kind));
    let stopped = matches!(kind, Some(ErrorKind::Interrupted | ErrorKind::Terminated));
    let kind = kind.filter(|_| !stopped).unwrap_or(ErrorKind::Failed);
    let error =
        Error::new(kind, "have the daemon run a job").with("job", &run.job).with("run", run.id);
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

/// What was taken of one member of a group.
fn member(session: &Session, record: &SnapshotRecord) -> Result<()> {
    let snapshot = &record.snapshot;
    let took = snapshot.finished_at.duration_since(snapshot.started_at);
    let outcome = if snapshot.is_suspect() { BackupOutcome::Suspect } else { BackupOutcome::Ok };
    session.screen.document(&BackupDocument {
        schema: "backupctl.backup.v1".into(),
        source: snapshot.source.to_string(),
        outcome,
        snapshot: Some(SnapshotDocument::new(record)),
        error: None,
        seconds: Some(took.as_secs_f64()),
        requests: None,
    })
}

async fn show(session: &Session, name: &SourceName, run: &Run) -> Result<()> {
    let record = match run.snapshot {
        Some(id) => Some(session.repository().await?.snapshot(id).await?),
        None => None,
    };
    if session.screen.json()
        && let Some(last) = &record
        && run.error.is_none()
        && let Some(place) = last.snapshot.set.as_ref().filter(|place| place.group == *name)
    {
        // One document a member, as without the daemon.
        let repository = session.repository().await?;
        for id in &place.before {
            member(session, &repository.snapshot(*id).await?)?;
        }
        return member(session, last);
    }
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

#[cfg(test)]
mod tests {
    use backup_core::{RunId, Trigger};

    use super::*;

    #[test]
    fn what_failed_there_ends_here_with_the_same_code() {
        let job = JobKey::of(JobKind::Backup, &"shop".parse().unwrap());
        let now = "2026-01-01T00:00:00Z".parse().unwrap();
        let mut run = Run::begin(RunId([7; 16]), job, Trigger::Request, now);
        let mut code = |kind| {
            let error = Error::new(kind, "read rows").because("no").hint("Look.");
            run.error = Some((&error).into());
            let failure = failure(&run);
            assert_eq!(failure.remedy(), Some("Look."));
            failure.kind().exit_code()
        };
        for kind in [
            ErrorKind::ConfigInvalid,
            ErrorKind::SourceUnavailable,
            ErrorKind::StoreUnavailable,
            ErrorKind::Integrity,
            ErrorKind::WrongKey,
            ErrorKind::NotFound,
            ErrorKind::Conflict,
            ErrorKind::Suspect,
        ] {
            assert_eq!(code(kind), kind.exit_code(), "{kind:?}");
        }
        // It was the run that was stopped, not this program.
        assert_eq!((code(ErrorKind::Interrupted), code(ErrorKind::Terminated)), (1, 1));
        run.error = None;
        assert_eq!(failure(&run).kind(), ErrorKind::Failed);
    }
}
