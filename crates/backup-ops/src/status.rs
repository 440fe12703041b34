//! Is each source protected?
//!
//! *Verified or not protected*: a source is protected while its newest snapshot is younger
//! than its recovery point objective **and** has been proved as far as its owner asked.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use backup_core::{Error, ErrorStatus, HeadRecord, Result, SourceName, VerifyLevel};
use backup_repository::Repository;
use jiff::{SignedDuration, Timestamp};

use crate::drill::{self, DrillPromise, DrillReceipt, DrillStanding};
use crate::group::{GroupPromise, GroupStatus, assess_groups};
use crate::health::{self, Rhythm, SourceHealth};
use crate::managed::NativeStanding;

/// What the owner of a source asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Promise {
    /// How old the newest snapshot may get.
    pub rpo: Duration,
    /// How far it must have been proved.
    pub level: VerifyLevel,
    /// How often it must be drilled, and how long that may take.
    pub drill: DrillPromise,
    /// When it is to be backed up; absent where nobody said.
    pub backups: Option<Rhythm>,
    /// When its snapshots are to be verified; absent where nobody said.
    pub verifications: Option<Rhythm>,
    /// How old the newest snapshot may get, those that the provider keeps counted in; absent where
    /// nobody said.
    pub rpo_of_both: Option<Duration>,
}

impl Promise {
    /// How far the newest snapshot itself must have been proved: *drilled* within an interval
    /// asks that of some snapshot within it, and of the newest one that it was read.
    #[must_use]
    pub fn newest_level(&self) -> VerifyLevel {
        match self.drill.interval {
            Some(_) => self.level.min(VerifyLevel::Read),
            None => self.level,
        }
    }
}

impl Default for Promise {
    /// A day and two hours of slack, read back.
    fn default() -> Self {
        Self {
            rpo: Duration::from_secs(26 * 3600),
            level: VerifyLevel::Read,
            drill: DrillPromise::default(),
            backups: None,
            verifications: None,
            rpo_of_both: None,
        }
    }
}

/// How a source stands, worst last.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Standing {
    /// The newest snapshot is young enough and proved.
    Protected,
    /// There is a young snapshot, but it is not proved enough, or it is suspect.
    AtRisk,
    /// There are snapshots, none young enough.
    Unprotected,
    /// There is no snapshot.
    NeverBackedUp,
}

impl Standing {
    /// Returns the stable word used in JSON.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Protected => "protected",
            Self::AtRisk => "at_risk",
            Self::Unprotected => "unprotected",
            Self::NeverBackedUp => "never_backed_up",
        }
    }

    /// Returns the words shown to people.
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Self::Protected => "protected",
            Self::AtRisk => "at risk",
            Self::Unprotected => "unprotected",
            Self::NeverBackedUp => "never backed up",
        }
    }
}

/// One source's standing, with its reasons.
#[derive(Clone, Debug)]
pub struct SourceStatus {
    /// Which source.
    pub source: SourceName,
    /// How it stands.
    pub standing: Standing,
    /// Why, as sentences; empty when protected.
    pub reasons: Vec<String>,
    /// What was asked for.
    pub promise: Promise,
    /// Its newest snapshot, suspect or not.
    pub newest: Option<HeadRecord>,
    /// Age of the newest snapshot; zero when its clock is ahead of ours.
    pub age: Option<Duration>,
    /// Its newest snapshot that was proved as far as asked, of any age.
    pub newest_proved: Option<HeadRecord>,
    /// How many snapshots there are.
    pub snapshots: usize,
    /// How its drills stand; nothing when there was none.
    pub drill: Option<DrillStanding>,
    /// What else is worth knowing.
    pub health: SourceHealth,
    /// What its provider keeps; absent where that was not looked at.
    pub native: Option<NativeStanding>,
}

impl SourceStatus {
    /// Returns whether all that is missing is that the newest snapshot is proved as far as was
    /// promised.
    #[must_use]
    pub fn lacks_proof_alone(&self) -> bool {
        let newest = self.newest.as_ref();
        let missing = newest.and_then(|record| unproved(record, &self.promise));
        missing.is_some_and(|missing| self.reasons == [missing])
    }
}

/// Reads the repository and judges every source in it, and every one in `promises`.
pub async fn status(
    repository: &Repository,
    promises: &BTreeMap<SourceName, Promise>,
    now: Timestamp,
) -> Result<Vec<SourceStatus>> {
    Ok(standings(repository, promises, &BTreeMap::new(), now).await?.0)
}

/// As [`status`], with the groups in `groups`.
pub async fn standings(
    repository: &Repository,
    promises: &BTreeMap<SourceName, Promise>,
    groups: &BTreeMap<SourceName, GroupPromise>,
    now: Timestamp,
) -> Result<(Vec<SourceStatus>, Vec<GroupStatus>)> {
    let records = repository.heads().await?;
    let mut sources: BTreeSet<String> = promises.keys().map(ToString::to_string).collect();
    sources.extend(records.iter().map(|record| record.snapshot.source.to_string()));
    sources.extend(groups.keys().map(ToString::to_string));
    let exercised = promises.iter().filter(|(_, promise)| promise.drill.disaster.is_some());
    let exercised = exercised.map(|(source, _)| source.to_string()).collect();
    let sets = crate::group::sets(&records);
    let newest = |(name, promise): (&SourceName, &GroupPromise)| {
        let set = crate::group::newest_alike(&sets, name, &promise.members)?;
        Some((name.to_string(), set.begun_at()))
    };
    let back_to = groups.iter().filter_map(newest).collect();
    let receipts = drill::newest(repository, &sources, &exercised, &back_to).await?;
    let sources = assess_with_drills(&records, &receipts, promises, now);
    let groups = assess_groups(&records, &receipts, &sources, groups, now);
    Ok((sources, groups))
}

/// Judges as [`assess`] does, and by receipts of drills, newest first.
#[must_use]
pub fn assess_with_drills(
    records: &[HeadRecord],
    receipts: &[DrillReceipt],
    promises: &BTreeMap<SourceName, Promise>,
    now: Timestamp,
) -> Vec<SourceStatus> {
    let mut all = assess(records, promises, now);
    for status in &mut all {
        let name = status.source.as_str();
        let own: Vec<&DrillReceipt> = receipts.iter().filter(|r| r.source == name).collect();
        let newest = status.newest.as_ref().map(|record| record.snapshot.as_ref());
        status.drill = DrillStanding::of(&own, newest);
        if status.standing == Standing::NeverBackedUp {
            continue;
        }
        let drill = status.drill.as_ref();
        let broken = drill::broken(name, status.promise.drill, drill, now);
        if !broken.is_empty() {
            status.standing = status.standing.max(Standing::AtRisk);
            status.reasons.extend(broken.iter().map(|condition| condition.detail.clone()));
            status.health.conditions.extend(broken);
        }
    }
    all
}

/// Judges every source that has a promise or a snapshot; by name.
#[must_use]
pub fn assess(
    records: &[HeadRecord],
    promises: &BTreeMap<SourceName, Promise>,
    now: Timestamp,
) -> Vec<SourceStatus> {
    let mut sources: BTreeMap<&SourceName, Vec<&HeadRecord>> =
        promises.keys().map(|source| (source, Vec::new())).collect();
    for record in records {
        sources.entry(&record.snapshot.source).or_default().push(record);
    }
    sources
        .into_iter()
        .map(|(source, records)| {
            let promise = promises.get(source).cloned().unwrap_or_default();
            assess_one(source, promise, &records, now)
        })
        .collect()
}

/// Returns what is left of earlier judgements when the repository cannot be judged now: what was
/// seen last ages, and beside damage (an error that lasts) it is not believed.
#[must_use]
pub fn doubt(known: &[SourceStatus], error: &Error, now: Timestamp) -> Vec<SourceStatus> {
    let damaged = error.status() == ErrorStatus::Permanent;
    let mut sources = known.to_vec();
    for source in &mut sources {
        source.age = source.newest.as_ref().map(|record| age(record, now));
        let stale = source.age.is_some_and(|age| age > source.promise.rpo);
        if stale || damaged {
            let least = if stale { Standing::Unprotected } else { Standing::AtRisk };
            source.standing = source.standing.max(least);
            source.reasons = vec![format!("The repository cannot be judged: {error}.")];
        }
    }
    sources
}

fn assess_one(
    source: &SourceName,
    promise: Promise,
    records: &[&HeadRecord],
    now: Timestamp,
) -> SourceStatus {
    let order = |record: &&&HeadRecord| (record.snapshot.sequence, record.stored_at);
    let newest = records.iter().max_by_key(order).copied();
    let proved = records
        .iter()
        .filter(|r| !r.snapshot.is_suspect() && r.verified.level >= promise.newest_level())
        .max_by_key(order)
        .copied();
    let age = newest.map(|record| age(record, now));
    let (backups, verifications) = (promise.backups.as_ref(), promise.verifications.as_ref());
    let health = health::judge(records, backups, verifications, now);
    let (standing, reasons) = match (newest, age) {
        (Some(record), Some(age)) => judge(record, age, &promise),
        _ => (
            Standing::NeverBackedUp,
            vec![format!("There is no snapshot; run `backupctl backup {source}`.")],
        ),
    };
    SourceStatus {
        source: source.clone(),
        standing,
        reasons,
        promise,
        newest: newest.cloned(),
        age,
        newest_proved: proved.cloned(),
        snapshots: records.len(),
        drill: None,
        health,
        native: None,
    }
}

fn judge(record: &HeadRecord, age: Duration, promise: &Promise) -> (Standing, Vec<String>) {
    let id = record.snapshot.id.short();
    let mut reasons = Vec::new();
    let stale = age > promise.rpo;
    if stale {
        reasons.push(format!(
            "The newest snapshot {id} is {} old; at most {} was promised.",
            hours(age),
            hours(promise.rpo)
        ));
    }
    if record.snapshot.is_fuzzy() {
        reasons.push(format!(
            "The newest snapshot {id} is fuzzy: it is no instant of the database, and never protects."
        ));
    } else if record.snapshot.is_suspect() {
        reasons
            .push(format!("The newest snapshot {id} is suspect; `backupctl show {id}` says why."));
    }
    reasons.extend(unproved(record, promise));
    let standing = match (stale, reasons.is_empty()) {
        (true, _) => Standing::Unprotected,
        (false, true) => Standing::Protected,
        (false, false) => Standing::AtRisk,
    };
    (standing, reasons)
}

/// Returns what to say of a newest snapshot that is proved less than was promised.
fn unproved(record: &HeadRecord, promise: &Promise) -> Option<String> {
    let id = record.snapshot.id.short();
    let (level, needed) = (record.verified.level, promise.newest_level());
    let how = match needed {
        VerifyLevel::None | VerifyLevel::Exists => format!("`backupctl verify {id}`"),
        VerifyLevel::Read => format!("`backupctl verify {id} --read-data`"),
        VerifyLevel::Drilled => format!("`backupctl drill {id}`"),
    };
    (level < needed).then(|| {
        let (level, needed) = (level.as_str(), needed.as_str());
        format!("The newest snapshot {id} is proved to level {level}, not {needed}; run {how}.")
    })
}

/// Measured from the run's start, the instant the data is from: the honest one.
fn age(record: &HeadRecord, now: Timestamp) -> Duration {
    let age: SignedDuration = now.duration_since(begun_at(record));
    age.try_into().unwrap_or(Duration::ZERO)
}

/// Returns when a snapshot was begun. The writer's clock says so; where it ran ahead, the store
/// says that it was no later than when it was committed.
pub(crate) fn begun_at(record: &HeadRecord) -> Timestamp {
    record.snapshot.started_at.min(record.stored_at)
}

pub(crate) fn hours(duration: Duration) -> String {
    let minutes = duration.as_secs() / 60;
    match (minutes / 1440, minutes / 60 % 24, minutes % 60) {
        (0, 0, minutes) => format!("{minutes} min"),
        (0, hours, 0) => format!("{hours} h"),
        (0, hours, minutes) => format!("{hours} h {minutes} min"),
        (1, hours, _) => format!("{} h", 24 + hours),
        (days, hours, _) => format!("{days} d {hours} h"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{heads, record};
    use backup_core::{ErrorKind, Finding, SnapshotRecord, Verified};

    fn proved(mut record: SnapshotRecord, level: VerifyLevel) -> SnapshotRecord {
        record.verified = Verified { level, at: Some(record.stored_at) };
        record
    }

    fn stand(records: &[SnapshotRecord]) -> SourceStatus {
        let promises = BTreeMap::from([("shop".parse().unwrap(), Promise::default())]);
        let now = "2026-01-10T00:00:00Z".parse().unwrap();
        assess(&heads(records), &promises, now).remove(0)
    }

    #[test]
    fn protected_means_young_and_proved() {
        let young = || record("aa", "shop", 2, "2026-01-09T12:00:00Z");
        let old = || record("bb", "shop", 1, "2026-01-01T00:00:00Z");
        let read = VerifyLevel::Read;
        assert_eq!(stand(&[]).standing, Standing::NeverBackedUp);
        assert_eq!(stand(&[proved(old(), read)]).standing, Standing::Unprotected);
        let unread = stand(&[proved(young(), VerifyLevel::Exists), proved(old(), read)]);
        assert_eq!(unread.standing, Standing::AtRisk);
        assert_eq!(unread.newest_proved.unwrap().snapshot.id.short(), "bbbbbbbb");
        let good = stand(&[proved(young(), read)]);
        assert_eq!(good.standing, Standing::Protected);
        assert_eq!(good.reasons, Vec::<String>::new());
        assert_eq!(good.age, Some(Duration::from_secs(12 * 3600)));
        let mut bad = proved(young(), read);
        bad.snapshot.evidence.findings.push(Finding::suspect("no rows"));
        assert_eq!(stand(&[bad]).standing, Standing::AtRisk);
        let mut fuzzy = proved(young(), VerifyLevel::Drilled);
        fuzzy.snapshot.evidence.findings.push(Finding::fuzzy("read piece by piece"));
        let fuzzy = stand(&[fuzzy]);
        assert_eq!(fuzzy.standing, Standing::AtRisk);
        assert!(fuzzy.reasons[0].contains("is fuzzy"), "{:?}", fuzzy.reasons);
    }

    #[test]
    fn drilled_within_the_interval_asks_some_snapshot_to_be_drilled_and_the_newest_to_be_read() {
        let now = "2026-01-10T00:00:00Z".parse().unwrap();
        let promise = Promise {
            level: VerifyLevel::Drilled,
            drill: DrillPromise {
                interval: Some(Duration::from_secs(7 * 86_400)),
                ..DrillPromise::default()
            },
            ..Promise::default()
        };
        let promises = BTreeMap::from([("shop".parse().unwrap(), promise)]);
        let young = record("aa", "shop", 2, "2026-01-09T12:00:00Z");
        let records = [proved(young.clone(), VerifyLevel::Read)];
        let drilled = crate::testing::receipt("shop", "2026-01-05T00:00:00Z", "passed");
        let stand = |receipts: &[DrillReceipt], records: &[SnapshotRecord]| {
            assess_with_drills(&heads(records), receipts, &promises, now).remove(0).standing
        };
        assert_eq!(stand(std::slice::from_ref(&drilled), &records), Standing::Protected);
        assert_eq!(stand(&[], &records), Standing::AtRisk);
        assert_eq!(stand(&[drilled], &[young]), Standing::AtRisk);
        // Without an interval the newest one itself must have been drilled.
        let strict = Promise { level: VerifyLevel::Drilled, ..Promise::default() };
        let strict = BTreeMap::from([("shop".parse().unwrap(), strict)]);
        assert_eq!(assess(&heads(&records), &strict, now)[0].standing, Standing::AtRisk);
    }

    #[test]
    fn only_a_proof_that_is_missing_is_told_apart() {
        let young = record("aa", "shop", 2, "2026-01-09T12:00:00Z");
        let exists = stand(&[proved(young.clone(), VerifyLevel::Exists)]);
        assert!(exists.lacks_proof_alone(), "{:?}", exists.reasons);
        // One reason as well, and another one.
        let mut suspect = proved(young.clone(), VerifyLevel::Read);
        suspect.snapshot.evidence.findings.push(Finding::suspect("no rows"));
        let mut other = stand(&[proved(young.clone(), VerifyLevel::Read)]);
        other.reasons.push("WAL is missing.".into());
        let mut both = exists;
        both.reasons.push("WAL is missing.".into());
        let protected = stand(&[proved(young, VerifyLevel::Read)]);
        for status in [stand(&[suspect]), other, both, protected, stand(&[])] {
            assert!(!status.lacks_proof_alone(), "{:?}", status.reasons);
        }
    }

    #[test]
    fn what_cannot_be_judged_now_is_not_protected_for_ever() {
        let young = proved(record("aa", "shop", 2, "2026-01-09T12:00:00Z"), VerifyLevel::Read);
        let known = vec![stand(&[young])];
        let away = Error::new(ErrorKind::StoreUnavailable, "list").temporary();
        let at = |text: &str| text.parse().unwrap();
        let soon = doubt(&known, &away, at("2026-01-10T01:00:00Z"));
        assert_eq!(soon[0].standing, Standing::Protected);
        let late = doubt(&soon, &away, at("2026-01-12T00:00:00Z"));
        assert_eq!(late[0].standing, Standing::Unprotected);
        let damage = Error::new(ErrorKind::Integrity, "read manifest");
        let hurt = doubt(&known, &damage, at("2026-01-10T01:00:00Z"));
        assert_eq!(hurt[0].standing, Standing::AtRisk);
        assert!(hurt[0].reasons[0].contains("read manifest"), "{:?}", hurt[0].reasons);
    }

    #[test]
    fn a_snapshot_is_no_younger_than_the_store_says_however_its_writers_clock_ran() {
        let mut ahead = proved(record("aa", "shop", 1, "2026-02-01T00:00:00Z"), VerifyLevel::Read);
        ahead.stored_at = "2026-01-05T00:00:00Z".parse().unwrap();
        let stand = stand(&[ahead]);
        assert_eq!(stand.age, Some(Duration::from_secs(5 * 86_400)));
        assert_eq!(stand.standing, Standing::Unprotected);
    }

    #[test]
    fn a_clock_ahead_of_ours_is_no_age() {
        let future = proved(record("aa", "shop", 1, "2026-02-01T00:00:00Z"), VerifyLevel::Read);
        assert_eq!(stand(&[future]).age, Some(Duration::ZERO));
    }

    #[test]
    fn sources_without_a_promise_are_shown_too() {
        let now = "2026-01-10T00:00:00Z".parse().unwrap();
        let records = [record("aa", "blog", 1, "2026-01-09T23:00:00Z")];
        let all = assess(&heads(&records), &BTreeMap::new(), now);
        assert_eq!(all.len(), 1);
        assert_eq!(all[0].promise, Promise::default());
    }

    #[test]
    fn ages_read_well() {
        let text = |minutes: u64| hours(Duration::from_secs(minutes * 60));
        assert_eq!(text(5), "5 min");
        assert_eq!(text(120), "2 h");
        assert_eq!(text(26 * 60), "26 h");
        assert_eq!(text(3 * 1440 + 60), "3 d 1 h");
    }
}
