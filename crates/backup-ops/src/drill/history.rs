//! Receipts of earlier drills, and how recovery times develop.

use std::collections::{BTreeMap, BTreeSet};

use backup_core::{Result, SourceName};
use backup_repository::Repository;
use jiff::Timestamp;

use super::DrillReceipt;
use crate::document::TrendDocument;

/// How many receipts are looked through for each source: more than a year of daily drills, so that
/// a yearly exercise is found; and for all together.
const FAR_ENOUGH: usize = 400;
const FAR_ENOUGH_FOR_ALL: usize = 20_000;

/// How many drills that passed are looked for.
const PASSES: u8 = 2;

/// Returns the receipts of a source, or of all, newest first, at most `limit`.
pub async fn history(
    repository: &Repository,
    source: Option<&SourceName>,
    limit: usize,
) -> Result<Vec<DrillReceipt>> {
    let wanted = |receipt: &DrillReceipt| source.is_none_or(|s| s.as_str() == receipt.source);
    let mut found = 0;
    let mut receipts: Vec<DrillReceipt> = repository
        .drills(|receipt| {
            found += usize::from(wanted(receipt));
            found < limit
        })
        .await?;
    receipts.retain(wanted);
    receipts.sort_by_key(|receipt| std::cmp::Reverse(receipt.at));
    receipts.truncate(limit);
    Ok(receipts)
}

/// Returns, of each of these sources, receipts back to the second newest drill that passed (a
/// failure may stand before the newest); and of those `exercised`, back to the newest that passed
/// from nothing but a recovery key. Sources in `back_to` are followed to that time at least: a set
/// that failed is not hidden by later passes of older ones.
pub async fn newest(
    repository: &Repository,
    sources: &BTreeSet<String>,
    exercised: &BTreeSet<String>,
    back_to: &BTreeMap<String, Timestamp>,
) -> Result<Vec<DrillReceipt>> {
    // Those that passed often enough, and are followed further back all the same.
    let mut further: BTreeMap<String, Timestamp> = BTreeMap::new();
    let mut waiting: BTreeMap<String, u8> =
        sources.iter().map(|source| (source.clone(), PASSES)).collect();
    let mut exercises = exercised.clone();
    let most = FAR_ENOUGH.saturating_mul(sources.len().max(1)).min(FAR_ENOUGH_FOR_ALL);
    let mut seen = 0;
    if waiting.is_empty() && exercises.is_empty() {
        return Ok(Vec::new());
    }
    let mut receipts = repository
        .drills(|receipt: &DrillReceipt| {
            seen += 1;
            if receipt.verdict == "passed" {
                if let Some(left) = waiting.get_mut(&receipt.source) {
                    *left -= 1;
                    if *left == 0 {
                        waiting.remove(&receipt.source);
                        let until = back_to.get(&receipt.source);
                        further.extend(until.map(|until| (receipt.source.clone(), *until)));
                    }
                }
                if receipt.disaster {
                    exercises.remove(&receipt.source);
                }
            }
            further.retain(|_, until| receipt.at >= *until);
            let all = waiting.is_empty() && further.is_empty() && exercises.is_empty();
            !all && seen < most
        })
        .await?;
    // Their names tell the second; two drills of one second are told apart by what they say.
    receipts.sort_by_key(|receipt| std::cmp::Reverse(receipt.at));
    Ok(receipts)
}

/// Returns the trend of every source in these receipts (newest first), by name.
#[must_use]
pub fn trends(receipts: &[DrillReceipt]) -> Vec<TrendDocument> {
    let mut sources: BTreeMap<&str, Vec<&DrillReceipt>> = BTreeMap::new();
    for receipt in receipts {
        sources.entry(&receipt.source).or_default().push(receipt);
    }
    sources.into_iter().map(|(source, receipts)| trend(source, &receipts)).collect()
}

fn trend(source: &str, receipts: &[&DrillReceipt]) -> TrendDocument {
    let passed: Vec<&&DrillReceipt> =
        receipts.iter().filter(|receipt| receipt.verdict == "passed").collect();
    let times: Vec<f64> = passed.iter().filter_map(|receipt| receipt.rto_seconds).collect();
    let mut before: Vec<f64> = times.iter().skip(1).copied().collect();
    before.sort_by(f64::total_cmp);
    TrendDocument {
        source: source.to_owned(),
        drills: receipts.len() as u64,
        passed: passed.len() as u64,
        rto_seconds: times.first().copied(),
        median_rto_seconds: before.get(before.len() / 2).copied(),
        longest_rto_seconds: times.iter().copied().max_by(f64::total_cmp),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::receipt;

    #[test]
    fn a_trend_is_the_newest_against_those_before_it() {
        let mut failed = receipt("shop", "2026-01-05T00:00:00Z", "failed");
        failed.rto_seconds = Some(1.0);
        let passed = |day: u32, rto: f64| {
            let mut one = receipt("shop", &format!("2026-01-0{day}T00:00:00Z"), "passed");
            one.rto_seconds = Some(rto);
            one
        };
        let all = [failed, passed(4, 40.0), passed(3, 30.0), passed(2, 50.0), passed(1, 20.0)];
        let trends = trends(&all);
        assert_eq!(trends.len(), 1);
        let trend = &trends[0];
        assert_eq!((trend.drills, trend.passed), (5, 4));
        assert_eq!(trend.rto_seconds, Some(40.0));
        assert_eq!(trend.median_rto_seconds, Some(30.0));
        assert_eq!(trend.longest_rto_seconds, Some(50.0));
    }
}
