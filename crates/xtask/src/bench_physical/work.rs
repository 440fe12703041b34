//! WAL to work with: a bank under pgbench, and the segments that it wrote.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use backup_testkit::postgres::Cluster;

use crate::command::{capture, run};

/// Whoever the server runs as.
const SERVER_USER: &str = "nobody:nogroup";

/// Fills a bank of that scale.
pub(super) fn create_bank(cluster: &Cluster, scale: &str) -> Result<()> {
    cluster.try_sql("postgres", "create database bank")?;
    capture(cluster.command("pgbench").args(["-i", "-q", "-s", scale, "bank"]))?;
    Ok(())
}

/// Works on the bank until `wanted` whole segments were written since the start, and copies those
/// into `folder`.
pub(super) fn segments(cluster: &Cluster, folder: &Path, wanted: usize) -> Result<Vec<PathBuf>> {
    let current = || -> Result<String> {
        let sql = "select pg_walfile_name(pg_current_wal_insert_lsn())";
        Ok(cluster.try_sql("postgres", sql)?.trim().to_owned())
    };
    // The first page change after a checkpoint is a whole page, as on any working server.
    cluster.try_sql("postgres", "checkpoint; select pg_switch_wal()")?;
    let first = current()?;
    let written = || -> Result<Vec<String>> {
        let last = current()?;
        let mut names = Vec::new();
        for entry in std::fs::read_dir(cluster.data_directory().join("pg_wal"))? {
            let name = entry?.file_name().to_string_lossy().into_owned();
            if name.len() == 24 && name >= first && name < last {
                names.push(name);
            }
        }
        names.sort();
        Ok(names)
    };
    while written()?.len() < wanted {
        let mut load = cluster.command("pgbench");
        capture(load.args(["-n", "-c", "4", "-j", "1", "-T", "5", "bank"]))?;
        // TPC-B alone writes little once its pages are warm; reports rewrite tables as well.
        cluster.try_sql(
            "bank",
            "update pgbench_accounts set abalance = abalance + 1 where aid % 3 = 0",
        )?;
    }
    let mut names = written()?;
    names.truncate(wanted);
    ensure!(names.len() == wanted, "the server kept only {} segments", names.len());
    std::fs::create_dir_all(folder)?;
    let mut paths = Vec::new();
    for name in names {
        let path = folder.join(&name);
        std::fs::copy(cluster.data_directory().join("pg_wal").join(&name), &path)?;
        paths.push(path);
    }
    Ok(paths)
}

/// Gives a folder and all in it to whoever the server runs as.
pub(super) fn give(folder: &Path) -> Result<()> {
    run(Command::new("chown").args(["-R", SERVER_USER]).arg(folder)).context("giving files away")
}
