//! `snapshots`: what is there.

use backup::ops::document::SnapshotsDocument;
use backup::ops::group::{self, RecoverySet};
use backup_core::{ByteSize, Error, ErrorKind, HeadRecord, Result, SnapshotRecord};

use crate::args::ListArgs;
use crate::exit::Ending;
use crate::render::{self, Align, Table};
use crate::session::Session;

use super::sets;

pub(super) async fn run(session: &Session, args: ListArgs) -> Result<Ending> {
    if args.native {
        return super::native::list(session, args.source.as_ref()).await;
    }
    let mut records = session.records().await?;
    let heads: Vec<HeadRecord> = records.iter().map(HeadRecord::from).collect();
    let all = group::sets(&heads);
    let mut listed: Vec<&RecoverySet> = all.iter().collect();
    if let Some(source) = &args.source {
        // A source's name, or a group's: then what belongs to its sets.
        let is_source = records.iter().any(|record| record.snapshot.source == *source);
        let of = |record: &SnapshotRecord| match &record.snapshot.set {
            _ if is_source => record.snapshot.source == *source,
            Some(set) => set.group == *source,
            None => false,
        };
        records.retain(of);
        listed.retain(|set| {
            let ids: Vec<_> = set.records().map(|record| record.snapshot.id).collect();
            records.iter().any(|record| ids.contains(&record.snapshot.id))
        });
        if records.is_empty() {
            return Err(Error::new(ErrorKind::NotFound, "list snapshots")
                .with("source", source)
                .hint("Run `backupctl snapshots` to see every source."));
        }
    }
    if session.screen.json() {
        session.screen.document(&SnapshotsDocument::new(&records).with_sets(listed))?;
    } else if records.is_empty() {
        session.screen.say("There is no snapshot yet.");
        session.screen.hint("Run `backupctl backup`.");
    } else {
        let mut text = table(&records);
        if !listed.is_empty() {
            text.push('\n');
            text.push_str(&sets::table(&listed));
        }
        session.screen.data(&text);
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
        if snapshot.is_fuzzy() {
            notes.push("fuzzy".to_owned());
        }
        if snapshot.is_suspect() {
            notes.push("suspect".to_owned());
        }
        if record.pinned {
            notes.push("pinned".to_owned());
        }
        if let Some(set) = &snapshot.set {
            notes.push(format!("set {}", set.id.short()));
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
