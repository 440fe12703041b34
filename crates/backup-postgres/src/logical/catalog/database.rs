//! Facts about one database.

use std::collections::BTreeMap;

use backup_core::{Error, ErrorKind, Result};

use super::{flag, number, optional, text, unexpected};
use crate::{Client, ConnectOptions};

/// The oldest server this engine reads.
const OLDEST_SERVER: u32 = 120_000;

/// What a database is and how it sorts and encodes text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Database {
    pub(crate) oid: String,
    pub(crate) name: String,
    pub(crate) bytes: u64,
    pub(crate) locale: Locale,
    pub(crate) server_version: String,
    pub(crate) version_num: u32,
    /// What names the server, and whether that is only a stand-in for its system identifier.
    pub(crate) system: String,
    pub(crate) system_is_stand_in: bool,
    pub(crate) in_recovery: bool,
    pub(crate) block_size: u64,
    pub(crate) timezone: String,
    pub(crate) user: String,
    pub(crate) is_superuser: bool,
    /// The server process differs from the one the connection was told: something is between.
    pub(crate) is_pooled: bool,
}

/// Encoding and collation of a database.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Locale {
    pub(crate) encoding: String,
    pub(crate) collate: String,
    pub(crate) ctype: String,
    /// `libc`, `icu` or `builtin`.
    pub(crate) provider: String,
    /// ICU's or the builtin provider's locale.
    pub(crate) name: Option<String>,
    pub(crate) icu_rules: Option<String>,
}

impl Database {
    /// Reads the facts of the connected database; changes nothing.
    ///
    /// Fails with `Unsupported` when the server is too old.
    pub(crate) async fn read(client: &mut Client, options: &ConnectOptions) -> Result<Self> {
        let version_num = client.server_version_num();
        if version_num < OLDEST_SERVER {
            return Err(Error::new(ErrorKind::Unsupported, "read database")
                .with("server version", client.parameter("server_version").unwrap_or("unknown"))
                .hint("PostgreSQL 12 or newer is needed."));
        }
        let rows = client.query(&facts_query(version_num)).await?;
        let row = rows.first().ok_or_else(|| unexpected("datname"))?;
        let (system, system_is_stand_in) = system_identifier(client, options).await;
        Ok(Self {
            oid: text(row, "oid")?,
            name: text(row, "datname")?,
            bytes: number(row, "bytes").unwrap_or(0),
            locale: Locale {
                encoding: text(row, "encoding")?,
                collate: text(row, "datcollate")?,
                ctype: text(row, "datctype")?,
                provider: provider(row.by_name("provider")),
                name: optional(row, "locale"),
                icu_rules: optional(row, "icu_rules"),
            },
            server_version: text(row, "version")?,
            version_num,
            system,
            system_is_stand_in,
            in_recovery: flag(row, "in_recovery"),
            block_size: number(row, "block_size")?,
            timezone: text(row, "timezone")?,
            user: text(row, "username")?,
            is_superuser: flag(row, "is_superuser"),
            is_pooled: number::<i32>(row, "backend")? != client.process_id(),
        })
    }

    /// Returns the server's major version.
    pub(crate) fn major(&self) -> u32 {
        self.version_num / 10_000
    }
}

impl Locale {
    /// Writes itself into a snapshot's facts.
    pub(crate) fn to_facts(&self, facts: &mut BTreeMap<String, String>) {
        let mut put = |name: &str, value: &str| facts.insert(name.to_owned(), value.to_owned());
        put("encoding", &self.encoding);
        put("collate", &self.collate);
        put("ctype", &self.ctype);
        put("locale_provider", &self.provider);
        if let Some(name) = &self.name {
            put("locale", name);
        }
        if let Some(rules) = &self.icu_rules {
            put("icu_rules", rules);
        }
    }

    /// Reads itself back from a snapshot's facts.
    pub(crate) fn from_facts(facts: &BTreeMap<String, String>) -> Self {
        let get = |name: &str| facts.get(name).cloned();
        Self {
            encoding: get("encoding").unwrap_or_else(|| "UTF8".to_owned()),
            collate: get("collate").unwrap_or_default(),
            ctype: get("ctype").unwrap_or_default(),
            provider: get("locale_provider").unwrap_or_else(|| "libc".to_owned()),
            name: get("locale"),
            icu_rules: get("icu_rules"),
        }
    }
}

fn facts_query(version: u32) -> String {
    let provider = if version >= 150_000 { "d.datlocprovider" } else { "'c'" };
    let locale = match version {
        170_000.. => "d.datlocale",
        150_000.. => "d.daticulocale",
        _ => "NULL",
    };
    let rules = if version >= 160_000 { "d.daticurules" } else { "NULL" };
    format!(
        "SELECT d.oid, d.datname, pg_catalog.pg_encoding_to_char(d.encoding) AS encoding, \
         d.datcollate, d.datctype, {provider} AS provider, {locale} AS locale, \
         {rules} AS icu_rules, pg_catalog.pg_database_size(d.oid) AS bytes, \
         pg_catalog.version() AS full_version, \
         pg_catalog.current_setting('server_version') AS version, \
         pg_catalog.pg_is_in_recovery() AS in_recovery, \
         pg_catalog.current_setting('block_size') AS block_size, \
         pg_catalog.current_setting('TimeZone') AS timezone, \
         current_user AS username, pg_catalog.pg_backend_pid() AS backend, \
         (SELECT rolsuper FROM pg_catalog.pg_roles WHERE rolname = current_user) AS is_superuser \
         FROM pg_catalog.pg_database d WHERE d.datname = pg_catalog.current_database()"
    )
}

fn provider(code: Option<&str>) -> String {
    match code {
        Some("i") => "icu",
        Some("b") => "builtin",
        _ => "libc",
    }
    .to_owned()
}

/// Some managed services do not let everyone see the identifier; where it is then stays the
/// best name the server has.
async fn system_identifier(client: &mut Client, options: &ConnectOptions) -> (String, bool) {
    let sql = "SELECT system_identifier AS id FROM pg_catalog.pg_control_system()";
    match client.query(sql).await {
        Ok(rows) if !rows.is_empty() => {
            let id = rows.first().and_then(|row| optional(row, "id"));
            id.map_or_else(|| (stand_in(options), true), |id| (id, false))
        }
        _ => (stand_in(options), true),
    }
}

fn stand_in(options: &ConnectOptions) -> String {
    format!("at:{}", options.clone().with_user("").location())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_locale_survives_the_facts() {
        let locale = Locale {
            encoding: "UTF8".into(),
            collate: "C".into(),
            ctype: "C".into(),
            provider: "icu".into(),
            name: Some("de-u-kn".into()),
            icu_rules: Some("&a < b".into()),
        };
        let mut facts = BTreeMap::new();
        locale.to_facts(&mut facts);
        assert_eq!(Locale::from_facts(&facts), locale);
    }
}
