//! Arguments of `restore` that say to which point a cluster is brought.

use backup_core::Lsn;
use clap::Args;
use jiff::Timestamp;

/// Where recovery stops, and along which timeline; for physical snapshots.
#[derive(Clone, Debug, Default, Args)]
pub(crate) struct RecoveryArgs {
    /// Recover to TIME, with its zone: 2026-11-29T14:05:00Z, 2026-11-29T15:05:00+01:00
    #[arg(long, value_name = "TIME", value_parser = parse_time, group = "goal")]
    pub(crate) at: Option<Timestamp>,

    /// Recover to a WAL position, such as 16/B374D848
    #[arg(long, value_name = "LSN", group = "goal")]
    pub(crate) lsn: Option<Lsn>,

    /// Recover up to and including the end of this transaction, as pg_current_xact_id() gives it
    #[arg(long, value_name = "XID", value_parser = parse_xid, group = "goal")]
    pub(crate) xid: Option<u32>,

    /// Recover to a point made by pg_create_restore_point
    #[arg(long, value_name = "NAME", group = "goal")]
    pub(crate) restore_point: Option<String>,

    /// Recover only as far as the snapshot needs to be consistent
    #[arg(long, group = "goal")]
    pub(crate) immediate: bool,

    /// Recover to the end of the stored WAL
    #[arg(long, group = "goal")]
    pub(crate) latest: bool,

    /// Follow this timeline: a number, or `current` for the snapshot's own (default: the newest
    /// that descends from the snapshot)
    #[arg(long, value_name = "N", value_parser = parse_timeline, requires = "goal")]
    pub(crate) timeline: Option<Timeline>,

    /// Start the restored cluster on a Unix socket, wait, and say which point it reached
    #[arg(long, conflicts_with = "preview")]
    pub(crate) start: bool,
}

impl RecoveryArgs {
    /// Returns whether a point was named.
    pub(crate) fn is_named(&self) -> bool {
        self.at.is_some()
            || self.lsn.is_some()
            || self.xid.is_some()
            || self.restore_point.is_some()
            || self.immediate
            || self.latest
    }
}

/// What was said of the timeline.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Timeline {
    Current,
    Number(u32),
}

/// A time without a zone would mean another moment on another machine.
pub(super) fn parse_time(text: &str) -> Result<Timestamp, String> {
    text.parse().map_err(|_| {
        "write a time with its zone, such as 2026-11-29T14:05:00Z or 2026-11-29T15:05:00+01:00"
            .to_owned()
    })
}

/// Servers show ids with the number of times that they wrapped around; the log has them without.
fn parse_xid(text: &str) -> Result<u32, String> {
    let xid = text.parse::<u64>().map(|xid| xid as u32);
    xid.ok()
        .filter(|xid| *xid > 2)
        .ok_or_else(|| "write a transaction's id, such as 731".to_owned())
}

fn parse_timeline(text: &str) -> Result<Timeline, String> {
    if text == "current" {
        return Ok(Timeline::Current);
    }
    match text.parse() {
        Ok(number) if number > 0 => Ok(Timeline::Number(number)),
        _ => Err("write a timeline's number, or `current`".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::parse_xid;

    #[test]
    fn transaction_ids_come_with_and_without_their_epoch() {
        assert_eq!(parse_xid("731"), Ok(731));
        assert_eq!(parse_xid("4294968027"), Ok(731));
        // The first three are no transactions'.
        for wrong in ["0", "2", "4294967296", "-1", "x", ""] {
            assert!(parse_xid(wrong).is_err(), "{wrong}");
        }
    }
}
