//! Applies the rules to the snapshots that count.

use std::collections::BTreeMap;

use backup_core::VerifyLevel;
use jiff::SignedDuration;
use jiff::tz::TimeZone;

use crate::bucket::Bucket;
use crate::{Policy, Rule, SnapshotFacts};

/// One choice of a rule: this snapshot, for this label.
pub(crate) struct Choice {
    pub(crate) chosen: usize,
    pub(crate) rule: Rule,
    pub(crate) label: String,
    /// The others that it stands for.
    pub(crate) others: Vec<usize>,
}

/// Applies every rule of `policy` to `candidates` (positions in `records`, newest first).
///
/// Within a bucket the best proof up to `required` wins, then the newest: an unverified
/// snapshot never stands for a verified one.
pub(crate) fn select(
    records: &[SnapshotFacts],
    candidates: &[usize],
    policy: &Policy,
    zone: &TimeZone,
    required: VerifyLevel,
) -> Vec<Choice> {
    let mut choices = Vec::new();
    for (rule, count) in policy.counts() {
        let count = usize::try_from(count).unwrap_or(usize::MAX);
        if rule == Rule::Last {
            choices.extend(candidates.iter().take(count).enumerate().map(|(position, chosen)| {
                Choice {
                    chosen: *chosen,
                    rule,
                    label: format!("{} of {count}", position + 1),
                    others: Vec::new(),
                }
            }));
            continue;
        }
        let mut buckets: BTreeMap<Bucket, Vec<usize>> = BTreeMap::new();
        for candidate in candidates {
            if let Some(bucket) = Bucket::of(rule, records[*candidate].stored_at, zone) {
                buckets.entry(bucket).or_default().push(*candidate);
            }
        }
        for (bucket, mut members) in buckets.into_iter().rev().take(count) {
            // Newest first: the first of the best stands for all.
            let Some(best) = members.iter().map(|i| records[*i].level.min(required)).max() else {
                continue;
            };
            let Some(place) = members.iter().position(|i| records[*i].level.min(required) == best)
            else {
                continue;
            };
            let chosen = members.remove(place);
            choices.push(Choice { chosen, rule, label: bucket.label, others: members });
        }
    }
    choices.extend(within(records, candidates, policy));
    choices
}

/// Counts back from the newest candidate, not from now: a clock that jumps ahead makes nothing
/// old, and a source that is no longer backed up keeps what it has.
fn within(
    records: &[SnapshotFacts],
    candidates: &[usize],
    policy: &Policy,
) -> impl Iterator<Item = Choice> {
    let newest = candidates.first().map(|i| records[*i].stored_at);
    let limit = policy.within.map(|period| {
        (period, SignedDuration::from_secs(i64::try_from(period.as_secs()).unwrap_or(i64::MAX)))
    });
    candidates.iter().filter_map(move |i| {
        let (period, limit) = limit?;
        let age = newest?.duration_since(records[*i].stored_at);
        (age <= limit).then(|| Choice {
            chosen: *i,
            rule: Rule::Within,
            label: period.to_string(),
            others: Vec::new(),
        })
    })
}
