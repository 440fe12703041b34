//! First backup, next-day backup, verification and restore: every tool, every round, in an order
//! that rotates.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::process::Command;

use anyhow::{Result, ensure};

use super::measure::measure;
use super::peer::Peer;
use super::table::{Series, megabytes, tools};
use super::{Bench, remove};
use crate::shop;

/// The measured phases, in order.
const PHASES: [&str; 4] = ["first", "next", "verify", "restore"];

pub(super) fn run(bench: &Bench) -> Result<String> {
    bench.shop.create(&bench.cluster, "shop_day0")?;
    let size = shop::size(&bench.cluster, "shop_day0")?;
    let mut series: BTreeMap<(&str, &str), Series> = BTreeMap::new();
    for round in 0..bench.rounds {
        for (phase, peer, cost, bytes) in one_round(bench, round)? {
            println!("  round {round} {phase:<8} {:<34} {:>7.2} s", peer.name(), cost.wall);
            series.entry((phase, peer.name())).or_default().push(cost, bytes);
        }
    }
    let floor = floor(bench)?;
    bench.sql("postgres", "drop database shop_day0")?;
    Ok(section(&series, size, &floor))
}

type Measured = (&'static str, Peer, super::measure::Cost, u64);

fn one_round(bench: &Bench, round: u32) -> Result<Vec<Measured>> {
    let mut order = Peer::ALL;
    order.rotate_left(round as usize % Peer::ALL.len());
    bench.copy("shop_day0", "shop")?;
    bench.sql("shop", "vacuum")?;
    let mut measured = Vec::new();
    let places = order
        .iter()
        .map(|&peer| Ok((peer, bench.place(peer, "shop", round)?)))
        .collect::<Result<Vec<_>>>()?;

    let mut first_bytes = BTreeMap::new();
    for (peer, place) in &places {
        bench.settle()?;
        let cost = measure(&bench.cluster, &mut peer.backup(place, 0))?;
        let bytes = peer.stored(place)?;
        first_bytes.insert(peer.name(), bytes);
        measured.push(("first", *peer, cost, bytes));
    }
    bench.shop.day(&bench.cluster, "shop", 1)?;
    for (peer, place) in &places {
        bench.settle()?;
        let cost = measure(&bench.cluster, &mut peer.backup(place, 1))?;
        let added = peer.stored(place)? - first_bytes[peer.name()];
        measured.push(("next", *peer, cost, added));
    }
    let truth = shop::fingerprint(&bench.cluster, "shop")?;
    for (peer, place) in &places {
        measured.push(("verify", *peer, measure(&bench.cluster, &mut peer.verify(place, 1))?, 0));
    }
    for (peer, place) in &places {
        bench.empty("restored")?;
        let cost = measure(&bench.cluster, &mut peer.restore(place, 1, "restored"))?;
        let same = shop::fingerprint(&bench.cluster, "restored")? == truth;
        ensure!(same, "{} restored other rows than were there", peer.name());
        measured.push(("restore", *peer, cost, 0));
    }
    bench.sql("postgres", "drop database restored")?;
    for (_, place) in &places {
        remove(&place.folder)?;
    }
    Ok(measured)
}

/// The least a compressing logical backup can take on this machine: what the server spends to
/// write the rows as text, plus what zstd level 2 spends on them, over all cores.
struct Floor {
    text: u64,
    server: f64,
    zstd: f64,
    wall: f64,
}

fn floor(bench: &Bench) -> Result<Floor> {
    let place = bench.place(Peer::Directory, "shop", u32::MAX)?;
    let (mut server, mut zstd) = (Series::default(), Series::default());
    for _ in 0..bench.rounds {
        bench.settle()?;
        let cost = measure(&bench.cluster, &mut place.shell("pg_dump $DB > text"))?;
        let bytes = super::measure::stored(&place.folder.join("text"))?;
        server.push(cost, bytes);
        let mut command: Command = place.shell("zstd -q -2 -T1 -c text > /dev/null");
        zstd.push(measure(&bench.cluster, &mut command)?, 0);
    }
    remove(&place.folder)?;
    let cores = std::thread::available_parallelism()?.get() as f64;
    Ok(Floor {
        text: server.bytes(),
        server: server.server(),
        zstd: zstd.client(),
        wall: (server.server() + zstd.client()) / cores,
    })
}

fn section(series: &BTreeMap<(&str, &str), Series>, size: u64, floor: &Floor) -> String {
    let rows = |phase: &'static str| -> Vec<(&str, &Series)> {
        Peer::ALL.iter().map(|peer| (peer.name(), &series[&(phase, peer.name())])).collect()
    };
    let ours = |phase| &series[&(phase, Peer::Ours.name())];
    let of = |phase, peer: Peer| &series[&(phase, peer.name())];
    let share = |peer: Peer| {
        of("next", peer).bytes() as f64 * 100.0 / of("first", peer).bytes().max(1) as f64
    };
    let mut text = String::new();
    let _ = write!(
        text,
        "## One day after another\n\nDatabase of {:.0} MB ({:.0} MB as text), four tables, six \
         indexes; 2% of the rows of every table\nupdated at random places and 2% appended before \
         the next-day backup. Every restore is compared with the\nsource row by row.\n\n",
        megabytes(size),
        megabytes(floor.text),
    );
    let [first, next, verify, restore] = PHASES;
    let _ = write!(text, "### First backup\n\n{}\n", tools(&rows(first), Some("stored")));
    let _ = write!(
        text,
        "The floor of this machine is {:.2} s: {:.2} CPU-s of the server for the text and {:.2} \
         CPU-s of zstd -2, over all\ncores. Ours took {:.2} times that.\n\n",
        floor.wall,
        floor.server,
        floor.zstd,
        ours(first).wall() / floor.wall
    );
    let _ = write!(text, "### Next-day backup\n\n{}\n", tools(&rows(next), Some("added")));
    let shares: Vec<String> = Peer::ALL
        .iter()
        .map(|&peer| format!("{} {:.1}%", peer.name().replace("\\|", "|"), share(peer)))
        .collect();
    let _ = write!(text, "Added, in percent of the first backup: {}.\n\n", shares.join(", "));
    let _ = write!(
        text,
        "### Verify\n\nReading back everything stored for both days where the tool keeps one \
         repository (backupctl, restic), else the\nsecond day's file. Only backupctl and restic \
         authenticate what they read.\n\n{}\n",
        tools(&rows(verify), None)
    );
    let _ = write!(
        text,
        "### Restore of the second day into an empty database\n\n{}\n",
        tools(&rows(restore), None)
    );
    let peak = PHASES.iter().map(|phase| ours(phase).peak()).max().unwrap_or_default();
    let targets = [
        ("first backup ÷ floor", ours(first).wall() / floor.wall, 1.3),
        ("first backup ÷ pg_dump -Fd -j2", ratio(ours(first), of(first, Peer::Directory)), 0.35),
        ("first backup ÷ zstd pipe", ratio(ours(first), of(first, Peer::Zstd)), 0.75),
        ("restore ÷ pg_restore -j2", ratio(ours(restore), of(restore, Peer::Directory)), 0.8),
        ("next day added, % of first", share(Peer::Ours), 6.0),
        ("peak memory, MiB", peak as f64 / 1_048_576.0, 256.0),
    ];
    text.push_str("### Against the targets\n\n| | measured | at most | |\n|---|--:|--:|---|\n");
    for (name, value, most) in targets {
        let verdict = if value <= most { "met" } else { "missed" };
        let _ = writeln!(text, "| {name} | {value:.2} | {most} | {verdict} |");
    }
    text
}

fn ratio(ours: &Series, other: &Series) -> f64 {
    ours.wall() / other.wall()
}
