//! The server: which one it is, and how it is set up.

use std::collections::BTreeMap;

use backup_core::{Error, ErrorKind, Result};

use crate::{Client, ConnectOptions, error_code};

/// The oldest servers whose dictionary and statements this engine relies on.
const OLDEST_MARIADB: (u16, u16) = (10, 4);
const OLDEST_MYSQL: (u16, u16) = (5, 7);

/// Who made the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Flavor {
    MariaDb,
    MySql,
}

impl Flavor {
    /// Returns the name that people know.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::MariaDb => "MariaDB",
            Self::MySql => "MySQL",
        }
    }
}

/// What is known about the server.
#[derive(Clone, Debug)]
pub(crate) struct Server {
    pub(crate) flavor: Flavor,
    /// As it prints it.
    pub(crate) version: String,
    pub(crate) number: (u16, u16),
    /// What names it, and where that is from.
    pub(crate) system: String,
    pub(crate) identity_from: &'static str,
    /// Whether Vitess's gate answers in its place.
    pub(crate) vitess: bool,
    variables: BTreeMap<String, String>,
}

impl Server {
    /// Reads it; `Unsupported` for servers that are too old.
    pub(crate) async fn read(client: &mut Client, connect: &ConnectOptions) -> Result<Self> {
        let names: Vec<String> = VARIABLES.iter().map(|name| format!("'{name}'")).collect();
        let sql = format!("SHOW GLOBAL VARIABLES WHERE Variable_name IN ({})", names.join(", "));
        let rows = client.query(&sql).await?;
        let variables: BTreeMap<String, String> =
            rows.iter().map(|row| (row.text(0).to_ascii_lowercase(), row.text(1))).collect();
        let version = variables.get("version").cloned().unwrap_or_default();
        let comment = variables.get("version_comment").map_or("", String::as_str);
        let flavor = flavor_of(&version, comment);
        let number = number_of(&version);
        let vitess = is_vitess(client, flavor, &version, comment).await?;
        let (system, identity_from) = if vitess {
            // Each variable is some tablet's, and another's tomorrow.
            (format!("vitess at {}", connect.address()), "location")
        } else {
            identity(&variables, connect)
        };
        let server = Self { flavor, version, number, system, identity_from, vitess, variables };
        server.check_age()?;
        Ok(server)
    }

    fn check_age(&self) -> Result<()> {
        let oldest = match self.flavor {
            Flavor::MariaDb => OLDEST_MARIADB,
            Flavor::MySql => OLDEST_MYSQL,
        };
        if self.number >= oldest {
            return Ok(());
        }
        Err(Error::new(ErrorKind::Unsupported, "use server")
            .with("server", format!("{} {}", self.flavor.as_str(), self.version))
            .hint(format!(
                "MariaDB {}.{} or MySQL {}.{} is the oldest that is understood.",
                OLDEST_MARIADB.0, OLDEST_MARIADB.1, OLDEST_MYSQL.0, OLDEST_MYSQL.1
            )))
    }

    /// Returns a global variable, empty where the server has none of that name.
    pub(crate) fn variable(&self, name: &str) -> &str {
        self.variables.get(name).map_or("", String::as_str)
    }

    /// Returns whether a global switch is on.
    pub(crate) fn is_on(&self, name: &str) -> bool {
        matches!(self.variable(name), "ON" | "1" | "YES")
    }

    /// Returns maker and version, for people.
    pub(crate) fn title(&self) -> String {
        format!("{} {}", self.flavor.as_str(), self.version)
    }

    /// Returns `major.minor`, which says whether two servers print things alike.
    pub(crate) fn series(&self) -> String {
        format!("{} {}.{}", self.flavor.as_str(), self.number.0, self.number.1)
    }
}

const VARIABLES: [&str; 20] = [
    "version",
    "version_comment",
    "hostname",
    "port",
    "server_id",
    "server_uuid",
    "log_bin",
    "binlog_format",
    "gtid_mode",
    "gtid_domain_id",
    "gtid_strict_mode",
    "sql_mode",
    "read_only",
    "local_infile",
    "partial_revokes",
    "lower_case_table_names",
    "max_allowed_packet",
    "explicit_defaults_for_timestamp",
    "character_set_server",
    "event_scheduler",
];

/// Whether Vitess's gate answers: it says so itself, or knows a statement that MySQL does not.
async fn is_vitess(
    client: &mut Client,
    flavor: Flavor,
    version: &str,
    comment: &str,
) -> Result<bool> {
    let says = |text: &str| {
        let text = text.to_ascii_lowercase();
        text.contains("vitess") || text.contains("planetscale")
    };
    if says(version) || says(comment) {
        return Ok(true);
    }
    if flavor == Flavor::MariaDb {
        return Ok(false);
    }
    match client.query("SHOW VITESS_SHARDS").await {
        Ok(_) => Ok(true),
        Err(error) if error_code(&error).is_some() => Ok(false),
        Err(error) => Err(error),
    }
}

fn flavor_of(version: &str, comment: &str) -> Flavor {
    let is_maria = |text: &str| text.to_ascii_lowercase().contains("mariadb");
    if is_maria(version) || is_maria(comment) { Flavor::MariaDb } else { Flavor::MySql }
}

/// Reads `10.11.6-MariaDB`, `8.0.36`, and `5.5.5-10.11.6-MariaDB` of old replication.
fn number_of(version: &str) -> (u16, u16) {
    let version = version.strip_prefix("5.5.5-").unwrap_or(version);
    let mut numbers =
        version.split(|c: char| !c.is_ascii_digit()).map(|digits| digits.parse().unwrap_or(0));
    (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0))
}

/// MySQL has an identifier of its own. MariaDB's server number is the same on most servers, so
/// that the address stands beside it, and the machine's name where the address is local.
fn identity(
    variables: &BTreeMap<String, String>,
    connect: &ConnectOptions,
) -> (String, &'static str) {
    match variables.get("server_uuid").filter(|uuid| !uuid.is_empty()) {
        Some(uuid) => (uuid.clone(), "server_uuid"),
        None => {
            let id = variables.get("server_id").map_or("0", String::as_str);
            let address = connect.address();
            // A socket or this machine's own address is the same on every machine.
            match variables.get("hostname").filter(|name| connect.is_local() && !name.is_empty()) {
                Some(name) => {
                    let place = format!("server {id} of {name} at {address}");
                    (place, "server_id, hostname and location")
                }
                None => (format!("server {id} at {address}"), "server_id and location"),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn makers_and_versions_are_told_apart() {
        for (version, comment, flavor, number) in [
            ("10.11.6-MariaDB-log", "Debian 12", Flavor::MariaDb, (10, 11)),
            ("5.5.5-10.6.1-MariaDB", "", Flavor::MariaDb, (10, 6)),
            ("11.8.3", "mariadb.org binary distribution", Flavor::MariaDb, (11, 8)),
            ("8.0.36", "MySQL Community Server - GPL", Flavor::MySql, (8, 0)),
            ("8.4.0-commercial", "MySQL Enterprise", Flavor::MySql, (8, 4)),
        ] {
            assert_eq!((flavor_of(version, comment), number_of(version)), (flavor, number));
        }
    }

    #[test]
    fn mysql_names_itself_and_mariadb_is_named_by_its_place() {
        let connect = ConnectOptions::parse("mysql://u@h/d").unwrap();
        let mut variables = BTreeMap::from([("server_id".to_owned(), "7".to_owned())]);
        assert_eq!(identity(&variables, &connect).0, "server 7 at h:3306");
        // Where the address is the same on every machine, the machine's name stands beside it.
        variables.insert("hostname".to_owned(), "db1".to_owned());
        assert_eq!(identity(&variables, &connect).0, "server 7 at h:3306");
        for url in ["mysql://u@127.0.0.1/d", "mysql://u@localhost/d?socket=/tmp/s"] {
            let system = identity(&variables, &ConnectOptions::parse(url).unwrap()).0;
            assert!(system.starts_with("server 7 of db1 at "), "{system}");
        }
        variables.insert("server_uuid".to_owned(), "3e11fa47".to_owned());
        assert_eq!(identity(&variables, &connect), ("3e11fa47".to_owned(), "server_uuid"));
    }
}
