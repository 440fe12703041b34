//! A full copy, one more after one page in a hundred changed, and what restores take: every tool,
//! every round, in an order that rotates.

use std::collections::BTreeMap;
use std::fmt::Write;

use anyhow::{Result, ensure};
use backup_testkit::postgres::Cluster;

use super::peer::{Peer, Place};
use super::{Bench, changes, settle};
use crate::bench_peers::measure::{Cost, measure};
use crate::bench_peers::retire::retire;
use crate::bench_peers::table::{Series, megabytes, tools};

/// The measured phases, in order.
const PHASES: [&str; 5] = ["full", "again", "restore", "delta", "nothing"];

type Measured = (&'static str, Peer, Cost, u64);

/// What of the cluster changed in a round.
struct Changed {
    pages: u64,
    all: u64,
}

pub(super) fn run(bench: &Bench) -> Result<String> {
    let mut series: BTreeMap<(&str, Peer), Series> = BTreeMap::new();
    let mut changed = Changed { pages: 0, all: 1 };
    let cluster = bench.start(&[])?;
    bench.shop.create(&cluster, "shop")?;
    // The first vacuum marks every page: as on a server that has been running, it is over.
    cluster.try_sql("shop", "vacuum")?;
    for round in 0..bench.rounds {
        let measured = one_round(bench, &cluster, round, &mut changed)?;
        for (phase, peer, cost, bytes) in measured {
            series.entry((phase, peer)).or_default().push(cost, bytes);
        }
    }
    Ok(section(&series, &changed))
}

fn one_round(
    bench: &Bench,
    cluster: &Cluster,
    round: u32,
    changed: &mut Changed,
) -> Result<Vec<Measured>> {
    let mut order = Peer::ALL;
    order.rotate_left(round as usize % Peer::ALL.len());
    let places = order
        .iter()
        .map(|&peer| {
            let folder = bench.folder.join(format!("copies-{peer:?}-{round}"));
            let place = Place { cluster, program: bench.program.as_path(), folder };
            peer.prepare(&place)?;
            Ok((peer, place))
        })
        .collect::<Result<Vec<_>>>()?;
    let mut measured = Vec::new();
    let mut take = |phase, peer: Peer, cost: Cost, bytes| {
        println!("  round {round} {phase:<8} {:<42} {:>7.2} s {bytes:>12}", peer.name(), cost.wall);
        measured.push((phase, peer, cost, bytes));
    };
    let mut first = BTreeMap::new();
    for (peer, place) in &places {
        settle(cluster)?;
        let cost = measure(cluster, &mut peer.full(place))?;
        first.insert(*peer, peer.stored(place)?);
        take("full", *peer, cost, first[peer]);
        if peer.delta(place, &place.folder).is_some() {
            let mut old = peer.restore(place, "full", &place.folder.join("old"));
            crate::command::run(old.stdout(std::process::Stdio::null()))?;
        }
    }
    changes::one_percent(cluster, "shop", round)?;
    settle(cluster)?;
    for (peer, place) in &places {
        settle(cluster)?;
        let cost = measure(cluster, &mut peer.backup(place, "again"))?;
        take("again", *peer, cost, peer.stored(place)? - first[peer]);
    }
    let data = cluster.data_directory();
    for (peer, place) in &places {
        let new = place.folder.join("new");
        settle(cluster)?;
        take("restore", *peer, measure(cluster, &mut peer.restore(place, "again", &new))?, 0);
        ensure!(changes::differing(&new, &data)?.0 == 0, "{} restored other pages", peer.name());
    }
    for (peer, place) in &places {
        let (old, new) = (place.folder.join("old"), place.folder.join("new"));
        let Some(mut delta) = peer.delta(place, &old) else { continue };
        let (pages, all) = changes::differing(&old, &data)?;
        *changed = Changed { pages, all };
        settle(cluster)?;
        take("delta", *peer, measure(cluster, &mut delta)?, 0);
        ensure!(changes::differing(&old, &data)?.0 == 0, "{} left other pages", peer.name());
        if let Some(mut nothing) = peer.delta(place, &new) {
            settle(cluster)?;
            take("nothing", *peer, measure(cluster, &mut nothing)?, 0);
        }
    }
    for (peer, place) in &places {
        place.stop(*peer)?;
        retire(&place.folder)?;
    }
    Ok(measured)
}

fn section(series: &BTreeMap<(&str, Peer), Series>, changed: &Changed) -> String {
    let rows = |phase: &'static str| -> Vec<(&str, &Series)> {
        let measured =
            Peer::ALL.iter().filter_map(|peer| Some((*peer, series.get(&(phase, *peer))?)));
        measured.map(|(peer, series)| (peer.name(), series)).collect()
    };
    let of = |phase, peer| &series[&(phase, peer)];
    let mut text = String::new();
    let size = changed.all * 8192;
    let percent = changed.pages as f64 * 100.0 / changed.all as f64;
    let _ = write!(
        text,
        "## Copies of a cluster\n\n{:.0} MB of relations, {} pages. Before the second copy {} of them \
         changed ({percent:.1} %), at random places.\nEvery restore is compared with the server's files \
         page by page.\n\n### Full\n\n{}\n### Once more\n\n{}\n### Restore\n\n{}\n### Delta restore\n\n\
         Of a directory that holds the first copy, to the second.\n\n{}\nThe same onto a directory that \
         holds the second already:\n\n{}\n",
        megabytes(size),
        changed.all,
        changed.pages,
        tools(&rows(PHASES[0]), Some("stored")),
        tools(&rows(PHASES[1]), Some("added")),
        tools(&rows(PHASES[2]), None),
        tools(&rows(PHASES[3]), None),
        tools(&rows(PHASES[4]), None),
    );
    let wall = |phase, ours, other| of(phase, ours).wall() / of(phase, other).wall();
    let bytes = |phase, ours, other: Peer| {
        of(phase, ours).bytes() as f64 / of(phase, other).bytes().max(1) as f64
    };
    let (local, remote) = (Peer::Local, Peer::Remote);
    let peak = series.iter().filter(|((_, peer), _)| matches!(peer, Peer::Local | Peer::Remote));
    let peak = peak.map(|(_, series)| series.peak()).max().unwrap_or_default();
    let targets = [
        ("local full ÷ pgBackRest", wall("full", local, Peer::PgBackRest), 0.35),
        ("local full ÷ pgBackRest, bundles", wall("full", local, Peer::Bundle), 0.35),
        ("remote full ÷ pg_basebackup pipe", wall("full", remote, Peer::Pipe), 0.8),
        ("again, local ÷ pgBackRest incremental", wall("again", local, Peer::PgBackRest), 0.2),
        ("again, remote ÷ pgBackRest incremental", wall("again", remote, Peer::PgBackRest), 0.2),
        ("again, added ÷ pgBackRest incremental", bytes("again", local, Peer::PgBackRest), 0.1),
        ("restore ÷ pgBackRest", wall("restore", local, Peer::PgBackRest), 0.7),
        ("restore ÷ pgBackRest, bundles", wall("restore", local, Peer::Bundle), 0.7),
        ("delta restore ÷ pgBackRest", wall("delta", local, Peer::PgBackRest), 0.7),
        (
            "delta restore, nothing differs ÷ pgBackRest",
            wall("nothing", local, Peer::PgBackRest),
            0.7,
        ),
        ("peak memory, MiB", peak as f64 / 1_048_576.0, 256.0),
    ];
    text.push_str(&super::document::verdicts(&targets));
    text
}
