//! How Neon answers.

use jiff::Timestamp;
use serde_json::{Value, json};

use super::state::Snapshot;
use super::{Ask, FakeNeon, KEY, PROJECT, Reply, shape};
use crate::sync::lock;

/// What has to be done to the data, once the state has changed.
enum Data {
    Fork(String, String),
    Freeze(String, String),
    Drop(Vec<String>),
}

pub(super) async fn answer(fake: &FakeNeon, ask: &Ask) -> Reply {
    if ask.headers.get("authorization").map(String::as_str) != Some(&format!("Bearer {KEY}")) {
        return refuse(401, "authentication required");
    }
    let segments = ask.segments();
    let path: Vec<&str> = segments.iter().map(String::as_str).collect();
    let now = fake.clock.now();
    let expired = lock(&fake.state).expire(now);
    carry_out(fake, vec![Data::Drop(expired)]).await;
    let path = match path.as_slice() {
        ["projects"] if ask.method == "GET" => {
            let state = lock(&fake.state);
            return Reply::ok(json!({ "projects": [shape::listed_project(&state, now)], "pagination": { "cursor": PROJECT }, "applications": {}, "integrations": {} }))
                .page(ask);
        }
        ["projects", project, rest @ ..] if *project == PROJECT => rest,
        _ => return refuse(404, "no such project"),
    };
    if ask.method == "GET" {
        return read(fake, ask, path, now);
    }
    let (reply, data) = {
        let mut state = lock(&fake.state);
        if state.is_busy(now) {
            return refuse(
                423,
                "project already has running operations, scheduling of new ones is prohibited",
            );
        }
        change(&mut state, ask, path, now)
    };
    carry_out(fake, data).await;
    reply
}

fn read(fake: &FakeNeon, ask: &Ask, path: &[&str], now: Timestamp) -> Reply {
    let state = lock(&fake.state);
    match path {
        [] => Reply::ok(json!({ "project": shape::project(&state, now) })),
        ["branches"] => {
            let search = ask.param("search").unwrap_or_default();
            let found =
                state.branches.iter().filter(|b| b.name.contains(search) || b.id.contains(search));
            let all: Vec<Value> = found.map(|branch| shape::branch(branch, &state, now)).collect();
            // One a page, so that pages are walked.
            let from: usize =
                ask.param("cursor").and_then(|cursor| cursor.parse().ok()).unwrap_or_default();
            let page: Vec<&Value> = all.iter().skip(from).take(2).collect();
            let mut pagination = json!({ "sort_by": "updated_at", "sort_order": "DESC" });
            if from + 2 < all.len() {
                pagination["next"] = (from + 2).to_string().into();
            }
            Reply::ok(json!({ "branches": page, "annotations": {}, "pagination": pagination }))
        }
        ["branches", id] => match state.branch(id) {
            Some(branch) => Reply::ok(
                json!({ "branch": shape::branch(branch, &state, now), "annotation": { "object": { "type": "console/branch", "id": branch.id }, "value": {} } }),
            ),
            None => refuse(404, "branch not found"),
        },
        ["branches", id, "backup_schedule"] => match state.branch(id) {
            Some(branch) if branch.parent.is_none() => {
                Reply::ok(json!({ "schedule": state.schedule }))
            }
            _ => refuse(404, "branch not found"),
        },
        ["endpoints"] => Reply::ok(
            json!({ "endpoints": state.endpoints.iter().map(|e| shape::endpoint(e, now)).collect::<Value>() }),
        ),
        ["snapshots"] => Reply::ok(
            json!({ "snapshots": state.snapshots.iter().map(shape::snapshot).collect::<Value>() }),
        ),
        ["operations"] => Reply::ok(
            json!({ "operations": shape::operations(&state.operations, &state, now), "pagination": { "cursor": "end" } }),
        ),
        ["operations", id] => match state.operations.iter().find(|operation| operation.id == *id) {
            Some(operation) => {
                Reply::ok(json!({ "operation": shape::operation(operation, &state, now) }))
            }
            None => refuse(404, "operation not found"),
        },
        ["connection_uri"] => {
            let branch = ask.param("branch_id").map_or_else(|| state.main_id(), str::to_owned);
            let endpoint = state.endpoints.iter().find(|endpoint| endpoint.branch == branch);
            let Some(endpoint) = endpoint else { return refuse(404, "endpoint not found") };
            let (role, database) = (ask.param("role_name"), ask.param("database_name"));
            let role = role.unwrap_or_default();
            let mut uri = fake.uri(&branch, &endpoint.id, role, database.unwrap_or_default());
            if !state.store_passwords {
                if state.refuses_addresses {
                    return refuse(412, "the project does not store passwords");
                }
                uri = uri.replace(&format!("{role}:{}@", super::PASSWORD), &format!("{role}@"));
            }
            Reply::ok(json!({ "uri": uri }))
        }
        _ => refuse(404, "not found"),
    }
}

fn change(
    state: &mut super::State,
    ask: &Ask,
    path: &[&str],
    now: Timestamp,
) -> (Reply, Vec<Data>) {
    let no = |status, message: &str| (refuse(status, message), Vec::new());
    let made = |state: &super::State, id: &str, operations: &[super::state::Operation]| {
        let branch = state.branch(id).map(|branch| shape::branch(branch, state, now));
        json!({ "branch": branch, "operations": shape::operations(operations, state, now) })
    };
    match (ask.method.as_str(), path) {
        ("POST", ["branches"]) => {
            let name = ask.text("/branch/name").unwrap_or("unnamed").to_owned();
            if state.branches.iter().any(|branch| branch.name == name) {
                return no(409, "branch name already exists");
            }
            let expires_at = ask.text("/branch/expires_at").and_then(|at| at.parse().ok());
            if expires_at.is_some() && state.refuses_expiry {
                return no(400, "branch expiration is not allowed for this account");
            }
            let parent =
                ask.text("/branch/parent_id").map_or_else(|| state.main_id(), str::to_owned);
            if state.branch(&parent).is_none() {
                return no(404, "parent branch not found");
            }
            let at =
                ask.text("/branch/parent_timestamp").and_then(|at| at.parse::<Timestamp>().ok());
            let earliest =
                now.saturating_sub(jiff::SignedDuration::from_secs(state.history_seconds));
            if at.is_some_and(|at| at > now || earliest.is_ok_and(|earliest| at < earliest)) {
                return no(400, "parent timestamp is outside of the history retention window");
            }
            let from = match at {
                Some(at) => state
                    .moments
                    .iter()
                    .rev()
                    .find(|(known, _)| *known <= at)
                    .map(|(_, name)| name.clone()),
                None => None,
            };
            let id = state.add_branch(&name, Some(parent.clone()), now, expires_at);
            let endpoint = state.add_endpoint(&id);
            let operations = state.begin(&id, &["create_branch", "start_compute"], now);
            let mut body = made(state, &id, &operations);
            body["endpoints"] = json!([shape::endpoint(&endpoint, now)]);
            body["roles"] = json!([]);
            body["databases"] = json!([]);
            (Reply::json(201, body), vec![Data::Fork(from.unwrap_or(parent), id)])
        }
        ("DELETE", ["branches", id]) => {
            let Some(branch) = state.branch(id).cloned() else {
                return no(404, "branch not found");
            };
            let children = state.branches.iter().any(|other| other.parent.as_deref() == Some(*id));
            if branch.is_default
                || branch.parent.is_none() && branch.restored_from.is_none()
                || children
            {
                return no(
                    422,
                    "cannot delete a root branch, a default branch or one with children",
                );
            }
            let operations = state.begin(id, &["suspend_compute", "delete_timeline"], now);
            let body = made(state, id, &operations);
            state.branches.retain(|other| other.id != *id);
            state.endpoints.retain(|endpoint| endpoint.branch != *id);
            (Reply::ok(body), vec![Data::Drop(vec![(*id).to_owned()])])
        }
        ("POST", ["branches", id, "snapshot"]) => {
            let Some(branch) = state.branch(id) else { return no(404, "branch not found") };
            if branch.parent.is_some() {
                return no(422, "snapshots are taken of root branches only");
            }
            let snapshot = Snapshot {
                id: state.id("snap"),
                name: ask.param("name").unwrap_or("unnamed").to_owned(),
                branch: (*id).to_owned(),
                created_at: now,
                expires_at: ask.param("expires_at").and_then(|at| at.parse().ok()),
                manual: true,
            };
            let operations = state.begin(id, &["create_timeline"], now);
            let body = json!({ "snapshot": shape::snapshot(&snapshot), "operations": shape::operations(&operations, state, now) });
            let data = vec![Data::Freeze((*id).to_owned(), snapshot.id.clone())];
            state.snapshots.push(snapshot);
            (Reply::ok(body), data)
        }
        ("DELETE", ["snapshots", id]) => {
            let before = state.snapshots.len();
            state.snapshots.retain(|snapshot| snapshot.id != *id);
            if state.snapshots.len() == before {
                return no(404, "snapshot not found");
            }
            let main = state.main_id();
            let operations = state.begin(&main, &["delete_timeline"], now);
            let body = json!({ "operations": shape::operations(&operations, state, now) });
            (Reply::json(202, body), vec![Data::Drop(vec![(*id).to_owned()])])
        }
        ("POST", ["snapshots", id, "restore"]) => restore(state, ask, id, now),
        ("POST", ["branches", id, "restore"]) => put_back(state, ask, id, now),
        ("POST", ["endpoints"]) => {
            let branch = ask.text("/endpoint/branch_id").unwrap_or_default().to_owned();
            if state.endpoints.iter().any(|endpoint| endpoint.branch == branch) {
                return no(409, "the branch has a read-write endpoint already");
            }
            let endpoint = state.add_endpoint(&branch);
            let operations = state.begin(&branch, &["start_compute"], now);
            let body = json!({ "endpoint": shape::endpoint(&endpoint, now), "operations": shape::operations(&operations, state, now) });
            (Reply::json(201, body), Vec::new())
        }
        ("PUT", ["branches", _, "backup_schedule"]) => {
            state.schedule = ask.field("/schedule").clone();
            (Reply::ok(json!({})), Vec::new())
        }
        _ => no(404, "not found"),
    }
}

fn restore(state: &mut super::State, ask: &Ask, id: &str, now: Timestamp) -> (Reply, Vec<Data>) {
    let Some(snapshot) = state.snapshots.iter().find(|snapshot| snapshot.id == id).cloned() else {
        return (refuse(404, "snapshot not found"), Vec::new());
    };
    let target = ask.text("/target_branch_id").map_or(snapshot.branch, str::to_owned);
    let finalize = ask.field("/finalize_restore") == true;
    let name = ask.text("/name").map_or_else(|| format!("restored-{id}"), str::to_owned);
    let made = state.add_branch(&name, None, now, None);
    let old_name = state.branch(&target).map(|branch| branch.name.clone()).unwrap_or_default();
    for branch in &mut state.branches {
        if branch.id == made {
            branch.restored_from = Some(id.to_owned());
            branch.restore_status =
                Some(if finalize { "finalized" } else { "restored" }.to_owned());
            branch.is_default = finalize;
            if finalize {
                branch.name.clone_from(&old_name);
            }
        } else if branch.id == target && finalize {
            branch.name = format!("{old_name} (old)");
            branch.is_default = false;
        }
    }
    if finalize {
        // Addresses go with the name.
        for endpoint in state.endpoints.iter_mut().filter(|endpoint| endpoint.branch == target) {
            endpoint.branch.clone_from(&made);
        }
    }
    let operations = state.begin(&made, &["create_branch"], now);
    let branch = state.branch(&made).map(|branch| shape::branch(branch, state, now));
    let body =
        json!({ "branch": branch, "operations": shape::operations(&operations, state, now) });
    (Reply::ok(body), vec![Data::Fork(id.to_owned(), made)])
}

fn put_back(state: &mut super::State, ask: &Ask, id: &str, now: Timestamp) -> (Reply, Vec<Data>) {
    let Some(branch) = state.branch(id).cloned() else {
        return (refuse(404, "branch not found"), Vec::new());
    };
    let Some(keep_as) = ask.text("/preserve_under_name") else {
        return (
            refuse(422, "preserve_under_name is required to restore a branch to itself"),
            Vec::new(),
        );
    };
    let at =
        ask.text("/source_timestamp").and_then(|at| at.parse::<Timestamp>().ok()).unwrap_or(now);
    let moment =
        state.moments.iter().rev().find(|(known, _)| *known <= at).map(|(_, name)| name.clone());
    let Some(moment) = moment else {
        return (refuse(400, "outside of the history retention window"), Vec::new());
    };
    let kept = state.add_branch(keep_as, None, now, None);
    for child in state.branches.iter_mut().filter(|child| child.parent.as_deref() == Some(id)) {
        child.parent = Some(kept.clone());
    }
    let operations = state.begin(id, &["create_branch", "start_compute"], now);
    let body = json!({ "branch": shape::branch(&branch, state, now), "operations": shape::operations(&operations, state, now) });
    let data = vec![
        Data::Fork(id.to_owned(), kept),
        Data::Drop(vec![id.to_owned()]),
        Data::Fork(moment, id.to_owned()),
    ];
    (Reply::ok(body), data)
}

async fn carry_out(fake: &FakeNeon, data: Vec<Data>) {
    let Some(estate) = &fake.estate else { return };
    for step in data {
        let done = match step {
            Data::Fork(from, to) => estate.fork(&from, &to).await,
            Data::Freeze(from, to) => estate.freeze(&from, &to).await,
            Data::Drop(names) => {
                names.iter().for_each(|name| estate.drop_branch(name));
                Ok(())
            }
        };
        assert!(done.is_ok(), "the fake's data plane: {done:?}");
    }
}

impl Reply {
    /// The last page is empty and repeats the cursor, as Neon's is.
    fn page(mut self, ask: &Ask) -> Self {
        if ask.param("cursor").is_some()
            && let Some(projects) = self.body.as_mut().and_then(|body| body.get_mut("projects"))
        {
            *projects = json!([]);
        }
        self
    }
}

fn refuse(status: u16, message: &str) -> Reply {
    Reply::json(status, json!({ "request_id": "req-fake-1", "code": "", "message": message }))
}
