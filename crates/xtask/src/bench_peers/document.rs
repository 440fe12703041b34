//! `docs/benchmarks.md`: the sections measured last, with machine, versions and method.

use std::fmt::Write;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result};

use super::peer::Peer;
use super::{Bench, PARTS};
use crate::command::capture;
use crate::{machine, workspace};

/// What profiles say about the time and the bytes: kept by hand, ends the document.
const WHERE_IT_GOES: &str = "crates/xtask/src/bench_peers/where_it_goes.md";

/// When, at which commit and on how busy a machine a section was measured.
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
        "# Benchmarks\n\nWritten by `cargo xtask bench-peers`; run it to get the numbers of your own \
         machine. The pieces of the streaming path\nalone are measured by `cargo bench -p backup-benches`. Physical backups and WAL:\n[benchmarks-physical.md](benchmarks-physical.md).\n\n",
    );
    let _ = write!(text, "{}\n{}\n", versions(bench)?, method());
    for (name, _) in PARTS {
        if let Ok(section) = std::fs::read_to_string(saved.join(name).with_extension("md")) {
            let _ = writeln!(text, "{section}");
        }
    }
    let root = workspace::root()?;
    text.push_str(&std::fs::read_to_string(root.join(WHERE_IT_GOES)).context(WHERE_IT_GOES)?);
    let path = root.join("docs/benchmarks.md");
    std::fs::write(&path, text.trim_end().to_owned() + "\n")?;
    println!("bench-peers: wrote {}", path.display());
    Ok(())
}

fn versions(bench: &Bench) -> Result<String> {
    let mut text = format!("## Machine and versions\n\n- {}\n", machine::describe()?);
    let ours = machine::first_line(&bench.program, "--version");
    let _ = writeln!(text, "- {ours}, release build");
    let dump = capture(bench.cluster.command("pg_dump").arg("--version")).unwrap_or_default();
    let _ = writeln!(text, "- {}; server of the same version, over TCP on loopback", dump.trim());
    for (program, argument) in [
        ("zstd", "--version"),
        ("gzip", "--version"),
        ("openssl", "version"),
        ("restic", "version"),
    ] {
        let _ = writeln!(text, "- {}", machine::first_line(Path::new(program), argument));
    }
    Ok(text)
}

fn method() -> String {
    let mut text = String::from(
        "## Method\n\n\
         - The same data for every tool, all of it in the page cache; the tools take turns within each round, in an order that\n  \
           rotates. Medians of the rounds, with the smallest and the largest.\n\
         - A checkpoint before every measured command; fsync and autovacuum are off on the server.\n\
         - CPU of the tool: the whole process tree, from the kernel. CPU of the server: postmaster, backends and helpers.\n\
         - Peak memory: resident pages of the whole process tree, sampled every 20 ms.\n\
         - Stored: sum of file sizes. `pg_dump -Fd` neither encrypts nor authenticates; `openssl enc` encrypts without\n  \
           authenticating; backupctl and restic encrypt, authenticate and deduplicate.\n\
         - \"ours ÷ it\" below 1 means that backupctl took less.\n\n\
         | tool | backup | verify | restore |\n|---|---|---|---|\n",
    );
    for peer in Peer::ALL {
        let cells: Vec<String> =
            peer.lines().iter().map(|line| format!("`{}`", line.replace('|', "\\|"))).collect();
        let _ = writeln!(text, "| {} | {} |", peer.name(), cells.join(" | "));
    }
    text
}
