//! Running: the supervisor, the control socket, alerts, and what is looked at now and then.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use backup_config::Settings;
use backup_core::{Error, ErrorKind, ErrorStatus, JobKey, Result, Run, RunState};
use backup_ops::daemon::{Commands, Supervisor};
use backup_ops::group::count_members;
use backup_ops::health::RepositoryHealth;
use backup_ops::{Interrupt, SourceStatus, Standing};
use backup_schedule::Why;
use jiff::{SignedDuration, Timestamp};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{broadcast, mpsc, oneshot};

use super::alerts::desk;
use super::control::{self, Answer, Question, SOCKET, Status};
use super::jobs::jobs;
use super::ledger::CatalogLedger;
use super::start::{Daemon, load};
use super::state::state_directory;

/// How often sources are judged while nothing happens.
const LOOK: Duration = Duration::from_secs(300);

/// The moving parts of a daemon; [`Daemon::run`] takes them.
pub struct Life {
    pub(super) supervisor: Supervisor,
    pub(super) commands: Commands,
    pub(super) reloads: mpsc::Receiver<oneshot::Sender<Result<()>>>,
}

impl Daemon {
    /// Runs until `stop` is asked for: then runs under way are stopped in an orderly way, and go
    /// on when it is started again.
    pub async fn run(&self, life: Life, stop: &Interrupt) -> Result<()> {
        let listener = listen(&self.inner.state.path)?;
        // Before anything is judged.
        self.expect_streams(&self.inner.work.loaded()).await;
        let work = async {
            tokio::join!(life.supervisor.run(life.commands, stop.clone()), self.receive_all(stop))
        };
        let rest = async {
            tokio::join!(
                self.answer_all(&listener),
                self.look(),
                self.tell(stop),
                self.tell_able(stop),
                self.reload_when_asked(life.reloads),
            )
        };
        tokio::select! {
            biased;
            _ = work => {}
            _ = rest => {}
        }
        // What waits to be told is told now, if it can be told quickly; else after the restart.
        let desk = self.inner.work.voice.desk();
        let _ = tokio::time::timeout(Duration::from_secs(5), desk.deliver_due()).await;
        // The next daemon makes a new one.
        let _ = std::fs::remove_file(self.inner.state.path.join(SOCKET));
        Ok(())
    }

    /// Asks for a run now.
    pub async fn request(&self, job: JobKey, actor: Option<String>) -> Result<Run> {
        self.inner.handle.request(job, actor).await
    }

    /// Reads the configuration again. An unusable one is the error, and the old one stays.
    pub async fn reload(&self) -> Result<()> {
        let gone = || Error::new(ErrorKind::Terminated, "reload configuration");
        let (answer, answered) = oneshot::channel();
        self.inner.reloads.send(answer).await.map_err(|_| gone())?;
        answered.await.map_err(|_| gone())?
    }

    /// Returns how the daemon stands.
    #[must_use]
    pub fn status(&self) -> Status {
        let board = self.inner.scene.board.borrow().clone();
        Status {
            version: env!("CARGO_PKG_VERSION").into(),
            started_at: Some(self.inner.started_at),
            active: board.running.iter().chain(&board.queued).cloned().collect(),
            next: self.inner.scene.next(),
            waiting: board
                .waiting
                .iter()
                .map(|waiting| {
                    let why = match waiting.why {
                        Why::Source => "another job of its source is running".to_owned(),
                        Why::Slots => "as many jobs as may are running".to_owned(),
                        Why::Blackout(until) => format!("blackout until {until}"),
                    };
                    (waiting.key.clone(), why)
                })
                .collect(),
            problems: self.inner.scene.problems(),
        }
    }

    async fn answer_all(&self, listener: &UnixListener) {
        loop {
            match listener.accept().await {
                Ok((stream, _)) => {
                    let daemon = self.clone();
                    tokio::spawn(async move { daemon.answer(stream).await });
                }
                Err(error) => {
                    tracing::warn!(%error, "the control socket takes nobody");
                    self.inner.clock.sleep(Duration::from_secs(1)).await;
                }
            }
        }
    }

    async fn answer(&self, mut stream: UnixStream) {
        let answer = match control::read(&mut stream).await {
            Ok(Question::Status) => Ok(Answer::Status(Box::new(self.status()))),
            Ok(Question::Reload) => self.reload().await.map(|()| Answer::Done),
            Ok(Question::PushWal(order)) => return self.answer_push(&mut stream, order).await,
            Ok(Question::Cancel { run, actor }) => {
                let run = self.inner.handle.cancel(run, actor).await;
                run.map(|run| Answer::Run(Box::new(run)))
            }
            Ok(Question::Run { job, actor, wait }) => {
                let changes = self.inner.scene.changes.subscribe();
                match self.request(job, actor).await {
                    Ok(run) if wait => return follow(&mut stream, changes, run).await,
                    run => run.map(|run| Answer::Run(Box::new(run))),
                }
            }
            Err(error) => Err(error),
        };
        let answer = answer.unwrap_or_else(|error| Answer::from(&error));
        control::write(&mut stream, &answer).await;
    }

    /// Judges every source after each run and now and then, and drops what is too old to keep.
    async fn look(&self) {
        let inner = &self.inner;
        let mut changes = inner.scene.changes.subscribe();
        loop {
            self.judge().await;
            inner.work.voice.problems(&inner.scene.own_problems(), inner.clock.now()).await;
            let settings = inner.work.loaded().settings.clone();
            let keep = SignedDuration::try_from(settings.daemon.keep_runs.as_duration());
            if let Ok(before) = inner.clock.now().checked_sub(keep.unwrap_or(SignedDuration::MAX))
                && let Err(error) = inner.catalog.drop_runs(before).await
            {
                tracing::debug!(%error, "old runs could not be dropped");
            }
            tokio::select! {
                () = inner.clock.sleep(LOOK) => {}
                () = ended(&mut changes) => {}
                () = inner.scene.stirred.notified() => {}
            }
        }
    }

    async fn judge(&self) {
        let inner = &self.inner;
        if !inner.work.repository.can_read() {
            return;
        }
        let loaded = inner.work.loaded();
        let settings = &loaded.settings;
        let (promises, asked) = (crate::promises(settings), crate::group_promises(settings));
        let now = inner.clock.now();
        let judged = backup_ops::standings(&inner.work.repository, &promises, &asked, now).await;
        super::remembered::retain(inner.catalog.as_ref(), &inner.work.repository).await;
        match judged {
            Ok((mut sources, mut groups)) => {
                inner.scene.hear(&mut sources, &settings.groups, now);
                inner.scene.keep_stored(&sources);
                self.judge_streams(&mut sources, now);
                self.judge_natives(&mut sources, now).await;
                count_members(&mut groups, &sources);
                inner.scene.note(|problems| problems.repository = None);
                inner.work.voice.judged(None, now).await;
                let awaited = self.follow_snapshots(&sources).await;
                // Nobody is called for what a drill is about to prove; if it does not, that is told.
                let soon = |source: &SourceStatus| {
                    awaited.contains(&source.source)
                        && source.standing == Standing::AtRisk
                        && source.lacks_proof_alone()
                };
                let told: Vec<SourceStatus> =
                    sources.iter().filter(|source| !soon(source)).cloned().collect();
                inner.work.voice.stand(&told, now).await;
                self.follow_sets(&groups).await;
                inner.work.voice.groups_stand(&groups, now).await;
                inner.scene.groups.send_replace(Arc::new(groups));
                self.note_drills(&sources).await;
                let repository = self.look_at_repository(&sources, now).await;
                inner.work.voice.heed(&sources, Some(&repository), now).await;
                inner.scene.repository.send_replace(Some(Arc::new(repository)));
                inner.scene.sources.send_replace(Arc::new(sources));
            }
            Err(error) => {
                tracing::error!(%error, hint = error.remedy(), "the repository cannot be read");
                inner.scene.note(|problems| problems.repository = Some(error.to_string()));
                if error.status() == ErrorStatus::Permanent {
                    inner.work.voice.judged(Some(&error), now).await;
                }
                let known = inner.scene.stored();
                let mut sources = backup_ops::doubt(&known, &error, now);
                self.judge_streams(&mut sources, now);
                self.judge_natives(&mut sources, now).await;
                inner.work.voice.stand(&sources, now).await;
                let known = inner.scene.groups.borrow().clone();
                let mut groups = backup_ops::group::doubt_groups(&known, &error, now);
                count_members(&mut groups, &sources);
                inner.work.voice.groups_stand(&groups, now).await;
                inner.scene.groups.send_replace(Arc::new(groups));
                inner.scene.sources.send_replace(Arc::new(sources));
            }
        }
    }

    async fn look_at_repository(
        &self,
        sources: &[SourceStatus],
        now: Timestamp,
    ) -> RepositoryHealth {
        let loaded = self.inner.work.loaded();
        let url = loaded.settings.repository.as_ref().map_or("", |settings| settings.url.as_str());
        let memory = Some(self.inner.catalog.as_ref());
        crate::repository_health(&self.inner.work.repository, url, memory, sources, now).await
    }

    /// Sends alerts; a new configuration has new channels.
    async fn tell(&self, stop: &Interrupt) {
        loop {
            let desk = self.inner.work.voice.desk();
            let serving = desk.serve(stop);
            let exchanged = async {
                while Arc::ptr_eq(&desk, &self.inner.work.voice.desk()) {
                    self.inner.clock.sleep(Duration::from_secs(1)).await;
                }
            };
            tokio::select! {
                () = serving => {
                    // Without channels there is nothing to serve.
                    self.inner.clock.sleep(Duration::from_secs(1)).await;
                }
                () = exchanged => {}
            }
        }
    }

    async fn reload_when_asked(&self, mut asked: mpsc::Receiver<oneshot::Sender<Result<()>>>) {
        while let Some(answer) = asked.recv().await {
            let done = self.exchange().await;
            match &done {
                Ok(None) => {
                    tracing::info!("the configuration was read again");
                    self.inner.scene.note(|problems| problems.configuration = None);
                }
                Ok(Some(text)) => {
                    tracing::warn!("the configuration was read again; {text}");
                    self.inner.scene.note(|problems| problems.configuration = Some(text.clone()));
                }
                Err(error) => {
                    tracing::error!(%error, hint = error.remedy(), "the old configuration stays");
                    let text = format!("not reloaded: {error}");
                    self.inner.scene.note(|problems| problems.configuration = Some(text));
                }
            }
            self.inner.scene.stirred.notify_one();
            // Whoever asked may be gone.
            let _ = answer.send(done.map(|_| ()));
        }
    }

    /// Goes by a new configuration; returns what of it needs a restart, as a sentence.
    async fn exchange(&self) -> Result<Option<String>> {
        let inner = &self.inner;
        let loaded = load(inner.config.as_deref(), &inner.environment)?;
        let old = inner.work.loaded();
        if loaded.settings.repository != old.settings.repository {
            return Err(Error::new(ErrorKind::ConfigInvalid, "reload configuration")
                .because("it names another repository, or opens it otherwise")
                .hint("Restart backupd for that."));
        }
        let destinations = loaded.composer.destinations(&loaded.settings.notify)?;
        let ledger = Arc::new(CatalogLedger(Arc::clone(&inner.catalog)));
        let desk = desk(ledger, Arc::clone(&inner.clock), destinations).await?;
        let settings = loaded.settings.clone();
        inner.work.load(loaded);
        inner.work.natives.forget();
        inner.work.voice.exchange(desk);
        let patience = settings.daemon.stop_timeout.as_duration();
        inner.handle.replace(jobs(&settings), settings.daemon.concurrency, patience).await?;
        Ok(self.waits_for_restart(&settings))
    }
}

impl Daemon {
    /// Returns which keys of these settings differ from what the daemon was started with, and
    /// change nothing before it is started again.
    fn waits_for_restart(&self, settings: &Settings) -> Option<String> {
        let inner = &self.inner;
        let state = state_directory(settings, &inner.environment).ok();
        let keys: Vec<&str> = [
            ("daemon.listen", settings.daemon.listen != inner.listen),
            ("daemon.state", state.as_ref() != Some(&inner.state.path)),
        ]
        .into_iter()
        .filter_map(|(key, differs)| differs.then_some(key))
        .collect();
        let needs = if keys.len() == 1 { "needs" } else { "need" };
        (!keys.is_empty()).then(|| format!("{} {needs} a restart of backupd", keys.join(" and ")))
    }
}

/// Makes the socket, for its owner alone. What an ended daemon left behind is replaced: the lock
/// of the directory says that it has ended.
fn listen(directory: &Path) -> Result<UnixListener> {
    let path = directory.join(SOCKET);
    let failed = |error: std::io::Error| {
        Error::new(ErrorKind::ConfigInvalid, "make control socket")
            .with("socket", path.display())
            .because(error)
            .hint("The path must be short and its directory writable; set BACKUPD_STATE.")
    };
    match std::fs::remove_file(&path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(failed(error)),
        _ => {}
    }
    let listener = UnixListener::bind(&path).map_err(failed)?;
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).map_err(failed)?;
    Ok(listener)
}

/// Answers with every change of a run until it has ended.
async fn follow(stream: &mut UnixStream, mut changes: broadcast::Receiver<Run>, run: Run) {
    let id = run.id;
    if !control::write(stream, &Answer::Run(Box::new(run))).await {
        return;
    }
    loop {
        match changes.recv().await {
            Ok(run) if run.id == id => {
                let active = matches!(run.state, RunState::Queued | RunState::Running);
                if !control::write(stream, &Answer::Run(Box::new(run))).await || !active {
                    return;
                }
            }
            Ok(_) | Err(broadcast::error::RecvError::Lagged(_)) => {}
            Err(broadcast::error::RecvError::Closed) => return,
        }
    }
}

/// Waits until some run has ended.
async fn ended(changes: &mut broadcast::Receiver<Run>) {
    loop {
        match changes.recv().await {
            Ok(run) if !matches!(run.state, RunState::Queued | RunState::Running) => return,
            Ok(_) => {}
            Err(broadcast::error::RecvError::Lagged(_)) => return,
            // The daemon ends.
            Err(broadcast::error::RecvError::Closed) => std::future::pending().await,
        }
    }
}
