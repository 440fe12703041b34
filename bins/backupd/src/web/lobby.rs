//! What is answered before the repository is open: that it is not, why, and when it is tried next.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use backup::daemon::{Status, Unopened, Waiting};
use backup_api::view::{Fleet, State};
use backup_core::{Error, ErrorKind};

use super::keep;
use super::paint::{self, Facts};
use super::past::Past;

/// A picture is at most so old.
const FRESH: Duration = Duration::from_secs(5);

/// Everything but the repository.
pub(super) struct Lobby {
    unopened: Unopened,
    past: Past,
    painted: Mutex<Option<Painted>>,
}

struct Painted {
    at: Duration,
    waiting: Option<Waiting>,
    fleet: Arc<Fleet>,
}

impl Lobby {
    pub(super) async fn new(unopened: Unopened) -> Self {
        let loaded = unopened.loaded();
        let sources: Vec<_> = loaded.settings.sources.iter().map(|s| s.name.clone()).collect();
        let now = unopened.clock().now();
        let past = match Past::load(unopened.catalog().as_ref(), &sources, now).await {
            Ok(past) => past,
            Err(error) => {
                tracing::warn!(%error, "the catalog cannot be read");
                Past::default()
            }
        };
        Self { unopened, past, painted: Mutex::default() }
    }

    pub(super) fn unopened(&self) -> &Unopened {
        &self.unopened
    }

    /// Every source as it is known without the repository: not protected, because nobody can tell.
    pub(super) async fn fleet(&self) -> Arc<Fleet> {
        let waiting = self.waiting();
        let at = self.unopened.clock().elapsed();
        {
            let painted = self.painted.lock().unwrap_or_else(PoisonError::into_inner);
            let fresh = |painted: &&Painted| {
                painted.waiting == waiting && at.saturating_sub(painted.at) < FRESH
            };
            if let Some(painted) = painted.as_ref().filter(fresh) {
                return Arc::clone(&painted.fleet);
            }
        }
        let (problems, undelivered) = self.unopened.alerts().await;
        let words = words(waiting.as_ref());
        let loaded = self.unopened.loaded();
        let facts = Facts {
            now: self.unopened.clock().now(),
            started_at: self.unopened.started_at(),
            status: Status {
                version: env!("CARGO_PKG_VERSION").into(),
                started_at: Some(self.unopened.started_at()),
                problems: vec![format!("repository: {words}")],
                ..Status::default()
            },
            streams: <_>::default(),
            standings: Arc::default(),
            groups: Arc::default(),
            records: Arc::default(),
            problems,
            undelivered,
            repository: keep::unmeasured(&loaded),
            space: None,
            repository_problems: vec![words.clone()],
            loaded,
        };
        let mut fleet = paint::fleet(&facts, &self.past);
        for source in &mut fleet.sources {
            source.state = State::Unprotected;
            source.reasons = vec![format!("Nothing is known of its snapshots: {words}")];
        }
        let fleet = Arc::new(fleet);
        let painted = Painted { at, waiting, fleet: Arc::clone(&fleet) };
        *self.painted.lock().unwrap_or_else(PoisonError::into_inner) = Some(painted);
        fleet
    }

    /// Returns why what was asked for cannot be answered.
    pub(super) fn refusal(&self, what: &'static str) -> Error {
        let waiting = self.waiting();
        let error = Error::new(ErrorKind::StoreUnavailable, what).because(words(waiting.as_ref()));
        match waiting.and_then(|waiting| waiting.hint) {
            Some(hint) => error.hint(hint),
            None => error.hint("Ask again when it is open; /health/detailed says."),
        }
    }

    fn waiting(&self) -> Option<Waiting> {
        self.unopened.waiting().borrow().clone()
    }
}

fn words(waiting: Option<&Waiting>) -> String {
    match waiting {
        None => "the repository is not open yet, it is being opened.".to_owned(),
        Some(Waiting { error, next_try, .. }) => {
            let next = next_try.strftime("%Y-%m-%dT%H:%M:%SZ");
            format!("the repository is not open yet: {error}; next try at {next}.")
        }
    }
}
