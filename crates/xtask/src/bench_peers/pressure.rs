//! What a backup does to the people who use the database meanwhile: pgbench beside it.

use std::process::{Child, Command, Stdio};

use anyhow::{Context, Result};

use super::peer::Peer;
use super::table::median;
use super::{Bench, remove};

const SECONDS: &str = "20";
const CLIENTS: &str = "2";

pub(super) fn run(bench: &Bench) -> Result<String> {
    bench.shop.create(&bench.cluster, "busy")?;
    bench.sql("postgres", "create database bank")?;
    let mut fill = bench.cluster.command("pgbench");
    crate::command::capture(fill.args(["-i", "-q", "-s", "10", "bank"]))?;
    let mut idle = Vec::new();
    let mut beside = vec![Vec::new(); 2];
    for round in 0..bench.rounds {
        bench.settle()?;
        idle.push(transactions(bench)?);
        for (peer, results) in [Peer::Ours, Peer::Directory].into_iter().zip(&mut beside) {
            bench.settle()?;
            let result = transactions_beside(bench, peer, round)?;
            println!(
                "  round {round} {:<20} {:>8.0} tps, {} backups",
                peer.name(),
                result.0,
                result.1
            );
            results.push(result);
        }
    }
    bench.sql("postgres", "drop database busy")?;
    bench.sql("postgres", "drop database bank")?;
    let idle = median(idle);
    let tps = |tool: usize| median(beside[tool].iter().map(|(tps, _)| *tps).collect());
    let runs =
        |tool: usize| median(beside[tool].iter().map(|(_, runs)| f64::from(*runs)).collect());
    // Transactions that one whole backup costs: those missing over its share of the time.
    let lost = |tool: usize| {
        (idle - tps(tool)) * SECONDS.parse::<f64>().unwrap_or_default() / runs(tool).max(1.0)
    };
    Ok(format!(
        "## Beside a working database\n\npgbench (TPC-B-like, scale 10, {CLIENTS} clients, {SECONDS} s) on the same server while a \
         database of the same shop is backed up over and\nover. Without a backup: {idle:.0} transactions/s.\n\n\
         | | transactions/s | of undisturbed | backups finished meanwhile | transactions lost per backup |\n\
         |---|--:|--:|--:|--:|\n\
         | backupctl | {:.0} | {:.0}% | {:.0} | {:.0} |\n| pg_dump -Fd -j2 | {:.0} | {:.0}% | {:.0} | {:.0} |\n",
        tps(0),
        tps(0) * 100.0 / idle,
        runs(0),
        lost(0),
        tps(1),
        tps(1) * 100.0 / idle,
        runs(1),
        lost(1),
    ))
}

/// Transactions per second while backups follow each other, and how many finished.
fn transactions_beside(bench: &Bench, peer: Peer, round: u32) -> Result<(f64, u32)> {
    let mut load = start(bench)?;
    let mut finished = 0;
    while load.try_wait()?.is_none() {
        // A new place each time: always the first, whole backup.
        let place = bench.place(peer, "busy", round * 1000 + finished)?;
        let mut backup =
            peer.backup(&place, 0).stdout(Stdio::null()).stderr(Stdio::null()).spawn()?;
        let complete = loop {
            if let Some(status) = backup.try_wait()? {
                anyhow::ensure!(status.success(), "{} failed beside pgbench", peer.name());
                break true;
            }
            if load.try_wait()?.is_some() {
                // In order, so that the tool's own workers end with it.
                let stop = format!("kill -TERM {}", backup.id());
                crate::command::run(Command::new("bash").args(["-c", &stop]))?;
                backup.wait()?;
                break false;
            }
            std::thread::sleep(std::time::Duration::from_millis(20));
        };
        finished += u32::from(complete);
        remove(&place.folder)?;
    }
    Ok((result(load)?, finished))
}

fn transactions(bench: &Bench) -> Result<f64> {
    result(start(bench)?)
}

fn start(bench: &Bench) -> Result<Child> {
    let mut command: Command = bench.cluster.command("pgbench");
    command.args(["-n", "-c", CLIENTS, "-j", "1", "-T", SECONDS, "bank"]);
    command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().context("cannot start pgbench")
}

fn result(load: Child) -> Result<f64> {
    let output = load.wait_with_output()?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let line = text.lines().find_map(|line| line.strip_prefix("tps = "));
    let number = line.and_then(|line| line.split(' ').next()).and_then(|word| word.parse().ok());
    number.with_context(|| format!("pgbench said: {text}"))
}
