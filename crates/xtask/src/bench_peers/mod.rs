//! `cargo xtask bench-peers`: the same data through our program and through what people use
//! today, in one interleaved run on one machine; the tables go to `docs/benchmarks.md`.

mod daily;
mod document;
mod growth;
pub(crate) mod measure;
mod peer;
mod pressure;
pub(crate) mod retire;
mod shape;
pub(crate) mod table;

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use backup_testkit::postgres::Cluster;

use crate::ctl::{self, Profile};
use crate::shop::Shop;
use crate::{tools, workspace};
use peer::{Peer, Place};

/// A part of the comparison: its name, and what measures it and writes its section.
type Part = (&'static str, fn(&Bench) -> Result<String>);

/// In the order of the document.
const PARTS: &[Part] = &[
    ("daily", daily::run),
    ("growth", growth::run),
    ("shape", shape::run),
    ("pressure", pressure::run),
];

/// What every part shares.
struct Bench {
    cluster: Cluster,
    program: PathBuf,
    folder: PathBuf,
    shop: Shop,
    megabytes: u64,
    rounds: u32,
}

/// The command line of `cargo xtask bench-peers`.
pub(crate) fn main(arguments: &[String]) -> Result<()> {
    let options = Options::read(arguments)?;
    tools::install(tools::Wanted { bench: true, fuzz: false })?;
    let program = match &options.program {
        Some(path) => path.clone(),
        None => ctl::build(Profile::Release)?,
    };
    let major = Cluster::majors().last().copied().context("no PostgreSQL was found")?;
    let cluster = Cluster::builder(major)
        .setting("shared_buffers", "512MB")
        .setting("maintenance_work_mem", "128MB")
        .setting("max_wal_size", "8GB")
        // Background work would land on whoever runs at that moment.
        .setting("autovacuum", "off")
        .try_start()?;
    let folder = tempfile::Builder::new().prefix("backup-bench-").tempdir()?;
    let bench = Bench {
        cluster,
        program,
        folder: folder.path().to_owned(),
        shop: Shop::of_megabytes(options.megabytes),
        megabytes: options.megabytes,
        rounds: options.rounds,
    };
    let saved = workspace::target()?.join("bench-peers");
    std::fs::create_dir_all(&saved)?;
    for (name, part) in PARTS.iter().filter(|(name, _)| options.wants(name)) {
        println!("bench-peers: {name}");
        let section = part(&bench).with_context(|| format!("measuring {name}"))?;
        println!("{section}");
        let dated = format!("{section}\n{}\n", document::provenance(&bench)?);
        std::fs::write(saved.join(name).with_extension("md"), dated)?;
    }
    document::write(&bench, &saved)
}

/// What was asked for.
struct Options {
    megabytes: u64,
    rounds: u32,
    only: Option<String>,
    program: Option<PathBuf>,
}

impl Options {
    fn read(arguments: &[String]) -> Result<Self> {
        let mut options = Self { megabytes: 1000, rounds: 3, only: None, program: None };
        let mut words = arguments.iter();
        while let Some(word) = words.next() {
            let value = || format!("{word} needs a value");
            match word.as_str() {
                "--size-mb" => options.megabytes = words.next().with_context(value)?.parse()?,
                "--rounds" => options.rounds = words.next().with_context(value)?.parse()?,
                "--only" => options.only = Some(words.next().with_context(value)?.clone()),
                "--program" => options.program = Some(words.next().with_context(value)?.into()),
                other => bail!(
                    "bench-peers: unknown option {other:?}; known: --size-mb N --rounds N \
                     --only daily,growth,shape,pressure --program BACKUPCTL"
                ),
            }
        }
        for name in options.only.iter().flat_map(|names| names.split(',')) {
            if !PARTS.iter().any(|(known, _)| *known == name) {
                bail!("bench-peers: no part {name:?}");
            }
        }
        Ok(options)
    }

    fn wants(&self, name: &str) -> bool {
        self.only.as_ref().is_none_or(|names| names.split(',').any(|chosen| chosen == name))
    }
}

impl Bench {
    /// A tool's place for one round, prepared for its first backup.
    fn place(&self, peer: Peer, database: &'static str, round: u32) -> Result<Place<'_>> {
        let folder = self.folder.join(format!("{database}-{peer:?}-{round}"));
        let place =
            Place { cluster: &self.cluster, program: self.program.as_path(), database, folder };
        peer.prepare(&place)?;
        Ok(place)
    }

    /// Runs SQL outside of what is measured.
    fn sql(&self, database: &str, sql: &str) -> Result<String> {
        Ok(self.cluster.try_sql(database, sql)?)
    }

    /// A fresh copy of a database, block for block.
    fn copy(&self, from: &str, to: &str) -> Result<()> {
        self.sql("postgres", &format!("drop database if exists {to}"))?;
        self.sql("postgres", &format!("create database {to} template {from}"))?;
        Ok(())
    }

    /// An empty database to restore into, replacing the last one.
    fn empty(&self, name: &str) -> Result<()> {
        self.sql("postgres", &format!("drop database if exists {name}"))?;
        self.sql("postgres", &format!("create database {name} template template0"))?;
        self.settle()
    }

    /// Writes out what earlier commands left to do, so that nobody pays for another.
    fn settle(&self) -> Result<()> {
        self.sql("postgres", "checkpoint")?;
        Ok(())
    }
}

/// Frees the room of a finished round.
fn remove(folder: &Path) -> Result<()> {
    std::fs::remove_dir_all(folder).with_context(|| format!("removing {}", folder.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_are_checked_before_anything_is_built() {
        let words = |list: &[&str]| list.iter().map(|&word| word.to_owned()).collect::<Vec<_>>();
        let options = Options::read(&words(&["--size-mb", "50", "--only", "daily,shape"])).unwrap();
        assert_eq!((options.megabytes, options.rounds), (50, 3));
        assert!(options.wants("shape") && !options.wants("growth"));
        assert!(Options::read(&words(&["--only", "nothing"])).is_err());
        assert!(Options::read(&words(&["--rounds"])).is_err());
        assert!(Options::read(&words(&["--rounds", "many"])).is_err());
    }
}
