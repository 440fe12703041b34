//! Steps that run programs of ours against a real server: the embedding example and the recovery
//! script that uses nothing of ours.

use std::process::Command;

use anyhow::{Context, Result};
use backup_testkit::postgres::Cluster;

use super::count::Count;
use super::session::Session;
use crate::command::works;

/// `crates/backup/examples/embed.rs`: a backup and a restore from another Rust program.
pub(super) fn examples(session: &Session) -> Result<Count> {
    let major = Cluster::majors().last().copied().context("no PostgreSQL; cargo xtask tools")?;
    let cluster = Cluster::builder(major).try_start()?;
    cluster.try_sql("postgres", "create database shop")?;
    cluster.try_sql(
        "shop",
        "create table orders as select g as id, md5(g::text) as note from generate_series(1, 50000) g",
    )?;
    let folder = std::env::temp_dir().join(format!("backup-embed-{}", std::process::id()));
    std::fs::create_dir_all(&folder)?;
    let mut run =
        session.cargo(&["run", "--quiet", "--locked", "-p", "backup", "--example", "embed"]);
    let path = std::env::var("PATH").unwrap_or_default();
    run.env("PATH", format!("{}:{path}", cluster.bin("").display()))
        .env("DATABASE_URL", cluster.url("shop"))
        .env("RESTORE_URL", cluster.url("shop_restored"))
        .env("BACKUP_REPOSITORY", format!("file://{}", folder.display()))
        .env("BACKUP_PASSPHRASE", "correct horse battery staple");
    let result = session.check(&mut run);
    std::fs::remove_dir_all(&folder)?;
    let count = result?;
    if count.failed == 0 {
        let rows = cluster.try_sql("shop_restored", "select count(*) from orders")?;
        anyhow::ensure!(rows.trim() == "50000", "the example restored {} rows", rows.trim());
    }
    Ok(count)
}

/// `docs/examples/recover.py`: chunks and deltas read from the format document alone.
pub(super) fn recover(session: &Session) -> Result<Count> {
    // A Python of the user's own may lack what Debian's packages gave the system's.
    let python = ["python3", "/usr/bin/python3"]
        .into_iter()
        .find(|python| works(python, &["-c", "import cryptography"]))
        .context("no Python with the package `cryptography`; cargo xtask tools")?;
    let script = session.root().join("docs/examples/recover_test.sh");
    session.check(Command::new("sh").arg(script).env("PYTHON", python))
}
