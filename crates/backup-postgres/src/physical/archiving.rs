//! Is WAL kept, archived and streamed as it should be? If not, which statement mends it.

use backup_core::{ByteSize, Finding, Result};

use crate::wire::quote_literal;
use crate::{Client, Row};

/// A slot that nobody reads and that keeps so much is worth a word.
const MUCH: u64 = 1 << 30;

/// Asks the server how it archives, and what keeps its WAL.
///
/// # Errors
/// A failing query.
pub(crate) async fn archiving(client: &mut Client) -> Result<Vec<Finding>> {
    let setting = |name: &str| format!("pg_catalog.current_setting('{name}', true) AS {name}");
    let sql = format!(
        "SELECT {}, {}, {}, {}, {}, {}, {}, {}, \
         extract(epoch FROM pg_catalog.current_setting('archive_timeout')::interval)::bigint AS timeout, \
         pg_catalog.pg_is_in_recovery() AS recovering, \
         (SELECT count(*) FROM pg_catalog.pg_stat_replication) AS sending, \
         (SELECT count(*) FROM pg_catalog.pg_replication_slots) AS slots, \
         failed_count, last_failed_wal, last_failed_time::text AS failed_at, \
         last_failed_time > coalesce(last_archived_time, '-infinity') AS failing \
         FROM pg_catalog.pg_stat_archiver",
        setting("archive_mode"),
        setting("archive_command"),
        setting("archive_library"),
        setting("max_wal_senders"),
        setting("max_replication_slots"),
        setting("max_slot_wal_keep_size"),
        setting("full_page_writes"),
        setting("wal_level"),
    );
    let rows = client.query(&sql).await?;
    let Some(row) = rows.first() else { return Ok(Vec::new()) };
    let mut findings = Asked::of(row).findings();
    let sql = "SELECT slot_name, wal_status, (CASE WHEN pg_catalog.pg_is_in_recovery() \
         THEN pg_catalog.pg_last_wal_replay_lsn() ELSE pg_catalog.pg_current_wal_lsn() END \
         - restart_lsn)::bigint AS keeps FROM pg_catalog.pg_replication_slots \
         WHERE NOT active AND NOT temporary ORDER BY slot_name";
    for row in client.query(sql).await? {
        let name = row.by_name("slot_name").unwrap_or_default();
        let keeps = row.by_name("keeps").and_then(|bytes| bytes.parse().ok()).unwrap_or_default();
        findings.extend(slot(name, row.by_name("wal_status").unwrap_or_default(), keeps));
    }
    Ok(findings)
}

/// What the server said.
#[derive(Clone, Debug, Default)]
struct Asked {
    archive_mode: String,
    command: String,
    library: String,
    timeout: u64,
    recovering: bool,
    failing: bool,
    failed: String,
    senders: (u64, u64),
    slots: (u64, u64),
    slot_limit: String,
    full_page_writes: bool,
    wal_level: String,
}

impl Asked {
    fn of(row: &Row) -> Self {
        let text = |name: &str| row.by_name(name).unwrap_or_default().to_owned();
        let number = |name: &str| text(name).parse().unwrap_or_default();
        Self {
            archive_mode: text("archive_mode"),
            command: text("archive_command"),
            library: text("archive_library"),
            timeout: number("timeout"),
            recovering: text("recovering") == "t",
            failing: text("failing") == "t",
            failed: format!(
                "{} times, last for {} at {}",
                text("failed_count"),
                text("last_failed_wal"),
                text("failed_at")
            ),
            senders: (number("sending"), number("max_wal_senders")),
            slots: (number("slots"), number("max_replication_slots")),
            slot_limit: text("max_slot_wal_keep_size"),
            full_page_writes: text("full_page_writes") != "off",
            wal_level: text("wal_level"),
        }
    }

    /// Judges it; pure.
    fn findings(&self) -> Vec<Finding> {
        let mut findings = self.archive();
        let (sending, senders) = self.senders;
        if senders < sending + 2 {
            findings.push(Finding::warning(format!(
                "{sending} of max_wal_senders = {senders} are in use; a physical backup needs two, a \
                 stream of WAL one. Run: ALTER SYSTEM SET max_wal_senders = {}; and restart the server",
                sending + 8
            )));
        }
        let (used, slots) = self.slots;
        if slots <= used {
            findings.push(Finding::warning(format!(
                "all of max_replication_slots = {slots} are in use: no WAL can be streamed, and none is \
                 kept for a running backup. Run: ALTER SYSTEM SET max_replication_slots = {}; and restart \
                 the server; or keep WAL without a slot: ALTER SYSTEM SET wal_keep_size = '4GB'; SELECT \
                 pg_reload_conf();",
                used + 8
            )));
        }
        if self.slot_limit == "-1" && used > 0 {
            findings.push(Finding::note(
                "a slot that nobody reads may fill the server's disk. To bound it, run: ALTER SYSTEM SET \
                 max_slot_wal_keep_size = '64GB'; SELECT pg_reload_conf();",
            ));
        }
        if !self.full_page_writes {
            findings.push(Finding::warning(
                "full_page_writes is off: pages torn by a running backup are not repaired. Run: ALTER SYSTEM \
                 SET full_page_writes = on; SELECT pg_reload_conf();",
            ));
        }
        findings
    }

    fn archive(&self) -> Vec<Finding> {
        let has_command = !self.command.is_empty() && self.command != "(disabled)";
        if self.wal_level == "minimal" {
            // Said already, and archiving is impossible with it.
            return Vec::new();
        }
        if !matches!(self.archive_mode.as_str(), "on" | "always") {
            return vec![Finding::note(
                "the server archives no WAL by itself: stream it (`backupctl wal stream`), or run: ALTER SYSTEM \
                 SET archive_mode = on; ALTER SYSTEM SET archive_command = '/usr/local/bin/backupctl --config \
                 /etc/backup/backup.toml wal push %p'; ALTER SYSTEM SET archive_timeout = '60s'; and restart the \
                 server",
            )];
        }
        let mut findings = Vec::new();
        if !has_command && self.library.is_empty() {
            findings.push(Finding::warning(
                "archive_mode is on and archive_command is empty: pg_wal grows until the disk is full. Run: ALTER \
                 SYSTEM SET archive_command = '/usr/local/bin/backupctl --config /etc/backup/backup.toml wal push \
                 %p'; SELECT pg_reload_conf();",
            ));
        } else if has_command && !self.command.contains("%p") {
            findings.push(Finding::warning(
                "archive_command has no %p: it archives nothing. Run: ALTER SYSTEM SET archive_command = \
                 '/usr/local/bin/backupctl --config /etc/backup/backup.toml wal push %p'; SELECT \
                 pg_reload_conf();",
            ));
        }
        if self.failing {
            findings.push(Finding::warning(format!(
                "archive_command is failing ({}). Its own words are in the server's log; run it by hand as the \
                 user that runs PostgreSQL, in the data directory, with a file of pg_wal for %p",
                self.failed
            )));
        } else if has_command {
            findings.push(Finding::note("archive_command works, as far as the server tells"));
        }
        if self.archive_mode == "always" && self.recovering {
            findings.push(Finding::warning(
                "archive_mode is always on a standby: it pushes what the primary pushes. Run: ALTER SYSTEM SET \
                 archive_mode = on; and restart the standby",
            ));
        }
        if self.timeout == 0 && self.command.contains("backupctl") {
            findings.push(Finding::warning(
                "archive_timeout is 0: on a quiet server the last segment stays unarchived for hours. Run: ALTER \
                 SYSTEM SET archive_timeout = '60s'; SELECT pg_reload_conf();",
            ));
        }
        findings
    }
}

/// What a slot that nobody reads means; pure.
fn slot(name: &str, status: &str, keeps: u64) -> Option<Finding> {
    let drop = format!("SELECT pg_drop_replication_slot({});", quote_literal(name));
    match status {
        "lost" | "unreserved" => Some(Finding::warning(format!(
            "slot {name} lost WAL that it was to keep: take a new physical snapshot when it is read again. \
             Raise max_slot_wal_keep_size; if nobody will read it, run: {drop}"
        ))),
        _ if keeps > MUCH => Some(Finding::warning(format!(
            "slot {name} keeps {} of WAL and nobody reads it. Start its receiver, or run: {drop}",
            ByteSize(keeps)
        ))),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn good() -> Asked {
        Asked {
            archive_mode: "on".to_owned(),
            command: "backupctl wal push %p".to_owned(),
            timeout: 60,
            senders: (1, 10),
            slots: (1, 10),
            slot_limit: "64GB".to_owned(),
            full_page_writes: true,
            wal_level: "replica".to_owned(),
            ..Asked::default()
        }
    }

    fn said(asked: &Asked) -> String {
        let findings = asked.findings();
        findings.iter().map(|finding| finding.message.as_str()).collect::<Vec<_>>().join("\n")
    }

    #[test]
    fn each_obstacle_has_its_statement() {
        assert_eq!(said(&good()), "archive_command works, as far as the server tells");
        for (asked, remedy) in [
            (Asked { archive_mode: "off".to_owned(), ..good() }, "SET archive_mode = on;"),
            (Asked { command: String::new(), ..good() }, "SET archive_command = "),
            (Asked { command: "cp a b".to_owned(), ..good() }, "has no %p"),
            (Asked { failing: true, failed: "3 times".to_owned(), ..good() }, "failing (3 times)"),
            (Asked { timeout: 0, ..good() }, "SET archive_timeout = '60s'"),
            (Asked { senders: (9, 10), ..good() }, "SET max_wal_senders = 17;"),
            (Asked { slots: (10, 10), ..good() }, "SET max_replication_slots = 18;"),
            (Asked { slot_limit: "-1".to_owned(), ..good() }, "SET max_slot_wal_keep_size"),
            (Asked { full_page_writes: false, ..good() }, "SET full_page_writes = on;"),
            (
                Asked { archive_mode: "always".to_owned(), recovering: true, ..good() },
                "restart the standby",
            ),
        ] {
            assert!(said(&asked).contains(remedy), "{asked:?}: {}", said(&asked));
        }
    }

    #[test]
    fn an_abandoned_slot_is_told_with_the_statement_that_ends_it() {
        assert_eq!(slot("a", "reserved", MUCH), None);
        let kept = slot("o'brien", "extended", 2 * MUCH).unwrap().message;
        assert!(kept.contains("pg_drop_replication_slot('o''brien')"), "{kept}");
        assert!(slot("a", "lost", 0).unwrap().message.contains("new physical snapshot"));
    }
}
