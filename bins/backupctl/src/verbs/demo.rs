//! `demo`: lose a table and get it back, on a throw-away server.

mod cluster;
mod story;

use backup_core::{ErrorKind, Result};

use crate::args::DemoArgs;
use crate::exit::Ending;
use crate::session::Session;

pub(super) async fn run(session: &Session, args: &DemoArgs) -> Result<Ending> {
    let folder = cluster::Folder::create()?;
    let server = session
        .interrupt
        .unless(cluster::Cluster::start(&folder, args.pg_bin.as_deref()))
        .await
        .map_err(|error| match error.kind() {
            ErrorKind::Unsupported => error.hint(
                "The demo needs PostgreSQL's server programs (Debian: apt install postgresql); \
                 say where they are with --pg-bin DIR.",
            ),
            _ => error,
        })?;
    let told =
        session.interrupt.unless(Box::pin(story::tell(session, &server, &folder, args.rows))).await;
    server.stop().await;
    told.map(|()| Ending::Ok)
}
