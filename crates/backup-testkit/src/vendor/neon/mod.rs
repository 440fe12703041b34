//! A fake of Neon: a project with branches, computes, snapshots and operations that take time.

mod answer;
mod shape;
mod state;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use backup_core::port::Clock;
use jiff::Timestamp;

use super::{Ask, Contract, Estate, FakeVendor, Reply, Vendor};
use crate::sync::lock;
use state::State;

/// The API key that the fake takes.
pub const KEY: &str = "napi_only_for_tests_0123456789";
/// The id of its project.
pub const PROJECT: &str = "quiet-moon-123456";
/// The id of its first branch, and the endpoint that leads to it.
pub const MAIN: &str = "br-main-000001";
/// The endpoint of the first branch.
pub const ENDPOINT: &str = "ep-main-000001";
/// The role and the database of the first branch.
pub const ROLE: &str = "shop_owner";
/// The password of that role, which nobody checks.
pub const PASSWORD: &str = "npg_only_for_tests";

/// Neon, served. Its branches are servers of an [`Estate`], by their ids, where there is one.
#[derive(Clone)]
pub struct FakeNeon {
    state: Arc<Mutex<State>>,
    clock: Arc<dyn Clock>,
    estate: Option<Arc<Estate>>,
}

impl std::fmt::Debug for FakeNeon {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("FakeNeon").field("estate", &self.estate).finish_non_exhaustive()
    }
}

impl FakeNeon {
    /// Makes a project of one branch, `main`. Operations take `pace` by the clock. The estate's
    /// first branch must be called [`MAIN`].
    #[must_use]
    pub fn new(clock: Arc<dyn Clock>, pace: Duration, estate: Option<Arc<Estate>>) -> Self {
        let state = Arc::new(Mutex::new(State::new(clock.now(), pace)));
        Self { state, clock, estate }
    }

    /// Serves it, held to Neon's schema where that is at hand.
    pub async fn serve(&self) -> FakeVendor {
        FakeVendor::start(Arc::new(self.clone()), Contract::load("neon.openapi.json")).await
    }

    /// Serves it without comparing anything: for answers of later versions of the schema.
    pub async fn serve_unchecked(&self) -> FakeVendor {
        FakeVendor::start(Arc::new(self.clone()), None).await
    }

    /// Returns the connection string of a database of `main`, direct or through the pooler.
    #[must_use]
    pub fn url(&self, database: &str, pooled: bool) -> String {
        let endpoint = if pooled { format!("{ENDPOINT}-pooler") } else { ENDPOINT.to_owned() };
        self.uri(MAIN, &endpoint, ROLE, database)
    }

    fn uri(&self, branch: &str, endpoint: &str, role: &str, database: &str) -> String {
        let server = self.estate.as_ref().and_then(|estate| estate.server(branch).ok());
        let port = server.map_or(5432, |server| server.port());
        format!(
            "postgresql://{role}:{PASSWORD}@{endpoint}.eu-central-1.aws.neon.tech:{port}/{database}\
             ?hostaddr=127.0.0.1&sslmode=disable"
        )
    }

    /// Keeps the data of `main` as it is now, so that a branch of this moment can be made later.
    pub async fn remember(&self) -> Timestamp {
        let now = self.clock.now();
        let main = lock(&self.state).main_id();
        if let Some(estate) = &self.estate {
            let name = format!("{main}@{}", now.as_nanosecond());
            let kept = estate.freeze(&main, &name).await;
            assert!(kept.is_ok(), "{kept:?}");
            lock(&self.state).remember(now, name);
        }
        now
    }

    /// Makes this moment one that can be restored, without data.
    pub fn remember_only(&self) -> Timestamp {
        let now = self.clock.now();
        lock(&self.state).remember(now, format!("moment-{}", now.as_nanosecond()));
        now
    }

    /// What is under way ends now, and operations take no time from now on.
    pub fn hurry(&self) {
        let now = self.clock.now();
        let mut state = lock(&self.state);
        state.pace = Duration::ZERO;
        for operation in &mut state.operations {
            operation.ends_at = operation.ends_at.min(now);
        }
    }

    /// The next operations of this action fail.
    pub fn fail_next(&self, action: &str) {
        lock(&self.state).failing.push(action.to_owned());
    }

    /// Running operations have a word for it that no schema knows.
    pub fn speak_of_the_future(&self) {
        lock(&self.state).odd_words = true;
    }

    /// Plan, history and passwords of the project.
    pub fn settings(&self, plan: &str, history_seconds: i64, store_passwords: bool) {
        let mut state = lock(&self.state);
        state.plan = plan.to_owned();
        state.history_seconds = history_seconds;
        state.store_passwords = store_passwords;
    }

    /// The account may not set an expiry of branches.
    pub fn refuse_expiry(&self) {
        lock(&self.state).refuses_expiry = true;
    }

    /// Without stored passwords no connection string is handed out at all.
    pub fn refuse_addresses(&self) {
        lock(&self.state).refuses_addresses = true;
    }

    /// The names of all branches.
    #[must_use]
    pub fn branches(&self) -> Vec<String> {
        lock(&self.state).branches.iter().map(|branch| branch.name.clone()).collect()
    }

    /// The names of all snapshots.
    #[must_use]
    pub fn snapshots(&self) -> Vec<String> {
        lock(&self.state).snapshots.iter().map(|snapshot| snapshot.name.clone()).collect()
    }

    /// Adds a snapshot that somebody else, or the schedule, took.
    pub fn add_snapshot(&self, name: &str, created_at: Timestamp, manual: bool) {
        let mut state = lock(&self.state);
        let id = state.id("snap");
        let branch = state.main_id();
        state.snapshots.push(state::Snapshot {
            id,
            name: name.to_owned(),
            branch,
            created_at,
            expires_at: None,
            manual,
        });
    }

    /// Adds a branch that somebody else made, or that a run left behind.
    pub fn add_branch(&self, name: &str, created_at: Timestamp) -> String {
        let mut state = lock(&self.state);
        let parent = state.main_id();
        state.add_branch(name, Some(parent), created_at, None)
    }
}

#[async_trait]
impl Vendor for FakeNeon {
    async fn reply(&self, ask: &Ask) -> Reply {
        answer::answer(self, ask).await
    }
}
