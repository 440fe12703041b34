//! Keeps the ledger, sends what is due, and never fails.

use std::sync::Arc;
use std::time::Duration;

use backup_core::port::{
    Alert, AlertBook, AlertLedger, Clock, LedgerChange, OpenProblem, QueuedAlert,
};
use backup_core::{Error, Result};
use futures::future::join_all;
use jiff::Timestamp;
use tokio::sync::{Mutex, Notify};

use super::book::last_words;
use super::plan::plan;
use super::policy::AlertPolicy;
use super::settle::{due, settle, wake};
use crate::Interrupt;
use crate::alert::Destination;

/// How often the time is looked at: reminders are due no later than this.
const HOUSEKEEPING: Duration = Duration::from_secs(60);

/// Tells people, for as long as the program runs.
///
/// Telling is two steps. [`AlertDesk::tell`] notes what is to be sent, in memory and in the
/// ledger; [`AlertDesk::serve`] sends it. A ledger that fails is written to again and delays
/// nothing: what it could not keep is sent all the same, and lost only if the program ends
/// before.
#[derive(Debug)]
pub struct AlertDesk {
    ledger: Arc<dyn AlertLedger>,
    clock: Arc<dyn Clock>,
    policy: AlertPolicy,
    channels: Vec<Channel>,
    state: Mutex<State>,
}

#[derive(Debug)]
struct Channel {
    destination: Destination,
    work: Notify,
}

#[derive(Debug)]
struct State {
    book: AlertBook,
    /// What the ledger did not take yet, in order.
    unsaved: Vec<LedgerChange>,
    ledger_error: Option<String>,
}

/// What could not be delivered so far, for people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Undelivered {
    /// The channel.
    pub channel: String,
    /// How many alerts wait for it.
    pub waiting: usize,
    /// Since when the oldest waits.
    pub since: Timestamp,
    /// When it is tried next.
    pub next_try: Timestamp,
    /// Failed attempts of the delivery that was tried most often.
    pub attempts: u32,
    /// Why; holds no secret.
    pub last_error: Option<String>,
}

impl AlertDesk {
    /// Opens the desk with what the ledger remembers. `policy` must name the channels of
    /// `destinations`. What waits is tried at once, whatever pause it was in. Fails when the
    /// ledger cannot be read.
    pub async fn open(
        ledger: Arc<dyn AlertLedger>,
        clock: Arc<dyn Clock>,
        destinations: Vec<Destination>,
        policy: AlertPolicy,
    ) -> Result<Self> {
        let mut book = ledger.load().await?;
        let now = clock.now();
        for delivery in book.waiting.values_mut() {
            delivery.next_try = delivery.next_try.min(now);
            delivery.channel_down = false;
        }
        let channels = destinations
            .into_iter()
            .map(|destination| Channel { destination, work: Notify::new() })
            .collect();
        let state = State { book, unsaved: Vec::new(), ledger_error: None };
        let desk = Self { ledger, clock, policy, channels, state: Mutex::new(state) };
        desk.tell(&[]).await;
        Ok(desk)
    }

    /// Notes what happened; when this returns it is in the ledger, if that works, and will be
    /// told to everyone who is to hear it. Never fails.
    pub async fn tell(&self, alerts: &[Alert]) {
        let mut state = self.state.lock().await;
        let changes = plan(&state.book, &self.policy, alerts, self.clock.now());
        self.keep(&mut state, changes).await;
        drop(state);
        for channel in &self.channels {
            channel.work.notify_one();
        }
    }

    /// Sends what is due, everything at once, until nothing is due any more; returns how many
    /// deliveries arrived.
    pub async fn deliver_due(&self) -> usize {
        let all = self.channels.iter().map(|channel| async move {
            let mut arrived = 0;
            while let Some(delivery) = self.next_due(channel).await {
                arrived += usize::from(self.send(channel, &delivery).await);
            }
            arrived
        });
        join_all(all).await.into_iter().sum()
    }

    /// Sends whatever comes due, until `stop` asks to end. What is on its way then is dropped
    /// and sent again by the next start.
    pub async fn serve(&self, stop: &Interrupt) {
        let channels = join_all(self.channels.iter().map(|channel| self.attend(channel)));
        let housekeeping = async {
            loop {
                self.clock.sleep(HOUSEKEEPING).await;
                self.tell(&[]).await;
            }
        };
        tokio::select! {
            _ = stop.requested() => {}
            _ = channels, if !self.channels.is_empty() => {}
            () = housekeeping => {}
        }
    }

    /// Returns the open problems, by key.
    pub async fn problems(&self) -> Vec<OpenProblem> {
        self.state.lock().await.book.problems.values().cloned().collect()
    }

    /// Returns what waits after a failed attempt, by channel in the order of the configuration.
    pub async fn undelivered(&self) -> Vec<Undelivered> {
        let state = self.state.lock().await;
        let names = self.channels.iter().map(|channel| &channel.destination.channel);
        names.filter_map(|name| undelivered(&state.book, name)).collect()
    }

    /// Returns why the ledger did not take the last changes, while that is so.
    pub async fn ledger_error(&self) -> Option<String> {
        self.state.lock().await.ledger_error.clone()
    }

    async fn attend(&self, channel: &Channel) {
        loop {
            while let Some(delivery) = self.next_due(channel).await {
                self.send(channel, &delivery).await;
            }
            let name = &channel.destination.channel;
            let next = wake(&self.state.lock().await.book, name);
            let pause = next.map(|at| at.duration_since(self.clock.now()));
            match pause {
                None => channel.work.notified().await,
                Some(pause) => {
                    let pause = pause.try_into().unwrap_or(Duration::ZERO);
                    tokio::select! {
                        () = channel.work.notified() => {}
                        () = self.clock.sleep(pause) => {}
                    }
                }
            }
        }
    }

    async fn next_due(&self, channel: &Channel) -> Option<QueuedAlert> {
        let state = self.state.lock().await;
        due(&state.book, &channel.destination.channel, self.clock.now())
    }

    async fn send(&self, channel: &Channel, delivery: &QueuedAlert) -> bool {
        let outcome = channel.destination.notifier.deliver(&delivery.alert).await;
        if let Err(error) = &outcome {
            let channel = delivery.channel.as_str();
            let event = delivery.alert.event.as_str();
            tracing::warn!(channel, event, attempts = delivery.attempts + 1, %error, "alert waits");
        }
        let mut state = self.state.lock().await;
        let failure = outcome.as_ref().err();
        let changes = settle(&state.book, &self.policy, delivery, failure, self.clock.now());
        let others = changes.len() > 1;
        self.keep(&mut state, changes).await;
        drop(state);
        if others {
            let rest = self.channels.iter().filter(|one| !std::ptr::eq(*one, channel));
            rest.for_each(|one| one.work.notify_one());
        }
        outcome.is_ok()
    }

    async fn keep(&self, state: &mut State, changes: Vec<LedgerChange>) {
        for change in &changes {
            state.book.apply(change);
        }
        state.unsaved.extend(changes);
        state.unsaved = last_words(std::mem::take(&mut state.unsaved));
        if state.unsaved.is_empty() {
            return;
        }
        match self.ledger.apply(&state.unsaved).await {
            Ok(()) => {
                state.unsaved.clear();
                state.ledger_error = None;
            }
            Err(error) => {
                tracing::error!(%error, "alerts are not recorded; a restart would forget them");
                state.ledger_error = Some(describe(&error));
            }
        }
    }
}

fn describe(error: &Error) -> String {
    error.remedy().map_or_else(|| error.to_string(), |remedy| format!("{error}. {remedy}"))
}

fn undelivered(book: &AlertBook, channel: &str) -> Option<Undelivered> {
    let own: Vec<&QueuedAlert> = book.waiting.values().filter(|q| q.channel == channel).collect();
    let worst = own.iter().max_by_key(|one| one.attempts)?;
    (worst.attempts > 0).then(|| Undelivered {
        channel: channel.to_owned(),
        waiting: own.len(),
        since: own.iter().map(|one| one.queued_at).min().unwrap_or(worst.queued_at),
        next_try: wake(book, channel).unwrap_or(worst.next_try),
        attempts: worst.attempts,
        last_error: worst.last_error.clone(),
    })
}
