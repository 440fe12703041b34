//! A fake of PlanetScale: a PostgreSQL database with branches, backups and roles, or a MySQL
//! database with passwords and keyspaces.

mod answer;
mod mysql;
mod shape;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use backup_core::port::Clock;
use jiff::Timestamp;

use super::{Ask, Contract, Estate, FakeVendor, MysqlEstate, Reply, Vendor};
use crate::sync::lock;

/// The service token that the fake takes.
pub const TOKEN: &str = "tokenid0001:pscale_tkn_only_for_tests";
/// The organization.
pub const ORGANIZATION: &str = "shop-inc";
/// The database.
pub const DATABASE: &str = "shop";
/// Its first branch.
pub const MAIN: &str = "main";
/// What every password holds that the fake hands out.
pub const PASSWORD: &str = "pscale_pw_only_for_tests";

/// PlanetScale, served. Its branches are servers of an [`Estate`], by their names, where there is
/// one.
#[derive(Clone)]
pub struct FakePlanetscale {
    state: Arc<Mutex<State>>,
    clock: Arc<dyn Clock>,
    estate: Option<Arc<Estate>>,
    mysql: Option<Arc<MysqlEstate>>,
}

struct State {
    kind: &'static str,
    safe_migrations: bool,
    restores_to_production: bool,
    pace: Duration,
    count: u32,
    at_limit: bool,
    failing: bool,
    odd_words: bool,
    branches: Vec<Branch>,
    backups: Vec<Backup>,
    roles: Vec<Role>,
    passwords: Vec<Password>,
    moments: Vec<(Timestamp, String)>,
}

#[derive(Clone)]
struct Branch {
    id: String,
    name: String,
    parent: Option<String>,
    created_at: Timestamp,
    ready_at: Timestamp,
    production: bool,
}

#[derive(Clone)]
struct Backup {
    id: String,
    name: String,
    created_at: Timestamp,
    done_at: Timestamp,
    expires_at: Option<Timestamp>,
    protected: bool,
    required: bool,
    failed: bool,
}

#[derive(Clone)]
struct Role {
    id: String,
    branch: String,
    name: String,
    expires_at: Timestamp,
}

#[derive(Clone)]
struct Password {
    id: String,
    branch: String,
    role: String,
    expires_at: Timestamp,
}

impl std::fmt::Debug for FakePlanetscale {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("FakePlanetscale").field("estate", &self.estate).finish_non_exhaustive()
    }
}

impl FakePlanetscale {
    /// Makes a database of one production branch, `main`. Backups and branches take `pace` by the
    /// clock. The estate's first branch must be called [`MAIN`].
    #[must_use]
    pub fn new(clock: Arc<dyn Clock>, pace: Duration, estate: Option<Arc<Estate>>) -> Self {
        let now = clock.now();
        let main = Branch {
            id: "branch000001".into(),
            name: MAIN.into(),
            parent: None,
            created_at: now,
            ready_at: now,
            production: true,
        };
        let state = State {
            kind: "postgresql",
            safe_migrations: false,
            restores_to_production: false,
            pace,
            count: 0,
            at_limit: false,
            failing: false,
            odd_words: false,
            branches: vec![main],
            backups: Vec::new(),
            roles: Vec::new(),
            passwords: Vec::new(),
            moments: Vec::new(),
        };
        Self { state: Arc::new(Mutex::new(state)), clock, estate, mysql: None }
    }

    /// Makes a MySQL database of one production branch, `main`; branches are those of the estate,
    /// where there is one.
    #[must_use]
    pub fn mysql(clock: Arc<dyn Clock>, pace: Duration, mysql: Option<Arc<MysqlEstate>>) -> Self {
        let fake = Self { mysql, ..Self::new(clock, pace, None) };
        lock(&fake.state).kind = "mysql";
        fake
    }

    /// Branches have safe migrations on.
    pub fn migrate_safely(&self) {
        lock(&self.state).safe_migrations = true;
    }

    /// Branches are production branches from their beginning.
    pub fn restore_to_production(&self) {
        lock(&self.state).restores_to_production = true;
    }

    /// Somebody makes a branch a production branch.
    pub fn promote(&self, branch: &str) {
        for known in &mut lock(&self.state).branches {
            known.production |= known.name == branch;
        }
    }

    /// Somebody makes a password for a branch.
    pub fn add_password(&self, branch: &str) {
        let mut state = lock(&self.state);
        let id = state.id("password");
        let (role, branch) = ("readwriter".to_owned(), branch.to_owned());
        let expires_at = self.clock.now();
        state.passwords.push(Password { id, branch, role, expires_at });
    }

    /// Serves it, held to PlanetScale's schema where that is at hand.
    pub async fn serve(&self) -> FakeVendor {
        FakeVendor::start(Arc::new(self.clone()), Contract::load("planetscale.openapi.json")).await
    }

    /// Serves it without comparing anything: for answers of later versions of the schema.
    pub async fn serve_unchecked(&self) -> FakeVendor {
        FakeVendor::start(Arc::new(self.clone()), None).await
    }

    /// Backups from now on fail.
    pub fn fail_backups(&self) {
        lock(&self.state).failing = true;
    }

    /// No branch can be restored any more.
    pub fn reach_limit(&self) {
        lock(&self.state).at_limit = true;
    }

    /// What is under way has a word for it that no schema knows.
    pub fn speak_of_the_future(&self) {
        lock(&self.state).odd_words = true;
    }

    /// Adds a backup of the vendor's own, which nobody may delete.
    pub fn add_required_backup(&self, created_at: Timestamp) {
        let mut state = lock(&self.state);
        let id = state.id("backup");
        state.backups.push(Backup {
            id,
            name: "automatic".into(),
            created_at,
            done_at: created_at,
            expires_at: None,
            protected: false,
            required: true,
            failed: false,
        });
    }

    /// Adds a branch that a run left behind, or that somebody made.
    pub fn add_branch(&self, name: &str, created_at: Timestamp) {
        let mut state = lock(&self.state);
        let id = state.id("branch");
        state.branches.push(Branch {
            id,
            name: name.to_owned(),
            parent: Some(MAIN.into()),
            created_at,
            ready_at: created_at,
            production: false,
        });
    }

    /// Keeps the data of `main` as it is now, so that this moment can be restored later.
    pub async fn remember(&self) -> Timestamp {
        let now = self.clock.now();
        if let Some(estate) = &self.estate {
            let name = format!("main@{}", now.as_nanosecond());
            let kept = estate.freeze(MAIN, &name).await;
            assert!(kept.is_ok(), "{kept:?}");
            lock(&self.state).moments.push((now, name));
        }
        now
    }

    /// The names of all branches.
    #[must_use]
    pub fn branches(&self) -> Vec<String> {
        lock(&self.state).branches.iter().map(|branch| branch.name.clone()).collect()
    }

    /// The names of all backups.
    #[must_use]
    pub fn backups(&self) -> Vec<String> {
        lock(&self.state).backups.iter().map(|backup| backup.name.clone()).collect()
    }

    /// The ids of all passwords that were made and not deleted.
    #[must_use]
    pub fn passwords(&self) -> Vec<String> {
        lock(&self.state).passwords.iter().map(|one| one.id.clone()).collect()
    }

    /// The names of all roles that were made and not deleted.
    #[must_use]
    pub fn roles(&self) -> Vec<String> {
        lock(&self.state).roles.iter().map(|role| role.name.clone()).collect()
    }
}

impl State {
    fn id(&mut self, kind: &str) -> String {
        self.count += 1;
        format!("{kind}{:06}", self.count)
    }
}

#[async_trait]
impl Vendor for FakePlanetscale {
    async fn reply(&self, ask: &Ask) -> Reply {
        answer::answer(self, ask).await
    }
}
