//! `cargo xtask bench-physical`: one cluster through our program and through what people use
//! today for physical backups and WAL, in turns on one machine; the tables go to
//! `docs/benchmarks-physical.md`.

mod changes;
mod copies;
mod daemon;
mod days;
mod document;
mod peer;
mod replay;
mod risk;
mod segments;
mod size;
mod work;

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use backup_testkit::postgres::Cluster;

use crate::ctl::{self, Profile};
use crate::shop::Shop;
use crate::{machine, tools, workspace};

/// The newest major that Debian's pgBackRest knows. It has no WAL summaries.
const MAJOR: u32 = 15;

/// A part of the comparison: its name, and what measures it and writes its section.
type Part = (&'static str, fn(&Bench) -> Result<String>);

/// In the order of the document.
const PARTS: &[Part] = &[
    ("copies", copies::run),
    ("days", days::run),
    ("segments", segments::run),
    ("replay", replay::run),
    ("risk", risk::run),
    ("size", size::run),
];

/// What every part shares.
struct Bench {
    program: PathBuf,
    /// `backupd`, where one was built; without it what goes through it is not measured.
    daemon: Option<PathBuf>,
    folder: PathBuf,
    shop: Shop,
    rounds: u32,
}

/// The command line of `cargo xtask bench-physical`.
pub(crate) fn main(arguments: &[String]) -> Result<()> {
    let options = Options::read(arguments)?;
    ensure!(
        machine::is_root(),
        "bench-physical runs as root: it reads a server's files as several users"
    );
    tools::install(tools::Wanted { bench: true, fuzz: false })?;
    let built = match &options.program {
        Some(path) => path.clone(),
        None => ctl::build(Profile::Release)?,
    };
    let folder = tempfile::Builder::new().prefix("backup-bench-").tempdir()?;
    // The server's user runs the program from here, and reads what it stored.
    open_to_all(folder.path())?;
    let program = folder.path().join("backupctl");
    std::fs::copy(&built, &program).with_context(|| format!("copying {}", built.display()))?;
    let daemon = match &options.daemon {
        Some(path) => std::path::absolute(path)?,
        None => std::path::absolute(built.with_file_name("backupd"))?,
    };
    let bench = Bench {
        program,
        daemon: daemon.exists().then_some(daemon),
        folder: folder.path().to_owned(),
        shop: Shop::of_megabytes(options.megabytes),
        rounds: options.rounds,
    };
    let saved = workspace::target()?.join("bench-physical");
    std::fs::create_dir_all(&saved)?;
    for (name, part) in PARTS.iter().filter(|(name, _)| options.wants(name)) {
        println!("bench-physical: {name}");
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
    daemon: Option<PathBuf>,
}

impl Options {
    fn read(arguments: &[String]) -> Result<Self> {
        let mut options =
            Self { megabytes: 850, rounds: 3, only: None, program: None, daemon: None };
        let mut words = arguments.iter();
        while let Some(word) = words.next() {
            let value = || format!("{word} needs a value");
            match word.as_str() {
                "--size-mb" => options.megabytes = words.next().with_context(value)?.parse()?,
                "--rounds" => options.rounds = words.next().with_context(value)?.parse()?,
                "--only" => options.only = Some(words.next().with_context(value)?.clone()),
                "--program" => options.program = Some(words.next().with_context(value)?.into()),
                "--daemon" => options.daemon = Some(words.next().with_context(value)?.into()),
                other => bail!(
                    "bench-physical: unknown option {other:?}; known: --size-mb N --rounds N \
                     --only copies,days,segments,replay,risk,size --program BACKUPCTL \
                     --daemon BACKUPD"
                ),
            }
        }
        for name in options.only.iter().flat_map(|names| names.split(',')) {
            if !PARTS.iter().any(|(known, _)| *known == name) {
                bail!("bench-physical: no part {name:?}");
            }
        }
        Ok(options)
    }

    fn wants(&self, name: &str) -> bool {
        self.only.as_ref().is_none_or(|names| names.split(',').any(|chosen| chosen == name))
    }
}

impl Bench {
    /// Starts a server for one part; settings come on top.
    fn start(&self, settings: &[(&str, &str)]) -> Result<Cluster> {
        let mut builder = Cluster::builder(MAJOR)
            .setting("shared_buffers", "512MB")
            .setting("max_wal_size", "8GB")
            // Nothing is written in the background between a copy and its comparison.
            .setting("autovacuum", "off")
            .setting("checkpoint_timeout", "1h");
        for (name, value) in settings {
            builder = builder.setting(name, value);
        }
        Ok(builder.try_start()?)
    }
}

/// Writes out what earlier commands left to do, so that nobody pays for another: the server's own,
/// and what tools left in memory that do not sync.
fn settle(cluster: &Cluster) -> Result<()> {
    cluster.try_sql("postgres", "checkpoint")?;
    crate::command::run(&mut std::process::Command::new("sync"))
}

fn open_to_all(folder: &Path) -> Result<()> {
    Ok(std::fs::set_permissions(folder, std::fs::Permissions::from_mode(0o755))?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_are_checked_before_anything_is_built() {
        let words = |list: &[&str]| list.iter().map(|&word| word.to_owned()).collect::<Vec<_>>();
        let options = Options::read(&words(&["--rounds", "5", "--only", "days,risk"])).unwrap();
        assert_eq!((options.megabytes, options.rounds), (850, 5));
        assert!(options.wants("risk") && !options.wants("copies"));
        assert!(Options::read(&words(&["--only", "nothing"])).is_err());
        assert!(Options::read(&words(&["--size-mb"])).is_err());
    }
}
