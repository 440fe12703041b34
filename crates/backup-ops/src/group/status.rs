//! Is each group protected? Pure.
//!
//! A group is protected while each of its members is by its own rule, its newest complete set is
//! young enough, and a drill of a set passed within the interval that its owner chose; without an
//! interval the newest complete set itself must have passed one.

use std::collections::BTreeMap;
use std::time::Duration;

use backup_core::{HeadRecord, SourceName, VerifyLevel};
use jiff::Timestamp;

use super::{RecoverySet, SetState, newest_alike, sets};
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
    /// How many questions about files a drill has to ask.
    pub keys: usize,
}

impl GroupPromise {
    /// Returns whether a receipt is of a set of what the group is now, and found out what is to be
    /// found out: one that passed without what is asked now proves too little.
    fn is_met_by(&self, receipt: &DrillReceipt) -> bool {
        let members = receipt.members.iter().map(|member| member.source.as_str());
        let asked = || receipt.questions.iter().filter(|q| q.name.starts_with("keys ")).count();
        members.eq(self.members.iter().map(SourceName::as_str))
            && (receipt.verdict != "passed" || asked() >= self.keys)
    }
}

/// One group's standing, with its reasons.
#[derive(Clone, Debug)]
pub struct GroupStatus {
    /// Which group.
    pub group: SourceName,
    /// How it stands.
    pub standing: Standing,
    /// How it would stand if all its members were protected.
    pub own_standing: Standing,
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
        let own = |receipt: &&DrillReceipt| {
            receipt.source == group.as_str() && promise.is_met_by(receipt)
        };
        let own: Vec<&DrillReceipt> = receipts.iter().filter(own).collect();
        assess_one(group, promise, &all, &own, sources, now)
    };
    let mut groups: Vec<GroupStatus> = promises.iter().map(one).collect();
    count_members(&mut groups, sources);
    groups
}

/// Judges groups by how their members stand as well: at first, and again after something else was
/// found out about sources. A group stands no better than any of its members, and what was said of
/// them before is said no more.
pub fn count_members(groups: &mut [GroupStatus], sources: &[SourceStatus]) {
    for group in groups {
        group.standing = group.own_standing;
        group.reasons.retain(|reason| !reason.starts_with(MEMBER));
        for member in &group.promise.members {
            let status = sources.iter().find(|status| status.source == *member);
            let how = status.map_or(Standing::NeverBackedUp, |status| status.standing);
            if how != Standing::Protected {
                group.standing = group.standing.max(how);
                group.reasons.push(format!("{MEMBER}{member} is {}.", how.label()));
            }
        }
    }
}

/// How sentences about members begin, and no others.
const MEMBER: &str = "Its member ";

fn assess_one(
    group: &SourceName,
    promise: &GroupPromise,
    all: &[RecoverySet],
    receipts: &[&DrillReceipt],
    sources: &[SourceStatus],
    now: Timestamp,
) -> GroupStatus {
    let own = || all.iter().filter(|set| set.group == *group);
    let newest = newest_alike(all, group, &promise.members).cloned();
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
    if let Some(set) = &newest
        && let Some((record, needed)) = least_proved(set, promise, sources)
    {
        add(
            Standing::AtRisk,
            format!(
                "Snapshot {} of {} in the newest complete set is proved to level {}, not {}; run \
                 `backupctl verify {0} --read-data`.",
                record.snapshot.id.short(),
                record.snapshot.source,
                record.verified.level.as_str(),
                needed.as_str()
            ),
        );
    }
    let drill = DrillStanding::of(receipts, None);
    let of_newest = newest.as_ref().and_then(|set| {
        let id = set.id.to_string();
        receipts.iter().find(|receipt| receipt.snapshot == id && receipt.verdict != "inconclusive")
    });
    let of_newest = of_newest.copied();
    let newest_passed = of_newest.map(|receipt| receipt.verdict == "passed");
    if newest.is_some()
        && let Some(reason) = not_drilled(group, promise, drill.as_ref(), of_newest, now)
    {
        add(Standing::AtRisk, reason);
    }
    GroupStatus {
        group: group.clone(),
        standing,
        own_standing: standing,
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

/// Returns how far a member of a set has to be proved: as its owner asked, and no further than by
/// reading, for drills have a promise of their own.
fn needed(member: &SourceName, sources: &[SourceStatus]) -> VerifyLevel {
    let status = sources.iter().find(|status| status.source == *member);
    status.map_or(VerifyLevel::Read, |status| status.promise.level.min(VerifyLevel::Read))
}

/// Returns a member of a set that is proved less than it has to be, and how far that is.
fn least_proved<'a>(
    set: &'a RecoverySet,
    promise: &GroupPromise,
    sources: &[SourceStatus],
) -> Option<(&'a HeadRecord, VerifyLevel)> {
    let records = set.records().filter(|record| promise.members.contains(&record.snapshot.source));
    let mut judged = records.map(|record| (record, needed(&record.snapshot.source, sources)));
    judged.find(|(record, needed)| record.verified.level < *needed)
}

/// Why its drills do not make a group protected.
fn not_drilled(
    group: &SourceName,
    promise: &GroupPromise,
    drill: Option<&DrillStanding>,
    of_newest: Option<&DrillReceipt>,
    now: Timestamp,
) -> Option<String> {
    let bad = of_newest.filter(|receipt| receipt.verdict == "failed");
    if let Some(failed) = bad.or(drill.and_then(|drill| drill.failed.as_ref())) {
        let id = failed.snapshot.get(..8).unwrap_or_default();
        let bad = failed.questions.iter().find(|question| question.outcome == "failed");
        let what = bad.map_or_else(String::new, |bad| format!(": {}: {}", bad.name, bad.detail));
        return Some(format!(
            "The drill of set {id} failed{what}; run `backupctl drill {group} --history`."
        ));
    }
    let Some(interval) = promise.drill_interval else {
        return of_newest.is_none_or(|receipt| receipt.verdict != "passed").then(|| {
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
            group.own_standing = group.own_standing.max(least);
            group.standing = group.standing.max(least);
            group.reasons = vec![format!("The repository cannot be judged: {error}.")];
        }
    }
    groups
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{heads, receipt, record, set_of};
    use backup_core::{Finding, SetId, SnapshotRecord, Verified};

    use crate::document::{DrillMemberDocument, QuestionDocument};

    fn pair(day: u8) -> [SnapshotRecord; 2] {
        set_of(day).map(|mut one| {
            one.verified = Verified { level: VerifyLevel::Read, at: Some(one.stored_at) };
            one
        })
    }

    fn drilled(day: u8, verdict: &str) -> DrillReceipt {
        let mut receipt = receipt("all", &format!("2026-01-0{day}T06:00:00Z"), verdict);
        receipt.snapshot = SetId([day; 16]).to_string();
        receipt.data_from = format!("2026-01-0{day}T00:00:00Z").parse().unwrap();
        receipt.members = ["shop", "uploads"].map(|name| member(name, verdict)).to_vec();
        receipt
    }

    fn member(source: &str, verdict: &str) -> DrillMemberDocument {
        DrillMemberDocument {
            source: source.into(),
            snapshot: String::new(),
            verdict: verdict.into(),
        }
    }

    fn stand(
        records: &[SnapshotRecord],
        receipts: &[DrillReceipt],
        interval: Option<u64>,
    ) -> GroupStatus {
        stand_asking(0, records, receipts, interval)
    }

    fn stand_asking(
        keys: usize,
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
            keys,
        };
        let now = now();
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

    #[test]
    fn only_drills_of_what_the_group_is_now_count() {
        let records = [pair(3), pair(4)].concat();
        let mut other = drilled(4, "passed");
        other.members.pop();
        for interval in [None, Some(7)] {
            let stood = stand(&records, std::slice::from_ref(&other), interval);
            assert_eq!(stood.standing, Standing::AtRisk, "{interval:?}");
            assert!(stood.drill.is_none() && stood.newest_passed.is_none());
        }
        // A question that was configured since has not been answered; a failure stays one.
        let mut asked = drilled(4, "passed");
        let stood = stand_asking(1, &records, std::slice::from_ref(&asked), Some(7));
        assert_eq!(stood.standing, Standing::AtRisk);
        let failed = stand_asking(1, &records, &[drilled(4, "failed")], Some(7));
        assert!(failed.reasons[0].contains("failed"), "{failed:?}");
        asked.questions.push(QuestionDocument {
            name: "keys uploads".into(),
            outcome: "passed".into(),
            detail: String::new(),
            remedy: None,
            seconds: None,
        });
        assert_eq!(stand_asking(1, &records, &[asked], Some(7)).standing, Standing::Protected);
    }

    #[test]
    fn a_pass_of_an_older_set_never_hides_a_failure_of_the_newest() {
        let records = [pair(3), pair(4)].concat();
        let mut older = drilled(3, "passed");
        // Its server's clock was ahead.
        older.data_from = "2026-01-04T10:00:00Z".parse().unwrap();
        let stood = stand(&records, &[older, drilled(4, "failed")], Some(7));
        assert_eq!((stood.standing, stood.newest_passed), (Standing::AtRisk, Some(false)));
        assert!(stood.reasons[0].starts_with("The drill of set 04040404 failed"), "{stood:?}");
    }

    #[test]
    fn the_newest_set_itself_has_to_be_proved() {
        let (day3, mut day4) = (pair(3), pair(4));
        day4[0].verified = Verified::default();
        // A member's own newest snapshot is another one, and proved.
        let mut since = record("cc", "shop", 5, "2026-01-04T06:00:00Z");
        since.verified = day4[1].verified;
        let records = [day3.to_vec(), day4.to_vec(), vec![since]].concat();
        let stood = stand(&records, &[drilled(4, "passed")], Some(7));
        assert_eq!(stood.standing, Standing::AtRisk);
        assert!(stood.reasons[0].contains("a4a4a4a4 of shop"), "{:?}", stood.reasons);
    }

    #[test]
    fn what_is_found_out_about_members_later_counts_too() {
        let records = pair(4);
        let mut group = [stand(&records, &[drilled(4, "passed")], Some(7))];
        assert_eq!(group[0].standing, Standing::Protected);
        let mut sources = crate::assess(&heads(&records), &BTreeMap::new(), now());
        let judge = |group: &mut [GroupStatus], sources: &[SourceStatus]| {
            count_members(group, sources);
            (group[0].standing, group[0].reasons.clone())
        };
        let good = std::mem::replace(&mut sources[0].standing, Standing::Unprotected);
        let (standing, reasons) = judge(&mut group, &sources);
        assert_eq!((standing, reasons.len()), (Standing::Unprotected, 1));
        assert_eq!(reasons[0], "Its member shop is unprotected.");
        sources[0].standing = good;
        assert_eq!(judge(&mut group, &sources), (Standing::Protected, Vec::new()));
        // Where the repository cannot be judged any more either.
        sources[0].standing = Standing::AtRisk;
        let error = backup_core::Error::new(backup_core::ErrorKind::StoreUnavailable, "list");
        let mut doubted = doubt_groups(&group, &error, now());
        assert_eq!(judge(&mut doubted, &sources).0, Standing::AtRisk);
    }

    fn now() -> Timestamp {
        "2026-01-04T12:00:00Z".parse().unwrap()
    }
}
