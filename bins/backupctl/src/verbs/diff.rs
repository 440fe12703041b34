//! `diff`: what changed from one snapshot to another.

use backup::ops::difference::{Difference, Sight, compare};
use backup::ops::document::DiffDocument;
use backup_core::{ByteSize, Error, ErrorKind, Result, SnapshotKind};

use crate::args::DiffArgs;
use crate::exit::Ending;
use crate::render::{self, Align, Table};
use crate::session::Session;

use super::tree;

pub(super) async fn run(session: &Session, args: &DiffArgs) -> Result<Ending> {
    let before = session.select(&args.before).await?.snapshot;
    let after = session.select(&args.after).await?.snapshot;
    if before.kind != after.kind {
        return Err(Error::new(ErrorKind::Usage, "compare snapshots")
            .with("before", before.kind.as_str())
            .with("after", after.kind.as_str())
            .hint("Only snapshots of one kind have the same streams; choose two of a kind."));
    }
    if before.kind == SnapshotKind::Files {
        return tree::diff(session, &before, &after).await;
    }
    let (differences, same) = compare(&before, &after);
    if session.screen.json() {
        session.screen.document(&DiffDocument::new(&before, &after, &differences, same))?;
        return Ok(Ending::Ok);
    }
    if before.source != after.source {
        session.screen.say(&format!("{} is compared with {}", before.source, after.source));
    }
    if !differences.is_empty() {
        session.screen.data(&table(&differences));
    }
    session.screen.say(&format!(
        "{} differ, {} are the same",
        render::count(differences.len() as u64),
        render::count(same)
    ));
    Ok(Ending::Ok)
}

fn table(differences: &[Difference]) -> String {
    let mut table = Table::new(&[
        ("CHANGE", Align::Left),
        ("ROWS", Align::Right),
        ("NOW", Align::Right),
        ("BYTES", Align::Right),
        ("NOW", Align::Right),
        ("PART", Align::Left),
    ]);
    let rows = |sight: Option<Sight>| {
        sight.and_then(|sight| sight.rows).map_or_else(|| "-".to_owned(), render::count)
    };
    let bytes = |sight: Option<Sight>| {
        sight.map_or_else(|| "-".to_owned(), |sight| ByteSize(sight.bytes).to_string())
    };
    for difference in differences {
        table.row([
            difference.change.as_str().to_owned(),
            rows(difference.before),
            rows(difference.after),
            bytes(difference.before),
            bytes(difference.after),
            difference.part.clone(),
        ]);
    }
    table.render()
}
