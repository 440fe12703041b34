//! Notices days with unusually many snapshots.
//!
//! Whoever may write but not delete could add junk until the counted rules drop what is good.
//! Verified snapshots are safe from that anyway; this protects the unverified ones of other
//! days, and tells a person.

use std::collections::BTreeMap;

use jiff::tz::TimeZone;

use crate::bucket::Bucket;
use crate::{Rule, SnapshotFacts};

/// How many times the usual number makes a day crowded.
const FACTOR: usize = 3;
/// How many other days it takes to know what is usual.
const EVIDENCE: usize = 3;

/// A day with unusually many snapshots.
pub(crate) struct CrowdedDay {
    pub(crate) label: String,
    /// Its snapshots, newest first.
    pub(crate) members: Vec<usize>,
    /// The median of the other days.
    pub(crate) usual: usize,
}

/// Returns the crowded days among `candidates` (newest first).
pub(crate) fn crowded_days(
    records: &[SnapshotFacts],
    candidates: &[usize],
    zone: &TimeZone,
) -> Vec<CrowdedDay> {
    let mut days: BTreeMap<Bucket, Vec<usize>> = BTreeMap::new();
    for candidate in candidates {
        if let Some(day) = Bucket::of(Rule::Daily, records[*candidate].stored_at, zone) {
            days.entry(day).or_default().push(*candidate);
        }
    }
    if days.len() <= EVIDENCE {
        return Vec::new();
    }
    let mut counts: Vec<usize> = days.values().map(Vec::len).collect();
    counts.sort_unstable();
    days.into_iter()
        .filter_map(|(day, members)| {
            let usual = median_of_others(&counts, members.len());
            (members.len() > FACTOR * usual).then_some(CrowdedDay {
                label: day.label,
                members,
                usual,
            })
        })
        .collect()
}

/// Returns the lower median of `sorted` without one element of value `own`.
fn median_of_others(sorted: &[usize], own: usize) -> usize {
    let middle = sorted.len().saturating_sub(2) / 2;
    let own_at = sorted.partition_point(|count| *count < own);
    sorted.get(if middle < own_at { middle } else { middle + 1 }).copied().unwrap_or(own)
}
