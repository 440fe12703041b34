//! Is each group protected? Pure.
//!
//! A group is protected while each of its members is by its own rule, its newest complete set is
//! young enough, and a drill of a set passed within the interval that its owner chose; without an
//! interval the newest complete set itself must have passed one.

use std::collections::BTreeMap;
use std::time::Duration;

use backup_core::{HeadRecord, SourceName};
use jiff::Timestamp;

use super::{RecoverySet, SetState, newest, sets};
use crate::drill::{DrillReceipt, DrillStanding};
use crate::status::{SourceStatus, Standing, hours};

/// What the owner of a group asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupPromise {
    /// Its members, in order.
    pub members: Vec<SourceName>,
    /// How old the newest complete set may get.
    pub rpo: Duration,
    /// How long ago the last drill of a set that passed may be; absent: the newest complete set
    /// must have passed one.
    pub drill_interval: Option<Duration>,
}

/// One group's standing, with its reasons.
#[derive(Clone, Debug)]
pub struct GroupStatus {
    /// Which group.
    pub group: SourceName,
    /// How it stands.
    pub standing: Standing,
    /// Why, as sentences; empty when protected.
    pub reasons: Vec<String>,
    /// What was asked for.
    pub promise: GroupPromise,
    /// Its newest set that counts.
    pub newest: Option<RecoverySet>,
    /// Age of that set's oldest data.
    pub age: Option<Duration>,
    /// How many complete sets there are.
    pub complete: usize,
    /// How many sets there are that are not.
    pub incomplete: usize,
    /// How the drills of its sets stand; nothing when there was none.
    pub drill: Option<DrillStanding>,
    /// Whether the newest complete set itself was drilled, and whether it passed.
    pub newest_passed: Option<bool>,
}

/// Judges every group by what is stored, by receipts of drills, newest first, and by how the sources
/// stand.
#[must_use]
pub fn assess_groups(
    records: &[HeadRecord],
    receipts: &[DrillReceipt],
    sources: &[SourceStatus],
    promises: &BTreeMap<SourceName, GroupPromise>,
    now: Timestamp,
) -> Vec<GroupStatus> {
    if promises.is_empty() {
        return Vec::new();
    }
    let all = sets(records);
    let one = |(group, promise): (&SourceName, &GroupPromise)| {
        let own: Vec<&DrillReceipt> =
            receipts.iter().filter(|receipt| receipt.source == group.as_str()).collect();
        assess_one(group, promise, &all, &own, sources, now)
    };
    promises.iter().map(one).collect()
}

fn assess_one(
    group: &SourceName,
    promise: &GroupPromise,
    all: &[RecoverySet],
    receipts: &[&DrillReceipt],
    sources: &[SourceStatus],
    now: Timestamp,
) -> GroupStatus {
    let own = || all.iter().filter(|set| set.group == *group);
    // A set of before a member joined is none of what the group is now.
    let whole =
        |set: &&RecoverySet| set.members.iter().map(|member| &member.source).eq(&promise.members);
    let alike: Vec<RecoverySet> = own().filter(whole).cloned().collect();
    let newest = newest(&alike, group).cloned();
    let age = newest
        .as_ref()
        .map(|set| Duration::try_from(now.duration_since(set.begun_at())).unwrap_or_default());
    let incomplete = own().filter(|set| set.state() == SetState::Incomplete).count();
    let mut reasons = Vec::new();
    let mut standing = Standing::Protected;
    let mut add = |least: Standing, reason: String| {
        standing = standing.max(least);
        reasons.push(reason);
    };
    match (&newest, age) {
        (Some(set), Some(age)) if age > promise.rpo => add(
            Standing::Unprotected,
            format!(
                "The newest complete set {} is {} old; at most {} was promised.",
                set.id.short(),
                hours(age),
                hours(promise.rpo)
            ),
        ),
        (Some(_), _) => {}
        (None, _) => {
            let least = if own().next().is_none() {
                Standing::NeverBackedUp
            } else {
                Standing::Unprotected
            };
            add(least, format!("There is no complete set; run `backupctl backup {group}`."));
        }
    }
    for member in &promise.members {
        let status = sources.iter().find(|status| status.source == *member);
        let how = status.map_or(Standing::NeverBackedUp, |status| status.standing);
        if how != Standing::Protected {
            add(how, format!("Its member {member} is {}.", how.label()));
        }
    }
    let drill = DrillStanding::of(receipts, None);
    let of_newest = newest.as_ref().and_then(|set| {
        let id = set.id.to_string();
        receipts.iter().find(|receipt| receipt.snapshot == id && receipt.verdict != "inconclusive")
    });
    let newest_passed = of_newest.map(|receipt| receipt.verdict == "passed");
    if newest.is_some()
        && let Some(reason) = not_drilled(group, promise, drill.as_ref(), newest_passed, now)
    {
        add(Standing::AtRisk, reason);
    }
    GroupStatus {
        group: group.clone(),
        standing,
        reasons,
        promise: promise.clone(),
        newest,
        age,
        complete: own().filter(|set| set.counts()).count(),
        incomplete,
        drill,
        newest_passed,
    }
}

/// Why its drills do not make a group protected.
fn not_drilled(
    group: &SourceName,
    promise: &GroupPromise,
    drill: Option<&DrillStanding>,
    newest_passed: Option<bool>,
    now: Timestamp,
) -> Option<String> {
    if let Some(failed) = drill.and_then(|drill| drill.failed.as_ref()) {
        let id = failed.snapshot.get(..8).unwrap_or_default();
        let bad = failed.questions.iter().find(|question| question.outcome == "failed");
        let what = bad.map_or_else(String::new, |bad| format!(": {}: {}", bad.name, bad.detail));
        return Some(format!(
            "The drill of set {id} failed{what}; run `backupctl drill {group} --history`."
        ));
    }
    let Some(interval) = promise.drill_interval else {
        return (newest_passed != Some(true)).then(|| {
            format!(
                "No drill of the newest complete set has passed; run `backupctl drill {group}`."
            )
        });
    };
    let passed = drill.and_then(|drill| drill.passed_at);
    let Some(passed) = passed else {
        return Some(format!("No drill of a set has passed; run `backupctl drill {group}`."));
    };
    let age = Duration::try_from(now.duration_since(passed)).unwrap_or_default();
    (age > interval).then(|| {
        format!(
            "Drill overdue: the last that passed was {} ago, at most {} was promised; run \
             `backupctl drill {group}`.",
            hours(age),
            hours(interval)
        )
    })
}

/// Returns what is left of earlier judgements when the repository cannot be judged now.
#[must_use]
pub fn doubt_groups(
    known: &[GroupStatus],
    error: &backup_core::Error,
    now: Timestamp,
) -> Vec<GroupStatus> {
    let damaged = error.status() == backup_core::ErrorStatus::Permanent;
    let mut groups = known.to_vec();
    for group in &mut groups {
        let set = group.newest.as_ref();
        group.age = set
            .map(|set| Duration::try_from(now.duration_since(set.begun_at())).unwrap_or_default());
        let stale = group.age.is_some_and(|age| age > group.promise.rpo);
        if stale || damaged {
            let least = if stale { Standing::Unprotected } else { Standing::AtRisk };
            group.standing = group.standing.max(least);
            group.reasons = vec![format!("The repository cannot be judged: {error}.")];
        }
    }
    groups
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{heads, receipt, record};
    use backup_core::{Finding, SetId, SetPlace, SnapshotRecord, Verified, VerifyLevel};

    fn pair(day: u8) -> [SnapshotRecord; 2] {
        let at = format!("2026-01-0{day}T00:00:00Z");
        let mut shop = record(&format!("a{day}"), "shop", day.into(), &at);
        let mut uploads = record(&format!("b{day}"), "uploads", day.into(), &at);
        let members = vec![shop.snapshot.source.clone(), uploads.snapshot.source.clone()];
        let first = SetPlace::first(SetId([day; 16]), "all".parse().unwrap(), members);
        uploads.snapshot.set = first.next(shop.snapshot.id);
        shop.snapshot.set = Some(first);
        for one in [&mut shop, &mut uploads] {
            one.verified = Verified { level: VerifyLevel::Read, at: Some(one.stored_at) };
        }
        [shop, uploads]
    }

    fn drilled(day: u8, verdict: &str) -> DrillReceipt {
        let mut receipt = receipt("all", &format!("2026-01-0{day}T06:00:00Z"), verdict);
        receipt.snapshot = SetId([day; 16]).to_string();
        receipt.data_from = format!("2026-01-0{day}T00:00:00Z").parse().unwrap();
        receipt
    }

    fn stand(
        records: &[SnapshotRecord],
        receipts: &[DrillReceipt],
        interval: Option<u64>,
    ) -> GroupStatus {
        let members: Vec<SourceName> =
            ["shop", "uploads"].iter().map(|name| name.parse().unwrap()).collect();
        let sources = members.iter().map(|name| (name.clone(), crate::Promise::default()));
        let promise = GroupPromise {
            members: members.clone(),
            rpo: Duration::from_secs(26 * 3600),
            drill_interval: interval.map(|days| Duration::from_secs(days * 86_400)),
        };
        let now = "2026-01-04T12:00:00Z".parse().unwrap();
        let heads = heads(records);
        let sources = crate::assess(&heads, &sources.collect(), now);
        let promises = BTreeMap::from([("all".parse().unwrap(), promise)]);
        assess_groups(&heads, receipts, &sources, &promises, now).remove(0)
    }

    #[test]
    fn a_group_is_protected_when_its_newest_complete_set_passed() {
        let (day3, day4) = (pair(3), pair(4));
        let records = [day3.clone(), day4.clone()].concat();
        assert_eq!(stand(&[], &[], None).standing, Standing::NeverBackedUp);
        let waiting = stand(&records, &[drilled(3, "passed")], None);
        assert_eq!(waiting.standing, Standing::AtRisk, "the newest itself has to");
        assert!(waiting.reasons[0].contains("backupctl drill all"), "{:?}", waiting.reasons);
        let good = stand(&records, &[drilled(4, "passed")], None);
        assert_eq!((good.standing, good.reasons.len(), good.complete), (Standing::Protected, 0, 2));
        // Within an interval another one will do; a failure that nothing answered will not.
        assert_eq!(stand(&records, &[drilled(3, "passed")], Some(7)).standing, Standing::Protected);
        assert_eq!(stand(&records, &[drilled(3, "passed")], Some(1)).standing, Standing::AtRisk);
        let failed = stand(&records, &[drilled(4, "failed"), drilled(3, "passed")], Some(7));
        assert!(failed.reasons[0].starts_with("The drill of set 04040404 failed"), "{failed:?}");
    }

    #[test]
    fn incomplete_sets_never_count_and_every_member_has_to_stand() {
        let [shop, uploads] = pair(4);
        let half = [pair(3).to_vec(), vec![shop.clone()]].concat();
        let stale = stand(&half, &[drilled(3, "passed")], Some(7));
        assert_eq!(stale.standing, Standing::Unprotected, "the newest complete one is too old");
        assert_eq!((stale.complete, stale.incomplete), (1, 1));
        let only = stand(std::slice::from_ref(&shop), &[], None);
        assert_eq!(only.standing, Standing::NeverBackedUp, "uploads never was");
        let mut suspect = uploads;
        suspect.snapshot.evidence.findings.push(Finding::suspect("empty"));
        let doubtful = stand(&[shop, suspect], &[drilled(4, "passed")], Some(7));
        assert_eq!(doubtful.standing, Standing::Unprotected);
        assert!(doubtful.reasons.iter().any(|reason| reason.contains("uploads is at risk")));
    }
}
