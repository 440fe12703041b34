//! `wal push`: one file, durable before exit 0.

use backup::ops::wal::WalPut;
use backup::wal::{WalPushRequest, wal_push};
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
