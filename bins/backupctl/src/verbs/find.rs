//! `find`: which snapshots have a table or another stream.

use backup::ops::difference::{Found, find};
use backup::ops::document::FindDocument;
use backup_core::{Error, ErrorKind, Result, SnapshotKind};

use crate::args::FindArgs;
use crate::exit::Ending;
use crate::render::{self, Align, Table};
use crate::session::Session;

use super::tree;

pub(super) async fn run(session: &Session, args: &FindArgs) -> Result<Ending> {
    let repository = session.repository().await?;
    let scan = session.interrupt.unless(repository.scan_snapshots()).await?;
    for (id, error) in scan.unreadable {
        session.screen.warn(&format!("snapshot {} is passed over: {error}", id.short()));
    }
    let mut records = scan.records;
    if let Some(source) = &args.source {
        records.retain(|record| record.snapshot.source == *source);
    }
    let (trees, records): (Vec<_>, Vec<_>) =
        records.into_iter().partition(|record| record.snapshot.kind == SnapshotKind::Files);
    let matching = |name: &str| matches(&args.pattern, name);
    let files = tree::find(session, &trees, matching).await?;
    let found = find(&records, matching);
    if found.is_empty() && files > 0 {
        return Ok(Ending::Ok);
    }
    if session.screen.json() {
        session.screen.document(&FindDocument::new(&found))?;
    } else if !found.is_empty() {
        session.screen.data(&table(&found));
    }
    if found.is_empty() {
        return Err(Error::new(ErrorKind::NotFound, "find in snapshots")
            .with("pattern", &args.pattern)
            .with("snapshots", records.len() + trees.len())
            .hint("A pattern without `/` is held against the last part of a name; see `ls`."));
    }
    Ok(Ending::Ok)
}

/// Whether a name is meant: a pattern with `/` is held against all of it, one without against
/// what follows the last `/`; without any `*`, `?`, `[` or `{`, to be in there is enough.
fn matches(pattern: &str, name: &str) -> bool {
    let last = name.rsplit('/').next().unwrap_or(name);
    let subject = if pattern.contains('/') { name } else { last };
    if pattern.contains(['*', '?', '[', '{']) {
        fast_glob::glob_match(pattern, subject)
    } else {
        subject.contains(pattern)
    }
}

fn table(found: &[Found<'_>]) -> String {
    let mut table = Table::new(&[
        ("SOURCE", Align::Left),
        ("SNAPSHOTS", Align::Right),
        ("FIRST", Align::Left),
        ("LAST", Align::Left),
        ("ID", Align::Left),
        ("ROWS", Align::Right),
        ("NOW", Align::Left),
        ("PART", Align::Left),
    ]);
    for found in found {
        let newest = &found.newest.snapshot;
        table.row([
            found.source.to_string(),
            render::count(found.snapshots),
            render::time(found.oldest.snapshot.finished_at),
            render::time(newest.finished_at),
            newest.id.short(),
            found.sight.rows.map_or_else(|| "-".to_owned(), render::count),
            if found.is_current { "there" } else { "gone" }.to_owned(),
            found.part.clone(),
        ]);
    }
    table.render()
}

#[cfg(test)]
mod tests {
    use super::matches;

    #[test]
    fn patterns_are_held_against_what_they_can_mean() {
        let name = "table/public.orders";
        for pattern in ["orders", "*.orders", "table/*", "**", "table/public.", "public.{orders,x}"]
        {
            assert!(matches(pattern, name), "{pattern}");
        }
        for pattern in ["order", "public.*"].iter().zip(["schema", "globals"]) {
            assert!(!matches(pattern.0, pattern.1), "{pattern:?}");
        }
        assert!(!matches("*orders", "table/public.orders_old"));
        assert!(!matches("table", name));
    }
}
