//! What the fake answers about MySQL alone: passwords, keyspaces, sizes.

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use super::answer::{missing, page};
use super::shape::{actor, region};
use super::{Ask, DATABASE, FakePlanetscale, PASSWORD, Password, Reply};
use crate::sync::lock;
use crate::vitess::Keyspace;

/// Where a password leads to without a data plane.
const HOST: &str = "aws.connect.psdb.cloud";

pub(super) fn keyspaces(fake: &FakePlanetscale, ask: &Ask, now: Timestamp) -> Reply {
    let one = [Keyspace::new(DATABASE, &["-"])];
    let all = fake.mysql.as_ref().map_or(&one[..], |estate| estate.keyspaces());
    let mut reply = page(ask, &all.iter().map(|one| keyspace(one, now)).collect::<Vec<_>>());
    // This list counts nothing.
    if let Some(body) = reply.body.as_mut().and_then(Value::as_object_mut) {
        body.remove("total_count");
        body.remove("total_pages");
    }
    reply
}

fn keyspace(one: &Keyspace, now: Timestamp) -> Value {
    let mut value = json!({
        "id": one.name, "name": one.name, "shards": one.shards.len(), "sharded": one.shards.len() > 1,
        "replicas": 2, "extra_replicas": 0, "created_at": now, "updated_at": now, "cluster_name": "PS_40",
        "cluster_display_name": "PS-40", "ready": true, "vector_pool_allocation": null,
        "node_ttl_strategy": "node_ttl_off", "replication_durability_constraints": { "strategy": "available" },
        "vreplication_flags": {
            "optimize_inserts": true, "allow_no_blob_binlog_row_image": true, "vplayer_batching": true,
        },
        "mysqld_options": {}, "vttablet_options": {}, "default": one.name == DATABASE,
    });
    for name in [
        "resizing",
        "resize_in_progress",
        "resize_pending",
        "config_change_in_progress",
        "metal",
        "imported",
    ] {
        value[name] = false.into();
    }
    value
}

/// Three sizes, of which the middle one is the source's own.
pub(super) fn sizes() -> Reply {
    let each = [("PS_10", 10_u64, 1), ("PS_40", 40, 2), ("PS_80", 80, 3)];
    let all = each.map(|(name, gigabytes, order)| {
        json!({
            "name": name, "display_name": name, "cpu": "1/8", "storage": gigabytes << 30, "ram": 1_u64 << 30,
            "metal": false, "enabled": true, "provider": null, "default_vtgate": "VTG_5",
            "default_vtgate_rate": null, "replica_rate": null, "rate": null, "sort_order": order,
            "architecture": null, "development": false, "production": true,
        })
    });
    Reply::ok(Value::from(all.to_vec()))
}

pub(super) fn passwords(fake: &FakePlanetscale, ask: &Ask, branch: &str) -> Reply {
    let state = lock(&fake.state);
    let all = state.passwords.iter().filter(|one| one.branch == branch);
    page(ask, &all.map(|one| password(one, HOST, None)).collect::<Vec<_>>())
}

pub(super) fn create(fake: &FakePlanetscale, ask: &Ask, branch: &str, now: Timestamp) -> Reply {
    let made = {
        let mut state = lock(&fake.state);
        if !state.branches.iter().any(|known| known.name == branch) {
            return missing();
        }
        let ttl = ask.field("/ttl").as_i64().unwrap_or(300);
        let made = Password {
            id: state.id("password"),
            branch: branch.to_owned(),
            role: ask.text("/role").unwrap_or("admin").to_owned(),
            expires_at: now.checked_add(SignedDuration::from_secs(ttl)).unwrap_or(now),
        };
        state.passwords.push(made.clone());
        made
    };
    let host = match &fake.mysql {
        Some(estate) => {
            let admitted = estate.admit(branch, &made.id, PASSWORD, &made.role);
            assert!(admitted.is_ok(), "the fake's data plane: {admitted:?}");
            admitted.unwrap_or_default()
        }
        None => HOST.to_owned(),
    };
    Reply::json(201, password(&made, &host, Some(PASSWORD)))
}

/// It lives for as long again.
pub(super) fn renew(fake: &FakePlanetscale, branch: &str, id: &str, now: Timestamp) -> Reply {
    let mut state = lock(&fake.state);
    let found = state.passwords.iter_mut().find(|one| one.id == id && one.branch == branch);
    let Some(found) = found else { return missing() };
    found.expires_at = now.checked_add(SignedDuration::from_hours(1)).unwrap_or(now);
    Reply::ok(password(found, HOST, None))
}

pub(super) fn delete(fake: &FakePlanetscale, branch: &str, id: &str) -> Reply {
    {
        let mut state = lock(&fake.state);
        let Some(at) = state.passwords.iter().position(|one| one.id == id) else {
            return missing();
        };
        state.passwords.remove(at);
    }
    if let Some(estate) = &fake.mysql {
        estate.turn_away(branch, id);
    }
    Reply::empty(204)
}

fn password(one: &Password, host: &str, plain: Option<&str>) -> Value {
    json!({
        "id": one.id, "name": one.id, "role": one.role, "cidrs": null, "created_at": one.expires_at,
        "deleted_at": null, "expires_at": one.expires_at, "last_used_at": null, "expired": false,
        "direct_vtgate": false, "direct_vtgate_addresses": [], "ttl_seconds": 3_600, "access_host_url": host,
        "access_host_regional_url": host, "access_host_regional_urls": [], "actor": actor(), "region": region(),
        "username": one.id, "plain_text": plain, "replica": false, "renewable": true,
        "database_branch": {
            "name": one.branch, "id": one.branch, "production": one.branch == "main",
            "mysql_edge_address": host, "private_edge_connectivity": false,
        },
    })
}
