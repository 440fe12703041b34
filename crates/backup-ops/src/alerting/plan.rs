//! From what happened to what is to be told.

use std::collections::BTreeMap;
use std::time::Duration;

use backup_core::Severity;
use backup_core::port::{Alert, AlertBook, LedgerChange, OpenProblem, Phase, QueuedAlert, Told};
use jiff::Timestamp;

use super::book::Draft;
use super::policy::{AlertPolicy, ChannelPolicy};

/// Problems of channels that take nothing are called this and the channel's name.
pub(super) const NOTIFY: &str = "notify/";

/// Returns the changes that follow from these alerts and from the time that passed: problems
/// opened and closed, deliveries queued, reminders that are due. Without alerts it only looks
/// at the time. Telling again what is known changes no delivery.
#[must_use]
pub fn plan(
    book: &AlertBook,
    policy: &AlertPolicy,
    alerts: &[Alert],
    now: Timestamp,
) -> Vec<LedgerChange> {
    let mut draft = Draft::new(book, now);
    for alert in alerts {
        take(&mut draft, policy, alert);
    }
    draft.drop_where("the channel is no longer configured", |one| {
        policy.channels.iter().all(|channel| channel.name != one.channel)
    });
    let expired = |one: &QueuedAlert| older(one.queued_at, now, policy.news_expires);
    draft.drop_where("the news became old while the channel took nothing", |one| {
        matches!(one.alert.phase, Phase::News | Phase::Started)
            && one.alert.severity == Severity::Info
            && expired(one)
    });
    close_deaf(&mut draft, policy);
    let keys: Vec<String> = draft.book.problems.keys().cloned().collect();
    for key in keys {
        for channel in &policy.channels {
            tell(&mut draft, channel, &key);
        }
    }
    draft.finish()
}

fn take(draft: &mut Draft, policy: &AlertPolicy, alert: &Alert) {
    for channel in policy.channels.iter().filter(|channel| channel.route.runs) {
        if channel.route.wants(alert) {
            measure(draft, channel, alert);
        }
    }
    let told = match (alert.phase, &alert.problem) {
        (Phase::Started, _) => return,
        (Phase::Open | Phase::Reminder, Some(key)) => return open(draft, key, alert),
        (Phase::Solved | Phase::News, Some(key)) => close(draft, policy, key, alert),
        (_, None) => Vec::new(),
    };
    if alert.phase == Phase::Solved {
        return;
    }
    for channel in policy.channels.iter().filter(|channel| !channel.route.runs) {
        if channel.route.wants(alert) && !told.contains(&channel.name) {
            draft.enqueue(&channel.name, alert.clone());
        }
    }
}

/// A channel that measures runs hears everything, and of each source only the newest.
fn measure(draft: &mut Draft, channel: &ChannelPolicy, alert: &Alert) {
    draft.drop_where("a newer run overtook it", |one| {
        one.channel == channel.name
            && one.alert.source == alert.source
            && one.alert.problem == alert.problem
    });
    draft.enqueue(&channel.name, alert.clone());
}

/// Notes that a problem exists; whom to tell is decided by [`tell`].
fn open(draft: &mut Draft, key: &str, alert: &Alert) {
    let alert = Alert { phase: Phase::Open, ..alert.clone() };
    let problem = match draft.book.problems.get(key) {
        Some(known) => OpenProblem { alert, ..known.clone() },
        None => {
            let (key, since) = (key.to_owned(), draft.now);
            OpenProblem { key, alert, since, told: BTreeMap::new() }
        }
    };
    if draft.book.problems.get(key) != Some(&problem) {
        draft.put_problem(problem);
    }
}

/// Notes that a problem is over and returns the channels that are told so.
fn close(draft: &mut Draft, policy: &AlertPolicy, key: &str, alert: &Alert) -> Vec<String> {
    let Some(problem) = draft.book.problems.get(key).cloned() else { return Vec::new() };
    draft.close_problem(key);
    let mut spared = Vec::new();
    if key.starts_with(NOTIFY) {
        // Who has not heard yet that a channel was deaf need not hear it any more.
        let unheard = |one: &QueuedAlert| one.reports(key) && one.alert.phase == Phase::Open;
        let waiting = draft.book.waiting.values().filter(|one| unheard(one));
        spared = waiting.map(|one| one.channel.clone()).collect();
        draft.drop_where("the channel works again", |one| one.reports(key));
    }
    let mut told = Vec::new();
    for channel in policy.channels.iter().filter(|channel| !channel.route.runs) {
        let knows = problem.told.contains_key(&channel.name) && !spared.contains(&channel.name);
        if !knows || !channel.route.on_recovery {
            continue;
        }
        let facts = [("open_since".to_owned(), problem.since.to_string())];
        draft.enqueue(
            &channel.name,
            Alert {
                phase: Phase::Solved,
                severity: Severity::Info,
                facts: alert.facts.iter().cloned().chain(facts).collect(),
                ..alert.clone()
            },
        );
        told.push(channel.name.clone());
    }
    told
}

/// A channel for which nothing waits, or which is gone, is nobody's problem.
fn close_deaf(draft: &mut Draft, policy: &AlertPolicy) {
    let keys: Vec<String> =
        draft.book.problems.keys().filter(|key| key.starts_with(NOTIFY)).cloned().collect();
    for key in keys {
        let name = key.strip_prefix(NOTIFY).unwrap_or_default();
        let how = if policy.channels.iter().all(|channel| channel.name != name) {
            "it is no longer configured"
        } else if draft.book.waiting.values().all(|one| one.channel != name) {
            "no alert waits for it any more"
        } else {
            continue;
        };
        let alert = restored(name, how, draft.now);
        close(draft, policy, &key, &alert);
    }
}

/// Returns the alert for a channel that is no problem any more.
pub(super) fn restored(channel: &str, how: &str, at: Timestamp) -> Alert {
    Alert {
        severity: Severity::Info,
        event: "notify.restored".into(),
        source: None,
        title: format!("channel {channel}: {how}"),
        body: String::new(),
        at,
        facts: vec![("channel".into(), channel.to_owned())],
        problem: Some(format!("{NOTIFY}{channel}")),
        phase: Phase::Solved,
    }
}

/// Queues what a channel is to hear about an open problem now, if anything.
fn tell(draft: &mut Draft, channel: &ChannelPolicy, key: &str) {
    let Some(problem) = draft.book.problems.get(key).cloned() else { return };
    let own = key.strip_prefix(NOTIFY) == Some(channel.name.as_str());
    if own || channel.route.runs || !channel.route.wants(&problem.alert) {
        return;
    }
    let severity = problem.alert.severity;
    let waiting = draft.waiting_report(&channel.name, key);
    let told = problem.told.get(&channel.name).copied();
    let phase = match told {
        None => Phase::Open,
        Some(told) if severity > told.severity => Phase::Open,
        Some(told) if waiting.is_none() && remind(channel, told, draft.now) => Phase::Reminder,
        Some(_) => return,
    };
    if told.is_none() {
        // It was gone, and is back before anybody could be told that it was gone.
        draft.drop_where("the problem came back", |one| {
            one.channel == channel.name
                && one.alert.problem.as_deref() == Some(key)
                && one.alert.phase == Phase::Solved
        });
    }
    match waiting {
        Some(waiting) => {
            let alert = overtake(&waiting.alert, &problem.alert);
            draft.put_delivery(QueuedAlert { alert, ..waiting });
        }
        None => {
            let mut alert = Alert { phase, ..problem.alert.clone() };
            if phase == Phase::Reminder {
                alert.facts.push(("open_since".into(), problem.since.to_string()));
            }
            draft.enqueue(&channel.name, alert);
        }
    }
    let worst = told.map_or(severity, |told| told.severity.max(severity));
    let mut problem = problem;
    problem.told.insert(channel.name.clone(), Told { severity: worst, at: draft.now });
    draft.put_problem(problem);
}

fn remind(channel: &ChannelPolicy, told: Told, now: Timestamp) -> bool {
    channel.remind_after.is_some_and(|after| older(told.at, now, after))
}

/// The newest description, with the time of the first one that was never told.
fn overtake(old: &Alert, new: &Alert) -> Alert {
    let known = old.facts.iter().find(|(name, _)| name == "first_at").cloned();
    let first = known.unwrap_or_else(|| ("first_at".into(), old.at.to_string()));
    let mut alert = new.clone();
    alert.facts.push(first);
    alert
}

/// Returns whether `then` is at least so long ago; a clock that was set back is no age.
pub(super) fn older(then: Timestamp, now: Timestamp, age: Duration) -> bool {
    Duration::try_from(now.duration_since(then)).is_ok_and(|passed| passed >= age)
}
