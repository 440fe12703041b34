//! The plan: what to keep, what to forget, and why.

use std::collections::{BTreeMap, BTreeSet};

use backup_core::{SnapshotId, SourceName, VerifyLevel};
use serde::Serialize;

use crate::crowd::crowded_days;
use crate::select::{Choice, select};
use crate::trust::{Standing, standings};
use crate::{Conditions, ForgetReason, KeepReason, LastRun, Policy, Refusal, Rule, SnapshotFacts};

/// What to keep and what to forget of one source; every snapshot is in exactly one list.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Plan {
    /// The source; absent when there were no records, or of several sources.
    pub source: Option<SourceName>,
    /// Under which policy.
    pub policy: Policy,
    /// What stays, newest first.
    pub keep: Vec<Kept>,
    /// What may go, newest first.
    pub forget: Vec<Forgotten>,
    /// Why nothing may go, if so; then `forget` is empty.
    pub refused: Option<Refusal>,
    /// What a person should look at, a sentence each.
    pub warnings: Vec<String>,
}

/// A snapshot that stays.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Kept {
    /// Which.
    pub snapshot: SnapshotFacts,
    /// Why: at least one reason.
    pub reasons: Vec<KeepReason>,
}

/// A snapshot that may go.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Forgotten {
    /// Which.
    pub snapshot: SnapshotFacts,
    /// Why.
    pub reason: ForgetReason,
}

impl Plan {
    /// Returns the ids to forget, newest first.
    #[must_use]
    pub fn forget_ids(&self) -> Vec<SnapshotId> {
        self.forget.iter().map(|forgotten| forgotten.snapshot.id).collect()
    }
}

/// Plans for every source among `records`, each under the policy and conditions that `rules`
/// returns for it; in order of the sources' names.
pub fn plan_sources(
    records: &[SnapshotFacts],
    mut rules: impl FnMut(&SourceName) -> (Policy, Conditions),
) -> Vec<Plan> {
    let mut sources: BTreeMap<&SourceName, Vec<SnapshotFacts>> = BTreeMap::new();
    for record in records {
        sources.entry(&record.source).or_default().push(record.clone());
    }
    sources
        .into_iter()
        .map(|(source, records)| {
            let (policy, conditions) = rules(source);
            plan(&records, &policy, &conditions)
        })
        .collect()
}

/// Plans for one source; `records` are all its snapshots, in any order.
///
/// Whatever the policy says: the newest snapshot stays, the newest verified one stays (at each
/// level of proof), no verified snapshot goes because of unverified ones, snapshots whose times
/// cannot be believed stay, and nothing goes after a failed or suspect run.
#[must_use]
pub fn plan(records: &[SnapshotFacts], policy: &Policy, conditions: &Conditions) -> Plan {
    let mut records = records.to_vec();
    records.sort_by_key(|r| std::cmp::Reverse((r.sequence, r.stored_at, r.id)));
    let standings = standings(&records, conditions.now);
    let mut plan = Plan {
        source: records.first().map(|record| record.source.clone()),
        policy: *policy,
        keep: Vec::new(),
        forget: Vec::new(),
        refused: refusal(&records, conditions),
        warnings: Vec::new(),
    };
    if plan.refused == Some(Refusal::SeveralSources) {
        plan.source = None;
    }
    let (mut reasons, represented) = judge(&records, &standings, policy, conditions, &mut plan);
    let blanket = match (&plan.refused, policy.is_empty()) {
        (Some(_), _) => Some(KeepReason::Refused),
        (None, true) => Some(KeepReason::NoRules),
        (None, false) => None,
    };
    for (position, snapshot) in records.into_iter().enumerate() {
        let mut reasons = std::mem::take(&mut reasons[position]);
        if reasons.is_empty() {
            reasons.extend(blanket.clone());
        }
        if !reasons.is_empty() {
            plan.keep.push(Kept { snapshot, reasons });
            continue;
        }
        let reason = if snapshot.suspect {
            ForgetReason::SuspectReplaced
        } else {
            represented.get(&position).cloned().unwrap_or(ForgetReason::Expired)
        };
        plan.forget.push(Forgotten { snapshot, reason });
    }
    plan
}

fn refusal(records: &[SnapshotFacts], conditions: &Conditions) -> Option<Refusal> {
    let newest = records.first()?;
    if records.iter().any(|record| record.source != newest.source) {
        return Some(Refusal::SeveralSources);
    }
    if conditions.last_run == LastRun::Failed {
        return Some(Refusal::AfterFailedRun);
    }
    // Overlapping runs may share a sequence number: one that is suspect is enough.
    records
        .iter()
        .take_while(|record| record.sequence == newest.sequence)
        .find(|record| record.suspect)
        .map(|record| Refusal::AfterSuspectRun(record.id))
}

type Judgement = (Vec<Vec<KeepReason>>, BTreeMap<usize, ForgetReason>);

/// Collects the reasons to keep each record, and who stands for those that have none.
fn judge(
    records: &[SnapshotFacts],
    standings: &[Standing],
    policy: &Policy,
    conditions: &Conditions,
    plan: &mut Plan,
) -> Judgement {
    let required = conditions.required.max(VerifyLevel::Exists);
    let verified = |i: usize| records[i].level >= required;
    let counting: Vec<usize> =
        (0..records.len()).filter(|i| standings[*i] == Standing::Counts).collect();

    let mut reasons: Vec<Vec<KeepReason>> = records
        .iter()
        .map(|r| if r.pinned { vec![KeepReason::Pinned] } else { Vec::new() })
        .collect();
    guard_newest(records, &counting, &mut reasons);
    let newest_verified = counting.iter().copied().find(|i| verified(*i));
    for (position, standing) in standings.iter().enumerate() {
        reasons[position].extend(match standing {
            Standing::Counts => None,
            Standing::Future => Some(KeepReason::Future),
            Standing::Disordered => Some(KeepReason::Disordered),
            Standing::StoredLate => Some(KeepReason::StoredLate),
            Standing::Suspect => newest_verified
                .is_none_or(|newest| newest > position)
                .then_some(KeepReason::SuspectUnreplaced),
        });
    }
    plan.warnings = time_warnings(standings);

    let apply = |set: &[usize]| select(records, set, policy, &conditions.zone, required);
    let mut represented = BTreeMap::new();
    for choice in apply(&counting) {
        for other in &choice.others {
            represented.entry(*other).or_insert_with(|| ForgetReason::Represented {
                by: records[choice.chosen].id,
                rule: choice.rule,
                label: choice.label.clone(),
            });
        }
        add(&mut reasons, choice, KeepReason::Rule);
    }

    // Again among the verified ones alone: no number of unverified snapshots evicts them.
    let proved: Vec<usize> = counting.iter().copied().filter(|i| verified(*i)).collect();
    for choice in apply(&proved) {
        add(&mut reasons, choice, KeepReason::VerifiedRule);
    }

    // And again without the unverified crowd of unusual days, but for the first of each.
    let mut calm = counting.clone();
    for day in crowded_days(records, &counting, &conditions.zone) {
        plan.warnings.push(format!(
            "{} holds {} snapshots where {} a day is usual; find out who made them",
            day.label,
            day.members.len(),
            day.usual
        ));
        let first = day.members.last().copied();
        let crowd: BTreeSet<usize> = day.members.into_iter().collect();
        calm.retain(|i| verified(*i) || Some(*i) == first || !crowd.contains(i));
    }
    if calm.len() < counting.len() {
        for choice in apply(&calm) {
            add(&mut reasons, choice, KeepReason::UncrowdedRule);
        }
    }
    (reasons, represented)
}

/// Keeps the newest that counts, and the newest at each level of proof.
fn guard_newest(records: &[SnapshotFacts], counting: &[usize], reasons: &mut [Vec<KeepReason>]) {
    if let Some(newest) = counting.first() {
        reasons[*newest].push(KeepReason::Newest);
    }
    let mut last = None;
    for level in [VerifyLevel::Drilled, VerifyLevel::Read, VerifyLevel::Exists] {
        let newest = counting.iter().copied().find(|i| records[*i].level >= level);
        if let Some(position) = newest.filter(|_| newest != last) {
            reasons[position].push(KeepReason::NewestVerified(level));
        }
        last = newest;
    }
}

/// Adds the reason of a choice, unless the plain rule has given the same one.
fn add(
    reasons: &mut [Vec<KeepReason>],
    choice: Choice,
    reason: impl Fn(Rule, String) -> KeepReason,
) {
    let list = &mut reasons[choice.chosen];
    let told = list.iter().any(|known| match known {
        KeepReason::Rule(rule, _)
        | KeepReason::VerifiedRule(rule, _)
        | KeepReason::UncrowdedRule(rule, _) => *rule == choice.rule,
        _ => false,
    });
    if !told {
        list.push(reason(choice.rule, choice.label));
    }
}

fn time_warnings(standings: &[Standing]) -> Vec<String> {
    [
        (
            Standing::Future,
            "claim to be from the future; check the clocks of this host and the store",
        ),
        (Standing::Disordered, "have times that contradict their order; the store's clock jumped"),
        (
            Standing::StoredLate,
            "were stored over a day after they were finished; a clock was wrong, or the \
             repository was copied: forget by id what is not wanted",
        ),
    ]
    .into_iter()
    .filter_map(|(standing, text)| {
        let count = standings.iter().filter(|s| **s == standing).count();
        (count > 0).then(|| format!("{count} kept because they {text}"))
    })
    .collect()
}
