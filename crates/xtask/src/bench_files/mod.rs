//! `cargo xtask bench-files`: the same trees through our program, restic and borg, in turns on one
//! machine; the tables go to `docs/benchmarks-files.md`.

mod peer;
mod tree;

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use self::peer::{Peer, Place};
use self::tree::Tree;
use crate::bench_peers::measure::{Cost, measure_alone, stored};
use crate::bench_peers::retire::retire;
use crate::command::{capture, run};
use crate::ctl::{self, Profile};
use crate::{machine, tools, workspace};

/// What the figures mean and where time goes: kept by hand, ends the document.
const WHERE_IT_GOES: &str = "crates/xtask/src/bench_files/where_it_goes.md";

/// What is measured of each tool, in order.
const STEPS: [&str; 4] = ["first backup", "no change", "1 % changed", "restore"];

/// The command line of `cargo xtask bench-files`.
pub(crate) fn main(arguments: &[String]) -> Result<()> {
    let options = Options::read(arguments)?;
    tools::install(tools::Wanted { bench: true, fuzz: false })?;
    let program = match &options.program {
        Some(path) => path.clone(),
        None => ctl::build(Profile::Release)?,
    };
    let saved = workspace::target()?.join("bench-files");
    std::fs::create_dir_all(&saved)?;
    for tree in Tree::ALL.into_iter().filter(|tree| options.wants(tree.word())) {
        println!("bench-files: {}", tree.word());
        let section = measure(tree, &program, &options)
            .with_context(|| format!("measuring {}", tree.word()))?;
        println!("{section}");
        std::fs::write(saved.join(tree.word()).with_extension("md"), section)?;
    }
    document(&program, &saved)
}

struct Options {
    files: u64,
    rounds: u32,
    only: Option<String>,
    program: Option<PathBuf>,
}

impl Options {
    fn read(arguments: &[String]) -> Result<Self> {
        let mut options = Self { files: 100_000, rounds: 3, only: None, program: None };
        let mut words = arguments.iter();
        while let Some(word) = words.next() {
            let value = || format!("{word} needs a value");
            match word.as_str() {
                "--files" => options.files = words.next().with_context(value)?.parse()?,
                "--rounds" => options.rounds = words.next().with_context(value)?.parse()?,
                "--only" => options.only = Some(words.next().with_context(value)?.clone()),
                "--program" => options.program = Some(words.next().with_context(value)?.into()),
                other => bail!(
                    "bench-files: unknown option {other:?}; known: --files N --rounds N \
                     --only small,uploads,million --program BACKUPCTL"
                ),
            }
        }
        for name in options.only.iter().flat_map(|names| names.split(',')) {
            if !Tree::ALL.iter().any(|tree| tree.word() == name) {
                bail!("bench-files: no tree {name:?}");
            }
        }
        Ok(options)
    }

    fn wants(&self, name: &str) -> bool {
        match &self.only {
            Some(names) => names.split(',').any(|chosen| chosen == name),
            // It takes long, and room.
            None => name != "million",
        }
    }
}

/// What one tool took, all rounds.
#[derive(Default)]
struct Taken {
    costs: BTreeMap<&'static str, Vec<Cost>>,
    /// Bytes of the repository after each backup.
    stored: BTreeMap<&'static str, Vec<u64>>,
}

fn measure(tree: Tree, program: &Path, options: &Options) -> Result<String> {
    let folder = tempfile::Builder::new().prefix("backup-bench-files-").tempdir()?;
    let mut all: BTreeMap<Peer, Taken> = BTreeMap::new();
    for round in 0..options.rounds {
        let here = folder.path().join(round.to_string());
        std::fs::create_dir(&here)?;
        let root = here.join("tree");
        tree.make(&root, options.files)?;
        let mut places = Vec::new();
        for peer in Peer::ALL {
            let folder = here.join(peer.name());
            std::fs::create_dir_all(&folder)?;
            let place = Place { program, tree: &root, folder };
            run(peer.init(&place).stdout(std::process::Stdio::null()))?;
            places.push((peer, place));
        }
        for (step, number) in STEPS[..3].iter().zip(0..) {
            if number == 2 {
                tree.change(&root, options.files, u64::from(round) + 1)?;
            }
            // What changed within a minute is read again the next time: a night lies between.
            std::thread::sleep(std::time::Duration::from_secs(if number == 1 { 1 } else { 62 }));
            for turn in 0..places.len() {
                let (peer, place) = &places[(turn + round as usize) % places.len()];
                settle()?;
                let cost = measure_alone(&mut peer.backup(place, number))?;
                let taken = all.entry(*peer).or_default();
                taken.costs.entry(step).or_default().push(cost);
                let bytes = stored(&place.folder.join("repository"))?;
                taken.stored.entry(step).or_default().push(bytes);
            }
        }
        for turn in 0..places.len() {
            let (peer, place) = &places[(turn + round as usize) % places.len()];
            let to = here.join(format!("restored-{turn}"));
            std::fs::create_dir_all(&to)?;
            settle()?;
            let cost = measure_alone(&mut peer.restore(place, 2, &to))?;
            all.entry(*peer).or_default().costs.entry("restore").or_default().push(cost);
            check(*peer, &root, &to)?;
            retire(&to)?;
        }
        drop(places);
        retire(&here)?;
    }
    let date = capture(Command::new("date").args(["-u", "+%Y-%m-%d"]))?;
    let (date, rounds) = (date.trim(), options.rounds);
    Ok(format!(
        "## {}\n\n{}\nMeasured {date}, {rounds} rounds, medians.\n",
        tree.title(options.files),
        table(&all)
    ))
}

/// What came back must be what was there: restic restores below the whole path.
fn check(peer: Peer, tree: &Path, to: &Path) -> Result<()> {
    let back = match peer {
        Peer::Restic => to.join(tree.strip_prefix("/")?),
        Peer::Ours | Peer::Borg => to.to_owned(),
    };
    let slash = |path: &Path| format!("{}/", path.display());
    let said =
        capture(Command::new("rsync").args(["-nai", "--delete", &slash(tree), &slash(&back)]))?;
    // borg restores into a directory without setting that one's own time.
    let own_time = |line: &str| peer == Peer::Borg && line == ".d..t...... ./";
    match said.lines().find(|line| !own_time(line)) {
        Some(line) => bail!("{} restored something else: {line}", peer.name()),
        None => Ok(()),
    }
}

fn settle() -> Result<()> {
    run(&mut Command::new("sync"))
}

fn median<T: Copy + PartialOrd>(values: &[T]) -> Option<T> {
    let mut sorted = values.to_vec();
    sorted.sort_by(|a, b| a.partial_cmp(b).unwrap_or(std::cmp::Ordering::Equal));
    sorted.get(sorted.len() / 2).copied()
}

fn table(all: &BTreeMap<Peer, Taken>) -> String {
    let of = |peer: Peer, step: &str, value: fn(&Cost) -> f64| {
        let costs = all.get(&peer).and_then(|taken| taken.costs.get(step));
        let values: Vec<f64> = costs.into_iter().flatten().map(value).collect();
        median(&values).unwrap_or(f64::NAN)
    };
    let bytes = |peer: Peer, step: &str| {
        let stored = all.get(&peer).and_then(|taken| taken.stored.get(step));
        stored.and_then(|values| median(values)).unwrap_or(0) as f64 / 1e6
    };
    let mut text = String::from(
        "| | first backup | no change | 1 % changed | restore | stored first | after the change | peak memory |\n\
         |---|--:|--:|--:|--:|--:|--:|--:|\n",
    );
    for peer in Peer::ALL {
        let wall = |step: &str| format!("{:.2} s", of(peer, step, |cost| cost.wall));
        let peak = STEPS.iter().map(|step| of(peer, step, |cost| cost.peak as f64 / 1048576.0));
        let peak = peak.fold(0.0, f64::max);
        let steps: Vec<String> = STEPS.iter().map(|step| wall(step)).collect();
        let _ = writeln!(
            text,
            "| {} | {} | {:.1} MB | {:.1} MB | {peak:.0} MiB |",
            peer.name(),
            steps.join(" | "),
            bytes(peer, "first backup"),
            bytes(peer, "1 % changed"),
        );
    }
    text.push_str("\n| target, against restic | measured | at most | |\n|---|--:|--:|---|\n");
    let ratio = |step: &str| of(Peer::Ours, step, |c| c.wall) / of(Peer::Restic, step, |c| c.wall);
    let stored = bytes(Peer::Ours, "first backup") / bytes(Peer::Restic, "first backup");
    for (name, value, most) in [
        ("first backup, wall time", ratio("first backup"), 0.8),
        ("no change, wall time", ratio("no change"), 0.5),
        ("restore, wall time", ratio("restore"), 0.8),
        ("stored bytes", stored, 1.05),
    ] {
        let verdict = if value <= most { "met" } else { "missed" };
        let _ = writeln!(text, "| {name} | {value:.2} | {most} | {verdict} |");
    }
    text
}

fn document(program: &Path, saved: &Path) -> Result<()> {
    let mut text = String::from(
        "# Benchmarks: trees of files\n\nWritten by `cargo xtask bench-files`; run it to get the \
         numbers of your own machine.\n\n## Machine and versions\n\n",
    );
    let _ = writeln!(text, "- {}", machine::describe()?);
    let _ = writeln!(text, "- {}, release build", machine::first_line(program, "--version"));
    let _ = writeln!(text, "- {}", machine::first_line(Path::new("restic"), "version"));
    let _ = writeln!(text, "- {}\n", machine::first_line(Path::new("borg"), "--version"));
    text.push_str(
        "Each tool takes the same trees, in turns whose order changes from round to round, into a \
         repository on the same local disk, encrypted, compressed with zstd (restic's `auto`, borg's \
         level 3, ours level 2). The tree is in the page cache for all of them. Every restore goes \
         into an empty directory, ends with the file system synced, and is compared with the tree \
         by rsync. Peak memory is the largest of the four steps, of the whole process tree.\n\n",
    );
    for peer in Peer::ALL {
        let _ = writeln!(text, "- {}: `{}`", peer.name(), peer.lines().join("`, `"));
    }
    text.push('\n');
    for tree in Tree::ALL {
        if let Ok(section) = std::fs::read_to_string(saved.join(tree.word()).with_extension("md")) {
            let _ = writeln!(text, "{section}");
        }
    }
    let root = workspace::root()?;
    text.push_str(&std::fs::read_to_string(root.join(WHERE_IT_GOES)).context(WHERE_IT_GOES)?);
    let path = root.join("docs/benchmarks-files.md");
    std::fs::write(&path, text.trim_end().to_owned() + "\n")?;
    println!("bench-files: wrote {}", path.display());
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_are_checked_before_anything_is_built() {
        let words = |list: &[&str]| list.iter().map(|&word| word.to_owned()).collect::<Vec<_>>();
        let options = Options::read(&words(&["--rounds", "5", "--only", "small"])).unwrap();
        assert_eq!((options.files, options.rounds), (100_000, 5));
        assert!(options.wants("small") && !options.wants("uploads"));
        assert!(Options::read(&words(&["--only", "nothing"])).is_err());
    }

    #[test]
    fn the_middle_of_the_values_counts() {
        assert_eq!(median(&[3, 1, 2]), Some(2));
        assert_eq!(median::<u64>(&[]), None);
    }
}
