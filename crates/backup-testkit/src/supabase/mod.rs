//! A database as a Supabase customer meets it, on a real server: the platform's roles and
//! schemas, a role `postgres` that is no superuser, and optionally what a customer made.
//!
//! What only the platform's own extensions do is not imitated: `supautils` (roles stand in for
//! it), pg_graphql, pg_net, pg_cron, Vault (its table alone).

use crate::postgres::Cluster;

const PLATFORM: &str = include_str!("platform.sql");
const VAULT: &str = include_str!("vault.sql");
const CUSTOMER: &str = include_str!("customer.sql");

/// A project: one server, whose database `postgres` is the project's.
#[derive(Debug)]
pub struct Project {
    cluster: Cluster,
}

impl Project {
    /// Starts a project that nobody used yet, on a server of that major; `None` (and a line on
    /// standard error) when it is not installed and servers are not required.
    ///
    /// # Panics
    /// When the server is installed and does not start, or is missing and required.
    #[must_use]
    #[track_caller]
    pub fn fresh(major: u32) -> Option<Self> {
        let cluster = Cluster::builder(major).setting("wal_level", "logical").start()?;
        cluster.sql("postgres", "CREATE ROLE furnisher SUPERUSER LOGIN");
        // Nobody renames the role he is logged in as.
        run(
            &cluster,
            "furnisher",
            "ALTER ROLE postgres RENAME TO supabase_admin; \
             CREATE ROLE postgres LOGIN CREATEDB CREATEROLE REPLICATION BYPASSRLS; \
             ALTER DATABASE postgres OWNER TO postgres",
        );
        let project = Self { cluster };
        project.admin("DROP ROLE furnisher");
        project.admin(PLATFORM);
        project.admin(VAULT);
        Some(project)
    }

    /// Starts a project in which a customer has tables, people, policies, triggers, a webhook and
    /// files in Storage.
    ///
    /// # Panics
    /// As [`Project::fresh`].
    #[must_use]
    #[track_caller]
    pub fn used(major: u32) -> Option<Self> {
        let project = Self::fresh(major)?;
        project.sql(CUSTOMER);
        Some(project)
    }

    /// Returns the URL of the customer's role.
    #[must_use]
    pub fn url(&self) -> String {
        self.cluster.url("postgres")
    }

    /// Runs SQL as the customer; see [`Cluster::sql`].
    ///
    /// # Panics
    /// When a statement fails.
    #[track_caller]
    pub fn sql(&self, sql: &str) -> String {
        self.cluster.sql("postgres", sql)
    }

    /// Runs SQL as the platform's superuser.
    ///
    /// # Panics
    /// When a statement fails.
    #[track_caller]
    pub fn admin(&self, sql: &str) -> String {
        run(&self.cluster, "supabase_admin", sql)
    }

    /// Stops the server in order and starts it on the same port.
    ///
    /// # Panics
    /// When the server does not come back.
    #[track_caller]
    pub fn restart(&mut self) {
        self.cluster.restart();
    }

    /// Returns the server.
    #[must_use]
    pub fn cluster(&self) -> &Cluster {
        &self.cluster
    }
}

#[track_caller]
fn run(cluster: &Cluster, role: &str, sql: &str) -> String {
    cluster.sql_as(role, "postgres", sql)
}
