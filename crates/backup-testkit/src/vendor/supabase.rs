//! A fake of Supabase's management API: one project with backups of its own, and restores in place
//! that take time.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use backup_core::port::Clock;
use jiff::Timestamp;
use serde_json::{Value, json};

use super::{Ask, Contract, FakeVendor, Reply, Vendor};
use crate::sync::lock;

/// The token that the fake takes.
pub const TOKEN: &str = "sbp_only_for_tests_0123456789abcdef";
/// The ref of its project.
pub const PROJECT: &str = "abcdefghijklmnopqrst";
const ORGANIZATION: &str = "tsrqponmlkjihgfedcba";

/// Supabase, served.
#[derive(Clone)]
pub struct FakeSupabase {
    state: Arc<Mutex<State>>,
    clock: Arc<dyn Clock>,
}

impl std::fmt::Debug for FakeSupabase {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("FakeSupabase").finish_non_exhaustive()
    }
}

struct State {
    plan: &'static str,
    ipv4: bool,
    status: &'static str,
    pitr: Option<(i64, i64)>,
    backups: Vec<(Timestamp, &'static str)>,
    restores: Vec<Restore>,
    /// How long the old status is still told after a restore was asked for.
    stale: Duration,
    /// How long the database takes to be well after the project is.
    settles: Duration,
    pace: Duration,
    fails: bool,
    forbidden: Vec<&'static str>,
}

#[derive(Clone, Copy)]
struct Restore {
    asked: Timestamp,
    target: i64,
    fails: bool,
}

impl FakeSupabase {
    /// Makes a project of the plan `pro` with daily backups and nothing else. Restores take `pace`
    /// by the clock.
    #[must_use]
    pub fn new(clock: Arc<dyn Clock>, pace: Duration) -> Self {
        let yesterday = clock.now().saturating_sub(jiff::SignedDuration::from_hours(20));
        let state = State {
            plan: "pro",
            ipv4: false,
            status: "ACTIVE_HEALTHY",
            pitr: None,
            backups: yesterday.into_iter().map(|at| (at, "COMPLETED")).collect(),
            restores: Vec::new(),
            stale: Duration::from_secs(20),
            settles: Duration::from_secs(30),
            pace,
            fails: false,
            forbidden: Vec::new(),
        };
        Self { state: Arc::new(Mutex::new(state)), clock }
    }

    /// Serves it, held to Supabase's schema where that is at hand.
    pub async fn serve(&self) -> FakeVendor {
        FakeVendor::start(Arc::new(self.clone()), Contract::load("supabase.openapi.json")).await
    }

    /// Switches point-in-time recovery on, with a window that ends `lag` ago.
    pub fn enable_pitr(&self, earliest: Timestamp, lag: Duration) {
        let latest = self.clock.now().as_second() - i64::try_from(lag.as_secs()).unwrap_or(0);
        lock(&self.state).pitr = Some((earliest.as_second(), latest));
    }

    /// Sets what is paid for, and which backups there are.
    pub fn settings(
        &self,
        plan: &'static str,
        ipv4: bool,
        backups: Vec<(Timestamp, &'static str)>,
    ) {
        let mut state = lock(&self.state);
        (state.plan, state.ipv4, state.backups) = (plan, ipv4, backups);
    }

    /// Restores begin at once, and the database is well as soon as the project is.
    pub fn hurry(&self) {
        let mut state = lock(&self.state);
        (state.stale, state.settles) = (Duration::ZERO, Duration::ZERO);
    }

    /// Sets the project's status.
    pub fn set_status(&self, status: &'static str) {
        lock(&self.state).status = status;
    }

    /// The next restore fails.
    pub fn fail_restore(&self) {
        lock(&self.state).fails = true;
    }

    /// Paths that hold this are forbidden to the token.
    pub fn forbid(&self, part: &'static str) {
        lock(&self.state).forbidden.push(part);
    }

    /// The moments that restores were asked for, in seconds.
    #[must_use]
    pub fn restored_to(&self) -> Vec<i64> {
        lock(&self.state).restores.iter().map(|restore| restore.target).collect()
    }

    /// What changes with every start of the project's server; nothing while it is down.
    #[must_use]
    pub fn started(&self) -> Option<String> {
        let state = lock(&self.state);
        let now = self.clock.now();
        let is_up = matches!(state.told(now), "ACTIVE_HEALTHY" | "ACTIVE_UNHEALTHY");
        let done = state.restores.iter().filter(|restore| state.ends(restore) <= now).count();
        is_up.then(|| format!("start {done}"))
    }
}

impl State {
    fn ends(&self, restore: &Restore) -> Timestamp {
        restore.asked.saturating_add(self.stale + self.pace).unwrap_or(restore.asked)
    }

    fn told(&self, now: Timestamp) -> &'static str {
        let Some(last) = self.restores.last() else { return self.status };
        let begins = last.asked.saturating_add(self.stale).unwrap_or(last.asked);
        if now < begins {
            "ACTIVE_HEALTHY"
        } else if now < self.ends(last) {
            "RESTORING"
        } else if last.fails {
            "RESTORE_FAILED"
        } else {
            self.status
        }
    }

    fn answer(&mut self, ask: &Ask, path: &[&str], now: Timestamp) -> Reply {
        match (ask.method.as_str(), path) {
            ("GET", ["v1", "organizations", ORGANIZATION]) => Reply::ok(json!({
                "id": ORGANIZATION, "name": "Example", "plan": self.plan,
                "opt_in_tags": [], "allowed_release_channels": ["ga"],
            })),
            ("GET", ["v1", "projects", PROJECT]) => Reply::ok(self.project(now)),
            ("GET", ["v1", "projects", PROJECT, "health"]) => {
                let settled = self.restores.last().is_none_or(|last| {
                    now >= self.ends(last).saturating_add(self.settles).unwrap_or(now)
                });
                let status = if settled { "ACTIVE_HEALTHY" } else { "COMING_UP" };
                Reply::ok(json!([{ "name": "db", "healthy": settled, "status": status }]))
            }
            ("GET", ["v1", "projects", PROJECT, "database", "backups"]) => {
                Reply::ok(self.list_backups())
            }
            ("GET", ["v1", "projects", PROJECT, "billing", "addons"]) => Reply::ok(self.addons()),
            ("GET", ["v1", "projects", PROJECT, "config", "database", "pooler"]) => {
                Reply::ok(pooler())
            }
            ("POST", ["v1", "projects", PROJECT, "database", "backups", "restore-pitr"]) => {
                self.restore(ask, now)
            }
            _ => refuse(404, "Not found"),
        }
    }

    fn restore(&mut self, ask: &Ask, now: Timestamp) -> Reply {
        let Some((earliest, latest)) = self.pitr else {
            return refuse(400, "PITR is not enabled for this project.");
        };
        let target = ask.field("/recovery_time_target_unix").as_i64().unwrap_or_default();
        if target < earliest || target > latest {
            return refuse(400, "Recovery time target is out of range.");
        }
        let fails = std::mem::take(&mut self.fails);
        self.restores.push(Restore { asked: now, target, fails });
        Reply::empty(201)
    }

    fn project(&self, now: Timestamp) -> Value {
        json!({
            "id": PROJECT, "ref": PROJECT, "organization_id": ORGANIZATION,
            "organization_slug": ORGANIZATION, "name": "shop", "region": "eu-central-1",
            "created_at": "2025-01-01T00:00:00Z", "status": self.told(now),
            "database": {
                "host": format!("db.{PROJECT}.supabase.co"), "version": "17.6.1.111",
                "postgres_engine": "17", "release_channel": "ga",
            },
        })
    }

    fn list_backups(&self) -> Value {
        let physical = match self.pitr {
            Some((earliest, latest)) => json!({
                "earliest_physical_backup_date_unix": earliest,
                "latest_physical_backup_date_unix": latest,
            }),
            None => json!({}),
        };
        let backups = self.backups.iter().enumerate().map(|(id, (at, status))| {
            json!({
                "id": id, "is_physical_backup": true, "status": status, "inserted_at": at.to_string(),
            })
        });
        json!({
            "region": "eu-central-1", "walg_enabled": true, "pitr_enabled": self.pitr.is_some(),
            "backups": backups.collect::<Vec<_>>(), "physical_backup_data": physical,
        })
    }

    fn addons(&self) -> Value {
        let one = |kind: &str, id: &str| {
            json!({ "type": kind, "variant": { "id": id, "name": id, "price": {
                "description": "", "type": "fixed", "interval": "monthly", "amount": 4 } } })
        };
        let mut selected = vec![one("compute_instance", "ci_small")];
        selected.extend(self.pitr.map(|_| one("pitr", "pitr_7")));
        selected.extend(self.ipv4.then(|| one("ipv4", "ipv4_default")));
        json!({ "selected_addons": selected, "available_addons": [] })
    }
}

fn pooler() -> Value {
    let host = "aws-0-eu-central-1.pooler.supabase.com";
    let text = format!("postgresql://postgres.{PROJECT}:[YOUR-PASSWORD]@{host}:6543/postgres");
    json!([{
        "identifier": PROJECT, "database_type": "PRIMARY", "is_using_scram_auth": true,
        "db_user": format!("postgres.{PROJECT}"), "db_host": host, "db_port": 6543,
        "db_name": "postgres", "connection_string": text, "connectionString": text,
        "default_pool_size": null, "max_client_conn": null, "pool_mode": "transaction",
    }])
}

fn refuse(status: u16, message: &str) -> Reply {
    Reply::json(status, json!({ "message": message }))
}

#[async_trait]
impl Vendor for FakeSupabase {
    async fn reply(&self, ask: &Ask) -> Reply {
        let allowed = format!("Bearer {TOKEN}");
        if ask.headers.get("authorization") != Some(&allowed) {
            return refuse(401, "Unauthorized");
        }
        let mut state = lock(&self.state);
        if state.forbidden.iter().any(|part| ask.path.contains(part)) {
            return refuse(403, "Your account does not have the necessary privileges");
        }
        let segments = ask.segments();
        let path: Vec<&str> = segments.iter().map(String::as_str).collect();
        let reply = state.answer(ask, &path, self.clock.now());
        reply
            .header("x-ratelimit-limit", 120)
            .header("x-ratelimit-remaining", 119)
            .header("x-ratelimit-reset", 60)
    }

    fn refusal(&self, _status: u16, message: &str) -> Value {
        json!({ "message": message })
    }
}
