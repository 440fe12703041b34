//! How PlanetScale writes things down.

use jiff::Timestamp;
use serde_json::{Value, json};

use super::{Backup, Branch, DATABASE, PASSWORD, Role, State};

pub(super) fn region() -> Value {
    json!({
        "id": "region1", "provider": "AWS", "enabled": true, "public_ip_addresses": [], "display_name": "Frankfurt",
        "location": "Frankfurt", "slug": "eu-central", "current_default": true, "mysql_supported": true,
        "postgresql_supported": true,
    })
}

pub(super) fn actor() -> Value {
    json!({ "id": "actor1", "display_name": "shop", "avatar_url": "https://example.com/a.png" })
}

pub(super) fn database(state: &State, now: Timestamp) -> Value {
    let zero = [
        "branches_count",
        "open_schema_recommendations_count",
        "development_branches_count",
        "production_branches_count",
        "default_branch_shard_count",
        "default_branch_read_only_regions_count",
        "default_branch_table_count",
    ];
    let no = [
        "multiple_admins_required_for_deletion",
        "at_development_branch_usage_limit",
        "sharded",
        "require_approval_for_deploy",
        "deletion_protected",
        "resizing",
        "resize_queued",
        "config_changing",
        "config_change_queued",
        "allow_data_branching",
        "foreign_keys_enabled",
        "restrict_branch_region",
        "insights_raw_queries",
        "insights_enabled",
        "production_branch_web_console",
    ];
    let mut value = json!({
        "id": "database1", "url": "https://example.com", "branches_url": "https://example.com", "ready": true,
        "at_backup_restore_branches_limit": state.at_limit, "region": region(), "html_url": "https://example.com",
        "name": DATABASE, "state": "ready", "default_branch": "main", "plan": "scaler_pro", "created_at": now,
        "updated_at": now, "schema_last_updated_at": null, "kind": state.kind,
    });
    for name in zero {
        value[name] = 0.into();
    }
    for name in no {
        value[name] = false.into();
    }
    value
}

pub(super) fn branch(branch: &Branch, state: &State, now: Timestamp) -> Value {
    let ready = branch.ready_at <= now;
    let word = if ready {
        "ready"
    } else if state.odd_words {
        "hatching"
    } else {
        "pending"
    };
    let no = [
        "direct_vtgate",
        "vtgate_autoscaling",
        "metal",
        "deletion_protected",
        "sharded",
        "stale_schema",
        "private_edge_connectivity",
        "has_replicas",
        "has_read_only_replicas",
    ];
    let mut value = json!({
        "id": branch.id, "name": branch.name, "created_at": branch.created_at, "updated_at": branch.created_at,
        "deleted_at": null, "restore_checklist_completed_at": null, "schema_last_updated_at": null,
        "kind": state.kind, "mysql_address": "", "mysql_edge_address": "", "state": word, "vtgate_size": "",
        "vtgate_name": null, "vtgate_count": 0, "vtgate_max_count": null, "vtgate_target_cpu_utilization": null,
        "cluster_name": "PS_10_AWS_ARM", "cluster_iops": null, "ready": ready, "schema_ready": ready,
        "safe_migrations": state.safe_migrations, "production": branch.production, "shard_count": 0, "keyspace_count": 0, "actor": actor(),
        "restored_from_branch": {
            "id": "branch000001", "name": "main", "created_at": branch.created_at, "updated_at": branch.created_at,
            "deleted_at": null,
        },
        "html_url": "https://example.com", "url": "https://example.com", "region": region(),
        "parent_branch": branch.parent, "vtgate_options": {},
    });
    for name in no {
        value[name] = false.into();
    }
    value
}

pub(super) fn backup(backup: &Backup, state: &State, now: Timestamp) -> Value {
    let done = backup.done_at <= now;
    let word = match (done, backup.failed) {
        (true, true) => "failed",
        (true, false) => "success",
        (false, _) if state.odd_words => "pondering",
        (false, _) => "running",
    };
    json!({
        "id": backup.id, "name": backup.name, "state": word, "size": 33_554_432, "estimated_storage_cost": 0.1,
        "created_at": backup.created_at, "updated_at": backup.created_at, "started_at": backup.created_at,
        "expires_at": backup.expires_at, "completed_at": done.then_some(backup.done_at), "deleted_at": null,
        "pvc_size": 0, "uncompressed_size": 134_217_728, "protected": backup.protected, "required": backup.required,
        "restored_branches": [], "actor": actor(),
    })
}

pub(super) fn role(role: &Role, host: &str) -> Value {
    json!({
        "id": role.id, "name": role.name, "access_host_url": host, "private_access_host_url": "",
        "private_connection_service_name": "", "username": role.name, "base_username": role.name,
        "password": PASSWORD, "database_name": "postgres", "created_at": role.expires_at,
        "updated_at": role.expires_at, "deleted_at": null, "expires_at": role.expires_at, "dropped_at": null,
        "disabled_at": null, "drop_failed": "", "ready": true, "expired": false, "default": false, "ttl": 43_200,
        "inherited_roles": ["pg_read_all_data"], "with_replication": false,
        "branch": {
            "id": "branch000001", "name": role.branch, "created_at": role.expires_at, "updated_at": role.expires_at,
            "deleted_at": null,
        },
        "actor": actor(),
        "query_safety_settings": { "require_where_on_delete": "off", "require_where_on_update": "off" },
    })
}

pub(super) fn policy(now: Timestamp) -> Value {
    json!({
        "id": "policy1", "display_name": "Every 12 hours", "name": "Default", "target": "production",
        "retention_value": 2, "retention_unit": "day", "frequency_value": 12, "frequency_unit": "hour",
        "schedule_time": "00:00", "schedule_day": null, "schedule_week": null, "created_at": now,
        "updated_at": now, "last_ran_at": null, "next_run_at": null, "required": true,
    })
}
