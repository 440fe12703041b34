//! What Vitess takes, what it refuses, and what it answers itself.

use std::time::Instant;

use regex::Regex;

use super::Keyspace;

/// Variables that a session may set, and that reach MySQL.
const SETTABLE: [&str; 12] = [
    "names",
    "explicit_defaults_for_timestamp",
    "foreign_key_checks",
    "group_concat_max_len",
    "information_schema_stats_expiry",
    "sql_big_selects",
    "sql_mode",
    "sql_notes",
    "sql_safe_updates",
    "time_zone",
    "transaction_isolation",
    "unique_checks",
];
/// Variables that a session may set, with no effect.
const IGNORED: [&str; 17] = [
    "autocommit",
    "wait_timeout",
    "long_query_time",
    "innodb_strict_mode",
    "character_set_client",
    "character_set_connection",
    "character_set_results",
    "collation_connection",
    "innodb_lock_wait_timeout",
    "interactive_timeout",
    "lock_wait_timeout",
    "max_allowed_packet",
    "max_error_count",
    "max_execution_time",
    "net_read_timeout",
    "net_write_timeout",
    "sql_auto_is_null",
];
/// What no statement may begin with, in words of one space.
const REFUSED: [&str; 22] = [
    "LOCK TABLES",
    "UNLOCK TABLES",
    "FLUSH",
    "BACKUP STAGE",
    "START TRANSACTION WITH CONSISTENT SNAPSHOT",
    "CREATE DATABASE",
    "ALTER DATABASE",
    "DROP DATABASE",
    "CREATE TRIGGER",
    "CREATE PROCEDURE",
    "CREATE FUNCTION",
    "CREATE EVENT",
    "CREATE SEQUENCE",
    "CREATE USER",
    "ALTER EVENT",
    "GRANT",
    "REVOKE",
    "SHOW MASTER",
    "SHOW BINARY",
    "LOAD DATA",
    "HANDLER",
    "DO ",
];
/// What no statement may hold anywhere, in capitals.
const REFUSED_ANYWHERE: [&str; 6] = [
    "GET_LOCK(",
    "RELEASE_LOCK(",
    "BINLOG_GTID_POS(",
    "INFORMATION_SCHEMA.INNODB",
    "DEFINER=",
    "INTO OUTFILE",
];

/// Where a session is.
#[derive(Debug, Default)]
pub(super) struct Session {
    pub(super) keyspace: String,
    pub(super) shard: Option<String>,
    pub(super) olap: bool,
    pub(super) transaction: Option<Instant>,
}

/// What becomes of a statement.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// MySQL is given this instead.
    Ask(String),
    /// It is done.
    Done,
    /// It fails with this number and text.
    Refuse(u16, String),
}

fn unsupported(what: &str) -> Verdict {
    Verdict::Refuse(1235, format!("VT12001: unsupported: {what}"))
}

/// Judges a statement; `session` takes what it changes for the proxy alone.
pub(super) fn judge(sql: &str, session: &mut Session, all: &[Keyspace], version: &str) -> Verdict {
    let plain = sql.split_whitespace().collect::<Vec<_>>().join(" ");
    let upper = plain.to_ascii_uppercase();
    if let Some(what) = REFUSED.iter().find(|words| upper.starts_with(**words)) {
        return unsupported(what);
    }
    // What stands in quotes is data.
    let outside = strings().replace_all(&upper, "''").into_owned();
    if let Some(what) = REFUSED_ANYWHERE.iter().find(|words| outside.contains(**words)) {
        return unsupported(what);
    }
    if outside.contains("FOREIGN KEY") && all.iter().any(|one| one.no_foreign_keys) {
        return Verdict::Refuse(1105, "VT10001: foreign key constraints are not allowed".into());
    }
    let ddl = ["CREATE ", "ALTER ", "DROP ", "TRUNCATE "].iter().any(|one| upper.starts_with(one));
    if ddl && all.iter().any(|one| one.safe_migrations) {
        return Verdict::Refuse(1105, "direct DDL is disabled".into());
    }
    if upper.starts_with("SET ") {
        return set(&plain, session);
    }
    if upper.starts_with("USE ") {
        return target(&plain, session, all);
    }
    if upper.starts_with("SAVEPOINT") || upper.starts_with("ROLLBACK TO") {
        return match session.transaction {
            Some(_) => Verdict::Ask(sql.to_owned()),
            None => Verdict::Refuse(1305, "SAVEPOINT does not exist outside a transaction".into()),
        };
    }
    if upper.starts_with("SHOW ") {
        return show(&plain, &upper, session, all, version);
    }
    Verdict::Ask(in_keyspace(sql, session, all))
}

fn strings() -> Regex {
    pattern(r"'(?:[^'\\]|\\.|'')*'")
}

#[allow(clippy::expect_used, reason = "patterns are constants, and tests use each")]
pub(super) fn pattern(text: &str) -> Regex {
    Regex::new(text).expect("a pattern")
}

/// A dictionary that is asked of a keyspace is asked of its first shard; a session of one shard asks
/// MySQL, which knows no keyspaces.
fn in_keyspace(sql: &str, session: &Session, all: &[Keyspace]) -> String {
    let keyspace = all.iter().find(|one| one.name == session.keyspace && one.is_sharded());
    let (Some(keyspace), None) = (keyspace, &session.shard) else { return sql.to_owned() };
    let Some(first) = keyspace.databases().into_iter().next() else { return sql.to_owned() };
    let dictionary = sql.to_ascii_uppercase().contains("INFORMATION_SCHEMA");
    if dictionary {
        sql.replace(&format!("'{}'", keyspace.name), &format!("'{first}'"))
    } else {
        sql.replace(&format!("`{}`.", keyspace.name), &format!("`{first}`."))
    }
}

fn set(plain: &str, session: &mut Session) -> Verdict {
    let rest = plain.get(4..).unwrap_or_default();
    if rest.to_ascii_uppercase().contains("TRANSACTION ISOLATION LEVEL") {
        return Verdict::Ask(plain.to_owned());
    }
    let mut kept = Vec::new();
    for one in pattern(r"(?:'[^']*'|[^,'])+").find_iter(rest) {
        let one = one.as_str().trim();
        let bare = pattern(r"(?i-u)^(@@)?(session[ .])?").replace(one, "");
        let (name, value) = bare.split_once(['=', ' ']).unwrap_or((&bare, ""));
        let name = name.trim().to_ascii_lowercase();
        if name == "workload" {
            session.olap = value.to_ascii_lowercase().contains("olap");
        } else if SETTABLE.contains(&name.as_str()) {
            kept.push(one.to_owned());
        } else if !IGNORED.contains(&name.as_str()) {
            return Verdict::Refuse(1193, format!("VT05006: unknown system variable '{one}'"));
        }
    }
    if kept.is_empty() { Verdict::Done } else { Verdict::Ask(format!("SET {}", kept.join(", "))) }
}

fn target(plain: &str, session: &mut Session, all: &[Keyspace]) -> Verdict {
    let name = plain.get(4..).unwrap_or_default().trim().trim_matches('`');
    let (keyspace, shard) = name.split_once('/').map_or((name, None), |(k, s)| (k, Some(s)));
    let Some(known) = all.iter().find(|one| one.name == keyspace) else {
        return Verdict::Refuse(1049, format!("VT05003: unknown database '{keyspace}' in vschema"));
    };
    if let Some(shard) = shard
        && !known.shards.iter().any(|one| one == shard)
    {
        return Verdict::Refuse(1105, format!("VT05003: no shard {name}"));
    }
    session.keyspace = keyspace.to_owned();
    session.shard = shard.map(str::to_owned);
    let database = match (shard, known.is_sharded()) {
        (Some(shard), true) => known.database(shard),
        _ => known.name.clone(),
    };
    Verdict::Ask(format!("USE `{database}`"))
}

fn show(plain: &str, upper: &str, session: &Session, all: &[Keyspace], version: &str) -> Verdict {
    if upper.starts_with("SHOW VITESS_SHARDS") {
        let each = all.iter().flat_map(|one| {
            one.shards.iter().map(|shard| (format!("{}/{shard}", one.name), String::new()))
        });
        return rows(&["Shards"], each);
    }
    if upper == "SHOW VITESS_KEYSPACES" || upper == "SHOW KEYSPACES" {
        return rows(&["Database"], all.iter().map(|one| (one.name.clone(), String::new())));
    }
    if upper.starts_with("SHOW GLOBAL GTID_EXECUTED") {
        let keyspace = all.iter().find(|one| one.name == session.keyspace);
        let shards = keyspace.map(|one| one.shards.clone()).unwrap_or_default();
        let each: Vec<String> = shards
            .iter()
            .map(|shard| {
                format!(
                    "SELECT '{}' AS db_name, @@global.gtid_binlog_pos AS gtid_executed, '{shard}' AS shard",
                    session.keyspace
                )
            })
            .collect();
        return Verdict::Ask(each.join(" UNION ALL "));
    }
    let listed = pattern(r"^(?i-u:SHOW GLOBAL VARIABLES WHERE Variable_name IN )\((.*)\)$");
    if let Some(found) = listed.captures(plain) {
        let names = found.get(1).map_or("''", |names| names.as_str());
        return Verdict::Ask(format!(
            "SELECT LOWER(VARIABLE_NAME) AS Variable_name, CASE VARIABLE_NAME WHEN 'VERSION' THEN '{version}' \
             WHEN 'VERSION_COMMENT' THEN 'Version: 22.0.1 (Git revision none branch none)' \
             ELSE VARIABLE_VALUE END AS Value \
             FROM information_schema.GLOBAL_VARIABLES WHERE VARIABLE_NAME IN ({names})"
        ));
    }
    if upper.starts_with("SHOW WARNINGS") {
        // Vitess tells of its own complaints only.
        return Verdict::Ask("SELECT 1 FROM DUAL WHERE FALSE".to_owned());
    }
    Verdict::Ask(in_keyspace(plain, session, all))
}

fn rows(names: &[&str], each: impl Iterator<Item = (String, String)>) -> Verdict {
    let name = names.first().copied().unwrap_or_default();
    let selects: Vec<String> = each.map(|(one, _)| format!("SELECT '{one}' AS `{name}`")).collect();
    Verdict::Ask(selects.join(" UNION ALL "))
}

/// Follows what a statement that went well did to the session's transaction.
pub(super) fn follow(sql: &str, session: &mut Session) {
    let upper = sql.trim_start().to_ascii_uppercase();
    if upper.starts_with("BEGIN") || upper.starts_with("START TRANSACTION") {
        session.transaction = Some(Instant::now());
    } else if upper.starts_with("COMMIT")
        || (upper.starts_with("ROLLBACK") && !upper.starts_with("ROLLBACK TO"))
    {
        session.transaction = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judged(sql: &str) -> Verdict {
        let all = [Keyspace::new("shop", &["-80", "80-"])];
        let mut session = Session { keyspace: "shop".into(), ..Session::default() };
        judge(sql, &mut session, &all, "8.0.40-Vitess")
    }

    #[test]
    fn statements_are_refused_changed_or_passed_on() {
        for sql in [
            "LOCK  TABLES t READ",
            "flush tables with read lock",
            "START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY",
            "SELECT GET_LOCK('x', 0)",
            "CREATE DEFINER=`a`@`b` VIEW v AS SELECT 1",
            "SET max_statement_time = 0",
            "USE `other`",
            "USE `shop/40-80`",
            "SAVEPOINT a",
        ] {
            assert!(matches!(judged(sql), Verdict::Refuse(..)), "{sql}");
        }
        assert_eq!(judged("SET SESSION lock_wait_timeout = 3"), Verdict::Done);
        assert_eq!(judged("SET workload = 'olap'"), Verdict::Done);
        let asks = |sql: &str, asked: &str| assert_eq!(judged(sql), Verdict::Ask(asked.into()));
        asks(
            "SET NAMES utf8mb4, character_set_results = NULL, sql_mode = 'A,B'",
            "SET NAMES utf8mb4, sql_mode = 'A,B'",
        );
        asks("USE `shop/80-`", "USE `shop/80-`");
        asks("SHOW CREATE TABLE `shop`.`t`", "SHOW CREATE TABLE `shop/-80`.`t`");
        asks("INSERT INTO t VALUES ('GET_LOCK(')", "INSERT INTO t VALUES ('GET_LOCK(')");
        asks(
            "SHOW VITESS_SHARDS",
            "SELECT 'shop/-80' AS `Shards` UNION ALL SELECT 'shop/80-' AS `Shards`",
        );
    }
}
