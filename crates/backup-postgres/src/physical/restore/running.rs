//! Servers that run on this machine, and the tablespaces they use. As far as this user may look:
//! nobody is found where processes cannot be looked into.

use std::fs;
use std::path::{Path, PathBuf};

/// Returns the data directory of a running server, other than that in `own`, that has its
/// tablespace in `place`.
pub(super) fn user_of(place: &Path, own: &Path) -> Option<PathBuf> {
    let place = place.canonicalize().ok()?;
    let own = own.canonicalize().ok();
    servers().into_iter().find(|data| Some(data) != own.as_ref() && uses(data, &place))
}

/// Returns the data directories of all servers: each works in its own.
fn servers() -> Vec<PathBuf> {
    let processes = fs::read_dir("/proc").into_iter().flatten().flatten();
    let mut found: Vec<PathBuf> = processes
        .filter(|process| {
            let name = fs::read_to_string(process.path().join("comm")).unwrap_or_default();
            matches!(name.trim(), "postgres" | "postmaster")
        })
        .filter_map(|process| fs::read_link(process.path().join("cwd")).ok())
        .filter(|data| data.join("postmaster.pid").exists())
        .collect();
    found.sort();
    found.dedup();
    found
}

fn uses(data: &Path, place: &Path) -> bool {
    let links = fs::read_dir(data.join("pg_tblspc")).into_iter().flatten().flatten();
    let mut targets = links.filter_map(|link| link.path().canonicalize().ok());
    targets.any(|target| target == place)
}
