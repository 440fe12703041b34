//! `wal push`: one file, durable before exit 0.

use backup::daemon::{FileSeen, WalOrder, hand_over, state_directory};
use backup::ops::wal::WalPut;
use backup::repository_place;
use backup::wal::{WalPushRequest, system_near, wal_push};
use backup_core::{ByteSize, Error, ErrorKind, Result};

use crate::args::WalPushArgs;
use crate::exit::Ending;
use crate::session::Session;

pub(super) async fn run(session: &Session, args: WalPushArgs) -> Result<Ending> {
    let source = super::source(session, args.source)?.ok_or_else(|| {
        Error::new(ErrorKind::Usage, "choose source of WAL")
            .hint("Name the source that this server is: --source NAME or BACKUP_SOURCE.")
    })?;
    let request = WalPushRequest {
        source,
        path: args.path,
        system: args.system,
        accept_new_identity: args.accept_new_identity,
    };
    let push = async {
        if !args.no_daemon
            && let Some(put) = through_daemon(session, &request).await?
        {
            return Ok(put);
        }
        let repository = session.writing_repository().await?;
        wal_push(repository, &request).await
    };
    let name = request.path.file_name().unwrap_or_default().to_string_lossy();
    match session.interrupt.unless(push).await? {
        WalPut::Stored(bytes) => {
            session.screen.detail(&format!("stored {name} in {}", ByteSize(bytes)));
        }
        WalPut::Known => session.screen.detail(&format!("{name} was stored before")),
    }
    Ok(Ending::Ok)
}

/// Has a daemon of this repository store the file, where one runs; `None` where none does.
async fn through_daemon(session: &Session, request: &WalPushRequest) -> Result<Option<WalPut>> {
    let settings = session.settings()?;
    // Where none can be, none is.
    let Ok(directory) = state_directory(settings, session.environment()) else { return Ok(None) };
    let Ok(path) = std::path::absolute(&request.path) else { return Ok(None) };
    // What is wrong with the file is said by the push itself.
    let Ok(metadata) = std::fs::metadata(&path) else { return Ok(None) };
    let order = WalOrder {
        repository: repository_place(settings.repository()?)?,
        source: request.source.clone(),
        path,
        file: FileSeen::of(&metadata),
        // Here the directory that this runs in counts, which the daemon does not know.
        system: match request.system {
            Some(system) => Some(system),
            None => system_near(&request.path)?,
        },
        accept_new_identity: request.accept_new_identity,
    };
    hand_over(&directory, order).await
}
