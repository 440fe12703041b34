//! A database on a given server: created for a drill, dropped after it.

use async_trait::async_trait;
use backup_core::port::{DrillOptions, DrillTarget, Scratch};
use backup_core::{Error, ErrorKind, Finding, Result, Secret, Snapshot, SnapshotKind};

use super::place::{Home, Place};
use crate::logical::{drop_database, maintenance};
use crate::tools::ToolPaths;
use crate::{Client, ConnectOptions};

/// What the name of every such database begins with.
const PREFIX: &str = "backup_drill_";

/// Makes a uniquely named database on a server for each drill. What it restores is as durable,
/// and as fast, as that server makes it.
#[derive(Clone, Debug)]
pub struct GivenServer {
    connect: ConnectOptions,
    url: Secret,
    tools: ToolPaths,
    owners: bool,
    privileges: bool,
    create_roles: bool,
    role_map: Vec<(String, String)>,
}

impl GivenServer {
    /// Takes where the server is (the database in `url` does not matter) and how to connect;
    /// `url` is what programs are given, with the database replaced.
    #[must_use]
    pub fn new(url: Secret, connect: ConnectOptions, tools: ToolPaths) -> Self {
        Self {
            connect,
            url,
            tools,
            owners: true,
            privileges: true,
            create_roles: false,
            role_map: Vec::new(),
        }
    }

    /// Restores ownership and privileges, or leaves them to the connecting role.
    #[must_use]
    pub fn with_ownership(mut self, owners: bool, privileges: bool) -> Self {
        (self.owners, self.privileges) = (owners, privileges);
        self
    }

    /// Creates missing roles, and restores `OLD` roles' objects as `NEW`'s. Created roles stay.
    #[must_use]
    pub fn with_roles(mut self, create: bool, map: Vec<(String, String)>) -> Self {
        (self.create_roles, self.role_map) = (create, map);
        self
    }

    async fn name(&self, client: &mut Client) -> Result<String> {
        let sql = "SELECT pg_catalog.to_char(pg_catalog.now() AT TIME ZONE 'UTC', \
             'YYYYMMDD\"t\"HH24MISS') AS now";
        let rows = client.query(sql).await?;
        let now = rows.first().and_then(|row| row.get(0)).unwrap_or_default().to_owned();
        let mut random = [0_u8; 4];
        getrandom::fill(&mut random).map_err(|error| {
            Error::new(ErrorKind::Unsupported, "name throw-away database")
                .because(error.to_string())
        })?;
        Ok(format!("{PREFIX}{now}_{:08x}", u32::from_le_bytes(random)))
    }
}

#[async_trait]
impl DrillTarget for GivenServer {
    fn describe(&self) -> String {
        let location = self.connect.location();
        let server = location.rsplit_once('/').map_or(&*location, |(server, _)| server);
        format!("a throw-away database on {server}")
    }

    async fn sweep(&self) -> Result<Vec<Finding>> {
        let mut client = maintenance(&self.connect).await?;
        let rows = client.query(LEFTOVERS).await?;
        client.close().await;
        let names = rows.iter().filter_map(|row| row.get(0).map(str::to_owned));
        let mut dropped = Vec::new();
        for name in names {
            drop_database(&self.connect.clone().with_database(&name)).await?;
            dropped.push(Finding::swept(&name));
        }
        Ok(dropped)
    }

    async fn open(&self, snapshot: &Snapshot, options: &DrillOptions) -> Result<Box<dyn Scratch>> {
        if snapshot.kind != SnapshotKind::Logical || snapshot.identity.engine != "postgres" {
            return Err(Error::new(ErrorKind::Unsupported, "make throw-away database")
                .with("snapshot kind", snapshot.kind.as_str())
                .with("engine", &snapshot.identity.engine)
                .hint("A database on a given server takes logical snapshots of PostgreSQL."));
        }
        let mut client = maintenance(&self.connect).await?;
        let name = self.name(&mut client).await?;
        client.close().await;
        let connect = self.connect.clone().with_database(&name);
        let url = Secret::new(with_database(self.url.expose(), &name));
        let place = Place::new(Home::Given, connect, url, self.tools.clone(), options).await?;
        let place = place.with_ownership(self.owners, self.privileges);
        Ok(Box::new(place.with_roles(self.create_roles, self.role_map.clone())))
    }
}

/// Nobody is connected, and it is older than any pause between two steps of a drill.
const LEFTOVERS: &str = "\
SELECT d.datname FROM pg_catalog.pg_database d \
WHERE d.datname::pg_catalog.text ~ '^backup_drill_[0-9]{8}t[0-9]{6}_[0-9a-f]{8}$' \
AND pg_catalog.to_timestamp(pg_catalog.substr(d.datname::pg_catalog.text, 14, 15), 'YYYYMMDD\"t\"HH24MISS') \
  < (pg_catalog.now() AT TIME ZONE 'UTC')::pg_catalog.timestamptz - '1 hour'::pg_catalog.interval \
AND NOT EXISTS (SELECT FROM pg_catalog.pg_stat_activity a WHERE a.datid = d.oid) \
ORDER BY 1";

/// Returns the URL with another database in its path.
fn with_database(url: &str, name: &str) -> String {
    let (scheme, rest) = url.split_once("://").unwrap_or(("postgres", url));
    let (path, query) = match rest.split_once('?') {
        Some((path, query)) => (path, format!("?{query}")),
        None => (rest, String::new()),
    };
    let authority = path.split_once('/').map_or(path, |(authority, _)| authority);
    format!("{scheme}://{authority}/{name}{query}")
}

#[cfg(test)]
mod tests {
    use super::with_database;

    #[test]
    fn only_the_database_of_a_url_is_replaced() {
        for (url, wanted) in [
            ("postgres://u:p@h:1/shop?sslmode=require", "postgres://u:p@h:1/x?sslmode=require"),
            ("postgresql://u@%2Ftmp%2Fa:5432/", "postgresql://u@%2Ftmp%2Fa:5432/x"),
            ("postgres://h", "postgres://h/x"),
            ("postgres://h?host=/tmp", "postgres://h/x?host=/tmp"),
        ] {
            assert_eq!(with_database(url, "x"), wanted);
        }
    }
}
