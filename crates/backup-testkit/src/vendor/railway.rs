//! A fake of Railway's GraphQL API: one environment with a database service, backups of its
//! volume, forks, and restores that are staged first.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use backup_core::port::Clock;
use jiff::Timestamp;
use serde_json::{Value, json};

use super::{Ask, Estate, Reply, Vendor};
use crate::sync::lock;

/// The project token that the fake takes.
pub const TOKEN: &str = "rw_only_for_tests_0123456789";
/// The account token that it takes.
pub const ACCOUNT: &str = "rwa_only_for_tests_0123456789";
/// Project, environment, service and volume.
pub const PROJECT: &str = "11111111-0000-4000-8000-000000000001";
/// The environment.
pub const ENVIRONMENT: &str = "22222222-0000-4000-8000-000000000001";
/// The database's service, and its branch of the estate.
pub const SERVICE: &str = "33333333-0000-4000-8000-000000000001";
const VOLUME_INSTANCE: &str = "44444444-0000-4000-8000-000000000001";
const VOLUME: &str = "55555555-0000-4000-8000-000000000001";
/// The password of the database, which nobody checks.
pub const PASSWORD: &str = "pw_only_for_tests_railway";
/// How long a workflow is not visible after it was started.
const INVISIBLE: Duration = Duration::from_secs(4);

/// Railway, served by [`FakeVendor`](super::FakeVendor).
#[derive(Clone)]
pub struct FakeRailway {
    state: Arc<Mutex<State>>,
    clock: Arc<dyn Clock>,
    estate: Option<Arc<Estate>>,
}

impl std::fmt::Debug for FakeRailway {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("FakeRailway").finish_non_exhaustive()
    }
}

struct State {
    pace: Duration,
    count: u32,
    services: Vec<Service>,
    volumes: Vec<Volume>,
    backups: Vec<Backup>,
    workflows: Vec<Workflow>,
    staged: Value,
    public: bool,
    tells_workflow: bool,
    failing: Option<&'static str>,
}

#[derive(Clone)]
struct Service {
    id: String,
    name: String,
    image: Option<String>,
    replicas: u32,
    deployment: String,
    deploys_until: Timestamp,
}

#[derive(Clone)]
struct Volume {
    instance: String,
    id: String,
    name: String,
    /// None once that is gone.
    service: Option<String>,
}

#[derive(Clone)]
struct Backup {
    id: String,
    name: String,
    at: Timestamp,
    locked: bool,
    scheduled: bool,
}

struct Workflow {
    id: String,
    begun: Timestamp,
    effect: Effect,
    error: Option<&'static str>,
    done: bool,
}

#[derive(Clone)]
enum Effect {
    Appear(String),
    Vanish(String),
    Stage,
    Fork(String),
}

impl FakeRailway {
    /// Makes an environment with a database and a web service. Workflows take `pace` by the clock.
    /// The estate's first branch must be called [`SERVICE`].
    #[must_use]
    pub fn new(clock: Arc<dyn Clock>, pace: Duration, estate: Option<Arc<Estate>>) -> Self {
        let now = clock.now();
        let service = |id: &str, name: &str, image: Option<&str>| Service {
            id: id.to_owned(),
            name: name.to_owned(),
            image: image.map(str::to_owned),
            replicas: 1,
            deployment: format!("deployment-of-{name}"),
            deploys_until: now,
        };
        let image = "ghcr.io/railwayapp-templates/postgres-ssl:17";
        let state = State {
            pace,
            count: 0,
            services: vec![
                service("33333333-0000-4000-8000-000000000009", "web", None),
                service(SERVICE, "Postgres", Some(image)),
            ],
            volumes: vec![Volume {
                instance: VOLUME_INSTANCE.to_owned(),
                id: VOLUME.to_owned(),
                name: "postgres-volume".to_owned(),
                service: Some(SERVICE.to_owned()),
            }],
            backups: Vec::new(),
            workflows: Vec::new(),
            staged: json!({}),
            public: true,
            tells_workflow: true,
            failing: None,
        };
        Self { state: Arc::new(Mutex::new(state)), clock, estate }
    }

    /// Adds a backup that somebody else, or the schedule, took.
    pub fn add_backup(&self, name: &str, at: Timestamp, scheduled: bool) -> String {
        let mut state = lock(&self.state);
        let id = state.id("66666666");
        let name = name.to_owned();
        state.backups.push(Backup { id: id.clone(), name, at, locked: false, scheduled });
        id
    }

    /// The names of all backups.
    #[must_use]
    pub fn backups(&self) -> Vec<String> {
        lock(&self.state).backups.iter().map(|one| one.name.clone()).collect()
    }

    /// The names of all services.
    #[must_use]
    pub fn services(&self) -> Vec<String> {
        lock(&self.state).services.iter().map(|one| one.name.clone()).collect()
    }

    /// How many volumes there are.
    #[must_use]
    pub fn volumes(&self) -> usize {
        lock(&self.state).volumes.len()
    }

    /// Somebody stages a change.
    pub fn stage(&self, patch: Value) {
        lock(&self.state).staged = patch;
    }

    /// Somebody stages a change of the web service beside what is staged.
    pub fn stage_beside(&self) {
        lock(&self.state).staged["services"]["33333333-0000-4000-8000-000000000009"] =
            json!({ "deploy": { "startCommand": "x" } });
    }

    /// Whether something is staged.
    #[must_use]
    pub fn is_staged(&self) -> bool {
        lock(&self.state).staged != json!({})
    }

    /// The database has no TCP proxy.
    pub fn without_proxy(&self) {
        lock(&self.state).public = false;
    }

    /// Workflows have no id that is told.
    pub fn keep_workflows_secret(&self) {
        lock(&self.state).tells_workflow = false;
    }

    /// The next workflow ends with this error.
    pub fn fail_next(&self, error: &'static str) {
        lock(&self.state).failing = Some(error);
    }

    /// The database has that many replicas.
    pub fn replicate(&self, count: u32) {
        for service in &mut lock(&self.state).services {
            service.replicas = count;
        }
    }

    /// Returns a connection string of the database, by the public proxy.
    #[must_use]
    pub fn url(&self, service: &str) -> String {
        let server = self.estate.as_ref().and_then(|estate| estate.server(service).ok());
        let port = server.map_or(31337, |server| server.port());
        format!(
            "postgresql://postgres:{PASSWORD}@monorail.proxy.rlwy.net:{port}/railway\
             ?hostaddr=127.0.0.1&sslmode=disable"
        )
    }

    async fn carry_out(&self, forks: Vec<String>, dropped: Vec<String>) {
        let Some(estate) = &self.estate else { return };
        for service in forks {
            let forked = estate.fork(SERVICE, &service).await;
            assert!(forked.is_ok(), "{forked:?}");
        }
        for service in dropped {
            estate.drop_branch(&service);
        }
    }
}

impl State {
    fn id(&mut self, kind: &str) -> String {
        self.count += 1;
        format!("{kind}-0000-4000-8000-{:012}", self.count + 100)
    }

    fn start(&mut self, effect: Effect, now: Timestamp) -> Value {
        let id = self.id("77777777");
        let error = self.failing.take();
        self.workflows.push(Workflow { id: id.clone(), begun: now, effect, error, done: false });
        json!({ "workflowId": self.tells_workflow.then_some(id) })
    }

    /// Lets workflows end whose time has come; returns the services that are forked now.
    fn settle(&mut self, now: Timestamp) -> Vec<String> {
        let pace = self.pace;
        let mut effects = Vec::new();
        for workflow in self.workflows.iter_mut().filter(|one| !one.done) {
            if workflow.begun.saturating_add(pace).is_ok_and(|ends| ends <= now) {
                workflow.done = true;
                effects.extend(workflow.error.is_none().then(|| workflow.effect.clone()));
            }
        }
        let mut forks = Vec::new();
        for effect in effects {
            match effect {
                Effect::Appear(name) => {
                    let id = self.id("66666666");
                    let backup = Backup { id, name, at: now, locked: false, scheduled: false };
                    self.backups.push(backup);
                }
                Effect::Vanish(id) => self.backups.retain(|one| one.id != id),
                Effect::Stage => {
                    let new = self.id("55555555");
                    self.staged = json!({
                        "services": { SERVICE: { "volumeMounts": {
                            new.as_str(): { "mountPath": "/var/lib/postgresql/data" } } } },
                        "volumes": { new.as_str(): { "isCreated": true },
                                     VOLUME: { "isDeleted": true } },
                    });
                }
                Effect::Fork(name) => {
                    let (id, deployment) = (self.id("33333333"), self.id("88888888"));
                    let (instance, volume) = (self.id("44444444"), self.id("55555555"));
                    self.volumes.push(Volume {
                        instance,
                        id: volume,
                        name: "shimmering-volume".to_owned(),
                        service: Some(id.clone()),
                    });
                    self.services.push(Service {
                        id: id.clone(),
                        name,
                        image: Some("ghcr.io/railwayapp-templates/postgres-ssl:17".to_owned()),
                        replicas: 1,
                        deployment,
                        deploys_until: now.saturating_add(pace).unwrap_or(now),
                    });
                    forks.push(id);
                }
            }
        }
        forks
    }

    fn workflow(&self, id: &str, now: Timestamp) -> Value {
        let Some(one) = self.workflows.iter().find(|one| one.id == id) else {
            return json!({ "status": "NotFound", "error": null });
        };
        let visible = one.begun.saturating_add(INVISIBLE).is_ok_and(|from| from <= now);
        let status = match (visible, one.done, one.error) {
            (false, ..) => "NotFound",
            (_, false, _) => "Running",
            (_, true, None) => "Complete",
            (_, true, Some(_)) => "Error",
        };
        let error = if status == "Error" { one.error } else { None };
        json!({ "status": status, "error": error })
    }

    fn service(&self, service: &Service, now: Timestamp) -> Value {
        let status = if service.deploys_until > now { "DEPLOYING" } else { "SUCCESS" };
        json!({
            "serviceId": service.id, "serviceName": service.name, "startCommand": null,
            "numReplicas": service.replicas, "source": { "image": service.image },
            "latestDeployment": { "id": service.deployment, "status": status },
        })
    }

    /// One service a page, so that pages are walked.
    fn page(all: &[Value], after: &Value) -> Value {
        let from = after.as_str().and_then(|text| text.parse().ok()).unwrap_or(0_usize);
        let page: Vec<Value> =
            all.iter().skip(from).take(1).map(|node| json!({ "node": node })).collect();
        let more = from + 1 < all.len();
        let end = more.then(|| (from + 1).to_string());
        json!({ "pageInfo": { "hasNextPage": more, "endCursor": end }, "edges": page })
    }
}

/// What the answers are made of.
struct Answered {
    data: Result<Value, &'static str>,
    forks: Vec<String>,
    dropped: Vec<String>,
}

#[async_trait]
impl Vendor for FakeRailway {
    async fn reply(&self, ask: &Ask) -> Reply {
        let header = |name: &str| ask.headers.get(name).map(String::as_str);
        let bearer = format!("Bearer {ACCOUNT}");
        let project = header("project-access-token");
        let refusal = match (project, header("authorization")) {
            (Some(_), Some(_)) => Some("Bad request"),
            (Some(TOKEN), None) => None,
            (None, Some(account)) if account == bearer => None,
            (Some(_), None) => Some("Project Token not found"),
            _ => Some("Not Authorized"),
        };
        if let Some(message) = refusal {
            return errors(message);
        }
        let document = ask.text("/query").unwrap_or_default().to_owned();
        let field = first_field(&document).unwrap_or_default().to_owned();
        let answered = self.answer(ask, &field, project.is_some());
        self.carry_out(answered.forks, answered.dropped).await;
        match answered.data {
            Ok(value) => Reply::ok(json!({ "data": { field: value } })),
            Err(message) => errors(message),
        }
    }
}

impl FakeRailway {
    fn answer(&self, ask: &Ask, field: &str, by_project_token: bool) -> Answered {
        let now = self.clock.now();
        let mut state = lock(&self.state);
        let forks = state.settle(now);
        let mut dropped = Vec::new();
        let text =
            |name: &str| ask.text(&format!("/variables/{name}")).unwrap_or_default().to_owned();
        let unknown = "Not Authorized";
        let is_volume = text("volume") == VOLUME_INSTANCE;
        let known = |state: &State| state.backups.iter().any(|one| one.id == text("backup"));
        let data = match field {
            "projectToken" if by_project_token => {
                Ok(json!({ "projectId": PROJECT, "environmentId": ENVIRONMENT }))
            }
            "project" if text("project") == PROJECT => {
                Ok(json!({ "name": "shop", "subscriptionType": "hobby" }))
            }
            "environment" if text("environment") == ENVIRONMENT => {
                Ok(self.environment(&state, ask, now))
            }
            "variables" => Ok(self.variables(&state, &text("service"))),
            "workflowStatus" => Ok(state.workflow(&text("id"), now)),
            "environmentStagedChanges" => Ok(json!({ "status": "STAGED", "patch": state.staged })),
            "volumeInstanceBackupList" if is_volume => Ok(list(&state)),
            "volumeInstanceBackupScheduleList" if is_volume => {
                Ok(json!([{ "kind": "DAILY", "retentionSeconds": 518_400 }]))
            }
            "volumeInstanceBackupScheduleUpdate" if is_volume => Ok(true.into()),
            "volumeInstanceBackupCreate" if is_volume => {
                Ok(state.start(Effect::Appear(text("name")), now))
            }
            "volumeInstanceBackupDelete"
                if state.backups.iter().any(|one| one.id == text("backup") && one.locked) =>
            {
                Err("Cannot delete a locked backup")
            }
            "volumeInstanceBackupDelete" if known(&state) => {
                Ok(state.start(Effect::Vanish(text("backup")), now))
            }
            "volumeInstanceBackupLock" if known(&state) => {
                for backup in state.backups.iter_mut().filter(|one| one.id == text("backup")) {
                    backup.locked = true;
                }
                Ok(true.into())
            }
            "volumeInstanceBackupRestore" if known(&state) => Ok(state.start(Effect::Stage, now)),
            "environmentPatchCommitStaged" => Ok(commit(&mut state, now)),
            "volumeInstancePITRRestore" if is_volume => {
                Ok(state.start(Effect::Fork(text("name")), now))
            }
            "serviceDelete" => {
                let id = text("service");
                state.services.retain(|one| one.id != id);
                // Its volumes stay, and are billed.
                for volume in &mut state.volumes {
                    volume.service.take_if(|service| *service == id);
                }
                dropped.push(id);
                Ok(true.into())
            }
            "volumeUpdate" if state.volumes.iter().any(|one| one.id == text("volume")) => {
                for volume in state.volumes.iter_mut().filter(|one| one.id == text("volume")) {
                    volume.name = text("name");
                }
                Ok(json!({ "id": text("volume") }))
            }
            "volumeDelete" => {
                let id = text("volume");
                state.volumes.retain(|one| one.id != id);
                Ok(true.into())
            }
            _ => Err(unknown),
        };
        Answered { data, forks, dropped }
    }

    fn environment(&self, state: &State, ask: &Ask, now: Timestamp) -> Value {
        let after = ask.field("/variables/after");
        let document = ask.text("/query").unwrap_or_default();
        if document.contains("volumeInstances") {
            let volumes: Vec<Value> = state
                .volumes
                .iter()
                .map(|one| {
                    json!({
                        "id": one.instance, "volumeId": one.id, "serviceId": one.service,
                        "state": "READY", "sizeMB": 5000, "currentSizeMB": 120.5,
                        "isPendingDeletion": false, "volume": { "name": one.name },
                    })
                })
                .collect();
            return json!({ "volumeInstances": State::page(&volumes, after) });
        }
        let services: Vec<Value> =
            state.services.iter().map(|one| state.service(one, now)).collect();
        json!({ "name": "production", "serviceInstances": State::page(&services, after) })
    }

    fn variables(&self, state: &State, service: &str) -> Value {
        if !state.services.iter().any(|one| one.id == service) {
            return json!({});
        }
        let private =
            format!("postgresql://postgres:{PASSWORD}@postgres.railway.internal:5432/railway");
        let mut variables = json!({ "DATABASE_URL": private, "PGPASSWORD": PASSWORD });
        if state.public {
            variables["DATABASE_PUBLIC_URL"] = self.url(service).into();
        }
        variables
    }
}

/// Applies what is staged: the service is deployed again, and its volume's newer backups are gone.
fn commit(state: &mut State, now: Timestamp) -> Value {
    let restores = state.staged["volumes"].get(VOLUME).is_some();
    state.staged = json!({});
    if restores {
        let deployment = state.id("88888888");
        let until = now.saturating_add(state.pace).unwrap_or(now);
        for service in state.services.iter_mut().filter(|one| one.id == SERVICE) {
            (service.deployment, service.deploys_until) = (deployment.clone(), until);
        }
    }
    "99999999-0000-4000-8000-000000000001".into()
}

fn list(state: &State) -> Value {
    let backups = state.backups.iter().map(|one| {
        let expires = one.at.saturating_add(jiff::SignedDuration::from_hours(144)).ok();
        json!({
            "id": one.id, "name": one.name, "createdAt": one.at,
            "expiresAt": expires.filter(|_| one.scheduled && !one.locked),
            "usedMB": 120, "referencedMB": 120, "scheduleId": one.scheduled.then_some("daily"),
        })
    });
    backups.collect()
}

fn errors(message: &str) -> Reply {
    Reply::ok(json!({ "errors": [{ "message": message }], "data": null }))
}

/// The first field of a document's selection.
fn first_field(document: &str) -> Option<&str> {
    let body = document.split_once('{')?.1.trim_start();
    body.split(|c: char| !c.is_ascii_alphanumeric()).next()
}
