//! What would be lost: how far the repository is behind a server under load, seen from the server.

use std::fmt::Write;
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use backup_testkit::postgres::Cluster;

use super::peer::{Peer, Place};
use super::{Bench, document, work};
use crate::bench_peers::retire::retire;
use crate::command::{capture, run as run_command};

/// Seconds of load.
const SECONDS: u64 = 60;
/// A look every so often, by the server's clock.
const LOOK: &str = "0.1";
const PATIENCE: Duration = Duration::from_secs(60);

/// One look: seconds, written so far, durable in the repository.
type Look = (f64, u64, u64);

pub(super) fn run(bench: &Bench) -> Result<String> {
    let cluster = bench.start(&[])?;
    work::create_bank(&cluster, "20")?;
    let folder = bench.folder.join("risk");
    let place = Place { cluster: &cluster, program: bench.program.as_path(), folder };
    Peer::Local.prepare(&place)?;
    let mut stream = place.ours().command(&["-q", "wal", "stream"]);
    let stream = stream.stdout(Stdio::null()).stderr(Stdio::null()).spawn()?;
    let looks = under_load(&cluster);
    end(stream)?;
    let looks = looks?;
    retire(&place.folder)?;
    Ok(section(&looks))
}

fn under_load(cluster: &Cluster) -> Result<Vec<Look>> {
    let begun = Instant::now();
    let streaming = "select count(*) from pg_stat_replication where flush_lsn is not null";
    while cluster.try_sql("postgres", streaming)?.trim() != "1" {
        ensure!(begun.elapsed() < PATIENCE, "nobody streams");
        std::thread::sleep(Duration::from_millis(50));
    }
    let mut psql = cluster.command("psql");
    psql.args(["-X", "-A", "-t", "-q", "-d", "postgres", "-f", "-"]);
    let mut watcher = psql.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
    let input = watcher.stdin.take().context("psql has no input")?;
    let sql = format!(
        "select extract(epoch from clock_timestamp()), pg_current_wal_flush_lsn() - '0/0', \
         flush_lsn - '0/0' from pg_stat_replication \\watch {LOOK}\n"
    );
    std::io::Write::write_all(&mut &input, sql.as_bytes())?;
    let output = watcher.stdout.take().context("psql has no output")?;
    let reader = std::thread::spawn(move || {
        let lines = BufReader::new(output).lines().map_while(Result::ok);
        lines.filter_map(|line| parse(&line)).collect::<Vec<Look>>()
    });
    let mut load = cluster.command("pgbench");
    let seconds = SECONDS.to_string();
    let loaded = capture(load.args(["-n", "-c", "4", "-j", "1", "-T", &seconds, "bank"]));
    watcher.kill()?;
    watcher.wait()?;
    drop(input);
    let looks = reader.join().ok().context("reading psql")?;
    loaded?;
    Ok(looks)
}

fn parse(line: &str) -> Option<Look> {
    let mut fields = line.split('|');
    Some((fields.next()?.parse().ok()?, fields.next()?.parse().ok()?, fields.next()?.parse().ok()?))
}

fn end(mut stream: Child) -> Result<()> {
    run_command(Command::new("kill").arg(stream.id().to_string()))?;
    stream.wait()?;
    Ok(())
}

/// What was at risk at each look: seconds since the oldest WAL that is not durable was written,
/// and bytes.
fn at_risk(looks: &[Look]) -> Vec<(f64, u64)> {
    let mut oldest = 0;
    let mut risks = Vec::new();
    for (now, written, durable) in looks {
        // The first look at which more had been written than is durable now.
        while looks.get(oldest).is_some_and(|(_, written, _)| written <= durable) {
            oldest += 1;
        }
        let since = looks.get(oldest).map_or(*now, |(since, _, _)| *since);
        risks.push(((now - since).max(0.0), written.saturating_sub(*durable)));
    }
    risks
}

fn section(looks: &[Look]) -> String {
    let risks = at_risk(looks);
    let mut seconds: Vec<f64> = risks.iter().map(|(seconds, _)| *seconds).collect();
    let mut bytes: Vec<f64> = risks.iter().map(|(_, bytes)| *bytes as f64 / 1e6).collect();
    seconds.sort_by(f64::total_cmp);
    bytes.sort_by(f64::total_cmp);
    let (first, last) = (looks.first(), looks.last());
    let written = last.map_or(0, |look| look.1) - first.map_or(0, |look| look.1);
    let mut text = format!(
        "## What is at risk while streaming\n\npgbench (TPC-B-like, scale 20, 4 clients, {SECONDS} s, {:.0} MB of WAL) with `backupctl wal stream` \
         beside it. Every {LOOK} s the\nserver is asked what it wrote and what the repository has confirmed; {} looks.\n\n\
         | | p50 | p99 | most |\n|---|--:|--:|--:|\n",
        written as f64 / 1e6,
        risks.len()
    );
    for (name, values, digits) in [("seconds", &seconds, 2), ("MB", &bytes, 1)] {
        let _ = writeln!(
            text,
            "| {name} | {:.digits$} | {:.digits$} | {:.digits$} |",
            part(values, 0.5),
            part(values, 0.99),
            part(values, 1.0)
        );
    }
    text.push('\n');
    text.push_str(&document::verdicts(&[("seconds at risk, p99", part(&seconds, 0.99), 60.0)]));
    text
}

/// The value below which that part of the sorted values lies.
fn part(sorted: &[f64], part: f64) -> f64 {
    let last = sorted.len().saturating_sub(1);
    sorted.get((last as f64 * part).ceil() as usize).copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_durable_is_as_old_as_its_first_byte() {
        let looks = [
            (0.0, 10, 10),
            (1.0, 20, 10),
            (2.0, 30, 10),
            (3.0, 30, 20),
            (4.0, 30, 30),
            (5.0, 31, 30),
        ];
        let risks = at_risk(&looks);
        assert_eq!(risks, [(0.0, 0), (0.0, 10), (1.0, 20), (1.0, 10), (0.0, 0), (0.0, 1)]);
        assert!((part(&[1.0, 2.0, 3.0], 0.5) - 2.0).abs() < 1e-9);
        assert!((part(&[1.0, 2.0, 3.0], 0.99) - 3.0).abs() < 1e-9);
    }
}
