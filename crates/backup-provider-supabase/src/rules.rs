//! What of a project's database is Supabase's, and what is its customer's.

use backup_postgres::logical::Hosted;

/// The rules, as of Supabase's own tools of 2026.
///
/// Different from those on purpose: the history of migrations (`supabase_migrations`) and queues
/// (`pgmq`) are copied like any schema of the customer, and so is which tables Realtime
/// publishes.
pub const SUPABASE: Hosted = Hosted {
    name: "Supabase",
    customer: "postgres",
    roles: &[
        "anon",
        "authenticated",
        "authenticator",
        "cli_login_*",
        "dashboard_user",
        "pgbouncer",
        "pgsodium_keyholder",
        "pgsodium_keyiduser",
        "pgsodium_keymaker",
        "pgtle_admin",
        "postgres",
        "service_role",
        "supabase_admin",
        "supabase_auth_admin",
        "supabase_etl_admin",
        "supabase_functions_admin",
        "supabase_privileged_role",
        "supabase_read_only_user",
        "supabase_realtime_admin",
        "supabase_replication_admin",
        "supabase_storage_admin",
        "supabase_superuser",
    ],
    schemas: &["auth", "storage", "extensions", "supabase_functions"],
    without_rows: &["realtime"],
    ignored: &[
        "_analytics",
        "_realtime",
        "_supavisor",
        "_timescaledb_*",
        "cron",
        "dbdev",
        "etl",
        "graphql",
        "graphql_public",
        "net",
        "pgbouncer",
        "pgsodium",
        "pgsodium_masks",
        "pgtle",
        "repack",
        "tiger",
        "tiger_data",
        "timescaledb_*",
        "topology",
        "vault",
    ],
    versions: &[
        "auth.schema_migrations",
        "storage.migrations",
        "supabase_functions.migrations",
        "realtime.schema_migrations",
    ],
    own_extensions: &["pg_graphql", "pgsodium", "supabase_vault"],
    optional_extensions: &[
        "http",
        "hypopg",
        "index_advisor",
        "pg_cron",
        "pg_net",
        "pg_stat_monitor",
        "pg_tle",
        "pgaudit",
        "pgjwt",
        "wrappers",
    ],
    publications: &["supabase_realtime"],
    own_publications: &["supabase_realtime_messages_publication*"],
    labels: &["pgsodium"],
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn customers_and_hosts_are_told_apart() {
        for role in ["anon", "service_role", "supabase_auth_admin", "cli_login_abc"] {
            assert!(SUPABASE.is_host_role(role), "{role}");
        }
        // Anybody may call a role that.
        for role in ["postgres", "reporting", "supabase_reports"] {
            assert!(!SUPABASE.is_host_role(role), "{role}");
        }
        for schema in ["auth", "realtime", "vault", "_timescaledb_catalog"] {
            assert!(SUPABASE.is_host_schema(schema), "{schema}");
        }
        for schema in ["public", "supabase_migrations", "pgmq", "auth2"] {
            assert!(!SUPABASE.is_host_schema(schema), "{schema}");
        }
    }
}
