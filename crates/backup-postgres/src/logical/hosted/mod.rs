//! Databases that a host has furnished: schemas, roles and objects that are the host's and not
//! the customer's, told apart by rules that the host's provider states.
//!
//! A snapshot of such a database holds the structure of the host's schemas as well, so that it
//! can be restored on any server; into another database of the same host only what is the
//! customer's is restored (see `restore::hosted`).

mod look;
mod scope;
mod trim;

pub(crate) use look::look;
pub(crate) use scope::Scope;
pub(crate) use trim::trim;

/// What of a database belongs to its host. Patterns may end in `*`.
#[derive(Clone, Copy, Debug)]
pub struct Hosted {
    /// The host's name.
    pub name: &'static str,
    /// The customer's own role; what it owns is the customer's, wherever it is.
    pub customer: &'static str,
    /// Roles that are never created or altered.
    pub roles: &'static [&'static str],
    /// Schemas whose structure is the host's and whose rows are the customer's.
    pub schemas: &'static [&'static str],
    /// Schemas whose structure is the host's and whose rows are nobody's: caches, messages.
    pub without_rows: &'static [&'static str],
    /// Schemas that are not looked at: internals, and what the host creates by itself.
    pub ignored: &'static [&'static str],
    /// Tables, as `schema.table`, whose rows tell the version of the host's structure: they go
    /// with it, and are left out where the structure is the target's.
    pub versions: &'static [&'static str],
    /// Extensions that every database of the host has, and whose data cannot leave it.
    pub own_extensions: &'static [&'static str],
    /// Extensions that a database works without where a server lacks them.
    pub optional_extensions: &'static [&'static str],
    /// Publications that every database of the host has; which tables are in them is the
    /// customer's choice.
    pub publications: &'static [&'static str],
    /// Publications of the host for its own use.
    pub own_publications: &'static [&'static str],
    /// Providers of security labels that mean nothing elsewhere.
    pub labels: &'static [&'static str],
}

impl Hosted {
    /// Returns whether a role is the host's: never the customer's own.
    #[must_use]
    pub fn is_host_role(&self, role: &str) -> bool {
        role != self.customer && matches(self.roles, role)
    }

    /// Returns whether a schema is the host's.
    #[must_use]
    pub fn is_host_schema(&self, schema: &str) -> bool {
        [self.schemas, self.without_rows, self.ignored]
            .iter()
            .any(|patterns| matches(patterns, schema))
    }

    pub(crate) fn is_version(&self, schema: &str, table: &str) -> bool {
        self.versions.iter().any(|name| name.split_once('.') == Some((schema, table)))
    }
}

pub(crate) fn matches(patterns: &[&str], name: &str) -> bool {
    patterns.iter().any(|pattern| match pattern.strip_suffix('*') {
        Some(start) => name.starts_with(start),
        None => *pattern == name,
    })
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) const HOST: Hosted = Hosted {
        name: "example",
        customer: "postgres",
        roles: &["postgres", "anon", "host_*"],
        schemas: &["auth", "storage"],
        without_rows: &["realtime"],
        ignored: &["_inner", "vault", "net", "timescaledb_*"],
        versions: &["auth.schema_migrations"],
        own_extensions: &["host_vault"],
        optional_extensions: &["host_net"],
        publications: &["live"],
        own_publications: &["live_inner*"],
        labels: &["sodium"],
    };

    #[test]
    fn patterns_cover_endings_and_the_customer_is_no_host() {
        assert!(HOST.is_host_role("host_admin") && HOST.is_host_role("anon"));
        assert!(!HOST.is_host_role("postgres") && !HOST.is_host_role("anonymous"));
        for schema in ["auth", "realtime", "_inner", "timescaledb_information"] {
            assert!(HOST.is_host_schema(schema), "{schema}");
        }
        assert!(!HOST.is_host_schema("public") && !HOST.is_host_schema("timescaledb"));
        assert!(HOST.is_version("auth", "schema_migrations") && !HOST.is_version("auth", "users"));
    }
}
