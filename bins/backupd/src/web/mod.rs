//! The daemon, as those see it who come over HTTP.

mod actions;
mod facts;
mod front;
mod gaps;
mod keep;
mod ledger;
mod live;
mod lobby;
mod paint;
mod past;
mod recorded;
mod settings;
mod strip;
mod tokens;
mod translate;

use std::sync::{Arc, Mutex};

use backup::daemon::{Daemon, Unopened};
use backup_api::view::{Fleet, Repository};
use backup_api::{Ports, Server};
use backup_core::{HeadRecord, Result};
use tokio::sync::watch;

pub(crate) use front::Front;
pub(crate) use ledger::StateLedger;
pub(crate) use live::Live;

/// Everything the server asks, answered from the daemon.
pub(crate) struct Bridge {
    daemon: Daemon,
    live: Arc<Live>,
    fleet: watch::Sender<Arc<Fleet>>,
    records: watch::Sender<Arc<Vec<HeadRecord>>>,
    repository: watch::Sender<Option<Repository>>,
    past: Mutex<past::Past>,
}

/// Takes the address the daemon is to serve on; what is asked before [`open`] is answered without
/// the repository.
pub(crate) async fn bind(unopened: &Unopened, live: &Arc<Live>) -> Result<(Arc<Front>, Server)> {
    let settings = settings::read(&unopened.loaded().settings.daemon)?;
    let front = Arc::new(Front::new(lobby::Lobby::new(unopened.clone()).await, Arc::clone(live)));
    let catalog = Arc::clone(unopened.catalog());
    let ports = Ports {
        facts: front.clone(),
        actions: front.clone(),
        ledger: Arc::new(StateLedger::new(unopened.directory(), catalog)),
        clock: Arc::clone(unopened.clock()),
    };
    let server = Server::bind(settings, ports).await?;
    tracing::info!(address = %server.address()?, "serving HTTP");
    Ok((front, server))
}

/// Has the daemon answer from now on, and keeps what is served up to date for ever.
pub(crate) async fn open(front: &Front, daemon: &Daemon, live: &Arc<Live>) -> Arc<Bridge> {
    let bridge = Arc::new(Bridge::new(daemon.clone(), Arc::clone(live)).await);
    front.open(Arc::clone(&bridge));
    bridge
}
