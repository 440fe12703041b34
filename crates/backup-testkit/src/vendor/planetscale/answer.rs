//! How PlanetScale answers.

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use super::{
    Ask, Backup, Branch, DATABASE, FakePlanetscale, MAIN, ORGANIZATION, PASSWORD, Reply, Role,
    TOKEN, mysql, shape,
};
use crate::sync::lock;

pub(super) async fn answer(fake: &FakePlanetscale, ask: &Ask) -> Reply {
    if ask.headers.get("authorization").map(String::as_str) != Some(TOKEN) {
        return refuse(401, "unauthorized", "The token is not valid");
    }
    let segments = ask.segments();
    let path: Vec<&str> = segments.iter().map(String::as_str).collect();
    let path = match path.as_slice() {
        ["organizations", organization, "databases", database, rest @ ..]
            if *organization == ORGANIZATION && *database == DATABASE =>
        {
            rest
        }
        ["organizations", organization, "cluster-size-skus"] if *organization == ORGANIZATION => {
            return mysql::sizes();
        }
        _ => return refuse(404, "not_found", "Not Found"),
    };
    let now = fake.clock.now();
    if ask.method == "GET" {
        read(fake, ask, path, now)
    } else {
        change(fake, ask, path, now).await
    }
}

fn read(fake: &FakePlanetscale, ask: &Ask, path: &[&str], now: Timestamp) -> Reply {
    match path {
        ["branches", _, "keyspaces"] => return mysql::keyspaces(fake, ask, now),
        ["branches", branch, "passwords"] => return mysql::passwords(fake, ask, branch),
        _ => {}
    }
    let state = lock(&fake.state);
    match path {
        [] => Reply::ok(shape::database(&state, now)),
        ["branches"] => {
            let wanted = ask.param("q").unwrap_or_default();
            let found = state.branches.iter().filter(|branch| branch.name.contains(wanted));
            page(ask, &found.map(|branch| shape::branch(branch, &state, now)).collect::<Vec<_>>())
        }
        ["branches", name] => match state.branches.iter().find(|branch| branch.name == *name) {
            Some(branch) => Reply::ok(shape::branch(branch, &state, now)),
            None => missing(),
        },
        ["branches", "main", "backups"] => {
            let all = state.backups.iter().map(|backup| shape::backup(backup, &state, now));
            page(ask, &all.collect::<Vec<_>>())
        }
        ["branches", "main", "backups", id] => {
            match state.backups.iter().find(|backup| backup.id == *id) {
                Some(backup) => Reply::ok(shape::backup(backup, &state, now)),
                None => missing(),
            }
        }
        ["backup-policies"] => {
            let mut reply = page(ask, &[shape::policy(now)]);
            // This list counts nothing.
            if let Some(body) = reply.body.as_mut().and_then(Value::as_object_mut) {
                body.remove("total_count");
                body.remove("total_pages");
            }
            reply
        }
        _ => missing(),
    }
}

/// Two a page, whatever was asked for: pages must be walked.
pub(super) fn page(ask: &Ask, all: &[Value]) -> Reply {
    let number: usize = ask.param("page").and_then(|page| page.parse().ok()).unwrap_or(1);
    let data: Vec<&Value> = all.iter().skip((number - 1) * 2).take(2).collect();
    let next = (number * 2 < all.len()).then_some(number + 1);
    let previous = (number > 1).then(|| number - 1);
    let url = |page: Option<usize>| page.map(|page| format!("https://example.com?page={page}"));
    Reply::ok(json!({
        "type": "list", "current_page": number, "per_page": 2, "next_page": next, "next_page_url": url(next),
        "prev_page": previous, "prev_page_url": url(previous), "total_count": all.len(),
        "total_pages": all.len().div_ceil(2), "data": data,
    }))
}

async fn change(fake: &FakePlanetscale, ask: &Ask, path: &[&str], now: Timestamp) -> Reply {
    match (ask.method.as_str(), path) {
        ("POST", ["branches"]) => create_branch(fake, ask, now).await,
        ("DELETE", ["branches", name]) => {
            {
                let mut state = lock(&fake.state);
                let before = state.branches.len();
                state.branches.retain(|branch| branch.name != *name || *name == MAIN);
                if state.branches.len() == before {
                    return missing();
                }
            }
            if let Some(estate) = &fake.estate {
                estate.drop_branch(name);
            }
            if let Some(estate) = &fake.mysql {
                estate.drop_branch(name);
            }
            Reply::empty(204)
        }
        ("POST", ["branches", "main", "backups"]) => create_backup(fake, ask, now).await,
        ("PATCH", ["branches", "main", "backups", id]) => {
            let mut state = lock(&fake.state);
            let Some(backup) = state.backups.iter_mut().find(|backup| backup.id == *id) else {
                return missing();
            };
            backup.protected = ask.field("/protected") == true;
            let backup = backup.clone();
            Reply::ok(shape::backup(&backup, &state, now))
        }
        ("DELETE", ["branches", "main", "backups", id]) => {
            let mut state = lock(&fake.state);
            let Some(backup) = state.backups.iter().find(|backup| backup.id == *id) else {
                return missing();
            };
            if backup.required || backup.protected {
                return refuse(422, "unprocessable", "The backup is protected");
            }
            state.backups.retain(|backup| backup.id != *id);
            Reply::empty(204)
        }
        ("POST", ["branches", branch, "passwords"]) => mysql::create(fake, ask, branch, now),
        ("POST", ["branches", branch, "passwords", id, "renew"]) => {
            mysql::renew(fake, branch, id, now)
        }
        ("DELETE", ["branches", branch, "passwords", id]) => mysql::delete(fake, branch, id),
        ("POST", ["branches", branch, "roles"]) => create_role(fake, ask, branch, now),
        ("POST", ["branches", branch, "roles", id, "renew"]) => renew_role(fake, branch, id, now),
        ("DELETE", ["branches", branch, "roles", id]) => {
            let role = {
                let mut state = lock(&fake.state);
                let Some(at) = state.roles.iter().position(|role| role.id == *id) else {
                    return missing();
                };
                state.roles.remove(at)
            };
            if let Some(server) = fake.estate.as_ref().and_then(|estate| estate.server(branch).ok())
            {
                server.sql(
                    "postgres",
                    &format!("DROP OWNED BY \"{0}\"; DROP ROLE \"{0}\"", role.name),
                );
            }
            Reply::empty(204)
        }
        _ => missing(),
    }
}

async fn create_branch(fake: &FakePlanetscale, ask: &Ask, now: Timestamp) -> Reply {
    let name = ask.text("/name").unwrap_or_default().to_owned();
    let (from, reply) = {
        let mut state = lock(&fake.state);
        if state.branches.iter().any(|branch| branch.name == name) {
            return refuse(422, "unprocessable", "Name has already been taken");
        }
        let from = match (
            ask.text("/backup_id"),
            ask.text("/restore_point").and_then(|at| at.parse::<Timestamp>().ok()),
        ) {
            (Some(id), _) => {
                if ask.text("/cluster_size").is_none() {
                    return refuse(422, "unprocessable", "cluster_size is required with backup_id");
                }
                match state.backups.iter().find(|backup| backup.id == id) {
                    Some(backup) if backup.done_at <= now => id.to_owned(),
                    _ => return missing(),
                }
            }
            (None, Some(_)) if state.kind == "mysql" => {
                return refuse(422, "unprocessable", "restore_point is for PostgreSQL only");
            }
            (None, Some(at)) => {
                let moment = state.moments.iter().rev().find(|(known, _)| *known <= at);
                moment.map_or_else(|| "main".to_owned(), |(_, name)| name.clone())
            }
            (None, None) => "main".to_owned(),
        };
        let id = state.id("branch");
        let ready_at = now.saturating_add(state.pace).unwrap_or(now);
        let parent = ask.text("/parent_branch").map(str::to_owned);
        let production = state.restores_to_production;
        let branch =
            Branch { id, name: name.clone(), parent, created_at: now, ready_at, production };
        state.branches.push(branch.clone());
        (from, Reply::json(201, shape::branch(&branch, &state, now)))
    };
    if let Some(estate) = &fake.estate {
        let forked = estate.fork(&from, &name).await;
        assert!(forked.is_ok(), "the fake's data plane: {forked:?}");
    }
    if let Some(estate) = &fake.mysql {
        let made = estate.restore(&from, &name).await;
        assert!(made.is_ok(), "the fake's data plane: {made:?}");
        // Somebody may have deleted it meanwhile.
        if !lock(&fake.state).branches.iter().any(|branch| branch.name == name) {
            estate.drop_branch(&name);
        }
    }
    reply
}

async fn create_backup(fake: &FakePlanetscale, ask: &Ask, now: Timestamp) -> Reply {
    let (id, reply) = {
        let mut state = lock(&fake.state);
        let value = ask.field("/retention_value").as_i64();
        let hours = match ask.text("/retention_unit") {
            Some("day") => 24,
            _ => 1,
        };
        let expires_at =
            value.and_then(|value| now.checked_add(SignedDuration::from_hours(value * hours)).ok());
        let backup = Backup {
            id: state.id("backup"),
            name: ask.text("/name").unwrap_or("unnamed").to_owned(),
            created_at: now,
            done_at: now.saturating_add(state.pace).unwrap_or(now),
            expires_at,
            protected: false,
            required: false,
            failed: state.failing,
        };
        state.backups.push(backup.clone());
        (backup.id.clone(), Reply::json(201, shape::backup(&backup, &state, now)))
    };
    if let Some(estate) = &fake.estate {
        let kept = estate.freeze("main", &id).await;
        assert!(kept.is_ok(), "the fake's data plane: {kept:?}");
    }
    if let Some(estate) = &fake.mysql {
        let kept = estate.back_up("main", &id).await;
        assert!(kept.is_ok(), "the fake's data plane: {kept:?}");
    }
    reply
}

fn create_role(fake: &FakePlanetscale, ask: &Ask, branch: &str, now: Timestamp) -> Reply {
    let mut state = lock(&fake.state);
    let Some(known) = state.branches.iter().find(|known| known.name == branch) else {
        return missing();
    };
    let (branch_id, id) = (known.id.clone(), state.id("role"));
    let ttl = ask.field("/ttl").as_i64().unwrap_or(300);
    let role = Role {
        name: format!("{id}.{branch_id}"),
        id,
        branch: branch.to_owned(),
        expires_at: now.checked_add(SignedDuration::from_secs(ttl)).unwrap_or(now),
    };
    state.roles.push(role.clone());
    let inherited = ask.field("/inherited_roles/0").as_str().unwrap_or("pg_read_all_data");
    let server = fake.estate.as_ref().and_then(|estate| estate.server(branch).ok());
    let host = match &server {
        Some(server) => {
            server.sql(
                "postgres",
                &format!(
                    "CREATE ROLE \"{}\" LOGIN PASSWORD '{PASSWORD}' VALID UNTIL '{}' IN ROLE {inherited}",
                    role.name, role.expires_at
                ),
            );
            format!("127.0.0.1:{}?sslmode=disable", server.port())
        }
        None => "id-eu-central-1.horizon.psdb.cloud".to_owned(),
    };
    Reply::ok(shape::role(&role, &host))
}

/// It lives for as long again.
fn renew_role(fake: &FakePlanetscale, branch: &str, id: &str, now: Timestamp) -> Reply {
    let mut state = lock(&fake.state);
    let found = state.roles.iter_mut().find(|role| role.id == id && role.branch == branch);
    let Some(role) = found else { return missing() };
    role.expires_at = now.checked_add(SignedDuration::from_hours(1)).unwrap_or(now);
    let role = role.clone();
    drop(state);
    if let Some(server) = fake.estate.as_ref().and_then(|estate| estate.server(branch).ok()) {
        let until = format!("ALTER ROLE \"{}\" VALID UNTIL '{}'", role.name, role.expires_at);
        server.sql("postgres", &until);
    }
    Reply::ok(shape::role(&role, "id-eu-central-1.horizon.psdb.cloud"))
}

pub(super) fn missing() -> Reply {
    refuse(404, "not_found", "Not Found")
}

fn refuse(status: u16, code: &str, message: &str) -> Reply {
    Reply::json(status, json!({ "code": code, "message": message }))
}
