//! `cargo xtask bench-fleet`: a daemon with a thousand made-up sources, asked from all sides.
//!
//! Everything is real but the sources: a repository with sealed manifests, a catalog with runs,
//! the daemon as it is released, HTTP over loopback. Each client comes from an address of its own
//! (127.0.0.0/8), as many clients would, so that the limits of one address are not what is
//! measured.

mod client;
mod process;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::command::{capture, run};
use crate::workspace;
use client::{Figures, get, load};
use process::Daemon;

/// What is asked for, and how it is called in the table.
const TARGETS: [(&str, &str); 5] = [
    ("/api/backup/status", "status"),
    ("/metrics", "metrics"),
    ("/", "fleet page"),
    ("/?q=&state=unprotected", "fleet page, searched"),
    ("/sources/database-0007", "source page"),
];

struct Wanted {
    sources: usize,
    snapshots: usize,
    runs: usize,
    seconds: u64,
    clients: usize,
    idle: u64,
    /// A folder with the world, kept for the next time.
    world: Option<PathBuf>,
}

/// The command line of `cargo xtask bench-fleet`.
pub(crate) fn main(arguments: &[String]) -> Result<()> {
    let mut wanted = Wanted {
        sources: 1000,
        snapshots: 5,
        runs: 30,
        seconds: 10,
        clients: 8,
        idle: 60,
        world: None,
    };
    let mut words = arguments.iter();
    while let Some(word) = words.next() {
        let value = words.next().with_context(|| format!("bench-fleet: {word} needs a value"))?;
        match word.as_str() {
            "--sources" => wanted.sources = value.parse()?,
            "--snapshots" => wanted.snapshots = value.parse()?,
            "--runs" => wanted.runs = value.parse()?,
            "--seconds" => wanted.seconds = value.parse()?,
            "--clients" => wanted.clients = value.parse()?,
            "--idle" => wanted.idle = value.parse()?,
            "--world" => wanted.world = Some(value.into()),
            other => bail!("bench-fleet: unknown option {other:?}"),
        }
    }
    let program = build()?;
    let scratch = tempfile::tempdir()?;
    let folder = wanted.world.clone().unwrap_or_else(|| scratch.path().join("world"));
    if !folder.join("backup.toml").exists() {
        make(&folder, &wanted)?;
    }
    measure(&program, &folder, &wanted)
}

fn build() -> Result<PathBuf> {
    run(&mut workspace::cargo(&["build", "--quiet", "--release", "--package", "backupd"])?)?;
    Ok(workspace::target()?.join("release/backupd"))
}

fn make(folder: &Path, wanted: &Wanted) -> Result<()> {
    let words = ["run", "--quiet", "--release", "--package", "backup", "--example", "fleet", "--"];
    let mut make = workspace::cargo(&words)?;
    let numbers = [wanted.sources, wanted.snapshots, wanted.runs].map(|n| n.to_string());
    capture(make.arg(folder).args(numbers))?;
    Ok(())
}

fn measure(program: &Path, folder: &Path, wanted: &Wanted) -> Result<()> {
    println!(
        "{} sources, {} snapshots, {} runs; {} clients for {} s\n",
        wanted.sources,
        wanted.sources * wanted.snapshots,
        wanted.sources * wanted.runs,
        wanted.clients,
        wanted.seconds
    );
    // The first start reads every manifest; the second knows them.
    for start in ["first start", "next start"] {
        let begun = Instant::now();
        let daemon = Daemon::start(program, folder)?;
        let serving = begun.elapsed();
        let judged = until_judged(&daemon, wanted.sources, begun)?;
        println!(
            "{start}: serves after {:.2} s, every source judged after {:.2} s, {} MiB",
            serving.as_secs_f64(),
            judged.as_secs_f64(),
            daemon.memory("VmRSS")? / 1024
        );
        if start == "next start" {
            asked(&daemon, wanted)?;
        }
        daemon.stop()?;
    }
    Ok(())
}

fn until_judged(daemon: &Daemon, sources: usize, begun: Instant) -> Result<Duration> {
    let all = format!("\"protected\":{sources}");
    loop {
        let answer = get(daemon.address, "/health/backups")?;
        if answer.contains(&all) {
            return Ok(begun.elapsed());
        }
        if begun.elapsed() > Duration::from_secs(300) {
            bail!(
                "not every source is protected after 300 s: {}",
                answer.get(..400).unwrap_or(&answer)
            );
        }
        thread::sleep(Duration::from_millis(20));
    }
}

fn asked(daemon: &Daemon, wanted: &Wanted) -> Result<()> {
    thread::sleep(Duration::from_secs(5));
    let before = daemon.cpu()?;
    let begun = Instant::now();
    thread::sleep(Duration::from_secs(wanted.idle));
    let busy = daemon.cpu()? - before;
    println!(
        "idle for {} s: {:.2} % of one processor, {} MiB resident\n",
        wanted.idle,
        busy / begun.elapsed().as_secs_f64() * 100.0,
        daemon.memory("VmRSS")? / 1024
    );
    println!("| | bytes | requests/s | p50 ms | p99 ms | longest ms |\n|---|--:|--:|--:|--:|--:|");
    for (target, name) in TARGETS {
        let Figures { bytes, a_second, p50, p99, longest } =
            load(daemon.address, target, wanted.clients, Duration::from_secs(wanted.seconds))?;
        println!("| {name} | {bytes} | {a_second:.0} | {p50:.1} | {p99:.1} | {longest:.1} |");
    }
    println!(
        "\nafterwards {} MiB resident, at most {} MiB",
        daemon.memory("VmRSS")? / 1024,
        daemon.memory("VmHWM")? / 1024
    );
    Ok(())
}

/// A program with nothing of this environment but its path.
fn bare(program: &Path) -> Command {
    let mut command = Command::new(program);
    command.env_clear().env("PATH", std::env::var("PATH").unwrap_or_default());
    command
}
