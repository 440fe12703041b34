//! `show` and `ls`: one snapshot from near.

use std::fmt::Write as _;

use backup::ops::document::{PartsDocument, ShowDocument};
use backup_core::{ByteSize, Error, ErrorKind, Result, SnapshotKind, SnapshotRecord};

use crate::args::{LsArgs, ShowArgs};
use crate::exit::Ending;
use crate::render::{self, Align, Table};
use crate::session::Session;

use super::{sets, tree};

pub(super) async fn run(session: &Session, args: ShowArgs) -> Result<Ending> {
    if let Some(set) = session.set(&args.snapshot).await? {
        return sets::show(session, &set);
    }
    let record = session.select(&args.snapshot).await?;
    if session.screen.json() {
        session.screen.document(&ShowDocument::new(&record))?;
    } else {
        session.screen.data(&describe(&record));
    }
    Ok(Ending::Ok)
}

pub(super) async fn parts(session: &Session, args: LsArgs) -> Result<Ending> {
    if let Some(set) = session.set(&args.snapshot).await? {
        return sets::show(session, &set);
    }
    let record = session.select(&args.snapshot).await?;
    if record.snapshot.kind == SnapshotKind::Files {
        return tree::ls(session, &record.snapshot, &args.paths).await;
    }
    if !args.paths.is_empty() {
        return Err(Error::new(ErrorKind::Usage, "list streams")
            .with("kind", record.snapshot.kind.as_str())
            .hint("Only snapshots of files have paths; leave them out."));
    }
    if session.screen.json() {
        session.screen.document(&PartsDocument::new(&record))?;
        return Ok(Ending::Ok);
    }
    let mut table =
        Table::new(&[("BYTES", Align::Right), ("SEGMENTS", Align::Right), ("PART", Align::Left)]);
    for part in &record.snapshot.parts {
        table.row([
            ByteSize(part.bytes).to_string(),
            render::count(part.segments),
            part.name.to_string(),
        ]);
    }
    session.screen.data(&table.render());
    Ok(Ending::Ok)
}

fn describe(record: &SnapshotRecord) -> String {
    let snapshot = &record.snapshot;
    let evidence = &snapshot.evidence;
    let verified = record.verified.at.map_or_else(
        || record.verified.level.as_str().to_owned(),
        |at| format!("{} at {}", record.verified.level.as_str(), render::time(at)),
    );
    let mut standing = String::from("committed");
    if snapshot.is_fuzzy() {
        standing.push_str(", FUZZY");
    }
    if snapshot.is_suspect() {
        standing.push_str(", SUSPECT");
    }
    if record.pinned {
        standing.push_str(", pinned");
    }
    let set = snapshot.set.as_ref().map_or_else(String::new, |set| {
        let (number, all) = (set.position() + 1, set.members.len());
        format!("{} of {}, member {number} of {all}", set.id.short(), set.group)
    });
    let identity = &snapshot.identity;
    let mut text = String::new();
    let lines = [
        ("Snapshot", snapshot.id.to_string()),
        ("Source", format!("{} (number {})", snapshot.source, snapshot.sequence)),
        (
            "Database",
            format!("{} {} database {}", identity.engine, identity.system, identity.database),
        ),
        ("Server", evidence.server_version.clone()),
        ("Kind", snapshot.kind.as_str().to_owned()),
        ("State", standing),
        ("Set", set),
        ("Verified", verified),
        ("Started", render::time(snapshot.started_at)),
        ("Finished", render::time(snapshot.finished_at)),
        ("Read", ByteSize(snapshot.read_bytes).to_string()),
        ("New", ByteSize(snapshot.added_bytes).to_string()),
        ("Stored", ByteSize(snapshot.stored_bytes).to_string()),
        ("Rows", render::count(evidence.rows())),
        ("Files", String::new()),
    ];
    let tree = evidence.tree.as_ref();
    for (name, value) in lines {
        let value = match (name, tree) {
            ("Files", Some(tree)) => format!(
                "{} ({}), {} directories, {} links, {} others",
                render::count(tree.files),
                ByteSize(tree.bytes),
                render::count(tree.directories),
                render::count(tree.links),
                render::count(tree.others)
            ),
            ("Files", None) | ("Rows", Some(_)) => continue,
            ("Server", Some(_)) | ("Set", _) if value.is_empty() => continue,
            _ => value,
        };
        // Writing into a String cannot fail.
        let _ = writeln!(text, "{name:<9} {value}");
    }
    for finding in &evidence.findings {
        let _ = writeln!(text, "{}", render::finding(finding));
    }
    if !evidence.tables.is_empty() {
        let mut table =
            Table::new(&[("ROWS", Align::Right), ("BYTES", Align::Right), ("TABLE", Align::Left)]);
        for found in &evidence.tables {
            table.row([
                render::count(found.rows),
                ByteSize(found.bytes).to_string(),
                format!("{}.{}", found.schema, found.name),
            ]);
        }
        text.push('\n');
        text.push_str(&table.render());
    }
    text
}
