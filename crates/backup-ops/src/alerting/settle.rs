//! What is to be sent when, and what follows from an attempt.

use std::collections::BTreeSet;
use std::time::Duration;

use backup_core::port::{Alert, AlertBook, DeliveryState, LedgerChange, Phase, QueuedAlert};
use backup_core::{Error, ErrorStatus, Severity};
use jiff::{SignedDuration, Timestamp};

use super::book::Draft;
use super::plan::{NOTIFY, older, plan, restored};
use super::policy::AlertPolicy;

/// Returns the delivery that a channel is to get now: the oldest whose time has come, unless
/// the channel as a whole is not worth trying, or an older message about the same problem has
/// not arrived yet.
#[must_use]
pub fn due(book: &AlertBook, channel: &str, now: Timestamp) -> Option<QueuedAlert> {
    let (first, at) = next(book, channel)?;
    (at <= now).then(|| first.clone())
}

/// Returns when a channel is to be tried next; absent when nothing waits for it.
#[must_use]
pub fn wake(book: &AlertBook, channel: &str) -> Option<Timestamp> {
    next(book, channel).map(|(_, at)| at)
}

fn next<'a>(book: &'a AlertBook, channel: &str) -> Option<(&'a QueuedAlert, Timestamp)> {
    let own = || book.waiting.values().filter(|one| one.channel == channel);
    let rests = own().filter(|one| one.channel_down).map(|one| one.next_try).max();
    let mut spoken_of = BTreeSet::new();
    let heads = own().filter(|one| match &one.alert.problem {
        Some(problem) => spoken_of.insert(problem.as_str()),
        None => true,
    });
    heads
        .map(|one| (one, rests.map_or(one.next_try, |rests| rests.max(one.next_try))))
        .min_by_key(|(one, at)| (*at, one.id))
}

/// Returns the changes that follow from an attempt to deliver: done, or with a failure to be
/// tried again later. A channel that takes nothing for too long becomes a problem, and stops being one
/// when it takes something. Nothing follows for a delivery that was dropped meanwhile; one
/// that says something else meanwhile still has to be sent.
#[must_use]
pub fn settle(
    book: &AlertBook,
    policy: &AlertPolicy,
    sent: &QueuedAlert,
    failure: Option<&Error>,
    now: Timestamp,
) -> Vec<LedgerChange> {
    let Some(delivery) = book.waiting.get(&sent.id).cloned() else { return Vec::new() };
    if failure.is_none() && delivery.alert != sent.alert {
        return Vec::new();
    }
    let mut draft = Draft::new(book, now);
    let channel = delivery.channel.clone();
    let news = match failure {
        None => {
            arrived(&mut draft, delivery);
            restored(&channel, "alerts arrive again", now)
        }
        Some(error) => {
            let waits = delivery.queued_at;
            failed(&mut draft, policy, delivery, error);
            if !older(waits, now, policy.deaf_after) {
                return draft.finish();
            }
            deaf(&channel, error, now)
        }
    };
    // A problem of the channel is planned like any other.
    let more = plan(&draft.book, policy, &[news], now);
    let mut changes = draft.finish();
    changes.extend(more);
    changes
}

fn arrived(draft: &mut Draft, delivery: QueuedAlert) {
    let now = draft.now;
    let problem = delivery.alert.problem.as_ref().and_then(|key| draft.book.problems.get(key));
    if let Some(mut problem) = problem.filter(|problem| delivery.reports(&problem.key)).cloned() {
        // Reminders count from when it was heard.
        problem.told.entry(delivery.channel.clone()).and_modify(|told| told.at = now);
        draft.put_problem(problem);
    }
    let ended_at = Some(now);
    draft.put_delivery(QueuedAlert {
        state: DeliveryState::Delivered,
        channel_down: false,
        ended_at,
        ..delivery
    });
}

fn failed(draft: &mut Draft, policy: &AlertPolicy, delivery: QueuedAlert, error: &Error) {
    let attempts = delivery.attempts.saturating_add(1);
    let pause = pause(policy, attempts);
    let pause = SignedDuration::try_from(pause).unwrap_or(SignedDuration::MAX);
    draft.put_delivery(QueuedAlert {
        attempts,
        next_try: draft.now.saturating_add(pause).unwrap_or(Timestamp::MAX),
        last_error: Some(error.to_string()),
        channel_down: error.status() != ErrorStatus::Permanent,
        ..delivery
    });
}

fn pause(policy: &AlertPolicy, attempts: u32) -> Duration {
    let doubled = 2u32.saturating_pow(attempts.saturating_sub(1).min(16));
    policy.first_pause.saturating_mul(doubled).min(policy.max_pause)
}

fn deaf(channel: &str, error: &Error, at: Timestamp) -> Alert {
    let mut body = error.to_string();
    if let Some(remedy) = error.remedy() {
        body.push_str("\n\n");
        body.push_str(remedy);
    }
    Alert {
        severity: Severity::Warning,
        event: "notify.failed".into(),
        source: None,
        title: format!("alerts do not reach the channel {channel}"),
        body,
        at,
        facts: vec![("channel".into(), channel.to_owned())],
        problem: Some(format!("{NOTIFY}{channel}")),
        phase: Phase::Open,
    }
}
