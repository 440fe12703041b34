//! Six days of business: how a repository grows, and whether the last day restores as fast as
//! the first.

use std::fmt::Write;

use anyhow::Result;

use super::measure::measure;
use super::peer::{Peer, Place};
use super::table::{Series, median, megabytes};
use super::{Bench, remove};

const DAYS: u64 = 6;

pub(super) fn run(bench: &Bench) -> Result<String> {
    bench.shop.create(&bench.cluster, "grown")?;
    let tools = [Peer::Ours, Peer::Restic];
    let places = tools
        .iter()
        .map(|&peer| Ok((peer, bench.place(peer, "grown", 0)?)))
        .collect::<Result<Vec<_>>>()?;
    let mut stored = vec![Vec::new(); tools.len()];
    let mut restores = Vec::new();
    for day in 0..=DAYS {
        if day > 0 {
            bench.shop.day(&bench.cluster, "grown", day)?;
        }
        for ((peer, place), stored) in places.iter().zip(&mut stored) {
            bench.settle()?;
            let cost = measure(&bench.cluster, &mut peer.backup(place, day))?;
            stored.push((peer.stored(place)?, cost.wall));
            println!("  day {day} {:<20} {:>7.2} s", peer.name(), cost.wall);
        }
        if day == 0 || day == DAYS {
            restores.push(restore_times(bench, &places, day)?);
        }
    }
    for (_, place) in &places {
        remove(&place.folder)?;
    }
    bench.sql("postgres", "drop database grown")?;
    Ok(section(&stored, &restores))
}

/// Median restore seconds of each tool.
fn restore_times(bench: &Bench, places: &[(Peer, Place<'_>)], day: u64) -> Result<Vec<f64>> {
    let mut series = vec![Series::default(); places.len()];
    for _ in 0..bench.rounds {
        for ((peer, place), series) in places.iter().zip(&mut series) {
            bench.empty("restored")?;
            series.push(measure(&bench.cluster, &mut peer.restore(place, day, "restored"))?, 0);
        }
    }
    bench.sql("postgres", "drop database restored")?;
    Ok(series.iter().map(Series::wall).collect())
}

fn section(stored: &[Vec<(u64, f64)>], restores: &[Vec<f64>]) -> String {
    let mut text = String::from(
        "## Six days\n\nSeven backups, each after a day as above; total stored, and each backup's \
         wall time.\n\n| day | backupctl MB | of day 0 | s | pg_dump \\| restic MB | of day 0 | s |\n\
         |--:|--:|--:|--:|--:|--:|--:|\n",
    );
    for day in 0..stored[0].len() {
        let _ = write!(text, "| {day} |");
        for tool in stored {
            let (bytes, wall) = tool[day];
            let _ = write!(
                text,
                " {:.1} | {:.2} | {wall:.2} |",
                megabytes(bytes),
                bytes as f64 / tool[0].0 as f64
            );
        }
        text.push('\n');
    }
    let later: Vec<f64> = stored[0].iter().skip(1).map(|(_, wall)| *wall).collect();
    let _ = write!(
        text,
        "\nA later day's backup took {:.2} times the first one's wall time (median).\nRestoring day {DAYS} \
         took {:.2} s against {:.2} s for day 0: {:.2} times (target: at most 1.3). restic: {:.2} s \
         against {:.2} s.\n",
        median(later) / stored[0][0].1,
        restores[1][0],
        restores[0][0],
        restores[1][0] / restores[0][0],
        restores[1][1],
        restores[0][1],
    );
    text
}
