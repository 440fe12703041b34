//! What the fake remembers.

use std::time::Duration;

use jiff::Timestamp;

use super::{ENDPOINT, MAIN};

pub(super) struct State {
    pub(super) plan: String,
    pub(super) history_seconds: i64,
    pub(super) store_passwords: bool,
    pub(super) refuses_expiry: bool,
    pub(super) refuses_addresses: bool,
    pub(super) odd_words: bool,
    pub(super) failing: Vec<String>,
    pub(super) branches: Vec<Branch>,
    pub(super) endpoints: Vec<Endpoint>,
    pub(super) snapshots: Vec<Snapshot>,
    pub(super) operations: Vec<Operation>,
    pub(super) schedule: serde_json::Value,
    pub(super) moments: Vec<(Timestamp, String)>,
    pub(super) pace: Duration,
    count: u32,
}

#[derive(Clone)]
pub(super) struct Branch {
    pub(super) id: String,
    pub(super) name: String,
    pub(super) parent: Option<String>,
    pub(super) created_at: Timestamp,
    pub(super) expires_at: Option<Timestamp>,
    pub(super) is_default: bool,
    pub(super) restored_from: Option<String>,
    pub(super) restore_status: Option<String>,
}

#[derive(Clone)]
pub(super) struct Endpoint {
    pub(super) id: String,
    pub(super) branch: String,
}

#[derive(Clone)]
pub(super) struct Snapshot {
    pub(super) id: String,
    pub(super) name: String,
    pub(super) branch: String,
    pub(super) created_at: Timestamp,
    pub(super) expires_at: Option<Timestamp>,
    pub(super) manual: bool,
}

#[derive(Clone)]
pub(super) struct Operation {
    pub(super) id: String,
    pub(super) branch: String,
    pub(super) action: String,
    pub(super) created_at: Timestamp,
    pub(super) ends_at: Timestamp,
    pub(super) fails: bool,
}

impl State {
    pub(super) fn new(now: Timestamp, pace: Duration) -> Self {
        let main = Branch {
            id: MAIN.to_owned(),
            name: "main".to_owned(),
            parent: None,
            created_at: now
                .saturating_sub(jiff::SignedDuration::from_hours(24 * 30))
                .unwrap_or(now),
            expires_at: None,
            is_default: true,
            restored_from: None,
            restore_status: None,
        };
        Self {
            plan: "scale_v3".to_owned(),
            history_seconds: 7 * 86_400,
            store_passwords: true,
            refuses_expiry: false,
            refuses_addresses: false,
            odd_words: false,
            failing: Vec::new(),
            branches: vec![main],
            endpoints: vec![Endpoint { id: ENDPOINT.to_owned(), branch: MAIN.to_owned() }],
            snapshots: Vec::new(),
            operations: Vec::new(),
            schedule: serde_json::json!([]),
            moments: Vec::new(),
            pace,
            count: 0,
        }
    }

    pub(super) fn id(&mut self, kind: &str) -> String {
        self.count += 1;
        format!("{kind}-fake-{:06}", self.count)
    }

    pub(super) fn main_id(&self) -> String {
        let main = self.endpoints.iter().find(|endpoint| endpoint.id == ENDPOINT);
        main.map_or_else(|| MAIN.to_owned(), |endpoint| endpoint.branch.clone())
    }

    pub(super) fn remember(&mut self, at: Timestamp, name: String) {
        self.moments.push((at, name));
    }

    pub(super) fn branch(&self, id: &str) -> Option<&Branch> {
        self.branches.iter().find(|branch| branch.id == id)
    }

    pub(super) fn add_branch(
        &mut self,
        name: &str,
        parent: Option<String>,
        created_at: Timestamp,
        expires_at: Option<Timestamp>,
    ) -> String {
        let id = self.id("br");
        self.branches.push(Branch {
            id: id.clone(),
            name: name.to_owned(),
            parent,
            created_at,
            expires_at,
            is_default: false,
            restored_from: None,
            restore_status: None,
        });
        id
    }

    pub(super) fn add_endpoint(&mut self, branch: &str) -> Endpoint {
        let endpoint = Endpoint { id: self.id("ep"), branch: branch.to_owned() };
        self.endpoints.push(endpoint.clone());
        endpoint
    }

    /// Begins operations one after the other.
    pub(super) fn begin(
        &mut self,
        branch: &str,
        actions: &[&str],
        now: Timestamp,
    ) -> Vec<Operation> {
        let mut ends_at = now;
        let mut begun = Vec::new();
        for action in actions {
            self.count += 1;
            ends_at = ends_at.saturating_add(self.pace).unwrap_or(ends_at);
            let fails = self.failing.iter().position(|failing| failing == action);
            let operation = Operation {
                id: format!("00000000-0000-4000-8000-{:012}", self.count),
                branch: branch.to_owned(),
                action: (*action).to_owned(),
                created_at: now,
                ends_at,
                fails: fails.map(|at| self.failing.remove(at)).is_some(),
            };
            self.operations.push(operation.clone());
            begun.push(operation);
        }
        begun
    }

    /// Whether something is under way: Neon then answers changes with 423.
    pub(super) fn is_busy(&self, now: Timestamp) -> bool {
        self.operations.iter().any(|operation| operation.ends_at > now)
    }

    /// Snapshots and branches that have expired are gone.
    pub(super) fn expire(&mut self, now: Timestamp) -> Vec<String> {
        let expired = |at: Option<Timestamp>| at.is_some_and(|at| at <= now);
        self.snapshots.retain(|snapshot| !expired(snapshot.expires_at));
        let gone: Vec<String> =
            self.branches.iter().filter(|b| expired(b.expires_at)).map(|b| b.id.clone()).collect();
        self.branches.retain(|branch| !gone.contains(&branch.id));
        gone
    }
}
