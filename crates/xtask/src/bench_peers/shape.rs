//! One giant table against many small ones: the same rows.

use anyhow::Result;

use super::measure::measure;
use super::peer::Peer;
use super::table::{Series, tools};
use super::{Bench, remove};

const MANY: u64 = 100;
const ROW: &str = "g::bigint as id, md5(g::text) as token, g % 1000 as kind, \
     timestamptz '2025-01-01 00:00:00+00' + g * interval '7 seconds' as at, \
     repeat(chr(97 + (g % 26)::int), (g % 90)::int) as note";

pub(super) fn run(bench: &Bench) -> Result<String> {
    // About 135 bytes of table each.
    let rows = bench.megabytes * 1_000_000 / 135;
    create(bench, rows)?;
    let mut series = vec![Series::default(); 4];
    for round in 0..bench.rounds {
        let mut position = 0;
        for database in ["giant", "many"] {
            for peer in [Peer::Ours, Peer::Directory] {
                let place = bench.place(peer, database, round)?;
                bench.settle()?;
                let cost = measure(&bench.cluster, &mut peer.backup(&place, 0))?;
                series[position].push(cost, peer.stored(&place)?);
                println!("  round {round} {database:<6} {:<20} {:>7.2} s", peer.name(), cost.wall);
                remove(&place.folder)?;
                position += 1;
            }
        }
    }
    bench.sql("postgres", "drop database giant")?;
    bench.sql("postgres", "drop database many")?;
    let [giant, giant_dump, many, many_dump] = &series[..] else { return Ok(String::new()) };
    Ok(format!(
        "## One giant table, or many\n\nThe same {rows} rows in one table and in {MANY} tables.\n\n{}\n{}\n\
         Ours: one giant table takes {:.2} times as long as many (target: no longer). pg_dump -Fd -j2: \
         {:.2} times.\n",
        tools(
            &[("backupctl, one table", giant), ("pg_dump -Fd -j2, one table", giant_dump)],
            Some("stored")
        ),
        tools(
            &[("backupctl, many tables", many), ("pg_dump -Fd -j2, many tables", many_dump)],
            Some("stored")
        ),
        giant.wall() / many.wall(),
        giant_dump.wall() / many_dump.wall(),
    ))
}

fn create(bench: &Bench, rows: u64) -> Result<()> {
    bench.sql("postgres", "create database giant")?;
    bench.sql("postgres", "create database many")?;
    let fill = |table: &str, from: u64, to: u64| {
        format!("create table {table} as select {ROW} from generate_series({from}, {to}) as g;\n")
    };
    bench.sql("giant", &(fill("giant", 1, rows) + "vacuum analyze;"))?;
    let each = rows / MANY;
    let script: String = (0..MANY)
        .map(|table| fill(&format!("t{table}"), table * each + 1, (table + 1) * each))
        .collect();
    bench.sql("many", &(script + "vacuum analyze;"))?;
    Ok(())
}
