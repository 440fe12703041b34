//! Six days of a busy schema: how much is stored for seven states of one cluster.

use std::fmt::Write;

use anyhow::Result;

use super::peer::{Peer, Place};
use super::{Bench, settle};
use crate::bench_peers::measure::measure;
use crate::bench_peers::retire::retire;
use crate::bench_peers::table::megabytes;

const DAYS: u64 = 6;

pub(super) fn run(bench: &Bench) -> Result<String> {
    let cluster = bench.start(&[])?;
    bench.shop.create(&cluster, "shop")?;
    let tools: Vec<Peer> = Peer::ALL
        .into_iter()
        .filter(|peer| peer.is_incremental() && *peer != Peer::Remote)
        .collect();
    let mut places = Vec::new();
    for peer in &tools {
        let folder = bench.folder.join(format!("days-{peer:?}"));
        let place = Place { cluster: &cluster, program: bench.program.as_path(), folder };
        peer.prepare(&place)?;
        places.push((*peer, place));
    }
    let mut stored = vec![Vec::new(); tools.len()];
    for day in 0..=DAYS {
        if day > 0 {
            bench.shop.day(&cluster, "shop", day)?;
        }
        for ((peer, place), stored) in places.iter().zip(&mut stored) {
            settle(&cluster)?;
            let name = if day == 0 { "full" } else { "later" };
            let cost = measure(&cluster, &mut peer.backup(place, name))?;
            stored.push((peer.stored(place)?, cost.wall));
            println!("  day {day} {:<20} {:>7.2} s", peer.name(), cost.wall);
        }
    }
    for (_, place) in &places {
        retire(&place.folder)?;
    }
    Ok(section(&tools, &stored))
}

fn section(tools: &[Peer], stored: &[Vec<(u64, f64)>]) -> String {
    let mut text = String::from(
        "## Six days\n\nA copy, then six more, each after a day in which 2 % of the rows of every table were \
         updated at random places and\n2 % appended, with vacuum in the evening; total stored, and each \
         copy's wall time.\n\n| day |",
    );
    for peer in tools {
        let _ = write!(text, " {} MB | of day 0 | s |", peer.name());
    }
    text.push_str("\n|--:|");
    text.push_str(&"--:|".repeat(3 * tools.len()));
    text.push('\n');
    for day in 0..stored[0].len() {
        let _ = write!(text, "| {day} |");
        for tool in stored {
            let (bytes, wall) = tool[day];
            let share = bytes as f64 / tool[0].0 as f64;
            let _ = write!(text, " {:.1} | {share:.2} | {wall:.2} |", megabytes(bytes));
        }
        text.push('\n');
    }
    let days = &stored[0];
    let six = days[days.len().min(6) - 1].0 as f64 / days[0].0 as f64;
    text.push('\n');
    text.push_str(&super::document::verdicts(&[("six daily states, in fulls", six, 1.5)]));
    text
}
