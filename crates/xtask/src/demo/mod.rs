//! `cargo xtask demo`: loses a table of a throw-away database and gets it back, and proves it.
//!
//! Everything happens in temporary folders and on the loopback interface, and is removed.

mod receipt;

use std::time::Instant;

use anyhow::{Context, Result, bail, ensure};
use backup_testkit::postgres::Cluster;
use serde::Deserialize;

use crate::ctl::{self, Backupctl, Profile};
use crate::shop::{self, Shop};
use crate::tools;
use receipt::{Receipt, Snapshot};

/// What was asked for.
struct Options {
    megabytes: u64,
    profile: Profile,
}

/// The command line of `cargo xtask demo`.
pub(crate) fn main(arguments: &[String]) -> Result<()> {
    let options = read(arguments)?;
    tools::install(tools::Wanted::default())?;
    say("building backupctl (the first time takes minutes)");
    let program = ctl::build(options.profile)?;

    let major = Cluster::majors().last().copied().context("no PostgreSQL was found")?;
    let cluster = Cluster::builder(major).setting("shared_buffers", "256MB").try_start()?;
    let folder = tempfile::Builder::new().prefix("backup-demo-").tempdir()?;
    let backupctl = Backupctl::new(&program, &cluster, "shop", &folder.path().join("repository"));

    let receipt = play(&options, &cluster, &backupctl)?;
    print!("{receipt}");
    Ok(())
}

fn read(arguments: &[String]) -> Result<Options> {
    let mut options = Options { megabytes: 150, profile: Profile::Development };
    let mut words = arguments.iter();
    while let Some(word) = words.next() {
        match word.as_str() {
            "--release" => options.profile = Profile::Release,
            "--size-mb" => {
                let value = words.next().context("--size-mb needs a number")?;
                options.megabytes = value.parse().context("--size-mb needs a number")?;
            }
            other => bail!("demo: unknown option {other:?}; known: --size-mb N --release"),
        }
    }
    Ok(options)
}

/// The story, step by step; any surprise is an error.
fn play(options: &Options, cluster: &Cluster, backupctl: &Backupctl) -> Result<Receipt> {
    let shop = Shop::of_megabytes(options.megabytes);
    timed(&format!("filling a shop on PostgreSQL {}", cluster.major()), || {
        shop.create(cluster, "shop")
    })?;
    let database_bytes = shop::size(cluster, "shop")?;

    timed("creating an encrypted repository", || backupctl.text(&["init"]))?;
    let first = timed("first backup", || back_up(backupctl))?;
    timed("a day passes: 2% of the rows change, 2% are added", || shop.day(cluster, "shop", 1))?;
    let second = timed("second backup", || back_up(backupctl))?;

    let rows = shop::fingerprint(cluster, "shop")?;
    let schema = shop::schema_text(cluster, "shop")?;
    timed("the accident: drop table sales.orders cascade", || {
        cluster
            .try_sql("shop", "set client_min_messages = error; drop table sales.orders cascade")
            .map_err(Into::into)
    })?;
    ensure!(shop::fingerprint(cluster, "shop").is_err(), "the table is still there");

    let target = cluster.url("shop_restored");
    let restored = timed("restoring into a new database", || {
        backupctl.json::<Restored>(&["restore", "latest", "--to", &target, "--yes"])
    })?;
    let same_rows = shop::fingerprint(cluster, "shop_restored")? == rows;
    ensure!(same_rows, "the restored rows differ from those before the accident");
    let same_schema = shop::schema_text(cluster, "shop_restored")? == schema;
    ensure!(same_schema, "the restored schema differs from the one before the accident");
    timed("reading back every stored byte", || {
        backupctl.text(&["verify", "--all", "--read-data"])
    })?;
    let listed = backupctl.json::<Listed>(&["snapshots"])?;
    ensure!(listed.snapshots.len() == 2, "expected 2 snapshots");
    ensure!(
        listed.snapshots.iter().all(|snapshot| snapshot.verified.level == "read"),
        "verify did not leave its proof with the snapshots"
    );
    Ok(Receipt {
        server: cluster.major(),
        database_bytes,
        first,
        second,
        restored_rows: restored.rows,
        restore_seconds: restored.seconds,
        tables: rows,
        optimized: options.profile == Profile::Release,
    })
}

/// `restore --json`, as far as the receipt needs it.
#[derive(Deserialize)]
struct Restored {
    rows: u64,
    seconds: f64,
}

/// `backup --json`, as far as the receipt needs it.
#[derive(Deserialize)]
struct BackedUp {
    snapshot: Option<Snapshot>,
    seconds: Option<f64>,
}

/// `snapshots --json`.
#[derive(Deserialize)]
struct Listed {
    snapshots: Vec<Snapshot>,
}

fn back_up(backupctl: &Backupctl) -> Result<(Snapshot, f64)> {
    let done = backupctl.json::<BackedUp>(&["backup"])?;
    let snapshot = done.snapshot.context("backupctl backup committed no snapshot")?;
    Ok((snapshot, done.seconds.unwrap_or_default()))
}

fn timed<T>(what: &str, work: impl FnOnce() -> Result<T>) -> Result<T> {
    let begun = Instant::now();
    let result = work().with_context(|| what.to_owned())?;
    say(&format!("{what} ({:.1} s)", begun.elapsed().as_secs_f64()));
    Ok(result)
}

fn say(what: &str) {
    println!("demo: {what}");
}
