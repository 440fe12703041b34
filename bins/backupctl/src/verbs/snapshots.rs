//! `snapshots`: what is there.

use backup::ops::document::SnapshotsDocument;
use backup_core::{ByteSize, Error, ErrorKind, Result, SnapshotRecord};

use crate::args::ListArgs;
use crate::exit::Ending;
use crate::render::{self, Align, Table};
use crate::session::Session;

pub(super) async fn run(session: &Session, args: ListArgs) -> Result<Ending> {
    if args.native {
        return super::native::list(session, args.source.as_ref()).await;
    }
    let mut records = session.records().await?;
    if let Some(source) = &args.source {
        records.retain(|record| record.snapshot.source == *source);
        if records.is_empty() {
            return Err(Error::new(ErrorKind::NotFound, "list snapshots")
                .with("source", source)
                .hint("Run `backupctl snapshots` to see every source."));
        }
    }
    if session.screen.json() {
        session.screen.document(&SnapshotsDocument::new(&records))?;
    } else if records.is_empty() {
        session.screen.say("There is no snapshot yet.");
        session.screen.hint("Run `backupctl backup`.");
    } else {
        session.screen.data(&table(&records));
    }
    Ok(Ending::Ok)
}

fn table(records: &[SnapshotRecord]) -> String {
    use Align::{Left, Right};
    let mut table = Table::new(&[
        ("ID", Left),
        ("STARTED (UTC)", Left),
        ("SOURCE", Left),
        ("KIND", Left),
        ("READ", Right),
        ("NEW", Right),
        ("STORED", Right),
        ("VERIFIED", Left),
        ("NOTES", Left),
    ]);
    for record in records {
        let snapshot = &record.snapshot;
        let mut notes = Vec::new();
        if snapshot.is_suspect() {
            notes.push("suspect");
        }
        if record.pinned {
            notes.push("pinned");
        }
        table.row([
            snapshot.id.short(),
            render::time(snapshot.started_at),
            snapshot.source.to_string(),
            snapshot.kind.as_str().into(),
            ByteSize(snapshot.read_bytes).to_string(),
            ByteSize(snapshot.added_bytes).to_string(),
            ByteSize(snapshot.stored_bytes).to_string(),
            record.verified.level.as_str().into(),
            notes.join(", "),
        ]);
    }
    table.render()
}
