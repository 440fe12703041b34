//! Which files of a data directory are copied. Pure, but for the listing of directories.

use std::collections::HashSet;
use std::fs;
use std::io;
use std::path::Path;

use crate::physical::files::name::{Fork, classify, relation};

/// Directories that are kept without what is in them: the server makes it anew.
const EMPTIED: &[&str] = &[
    "pg_dynshmem",
    "pg_notify",
    "pg_replslot",
    "pg_serial",
    "pg_snapshots",
    "pg_stat_tmp",
    "pg_subtrans",
    "pg_wal/archive_status",
    "pg_wal/summaries",
];

/// Files that belong to the running server, or to this or another backup.
const LEFT_OUT: &[&str] = &[
    "backup_label",
    "backup_manifest",
    "current_logfiles.tmp",
    "postgresql.auto.conf.tmp",
    "postmaster.opts",
    "postmaster.pid",
    "tablespace_map",
];

/// What a directory holds that is copied; paths are relative to the data directory.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Listing {
    pub(super) directories: Vec<String>,
    pub(super) files: Vec<String>,
    /// Neither files nor directories, or links that are not followed.
    pub(super) skipped: Vec<String>,
}

/// Lists one directory of `root`; one that vanished is empty.
pub(super) fn list(root: &Path, directory: &str) -> io::Result<Listing> {
    let entries = match fs::read_dir(root.join(directory)) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Listing::default()),
        entries => entries?,
    };
    let mut found = Vec::new();
    for entry in entries {
        let entry = entry?;
        let name = entry.file_name();
        let kind = entry.file_type()?;
        // Links are followed where the server follows them.
        let is_followed = directory == "pg_tblspc" || (directory.is_empty() && name == *"pg_wal");
        let kind = if kind.is_symlink() && is_followed {
            fs::metadata(entry.path())?.file_type()
        } else {
            kind
        };
        let sort = match (kind.is_dir(), kind.is_file()) {
            (true, _) => Sort::Directory,
            (_, true) => Sort::File,
            _ => Sort::Else,
        };
        found.push((name.to_string_lossy().into_owned(), sort));
    }
    Ok(choose(directory, found))
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sort {
    Directory,
    File,
    Else,
}

fn choose(directory: &str, found: Vec<(String, Sort)>) -> Listing {
    let mut listing = Listing::default();
    if EMPTIED.contains(&directory) {
        return listing;
    }
    let unlogged: HashSet<u32> = found
        .iter()
        .filter_map(|(name, _)| relation(name))
        .filter(|relation| relation.fork == Fork::Init)
        .map(|relation| relation.node)
        .collect();
    for (name, sort) in found {
        let path = if directory.is_empty() { name.clone() } else { format!("{directory}/{name}") };
        if is_left_out(directory, &name, &path, &unlogged) {
            continue;
        }
        match sort {
            Sort::Directory => listing.directories.push(path),
            // The log is copied at the end, as much of it as is needed.
            Sort::File if directory == "pg_wal" => {}
            Sort::File => listing.files.push(path),
            Sort::Else => listing.skipped.push(path),
        }
    }
    // Sorted by number, so that neighbours are read together and addresses ascend.
    listing.files.sort_by_cached_key(|path| {
        let relation = classify(path).1;
        (relation.map_or(0, |r| r.node), relation.map_or(0, |r| r.segment), path.clone())
    });
    listing.directories.sort();
    listing
}

fn is_left_out(directory: &str, name: &str, path: &str, unlogged: &HashSet<u32>) -> bool {
    if name.starts_with("pgsql_tmp") || name.starts_with("pg_internal.init") {
        return true;
    }
    if directory.is_empty() && LEFT_OUT.contains(&name) {
        return true;
    }
    match classify(path) {
        // What an unlogged relation holds is lost at a crash, and so at a restore.
        (_, Some(relation)) => relation.fork != Fork::Init && unlogged.contains(&relation.node),
        _ => is_temporary(directory, name),
    }
}

/// Relations of sessions: `t3_16384`, with forks and segments.
fn is_temporary(directory: &str, name: &str) -> bool {
    let in_database = directory.starts_with("base/") || directory.starts_with("pg_tblspc/");
    let rest = name.strip_prefix('t').and_then(|rest| rest.split_once('_'));
    in_database
        && rest.is_some_and(|(backend, node)| {
            backend.bytes().all(|b| b.is_ascii_digit()) && relation(node).is_some()
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn files(directory: &str, names: &[&str]) -> Vec<String> {
        let found = names.iter().map(|name| ((*name).to_owned(), Sort::File)).collect();
        choose(directory, found).files
    }

    #[test]
    fn what_the_server_makes_anew_is_left_out() {
        assert_eq!(
            files(
                "base/5",
                &[
                    "PG_VERSION",
                    "1259",
                    "1259_vm",
                    "t3_16400",
                    "t3_16400_fsm.1",
                    "pg_internal.init.7",
                    "16401",
                    "16401_fsm",
                    "16401_init",
                    "16402.1",
                    "16402",
                    "pgsql_tmp7.0",
                    "tiny"
                ],
            ),
            [
                "base/5/PG_VERSION",
                "base/5/tiny",
                "base/5/1259",
                "base/5/1259_vm",
                "base/5/16401_init",
                "base/5/16402",
                "base/5/16402.1"
            ]
        );
        assert_eq!(files("", &["postmaster.pid", "backup_label", "PG_VERSION"]), ["PG_VERSION"]);
        assert_eq!(files("conf", &["postmaster.pid"]), ["conf/postmaster.pid"]);
        assert!(files("pg_replslot", &["state"]).is_empty());
        assert!(files("pg_wal", &["000000010000000000000001"]).is_empty());
    }
}
