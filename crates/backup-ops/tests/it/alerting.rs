//! Nobody is told twice, nobody goes untold, whatever breaks.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use backup_core::port::{
    Alert, AlertBook, Clock as _, DeliveryState, LedgerChange, Notifier, Phase, QueuedAlert,
};
use backup_core::{Error, ErrorKind, Result, Severity};
use backup_ops::alert::{self, Destination, Route};
use backup_ops::alerting::{AlertDesk, AlertPolicy, ChannelPolicy, due, plan, settle};
use backup_testkit::{FakeClock, MemoryLedger};
use jiff::{SignedDuration, Timestamp};
use proptest::prelude::*;

const REMIND: Duration = Duration::from_secs(6 * 3600);
const KEY: &str = "backup/shop";

fn failed(severity: Severity, at: Timestamp) -> Alert {
    let error = Error::new(ErrorKind::SourceUnavailable, "connect to database");
    Alert { severity, ..alert::failure("backup", Some("shop"), &error, at) }
}

fn succeeded(at: Timestamp) -> Alert {
    let event = "backup.succeeded".into();
    Alert { event, phase: Phase::News, ..failed(Severity::Info, at) }
}

/// Everything, and criticals only.
fn policy() -> AlertPolicy {
    let channel = |name: &str, severity| ChannelPolicy {
        name: name.into(),
        route: Route { severity, on_success: false, ..Route::default() },
        remind_after: Some(REMIND),
    };
    AlertPolicy {
        channels: vec![channel("chat", Severity::Warning), channel("pager", Severity::Critical)],
        ..AlertPolicy::default()
    }
}

#[derive(Clone, Debug)]
enum Step {
    Fail(Severity),
    Succeed,
    Wait(u32),
    Break(usize, bool),
    Restart,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        3 => Just(Step::Fail(Severity::Critical)),
        2 => Just(Step::Fail(Severity::Warning)),
        3 => Just(Step::Succeed),
        4 => (1u32..600).prop_map(Step::Wait),
        2 => (0usize..2, any::<bool>()).prop_map(|(which, down)| Step::Break(which, down)),
        1 => Just(Step::Restart),
    ]
}

/// From the first failure to the next success, and how bad it got.
#[derive(Clone, Debug)]
struct Episode {
    from: Timestamp,
    to: Option<Timestamp>,
    severities: Vec<Severity>,
}

/// A daemon without the daemon: the planner, its book, and channels that break.
struct World {
    policy: AlertPolicy,
    book: AlertBook,
    now: Timestamp,
    down: [bool; 2],
    heard: BTreeMap<String, Vec<(Timestamp, Alert)>>,
    episodes: Vec<Episode>,
}

impl World {
    fn new() -> Self {
        Self {
            policy: policy(),
            book: AlertBook::default(),
            now: Timestamp::UNIX_EPOCH,
            down: [false; 2],
            heard: BTreeMap::new(),
            episodes: Vec::new(),
        }
    }

    fn apply(&mut self, changes: &[LedgerChange]) {
        changes.iter().for_each(|change| self.book.apply(change));
    }

    fn tell(&mut self, alerts: &[Alert]) {
        let changes = plan(&self.book, &self.policy, alerts, self.now);
        self.apply(&changes);
    }

    fn step(&mut self, step: &Step) {
        self.now += SignedDuration::from_secs(1);
        match step {
            Step::Fail(severity) => {
                match self.episodes.last_mut().filter(|episode| episode.to.is_none()) {
                    Some(episode) => episode.severities.push(*severity),
                    None => self.episodes.push(Episode {
                        from: self.now,
                        to: None,
                        severities: vec![*severity],
                    }),
                }
                self.tell(&[failed(*severity, self.now)]);
            }
            Step::Succeed => {
                if let Some(episode) = self.episodes.last_mut() {
                    episode.to.get_or_insert(self.now);
                }
                self.tell(&[succeeded(self.now)]);
            }
            Step::Wait(minutes) => {
                for _ in 0..*minutes {
                    self.now += SignedDuration::from_mins(1);
                    self.tell(&[]);
                    self.deliver();
                }
            }
            Step::Break(which, down) => self.down[*which] = *down,
            Step::Restart => self.book.waiting.values_mut().for_each(|one| {
                one.next_try = one.next_try.min(self.now);
                one.channel_down = false;
            }),
        }
        self.deliver();
    }

    fn deliver(&mut self) {
        for (which, channel) in ["chat", "pager"].into_iter().enumerate() {
            while let Some(delivery) = due(&self.book, channel, self.now) {
                let refused = Error::new(ErrorKind::Failed, "deliver alert").temporary();
                let failure = self.down[which].then_some(&refused);
                if failure.is_none() {
                    let heard = self.heard.entry(channel.to_owned()).or_default();
                    heard.push((self.now, delivery.alert.clone()));
                }
                let changes = settle(&self.book, &self.policy, &delivery, failure, self.now);
                self.apply(&changes);
            }
        }
    }

    /// What a channel heard about the backup.
    fn heard(&self, channel: &str) -> Vec<(Timestamp, Alert)> {
        let all = self.heard.get(channel).into_iter().flatten();
        all.filter(|(_, alert)| alert.problem.as_deref() == Some(KEY)).cloned().collect()
    }
}

fn reports(heard: &[(Timestamp, Alert)]) -> impl Iterator<Item = &(Timestamp, Alert)> {
    heard.iter().filter(|(_, alert)| matches!(alert.phase, Phase::Open | Phase::Reminder))
}

/// The failures that a report speaks of: from the first that could not be told to its own.
fn span(alert: &Alert) -> (Timestamp, Timestamp) {
    let first = alert.facts.iter().find(|(name, _)| name == "first_at");
    (first.map_or(alert.at, |(_, at)| at.parse().unwrap()), alert.at)
}

fn check(world: &World, channel: &str, least: Severity) {
    let heard = world.heard(channel);
    for episode in &world.episodes {
        let end = episode.to.unwrap_or(Timestamp::MAX);
        let wanted = episode.severities.iter().any(|severity| *severity >= least);
        let covered = reports(&heard).any(|(_, alert)| {
            let (first, last) = span(alert);
            first < end && last >= episode.from
        });
        assert!(covered || !wanted, "{channel} never heard of {episode:?}: {heard:#?}");

        let own: Vec<_> = reports(&heard)
            .filter(|(_, alert)| alert.at >= episode.from && alert.at < end)
            .collect();
        let opened = own.iter().filter(|(_, alert)| alert.phase == Phase::Open).count();
        let mut severities = episode.severities.clone();
        severities.retain(|severity| *severity >= least);
        severities.sort();
        severities.dedup();
        assert!(opened <= severities.len(), "{channel} was told twice: {own:#?}");
        for pair in own.windows(2).filter(|pair| pair[1].1.phase == Phase::Reminder) {
            let apart = pair[1].0.duration_since(pair[0].0);
            assert!(apart >= SignedDuration::try_from(REMIND).unwrap(), "{apart}: {pair:#?}");
        }
    }
    let knows = world.book.problems.get(KEY).is_some_and(|open| open.told.contains_key(channel));
    if let Some((_, last)) = heard.last() {
        let over = last.phase == Phase::Solved;
        assert_eq!(over, !knows, "{channel} believes otherwise: {heard:#?}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn a_failed_backup_never_goes_unnotified_and_nobody_is_told_twice(
        steps in proptest::collection::vec(step(), 1..40)
    ) {
        let mut world = World::new();
        for step in &steps {
            world.step(step);
            for channel in ["chat", "pager"] {
                let waiting: Vec<&QueuedAlert> =
                    world.book.waiting.values().filter(|one| one.channel == channel).collect();
                prop_assert!(waiting.len() <= 4, "the queue grows: {waiting:#?}");
            }
        }
        world.down = [false; 2];
        world.step(&Step::Wait(20));
        prop_assert!(world.book.waiting.is_empty(), "{:#?}", world.book);
        prop_assert!(world.book.problems.keys().all(|key| key == KEY), "{:#?}", world.book);
        check(&world, "chat", Severity::Warning);
        check(&world, "pager", Severity::Critical);
    }
}

#[test]
fn a_channel_that_takes_nothing_is_a_problem_told_to_the_others() {
    let mut world = World::new();
    world.policy.channels[1].route.severity = Severity::Warning;
    world.down = [true, false];
    world.step(&Step::Fail(Severity::Critical));
    world.step(&Step::Wait(30));
    let about = |world: &World, event: &str| {
        let all = world.heard.get("pager").into_iter().flatten();
        all.filter(|(_, alert)| alert.event == event).count()
    };
    assert_eq!(about(&world, "notify.failed"), 1);
    assert!(world.book.problems.contains_key("notify/chat"));
    world.down = [false; 2];
    world.step(&Step::Wait(20));
    assert_eq!(about(&world, "notify.restored"), 1);
    assert_eq!(world.heard("chat").len(), 1);
    assert_eq!(world.book.problems.len(), 1);
}

#[test]
fn a_message_that_is_refused_does_not_hold_up_the_others() {
    let now = Timestamp::UNIX_EPOCH;
    let mut book = AlertBook::default();
    let other = Alert {
        source: Some("crm".into()),
        problem: Some("backup/crm".into()),
        ..failed(Severity::Critical, now)
    };
    for change in plan(&book.clone(), &policy(), &[failed(Severity::Critical, now), other], now) {
        book.apply(&change);
    }
    let first = due(&book, "chat", now).unwrap();
    let refused = Error::new(ErrorKind::Failed, "deliver alert");
    for change in settle(&book.clone(), &policy(), &first, Some(&refused), now) {
        book.apply(&change);
    }
    let next = due(&book, "chat", now).unwrap();
    assert_ne!(next.alert.problem, first.alert.problem);
    let down = Error::new(ErrorKind::Failed, "deliver alert").temporary();
    for change in settle(&book.clone(), &policy(), &next, Some(&down), now) {
        book.apply(&change);
    }
    assert_eq!(due(&book, "chat", now), None);
    assert!(due(&book, "pager", now).is_some(), "other channels do not wait");
}

#[test]
fn meters_of_runs_hear_the_newest_run_of_each_source_only() {
    let now = Timestamp::UNIX_EPOCH;
    let mut policy = policy();
    policy.channels.truncate(1);
    policy.channels[0].route =
        Route { runs: true, events: vec!["backup.*".into()], ..Route::default() };
    let mut book = AlertBook::default();
    for alert in [
        alert::started("backup", Some("shop"), now),
        failed(Severity::Critical, now),
        failed(Severity::Critical, now),
        alert::started("backup", Some("shop"), now),
        succeeded(now),
        alert::started("verify", Some("shop"), now),
    ] {
        for change in plan(&book.clone(), &policy, &[alert], now) {
            book.apply(&change);
        }
    }
    let events: Vec<&str> = book.waiting.values().map(|one| one.alert.event.as_str()).collect();
    assert_eq!(events, ["backup.succeeded"]);
}

#[derive(Debug, Default)]
struct Ear {
    heard: Mutex<Vec<String>>,
    deaf: AtomicBool,
}

#[async_trait]
impl Notifier for Ear {
    fn name(&self) -> String {
        "ear".into()
    }

    async fn deliver(&self, alert: &Alert) -> Result<()> {
        if self.deaf.load(Ordering::SeqCst) {
            return Err(Error::new(ErrorKind::Failed, "deliver alert").temporary().hint("Wait."));
        }
        self.heard.lock().unwrap().push(alert.event.clone());
        Ok(())
    }
}

async fn desk(ledger: &Arc<MemoryLedger>, clock: &Arc<FakeClock>, ear: &Arc<Ear>) -> AlertDesk {
    let mut policy = policy();
    policy.channels.truncate(1);
    let destination = Destination {
        channel: "chat".into(),
        notifier: Arc::clone(ear) as _,
        route: policy.channels[0].route.clone(),
        remind_after: Some(REMIND),
    };
    let (ledger, clock) = (Arc::clone(ledger) as _, Arc::clone(clock) as _);
    AlertDesk::open(ledger, clock, vec![destination], policy).await.unwrap()
}

#[tokio::test]
async fn what_was_not_delivered_is_visible_and_survives_a_restart() {
    let (ledger, ear) = (Arc::new(MemoryLedger::default()), Arc::new(Ear::default()));
    let clock = Arc::new(FakeClock::default());
    ear.deaf.store(true, Ordering::SeqCst);
    let first = desk(&ledger, &clock, &ear).await;
    first.tell(&[failed(Severity::Critical, clock.now())]).await;
    assert_eq!(first.deliver_due().await, 0);
    let [undelivered] = first.undelivered().await.try_into().unwrap();
    assert_eq!((undelivered.channel.as_str(), undelivered.waiting), ("chat", 1));
    assert_eq!(undelivered.last_error.as_deref(), Some("deliver alert"));
    assert_eq!(first.deliver_due().await, 0, "it rests before it is tried again");
    drop(first);

    ear.deaf.store(false, Ordering::SeqCst);
    let second = desk(&ledger, &clock, &ear).await;
    assert_eq!(second.problems().await.len(), 1);
    assert_eq!(second.deliver_due().await, 1, "a restart tries at once");
    assert_eq!(*ear.heard.lock().unwrap(), ["backup.failed"]);
    assert_eq!(second.undelivered().await, []);
    drop(second);
    let third = desk(&ledger, &clock, &ear).await;
    third.tell(&[failed(Severity::Critical, clock.now())]).await;
    assert_eq!(third.deliver_due().await, 0, "it was told before the restart");
    assert_eq!(ledger.deliveries()[0].state, DeliveryState::Delivered);
}

#[tokio::test]
async fn a_broken_ledger_delays_nobody_and_is_caught_up_with() {
    let (ledger, ear) = (Arc::new(MemoryLedger::default()), Arc::new(Ear::default()));
    let clock = Arc::new(FakeClock::default());
    let desk = desk(&ledger, &clock, &ear).await;
    ledger.set_broken(true);
    desk.tell(&[failed(Severity::Critical, clock.now())]).await;
    assert_eq!(desk.deliver_due().await, 1);
    assert!(desk.ledger_error().await.unwrap().contains("it is broken"));
    ledger.set_broken(false);
    desk.tell(&[]).await;
    assert_eq!(desk.ledger_error().await, None);
    assert_eq!(ledger.deliveries()[0].state, DeliveryState::Delivered);
}

#[tokio::test]
async fn serving_sends_what_comes_and_retries_what_waits_until_it_is_stopped() {
    let (ledger, ear) = (Arc::new(MemoryLedger::default()), Arc::new(Ear::default()));
    let clock = Arc::new(FakeClock::default());
    ear.deaf.store(true, Ordering::SeqCst);
    let desk = Arc::new(desk(&ledger, &clock, &ear).await);
    let (stopper, stop) = backup_ops::interrupt();
    let serving = tokio::spawn({
        let desk = Arc::clone(&desk);
        async move { desk.serve(&stop).await }
    });
    desk.tell(&[failed(Severity::Critical, clock.now())]).await;
    let deadline = tokio::time::Instant::now() + Duration::from_secs(30);
    while desk.undelivered().await.is_empty() {
        assert!(tokio::time::Instant::now() < deadline, "nothing was tried");
        tokio::task::yield_now().await;
    }
    ear.deaf.store(false, Ordering::SeqCst);
    while ear.heard.lock().unwrap().is_empty() {
        assert!(tokio::time::Instant::now() < deadline, "nothing was tried again");
        tokio::task::yield_now().await;
    }
    stopper.request(ErrorKind::Terminated);
    tokio::time::timeout(Duration::from_secs(30), serving).await.unwrap().unwrap();
    assert_eq!(*ear.heard.lock().unwrap(), ["backup.failed"]);
}
