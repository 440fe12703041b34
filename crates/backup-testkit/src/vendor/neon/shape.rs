//! How Neon writes things down.

use jiff::Timestamp;
use serde_json::{Value, json};

use super::PROJECT;
use super::state::{Branch, Endpoint, Operation, Snapshot, State};

pub(super) fn project(state: &State, now: Timestamp) -> Value {
    json!({
        "id": PROJECT, "name": "shop", "platform_id": "aws", "region_id": "aws-eu-central-1",
        "provisioner": "k8s-neonvm", "pg_version": 17, "proxy_host": "eu-central-1.aws.neon.tech",
        "branch_logical_size_limit": 10, "branch_logical_size_limit_bytes": 10_737_418_240_u64,
        "store_passwords": state.store_passwords, "cpu_used_sec": 0, "creation_source": "console",
        "history_retention_seconds": state.history_seconds, "created_at": now, "updated_at": now,
        "consumption_period_start": now, "consumption_period_end": now, "owner_id": "org-fake-1",
        "active_time_seconds": 0, "compute_time_seconds": 0, "written_data_bytes": 0,
        "data_transfer_bytes": 0, "data_storage_bytes_hour": 0,
        "owner": { "email": "owner@example.com", "name": "Shop", "branches_limit": 10, "subscription_type": state.plan },
    })
}

pub(super) fn listed_project(state: &State, now: Timestamp) -> Value {
    json!({
        "id": PROJECT, "name": "shop", "platform_id": "aws", "region_id": "aws-eu-central-1",
        "provisioner": "k8s-neonvm", "pg_version": 17, "proxy_host": "eu-central-1.aws.neon.tech",
        "branch_logical_size_limit": 10, "branch_logical_size_limit_bytes": 10_737_418_240_u64,
        "store_passwords": state.store_passwords, "cpu_used_sec": 0, "creation_source": "console",
        "created_at": now, "updated_at": now, "owner_id": "org-fake-1", "active_time": 0,
    })
}

pub(super) fn branch(branch: &Branch, state: &State, now: Timestamp) -> Value {
    let making = state.operations.iter().any(|operation| {
        operation.branch == branch.id
            && operation.action == "create_branch"
            && operation.ends_at > now
    });
    let mut value = json!({
        "id": branch.id, "project_id": PROJECT, "name": branch.name,
        "current_state": if making { "init" } else { "ready" }, "state_changed_at": branch.created_at,
        "creation_source": "api", "created_at": branch.created_at, "updated_at": branch.created_at,
        "default": branch.is_default, "protected": false, "cpu_used_sec": 0, "active_time_seconds": 0,
        "compute_time_seconds": 0, "written_data_bytes": 0, "data_transfer_bytes": 0,
    });
    let optional = [
        ("parent_id", branch.parent.clone().map(Value::from)),
        ("expires_at", branch.expires_at.map(|at| at.to_string().into())),
        ("restored_from", branch.restored_from.clone().map(Value::from)),
        ("restore_status", branch.restore_status.clone().map(Value::from)),
    ];
    for (name, optional) in optional {
        if let Some(optional) = optional {
            value[name] = optional;
        }
    }
    value
}

pub(super) fn endpoint(endpoint: &Endpoint, now: Timestamp) -> Value {
    json!({
        "host": format!("{}.eu-central-1.aws.neon.tech", endpoint.id), "id": endpoint.id, "project_id": PROJECT,
        "branch_id": endpoint.branch, "region_id": "aws-eu-central-1", "autoscaling_limit_min_cu": 0.25,
        "autoscaling_limit_max_cu": 0.25, "type": "read_write", "current_state": "idle", "pooler_enabled": false,
        "pooler_mode": "transaction", "disabled": false, "passwordless_access": true, "creation_source": "api",
        "created_at": now, "updated_at": now, "settings": {}, "proxy_host": "eu-central-1.aws.neon.tech",
        "suspend_timeout_seconds": 0, "provisioner": "k8s-neonvm",
    })
}

pub(super) fn snapshot(snapshot: &Snapshot) -> Value {
    let mut value = json!({
        "id": snapshot.id, "name": snapshot.name, "source_branch_id": snapshot.branch,
        "created_at": snapshot.created_at, "manual": snapshot.manual, "full_size": 33_554_432,
    });
    if let Some(at) = snapshot.expires_at {
        value["expires_at"] = at.to_string().into();
    }
    value
}

pub(super) fn operation(operation: &Operation, state: &State, now: Timestamp) -> Value {
    let ended = operation.ends_at <= now;
    let status = match (ended, operation.fails) {
        (true, true) => "failed",
        (true, false) => "finished",
        (false, _) if state.odd_words => "contemplating",
        (false, _) => "running",
    };
    let mut value = json!({
        "id": operation.id, "project_id": PROJECT, "branch_id": operation.branch, "action": operation.action,
        "status": status, "failures_count": 0, "created_at": operation.created_at,
        "updated_at": operation.created_at, "total_duration_ms": 0,
    });
    if ended && operation.fails {
        value["error"] = "the storage was full, on purpose".into();
    }
    value
}

pub(super) fn operations(all: &[Operation], state: &State, now: Timestamp) -> Value {
    all.iter().map(|one| operation(one, state, now)).collect()
}
