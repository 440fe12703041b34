//! `docs/benchmarks-physical.md`: the sections measured last, with machine, versions and method.

use std::fmt::Write;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result};
use backup_testkit::postgres::Installation;

use super::peer::Peer;
use super::{Bench, MAJOR, PARTS};
use crate::command::capture;
use crate::{machine, workspace};

/// What profiles say: kept by hand, ends the document.
const WHERE_IT_GOES: &str = "crates/xtask/src/bench_physical/where_it_goes.md";

/// A table of what was measured against what was aimed at.
pub(super) fn verdicts(targets: &[(&str, f64, f64)]) -> String {
    let mut text = String::from("| target | measured | at most | |\n|---|--:|--:|---|\n");
    for (name, value, most) in targets {
        let verdict = if value <= most { "met" } else { "missed" };
        let _ = writeln!(text, "| {name} | {value:.2} | {most} | {verdict} |");
    }
    text
}

/// The same for what should be large.
pub(super) fn floors(targets: &[(&str, f64, f64)]) -> String {
    let mut text = String::from("| target | measured | at least | |\n|---|--:|--:|---|\n");
    for (name, value, least) in targets {
        let verdict = if value >= least { "met" } else { "missed" };
        let _ = writeln!(text, "| {name} | {value:.2} | {least} | {verdict} |");
    }
    text
}

/// When, at which commit and in how many rounds a section was measured.
pub(super) fn provenance(bench: &Bench) -> Result<String> {
    let date = capture(Command::new("date").args(["-u", "+%Y-%m-%d"]))?;
    let mut git = Command::new("git");
    git.args(["rev-parse", "--short", "HEAD"]).current_dir(workspace::root()?);
    let commit = capture(&mut git).unwrap_or_else(|_| "unknown".to_owned());
    Ok(format!("Measured {} at commit {}, {} rounds.", date.trim(), commit.trim(), bench.rounds))
}

/// Assembles the document from the sections in `saved`.
pub(super) fn write(bench: &Bench, saved: &Path) -> Result<()> {
    let mut text = String::from(
        "# Benchmarks: physical backups and WAL\n\nWritten by `cargo xtask bench-physical`; run it as root to \
         get the numbers of your own machine. Logical backups are in [benchmarks.md](benchmarks.md).\n\n",
    );
    let _ = write!(text, "{}\n{}\n", versions(bench)?, method());
    for (name, _) in PARTS {
        if let Ok(section) = std::fs::read_to_string(saved.join(name).with_extension("md")) {
            let _ = writeln!(text, "{section}");
        }
    }
    let root = workspace::root()?;
    text.push_str(&std::fs::read_to_string(root.join(WHERE_IT_GOES)).context(WHERE_IT_GOES)?);
    let path = root.join("docs/benchmarks-physical.md");
    std::fs::write(&path, text.trim_end().to_owned() + "\n")?;
    println!("bench-physical: wrote {}", path.display());
    Ok(())
}

fn versions(bench: &Bench) -> Result<String> {
    let mut text = format!("## Machine and versions\n\n- {}\n", machine::describe()?);
    let _ = writeln!(text, "- {}, release build", machine::first_line(&bench.program, "--version"));
    if let Some(server) = Installation::find(MAJOR) {
        let said = machine::first_line(&server.bin("pg_basebackup"), "--version");
        let _ = writeln!(text, "- {said}; server of the same version, on a Unix socket");
    }
    for (program, argument) in [
        ("pgbackrest", "version"),
        ("barman", "--version"),
        ("zstd", "--version"),
        ("openssl", "version"),
    ] {
        let _ = writeln!(text, "- {}", machine::first_line(Path::new(program), argument));
    }
    Ok(text)
}

fn method() -> String {
    let mut text = String::from(
        "## Method\n\n\
         - The same cluster for every tool, all of it in the page cache; the tools take turns within each round, in an order\n  \
           that rotates. Medians of the rounds, with the smallest and the largest. Page checksums are on.\n\
         - A checkpoint before every measured command, and a fast one in each; fsync and autovacuum are off on the server.\n\
         - CPU of the tool: the whole process tree, from the kernel; of the server: postmaster, backends and helpers.\n\
         - Peak memory: resident pages of the whole process tree, sampled every 20 ms.\n\
         - Two processes or connections each; zstd level 2 in backupctl and pgBackRest.\n\
         - backupctl, pgBackRest and pg_basebackup sync what they write, the pipe and its `tar` do not. backupctl's snapshots\n  \
           hold the WAL that they need, as those of pg_basebackup do; pgBackRest leaves that to its archive, and so need not\n  \
           wait for it here. Only backupctl authenticates what it stores; pgBackRest, and the pipe, encrypt without\n  \
           authenticating; pg_basebackup and Barman do neither, and Barman does not compress.\n\
         - pgBackRest's block incremental (`repo1-block`) came with version 2.46, which Debian 12 does not have: not measured.\n\
         - \"ours ÷ it\" below 1 means that the first row took less.\n\n\
         | tool | first copy | later copy | restore |\n|---|---|---|---|\n",
    );
    for peer in Peer::ALL {
        let cells: Vec<String> =
            peer.lines().iter().map(|line| format!("`{}`", line.replace('|', "\\|"))).collect();
        let _ = writeln!(text, "| {} | {} |", peer.name(), cells.join(" | "));
    }
    text
}
