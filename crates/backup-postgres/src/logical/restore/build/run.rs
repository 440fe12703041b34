//! Working through the plan with several sessions.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use backup_core::{Finding, Result};
use futures::future::try_join_all;
use tokio::sync::Notify;

use super::plan::{Action, Item, Plan};
use crate::logical::session::prepare_writing;
use crate::{Client, ConnectOptions, quote_literal};

/// Carries the plan out with `jobs` sessions; returns what could not be analyzed. A statement
/// that fails is an error, and nothing new is begun after it.
pub(in crate::logical::restore) async fn run(
    connect: &ConnectOptions,
    plan: &Plan,
    jobs: usize,
    tablespaces: bool,
) -> Result<Vec<Finding>> {
    let queue = Queue::new(plan);
    let findings = Mutex::new(Vec::new());
    try_join_all((0..jobs.min(plan.items.len())).map(|_| async {
        let mut client = Client::connect(connect).await?;
        prepare_writing(&mut client).await?;
        while let Some((at, others)) = queue.next().await {
            let Some(item) = plan.items.get(at) else { break };
            // The server's own parallel workers cost more than they bring while every session
            // has work anyway.
            client.execute(workers(others + 1 < jobs)).await?;
            if let Some(finding) = carry_out(&mut client, &item.action, tablespaces).await? {
                findings.lock().unwrap_or_else(PoisonError::into_inner).push(finding);
            }
            queue.done(at, item);
        }
        client.close().await;
        Ok::<(), backup_core::Error>(())
    }))
    .await?;
    Ok(findings.into_inner().unwrap_or_else(PoisonError::into_inner))
}

fn workers(helpful: bool) -> &'static str {
    if helpful {
        "RESET max_parallel_maintenance_workers"
    } else {
        "SET max_parallel_maintenance_workers = 0"
    }
}

async fn carry_out(
    client: &mut Client,
    action: &Action,
    tablespaces: bool,
) -> Result<Option<Finding>> {
    match action {
        Action::Create { label, sql, tablespace } => {
            let about = |error: backup_core::Error| error.with("entry", label);
            if tablespaces {
                let set = format!("SET default_tablespace = {}", quote_literal(tablespace));
                client.execute(&set).await.map_err(about)?;
            }
            client.execute(sql).await.map_err(about)?;
            Ok(None)
        }
        Action::Analyze { table } => {
            let result = client.execute(&format!("ANALYZE {table}")).await;
            Ok(result.err().map(|error| {
                Finding::warning(format!("statistics of {table} could not be gathered: {error}"))
            }))
        }
    }
}

/// Hands out items whose turn it is.
struct Queue<'a> {
    plan: &'a Plan,
    state: Mutex<State>,
    changed: Notify,
}

#[derive(Default)]
struct State {
    begun: Vec<bool>,
    done: Vec<bool>,
    /// Who works on a table: how many, and whether that one wants to be alone.
    busy: HashMap<usize, (u32, bool)>,
}

impl<'a> Queue<'a> {
    fn new(plan: &'a Plan) -> Self {
        let none = vec![false; plan.items.len()];
        let state = State { begun: none.clone(), done: none, busy: HashMap::new() };
        Self { plan, state: Mutex::new(state), changed: Notify::new() }
    }

    /// Waits for an item that can be begun and takes it; none when all have been. Also tells how
    /// many others are being worked on or could be begun.
    async fn next(&self) -> Option<(usize, usize)> {
        loop {
            let changed = self.changed.notified();
            let mut changed = std::pin::pin!(changed);
            changed.as_mut().enable();
            match self.take() {
                Taken::Item(at) => return Some((at, self.others(at))),
                Taken::Nothing => return None,
                Taken::Later => changed.await,
            }
        }
    }

    fn take(&self) -> Taken {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let mut left = false;
        for &at in &self.plan.order {
            let Some(item) = self.plan.items.get(at).filter(|_| !state.is_begun(at)) else {
                continue;
            };
            if state.may_begin(item) {
                state.begin(at, item);
                return Taken::Item(at);
            }
            left = true;
        }
        if left { Taken::Later } else { Taken::Nothing }
    }

    fn others(&self, but: usize) -> usize {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let counts = |(at, item): &(usize, &Item)| {
            let running = state.is_begun(*at) && !state.done.get(*at).copied().unwrap_or(true);
            *at != but && (running || (!state.is_begun(*at) && state.may_begin(item)))
        };
        self.plan.items.iter().enumerate().filter(counts).count()
    }

    fn done(&self, at: usize, item: &Item) {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).end(at, item);
        self.changed.notify_waiters();
    }
}

enum Taken {
    Item(usize),
    Later,
    Nothing,
}

impl State {
    fn is_begun(&self, at: usize) -> bool {
        self.begun.get(at).copied().unwrap_or(true)
    }

    fn may_begin(&self, item: &Item) -> bool {
        let ready = item.after.iter().all(|at| self.done.get(*at).copied().unwrap_or(false));
        ready
            && item.tables.iter().all(|table| match self.busy.get(table) {
                None | Some((0, _)) => true,
                Some((_, alone)) => !alone && !item.alone,
            })
    }

    fn begin(&mut self, at: usize, item: &Item) {
        if let Some(begun) = self.begun.get_mut(at) {
            *begun = true;
        }
        for table in &item.tables {
            let busy = self.busy.entry(*table).or_default();
            *busy = (busy.0 + 1, item.alone);
        }
    }

    fn end(&mut self, at: usize, item: &Item) {
        if let Some(done) = self.done.get_mut(at) {
            *done = true;
        }
        for table in &item.tables {
            if let Some(busy) = self.busy.get_mut(table) {
                busy.0 = busy.0.saturating_sub(1);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn item(tables: &[usize], alone: bool, after: &[usize]) -> Item {
        let action = Action::Analyze { table: "t".into() };
        let tables: BTreeSet<usize> = tables.iter().copied().collect();
        Item { action, tables, alone, after: after.to_vec() }
    }

    #[tokio::test]
    async fn items_wait_for_others_and_for_their_tables() {
        let items = vec![
            item(&[0], true, &[]),
            item(&[0], false, &[]),
            item(&[0], false, &[]),
            item(&[0, 1], true, &[0]),
            item(&[1], false, &[]),
        ];
        let plan = Plan { order: (0..items.len()).collect(), items, ..Plan::default() };
        let queue = Queue::new(&plan);
        let take = || match queue.take() {
            Taken::Item(at) => Some(at),
            Taken::Later | Taken::Nothing => None,
        };
        assert_eq!([take(), take(), take()], [Some(0), Some(4), None]);
        queue.done(0, &plan.items[0]);
        assert_eq!([take(), take(), take()], [Some(1), Some(2), None]);
        queue.done(4, &plan.items[4]);
        queue.done(1, &plan.items[1]);
        assert_eq!(take(), None, "the other index is still being built");
        queue.done(2, &plan.items[2]);
        assert_eq!(queue.next().await, Some((3, 0)), "nobody else has work meanwhile");
        assert_eq!(queue.next().await, None);
    }
}
