//! Checks before anything is written.

use std::path::Path;

use backup_core::port::RestoreOptions;
use backup_core::{Error, ErrorKind, Result, Snapshot, SnapshotKind};

use super::place::{self, Places};
use super::running;

/// Refuses what cannot become a data directory.
pub(super) fn check_request(snapshot: &Snapshot, options: &RestoreOptions) -> Result<()> {
    let unsupported = |why: &'static str, hint: &'static str| {
        Err(Error::new(ErrorKind::Unsupported, "restore into directory")
            .with("snapshot", snapshot.id.short())
            .because(why)
            .hint(hint))
    };
    if snapshot.kind != SnapshotKind::Physical {
        return unsupported(
            "the snapshot is logical",
            "Restore it into a database (--to postgres://…), or write files with `backupctl \
             export`.",
        );
    }
    if !options.tables.is_empty() || !options.schemas.is_empty() {
        return unsupported(
            "a physical snapshot is restored whole",
            "Leave --table and --schema out; take what you need from the started copy.",
        );
    }
    Ok(())
}

/// Refuses places that hold anything, and places where a server runs.
pub(super) fn check_places(places: &Places, delta: bool) -> Result<()> {
    let root = &places.root;
    refuse_running(root)?;
    let each = std::iter::once(root).chain(places.tablespaces.values());
    for place in each {
        let empty =
            place::is_empty(place).map_err(|e| place::failed("look at target", place, e))?;
        if empty || (delta && place == root) {
            continue;
        }
        if delta && places.is_linked(place) {
            check_tablespace(places, place)?;
            continue;
        }
        let hint = if place == root {
            "Name a new directory; or pass --delta to turn the cluster that is there into the \
             snapshot's, writing only what differs."
        } else {
            "Put the tablespace elsewhere with --tablespace OLD=NEW; what is there may be in use by \
             another cluster."
        };
        return Err(conflict(place, "it is not empty").hint(hint));
    }
    let empty = place::is_empty(root).map_err(|e| place::failed("look at target", root, e))?;
    if delta && !empty && !root.join("PG_VERSION").is_file() {
        return Err(conflict(root, "it is not empty and no data directory of PostgreSQL")
            .hint("Check the path; --delta deletes what does not belong into the copy."));
    }
    Ok(())
}

/// A tablespace that the cluster in the target links to is written into only where that was said:
/// the cluster may be a copy, whose links lead into what its original uses.
fn check_tablespace(places: &Places, place: &Path) -> Result<()> {
    if let Some(directory) = running::user_of(place, &places.root) {
        return Err(conflict(place, "the server of another cluster uses it")
            .with("cluster", directory.display())
            .hint("Put the copy's tablespace elsewhere with --tablespace OLD=NEW."));
    }
    if places.named.contains(place) {
        return Ok(());
    }
    let shown = place.display();
    Err(conflict(place, "it may be in use by another cluster").hint(format!(
        "If no other cluster uses it, say so with --tablespace {shown}={shown}; else put the \
         copy's elsewhere with --tablespace {shown}=NEW."
    )))
}

/// A server may run there, or have died there: files change under a restore's hands, or hold
/// what only that server's recovery can make whole.
fn refuse_running(root: &Path) -> Result<()> {
    let file = root.join("postmaster.pid");
    if !file.exists() {
        return Ok(());
    }
    Err(conflict(root, "a server runs there, or was not stopped in order (postmaster.pid exists)")
        .hint("Stop it with `pg_ctl stop`; if none runs, remove postmaster.pid."))
}

fn conflict(place: &Path, why: &'static str) -> Error {
    Error::new(ErrorKind::Conflict, "restore into directory")
        .with("directory", place.display())
        .because(why)
}
