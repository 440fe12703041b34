//! A daemon that lives in memory: keeps the contract of the port, without a store or a database.

mod actions;
mod clock;
mod facts;
mod ledger;
mod make;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use backup_api::audit::Entry;
use backup_api::port::{Job, TokenRecord};
use backup_api::view::{Fleet, LiveEvent, LiveKind, Plan, RunDetail, SourceHistory};
use backup_core::{Error, ErrorKind, SourceName};
use backup_ops::document::SnapshotDocument;
use futures::channel::mpsc;
use jiff::Timestamp;

pub(crate) use clock::MovedClock;
pub(crate) use make::{Picture, picture};

/// The daemon.
pub(crate) struct World {
    state: Mutex<State>,
}

struct State {
    now: Timestamp,
    fleet: Arc<Fleet>,
    snapshots: Vec<SnapshotDocument>,
    histories: BTreeMap<SourceName, SourceHistory>,
    plans: BTreeMap<SourceName, Plan>,
    runs: BTreeMap<String, RunDetail>,
    made: u64,
    tokens: Vec<TokenRecord>,
    audit: Vec<Entry>,
    listeners: Vec<mpsc::Sender<LiveEvent>>,
    sequence: u64,
}

impl World {
    /// A daemon that is in the state a picture shows.
    pub(crate) fn new(picture: Picture) -> Arc<Self> {
        Arc::new(Self {
            state: Mutex::new(State {
                now: picture.now,
                fleet: Arc::new(picture.fleet),
                snapshots: picture.snapshots,
                histories: picture.histories,
                plans: picture.plans,
                runs: picture.runs,
                made: 0,
                tokens: Vec::new(),
                audit: Vec::new(),
                listeners: Vec::new(),
                sequence: 0,
            }),
        })
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Overwrites one audit entry, as somebody with access to the file could.
    pub(crate) fn forge_audit(&self, change: impl FnOnce(&mut Vec<Entry>)) {
        change(&mut self.lock().audit);
    }

    /// Changes what the fleet looks like.
    pub(crate) fn change_fleet(&self, change: impl FnOnce(&mut Fleet)) {
        let mut state = self.lock();
        change(Arc::make_mut(&mut state.fleet));
        state.tell(None, None, LiveKind::Fleet);
    }

    /// Changes one run and tells the listeners what is given.
    pub(crate) fn change_run(
        &self,
        id: &str,
        change: impl FnOnce(&mut RunDetail),
        what: impl FnOnce(&RunDetail) -> LiveKind,
    ) {
        let mut state = self.lock();
        let detail = state.runs.get_mut(id).expect("the run is there");
        change(detail);
        let (kind, source) = (what(detail), detail.run.source.clone());
        state.tell(Some(id.to_owned()), source, kind);
    }
}

impl State {
    fn tell(&mut self, run: Option<String>, source: Option<SourceName>, what: LiveKind) {
        self.sequence += 1;
        let event = LiveEvent { sequence: self.sequence, at: self.now, run, source, what };
        // A full listener misses this one; a closed one is forgotten.
        self.listeners.retain_mut(|listener| match listener.try_send(event.clone()) {
            Ok(()) => true,
            Err(error) => error.is_full(),
        });
    }

    fn known(&self, source: &SourceName) -> Result<(), Error> {
        if self.fleet.source(source.as_str()).is_some() {
            return Ok(());
        }
        Err(missing("source", source.as_str()))
    }

    fn busy(&self, source: &SourceName, job: Job) -> bool {
        self.runs.values().any(|detail| {
            let run = &detail.run;
            run.source.as_ref() == Some(source) && run.job == job && run.state.is_active()
        })
    }
}

fn missing(what: &'static str, name: &str) -> Error {
    Error::new(ErrorKind::NotFound, format!("find {what}")).with(what, name.escape_debug())
}
