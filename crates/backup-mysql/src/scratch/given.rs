//! A database on a given server: created for a drill, dropped after it.

use async_trait::async_trait;
use backup_core::port::{DrillOptions, DrillTarget, Scratch};
use backup_core::{Error, ErrorKind, Finding, Result, Secret, Snapshot, SnapshotKind};

use super::place::{Home, Place};
use crate::logical::drop_database;
use crate::{Client, ConnectOptions};

/// What the name of every such database begins with.
const PREFIX: &str = "backup_drill_";

/// Makes a uniquely named database on a server for each drill.
#[derive(Clone, Debug)]
pub struct GivenServer {
    connect: ConnectOptions,
    url: Secret,
    owners: bool,
    role_map: Vec<(String, String)>,
}

impl GivenServer {
    /// Takes where the server is (the database in `url` does not matter) and how to connect;
    /// `url` is what programs are given, with the database replaced.
    #[must_use]
    pub fn new(url: Secret, connect: ConnectOptions) -> Self {
        Self { connect, url, owners: true, role_map: Vec::new() }
    }

    /// Restores definers, under other names by pairs of old and new, or leaves them to the
    /// connecting user.
    #[must_use]
    pub fn with_ownership(mut self, owners: bool, role_map: Vec<(String, String)>) -> Self {
        (self.owners, self.role_map) = (owners, role_map);
        self
    }
}

#[async_trait]
impl DrillTarget for GivenServer {
    fn describe(&self) -> String {
        format!("a throw-away database on {}@{}", self.connect.user(), self.connect.address())
    }

    async fn sweep(&self) -> Result<Vec<Finding>> {
        let mut client = Client::connect_to_server(&self.connect).await?;
        let rows = client.query(LEFTOVERS).await?;
        client.close().await;
        let mut dropped = Vec::new();
        for name in rows.iter().map(|row| row.text(0)) {
            drop_database(&self.connect.clone().with_database(&name)).await?;
            dropped.push(Finding::swept(&name));
        }
        Ok(dropped)
    }

    async fn open(&self, snapshot: &Snapshot, options: &DrillOptions) -> Result<Box<dyn Scratch>> {
        if snapshot.kind != SnapshotKind::Logical || snapshot.identity.engine != crate::ENGINE {
            return Err(Error::new(ErrorKind::Unsupported, "make throw-away database")
                .with("snapshot kind", snapshot.kind.as_str())
                .with("engine", &snapshot.identity.engine)
                .hint("A MySQL or MariaDB server takes logical snapshots of its own kind."));
        }
        let mut client = Client::connect_to_server(&self.connect).await?;
        let sql = "SELECT DATE_FORMAT(UTC_TIMESTAMP(), '%Y%m%dt%H%i%s')";
        let now = client.first(sql).await?.map(|row| row.text(0)).unwrap_or_default();
        client.close().await;
        let mut random = [0_u8; 4];
        getrandom::fill(&mut random).map_err(|error| {
            Error::new(ErrorKind::Unsupported, "name throw-away database")
                .because(error.to_string())
        })?;
        let name = format!("{PREFIX}{now}_{:08x}", u32::from_le_bytes(random));
        let connect = self.connect.clone().with_database(&name);
        let url = Secret::new(with_database(self.url.expose(), &name));
        let place = Place::new(Home::Given, connect, url, options).await?;
        Ok(Box::new(place.with_ownership(self.owners, self.role_map.clone())))
    }
}

/// Nobody is connected, and it is older than any pause between two steps of a drill.
const LEFTOVERS: &str = "\
SELECT s.SCHEMA_NAME FROM information_schema.SCHEMATA s \
WHERE s.SCHEMA_NAME REGEXP '^backup_drill_[0-9]{8}t[0-9]{6}_[0-9a-f]{8}$' \
AND SUBSTR(s.SCHEMA_NAME, 14, 15) < DATE_FORMAT(UTC_TIMESTAMP() - INTERVAL 1 HOUR, '%Y%m%dt%H%i%s') \
AND NOT EXISTS (SELECT 1 FROM information_schema.PROCESSLIST p WHERE p.DB = s.SCHEMA_NAME) \
ORDER BY 1";

/// Returns the URL with another database in its path.
fn with_database(url: &str, name: &str) -> String {
    let (scheme, rest) = url.split_once("://").unwrap_or(("mysql", url));
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
            ("mysql://u:p@h:1/shop?ssl-mode=required", "mysql://u:p@h:1/x?ssl-mode=required"),
            ("mariadb://u@/d?socket=/tmp/s", "mariadb://u@/x?socket=/tmp/s"),
            ("mysql://h", "mysql://h/x"),
        ] {
            assert_eq!(with_database(url, "x"), wanted);
        }
    }
}
