//! `wal`: what PostgreSQL calls, and how far its log reaches.

mod fetch;
mod push;
mod status;
mod stream;
mod trouble;

use backup_core::{Error, ErrorKind, Result, SourceName};

use crate::args::WalCommand;
use crate::exit::Ending;
use crate::session::Session;

pub(super) async fn run(session: &Session, command: WalCommand) -> Result<Ending> {
    match command {
        WalCommand::Push(args) => push::run(session, args).await,
        WalCommand::Fetch(args) => fetch::run(session, args).await,
        WalCommand::Stream(args) => stream::run(session, args).await,
        WalCommand::Status(args) => status::run(session, &args).await,
    }
}

/// Returns the source that is meant: the one typed, else the only one configured, else
/// BACKUP_SOURCE; nothing when nobody said.
fn source(session: &Session, typed: Option<SourceName>) -> Result<Option<SourceName>> {
    if typed.is_some() {
        return Ok(typed);
    }
    match session.settings()?.sources.as_slice() {
        [one] => Ok(Some(one.name.clone())),
        [] => session.source_variable(),
        several => {
            let names: Vec<&str> = several.iter().map(|source| source.name.as_str()).collect();
            Err(Error::new(ErrorKind::Usage, "choose source of WAL")
                .with("sources", names.join(", "))
                .hint("Several sources are configured: name one with --source."))
        }
    }
}
