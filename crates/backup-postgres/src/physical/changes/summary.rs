//! Asking a server for its WAL summaries.

use std::time::{Duration, Instant};

use backup_core::{Lsn, Result};

use super::blocks::{ChangedBlocks, FEW, PAGES};
use crate::physical::facts::ClusterFacts;
use crate::physical::files::address::PIECE;
use crate::{Client, ConnectOptions, sqlstate};

/// How long the summarizer may take for the last bit before the start of this backup.
const PATIENCE: Duration = Duration::from_secs(60);
const LOOK: Duration = Duration::from_millis(50);

/// Reads what changed between the start of the base and the start of this backup. The reason, if
/// summaries do not say that without a gap: then everything has to be read.
pub(crate) async fn read(
    connect: &ConnectOptions,
    base: &ClusterFacts,
    now: &ClusterFacts,
) -> Result<std::result::Result<ChangedBlocks, String>> {
    if base.timeline != now.timeline {
        return Ok(Err("the timeline is another than that of the last snapshot".to_owned()));
    }
    if base.start > now.start {
        return Ok(Err("the last snapshot began later in the WAL".to_owned()));
    }
    // Whatever goes wrong here is a reason to read everything, and no more than that.
    Ok(ask(connect, base, now).await.map_err(|error| match sqlstate(&error) {
        Some("42501") => "the role may not ask for WAL summaries (GRANT EXECUTE ON FUNCTION \
                          pg_available_wal_summaries(), pg_wal_summary_contents(bigint, pg_lsn, \
                          pg_lsn) TO it)"
            .to_owned(),
        _ => error.to_string(),
    }))
}

async fn ask(
    connect: &ConnectOptions,
    base: &ClusterFacts,
    now: &ClusterFacts,
) -> Result<ChangedBlocks> {
    let mut client = Client::connect(connect).await?;
    covered(&mut client, base, now).await?;
    let mut changed = ChangedBlocks::default();
    let (timeline, from, to) = (now.timeline, base.start, now.start);
    let blocks = PIECE as u64 / now.block_bytes.max(1);
    // A bit for each block of a piece, of the few that are sent: the server sums them up, whatever
    // their number.
    let pages = if blocks <= PAGES as u64 {
        format!("1::bit({PAGES}) OPERATOR(pg_catalog.<<) (c.relblocknumber % {blocks})::integer")
    } else {
        format!("(-1)::bit({PAGES})")
    };
    let mut copy = client
        .copy_out(&format!(
            "COPY (SELECT c.reltablespace, c.reldatabase, c.relfilenode, c.relforknumber, \
             v.number, c.is_limit_block, CASE WHEN NOT c.is_limit_block AND \
             pg_catalog.bit_count(pg_catalog.bit_or(v.pages)) <= {FEW} \
             THEN pg_catalog.bit_or(v.pages) END \
             FROM pg_catalog.pg_available_wal_summaries() s CROSS JOIN LATERAL \
             pg_catalog.pg_wal_summary_contents(s.tli, s.start_lsn, s.end_lsn) c \
             CROSS JOIN LATERAL (SELECT CASE WHEN c.is_limit_block THEN c.relblocknumber \
             ELSE c.relblocknumber / {blocks} END AS number, {pages} AS pages) v \
             WHERE s.tli = {timeline} AND s.start_lsn < '{to}' AND s.end_lsn > '{from}' \
             GROUP BY 1, 2, 3, 4, 5, 6) TO STDOUT"
        ))
        .await?;
    let mut buffer = Vec::new();
    let mut more = true;
    while more {
        more = copy.read(&mut buffer).await?;
        let end = buffer.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
        let lines = String::from_utf8_lossy(buffer.get(..end).unwrap_or_default()).into_owned();
        if lines.lines().any(|line| changed.take(line).is_none()) {
            return Err(unusable("a WAL summary cannot be read"));
        }
        buffer.drain(..end);
    }
    drop(copy);
    if !buffer.is_empty() {
        return Err(unusable("a WAL summary ends in the middle of a line"));
    }
    // One that was removed meanwhile would have been passed over in silence.
    covered(&mut client, base, now).await?;
    client.close().await;
    Ok(changed)
}

/// Fails unless summaries reach from one start to the other; waits for the last of them.
async fn covered(client: &mut Client, base: &ClusterFacts, now: &ClusterFacts) -> Result<()> {
    let sql = format!(
        "SELECT start_lsn, end_lsn FROM pg_catalog.pg_available_wal_summaries() \
         WHERE tli = {} ORDER BY start_lsn, end_lsn",
        now.timeline
    );
    let begun = Instant::now();
    loop {
        let rows = client.query(&sql).await?;
        let ranges = rows.iter().filter_map(|row| {
            Some((row.get(0)?.parse::<Lsn>().ok()?, row.get(1)?.parse::<Lsn>().ok()?))
        });
        let reached = reach(base.start, ranges);
        if reached >= now.start {
            return Ok(());
        }
        let is_on = client.query("SHOW summarize_wal").await?;
        let is_on = is_on.first().and_then(|row| row.get(0)) == Some("on");
        if !is_on {
            return Err(unusable("summarize_wal is off"));
        }
        if begun.elapsed() > PATIENCE {
            return Err(unusable(&format!(
                "WAL summaries reach from {} to {reached}, not to {}",
                base.start, now.start
            )));
        }
        tokio::time::sleep(LOOK).await;
    }
}

/// Returns how far summaries, sorted by their start, reach from a position without a gap.
fn reach(from: Lsn, ranges: impl Iterator<Item = (Lsn, Lsn)>) -> Lsn {
    ranges.fold(
        from,
        |reached, (start, end)| {
            if start <= reached { reached.max(end) } else { reached }
        },
    )
}

fn unusable(why: &str) -> backup_core::Error {
    backup_core::Error::new(backup_core::ErrorKind::Unsupported, "read WAL summaries")
        .because(why.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gap_ends_what_summaries_say() {
        let reached = |ranges: &[(u64, u64)]| {
            reach(Lsn(10), ranges.iter().map(|(start, end)| (Lsn(*start), Lsn(*end)))).0
        };
        assert_eq!(reached(&[]), 10);
        assert_eq!(reached(&[(5, 12), (12, 20), (20, 30)]), 30);
        assert_eq!(reached(&[(5, 12), (13, 20)]), 12);
        assert_eq!(reached(&[(11, 20)]), 10);
        assert_eq!(reached(&[(1, 5), (2, 40), (3, 6)]), 40);
    }
}
