//! Proof that a data directory is that of the server that answered.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use backup_core::{Error, ErrorKind, Lsn, Result};

use super::proof::{COPY, other_cluster};
use super::read;
use crate::physical::facts::ClusterFacts;
use crate::replication::Replication;
use crate::{Client, ConnectOptions};

pub(super) const CONTROL: &str = "global/pg_control";

/// Looks whether the server's data directory can be read here; the reason if not.
pub(super) async fn directory(
    connect: &ConnectOptions,
    session: &mut Replication,
    facts: &ClusterFacts,
) -> std::result::Result<PathBuf, String> {
    if !connect.is_local() {
        return Err("the server is on another machine".to_owned());
    }
    let root = session.show("data_directory").await;
    let root = root.map_err(|_| "the role may not ask for data_directory".to_owned())?;
    let root = PathBuf::from(root);
    let control = fs::read(root.join(CONTROL));
    let control = control.map_err(|error| format!("{} cannot be read: {error}", root.display()))?;
    let system = control.get(..8).and_then(|bytes| bytes.try_into().ok()).map(u64::from_ne_bytes);
    if system.map(|system| system.to_string()).as_ref() != Some(&facts.system) {
        return Err(format!("{} holds another cluster", root.display()));
    }
    let mut client = Client::connect(connect).await.map_err(|error| error.to_string())?;
    let function = if facts.version >= 150_000 {
        "pg_catalog.pg_backup_start(text, boolean)"
    } else {
        "pg_catalog.pg_start_backup(text, boolean, boolean)"
    };
    let sql = format!(
        "SELECT pg_catalog.has_function_privilege('{function}', 'EXECUTE') AS may, \
         floor(extract(epoch FROM pg_catalog.pg_postmaster_start_time()))::bigint AS began"
    );
    let rows = client.query(&sql).await.map_err(|error| error.to_string())?;
    client.close().await;
    let row = rows.first().ok_or("the server does not answer")?;
    if row.by_name("may") != Some("t") {
        return Err(format!("the role may not call {function}"));
    }
    // A restored copy has the same system identifier: the server itself must run there.
    let pid = fs::read_to_string(root.join("postmaster.pid")).unwrap_or_default();
    let there: Option<i64> = pid.lines().nth(2).and_then(|line| line.trim().parse().ok());
    let began: Option<i64> = row.by_name("began").and_then(|text| text.parse().ok());
    match (there, began) {
        (Some(there), Some(began)) if there.abs_diff(began) <= 10 => Ok(root),
        _ => Err(format!("another server runs in {}", root.display())),
    }
}

/// The checkpoint of the start must have reached the directory that is about to be read.
pub(super) fn check_is_served(root: &Path, start: Lsn, standby: bool) -> Result<()> {
    let path = root.join(CONTROL);
    let control = fs::read(&path).map_err(|error| read::failed(&path, error))?;
    let redo = control.get(40..48).and_then(|b| b.try_into().ok()).map(u64::from_ne_bytes);
    // A standby cannot make a checkpoint: its start is one that it had already.
    if redo.is_some_and(|redo| redo >= start.0 || (standby && redo > 0)) {
        return Ok(());
    }
    Err(Error::new(ErrorKind::SourceUnavailable, COPY)
        .with("directory", root.display())
        .because("the server that answered does not write there")
        .hint("Name the server by its own address; another one answers where it is looked for."))
}

/// Returns the timeline now, of the same cluster as before.
pub(super) async fn same_cluster(connect: &ConnectOptions, facts: &ClusterFacts) -> Result<u32> {
    let mut session = Replication::connect(connect).await?;
    let identity = session.identify().await?;
    session.close().await;
    if identity.system == facts.system {
        Ok(identity.timeline)
    } else {
        Err(other_cluster("server"))
    }
}

/// Returns where tablespaces lie, by their numbers.
pub(super) fn tablespaces(root: &Path) -> Result<BTreeMap<u32, String>> {
    let links = root.join("pg_tblspc");
    let mut found = BTreeMap::new();
    for entry in fs::read_dir(&links).map_err(|error| read::failed(&links, error))? {
        let entry = entry.map_err(|error| read::failed(&links, error))?;
        let oid = entry.file_name().to_string_lossy().parse();
        // One that is a directory in place comes along like any other.
        if let (Ok(oid), Ok(place)) = (oid, fs::read_link(entry.path())) {
            found.insert(oid, place.to_string_lossy().into_owned());
        }
    }
    Ok(found)
}
