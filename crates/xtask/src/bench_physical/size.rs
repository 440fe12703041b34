//! Memory: very many files, and a relation of many gigabytes that takes no room on the disk.

use std::fs::File;
use std::path::Path;

use anyhow::{Context, Result};

use super::peer::{Peer, Place};
use super::{Bench, document, settle};
use crate::bench_peers::measure::measure;
use crate::bench_peers::retire::retire;

/// Files besides the server's own; every tenth has a page.
const FILES: u32 = 1_000_000;
/// GiB of the relation: as many files, as the server makes them.
const GIGABYTES: u32 = 64;
/// Numbers that the server has not given to anything.
const FIRST: u32 = 1_000_000_000;

pub(super) fn run(bench: &Bench) -> Result<String> {
    let cluster = bench.start(&[])?;
    let sql = "select oid from pg_database where datname = 'postgres'";
    let oid = cluster.try_sql("postgres", sql)?.trim().to_owned();
    let database = cluster.data_directory().join("base").join(oid);
    settle(&cluster)?;
    create(&database).with_context(|| format!("creating files in {}", database.display()))?;
    let folder = bench.folder.join("size");
    let place = Place { cluster: &cluster, program: bench.program.as_path(), folder };
    Peer::Local.prepare(&place)?;
    let mut text = format!(
        "## Memory\n\nA cluster with {FILES} files more in one database, every tenth of one page, and a relation of \
         {GIGABYTES} GiB without content (sparse\nfiles, so that it takes no room).\n\n\
         | command | peak MiB | s |\n|---|--:|--:|\n"
    );
    let mut most: f64 = 0.0;
    let commands = [
        ("backup --mode physical", Peer::Local.full(&place)),
        ("the same again", Peer::Local.backup(&place, "again")),
    ];
    for (name, mut command) in commands {
        let cost = measure(&cluster, &mut command)?;
        let peak = cost.peak as f64 / 1_048_576.0;
        most = most.max(peak);
        println!("  {name:<24} {peak:>6.0} MiB {:>8.1} s", cost.wall);
        text.push_str(&format!("| {name} | {peak:.0} | {:.0} |\n", cost.wall));
    }
    retire(&place.folder)?;
    text.push('\n');
    text.push_str(&document::verdicts(&[("peak memory, MiB", most, 256.0)]));
    Ok(text)
}

fn create(database: &Path) -> Result<()> {
    for number in 0..FILES {
        let file = File::create(database.join((FIRST + number).to_string()))?;
        if number % 10 == 0 {
            file.set_len(8192)?;
        }
    }
    let relation = (FIRST + FILES).to_string();
    for segment in 0..GIGABYTES {
        let name = match segment {
            0 => relation.clone(),
            segment => format!("{relation}.{segment}"),
        };
        File::create(database.join(name))?.set_len(1 << 30)?;
    }
    Ok(())
}
