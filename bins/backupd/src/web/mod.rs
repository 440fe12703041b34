//! The daemon, as those see it who come over HTTP.

mod actions;
mod facts;
mod keep;
mod ledger;
mod live;
mod paint;
mod past;
mod settings;
mod strip;
mod tokens;
mod translate;

use std::sync::{Arc, Mutex};

use backup::daemon::Daemon;
use backup::ops::Interrupt;
use backup_api::view::{Fleet, Repository};
use backup_api::{Ports, Server};
use backup_core::{HeadRecord, Result};
use tokio::sync::watch;

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

/// Takes the address the daemon is to serve on.
pub(crate) async fn bind(daemon: &Daemon, live: &Arc<Live>) -> Result<(Arc<Bridge>, Server)> {
    let settings = settings::read(&daemon.loaded().settings.daemon)?;
    let bridge = Arc::new(Bridge::new(daemon.clone(), Arc::clone(live)).await);
    let ports = Ports {
        facts: bridge.clone(),
        actions: bridge.clone(),
        ledger: Arc::new(StateLedger::new(daemon.directory(), Arc::clone(daemon.catalog()))),
        clock: Arc::clone(daemon.clock()),
    };
    let server = Server::bind(settings, ports).await?;
    tracing::info!(address = %server.address()?, "serving HTTP");
    Ok((bridge, server))
}

/// Serves until the daemon is asked to stop, and keeps what is served up to date meanwhile.
pub(crate) async fn serve(bridge: Arc<Bridge>, server: Server, stop: Interrupt) {
    let stopped = stop.clone();
    let serving = server.serve(async move {
        stopped.requested().await;
    });
    tokio::pin!(serving);
    tokio::select! {
        () = &mut serving => return,
        () = bridge.keep() => {}
    }
    serving.await;
}
