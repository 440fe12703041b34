//! PostgreSQL's replication protocol: base backups, slots, timelines and the stream of WAL.
//!
//! [`Replication`] is one walsender session. It is a [`Client`] that logged in with
//! `replication=true`: it answers replication commands and `SHOW`, and no SQL.
//!
//! | to learn or do | call |
//! |---|---|
//! | which cluster this is, and where its WAL ends | [`Replication::identify`] |
//! | keep WAL until it is fetched | [`Replication::create_slot`], [`read_slot`](Replication::read_slot), [`drop_slot`](Replication::drop_slot), [`slot`] (by SQL) |
//! | the history of a timeline | [`Replication::timeline_history`] |
//! | the WAL itself | [`Replication::start_physical`], then [`WalStream`] |
//! | a copy of the cluster | [`Replication::base_backup`], then [`BaseBackup`] |
//! | only what changed since another copy (17 and newer) | [`Replication::upload_manifest`] first |
//!
//! The rules of [`Client`] hold: one command at a time, and what is dropped halfway gives the
//! connection up.

mod base_backup;
mod history;
mod message;
mod options;
mod slot;
mod stream;
mod upload;

use backup_core::{Error, ErrorKind, Lsn, Result};

use crate::wire::{Client, Row};
use crate::{ConnectOptions, sqlstate};

pub use base_backup::{BackupPiece, BaseBackup, Tablespace};
pub use history::{HistoryFile, TimelineSwitch, parse_history};
pub use message::WalMessage;
pub use options::BaseBackupOptions;
pub use slot::{SlotState, slot};
pub use stream::{TimelineEnd, WalStream};

const IDENTIFY: &str = "identify cluster";

/// A connection to a server's walsender.
#[derive(Debug)]
pub struct Replication {
    client: Client,
}

/// What `IDENTIFY_SYSTEM` says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SystemIdentity {
    /// The cluster's system identifier, as the server writes it (decimal).
    pub system: String,
    /// The timeline it writes, or replays, now.
    pub timeline: u32,
    /// Where its WAL ends: flushed on a primary, received or replayed on a standby.
    pub position: Lsn,
}

impl Replication {
    /// Connects for physical replication.
    ///
    /// # Errors
    /// As [`Client::connect`]; a role without REPLICATION, a missing `replication` line in
    /// `pg_hba.conf` and exhausted `max_wal_senders` name their remedy.
    pub async fn connect(options: &ConnectOptions) -> Result<Self> {
        let role = options.user().to_owned();
        let options = options.clone().with_startup_parameter("replication", "true");
        let client = Client::connect(&options).await.map_err(|error| advise(error, &role))?;
        Ok(Self { client })
    }

    /// Returns the server's version as a number, `150004` for 15.4.
    #[must_use]
    pub fn server_version_num(&self) -> u32 {
        self.client.server_version_num()
    }

    /// Returns the server's version as it prints it.
    #[must_use]
    pub fn server_version(&self) -> &str {
        self.client.parameter("server_version").unwrap_or_default()
    }

    /// Returns the client below: notices, process id, cancel token.
    #[must_use]
    pub fn client(&mut self) -> &mut Client {
        &mut self.client
    }

    /// Says which cluster this is. Compare it at every new connection: what answers at an
    /// address may be another cluster tomorrow.
    ///
    /// # Errors
    /// The server's error, or an answer that cannot be read.
    pub async fn identify(&mut self) -> Result<SystemIdentity> {
        let row = self.one_row(IDENTIFY, "IDENTIFY_SYSTEM").await?;
        let read = || {
            Some(SystemIdentity {
                system: row.by_name("systemid")?.to_owned(),
                timeline: row.by_name("timeline")?.parse().ok()?,
                position: row.by_name("xlogpos")?.parse().ok()?,
            })
        };
        read().ok_or_else(|| unreadable(IDENTIFY))
    }

    /// Returns a server setting, as `SHOW` prints it.
    ///
    /// # Errors
    /// The server's error: no such setting, or one this role may not see.
    pub async fn show(&mut self, setting: &str) -> Result<String> {
        let sql = format!("SHOW {}", crate::quote_ident(setting));
        let row = self.one_row("read server setting", &sql).await?;
        row.get(0).map(ToOwned::to_owned).ok_or_else(|| unreadable("read server setting"))
    }

    /// Returns the size of the cluster's WAL segments in bytes; never assume 16 MiB.
    ///
    /// # Errors
    /// The server's error, or a size that no cluster can have.
    pub async fn wal_segment_size(&mut self) -> Result<u64> {
        let text = self.show("wal_segment_size").await?;
        segment_size(&text)
            .ok_or_else(|| unreadable("read server setting").with("wal_segment_size", text))
    }

    /// Says goodbye and closes the connection.
    pub async fn close(self) {
        self.client.close().await;
    }

    async fn one_row(&mut self, operation: &'static str, sql: &str) -> Result<Row> {
        let rows = self.client.query_bytes(sql).await?;
        rows.into_iter().next().ok_or_else(|| unreadable(operation))
    }
}

/// Returns whether the server refused because the WAL asked for is gone: recycled or removed.
/// What is missing then is a gap that no retry closes.
#[must_use]
pub fn is_wal_removed(error: &Error) -> bool {
    // undefined_file from the walsender; object_not_in_prerequisite_state for a lost slot.
    matches!(sqlstate(error), Some("58P01" | "55000"))
}

/// `16MB`, `1GB`: a power of two from 1 MiB to 1 GiB.
fn segment_size(text: &str) -> Option<u64> {
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let unit = match text.get(digits.len()..)? {
        "" | "B" => 1,
        "kB" => 1 << 10,
        "MB" => 1 << 20,
        "GB" => 1 << 30,
        _ => return None,
    };
    let size = digits.parse::<u64>().ok()?.checked_mul(unit)?;
    (size.is_power_of_two() && (1 << 20..=1 << 30).contains(&size)).then_some(size)
}

fn unreadable(operation: &'static str) -> Error {
    Error::new(ErrorKind::SourceUnavailable, operation)
        .because("the server's answer cannot be read")
        .hint("Check that a PostgreSQL server, and no pooler, listens there.")
}

/// A walsender is refused for reasons of its own.
fn advise(error: Error, role: &str) -> Error {
    let hint = match sqlstate(&error) {
        Some("42501") => format!("Run: ALTER ROLE {} REPLICATION;", crate::quote_ident(role)),
        Some("28000") if error.to_string().contains("pg_hba.conf") => format!(
            "Add a line to the server's pg_hba.conf and reload it: hostssl replication {role} \
             ADDRESS/32 scram-sha-256 (the word `all` for databases does not cover replication)."
        ),
        Some("53300") => {
            "Raise max_wal_senders (and restart the server), or end idle walsenders.".to_owned()
        }
        _ => return error,
    };
    error.hint(hint)
}

#[cfg(test)]
mod tests {
    use super::segment_size;

    #[test]
    fn segment_sizes_are_powers_of_two_in_bounds() {
        for (text, size) in [
            ("16MB", Some(16 << 20)),
            ("1GB", Some(1 << 30)),
            ("1MB", Some(1 << 20)),
            ("1048576", Some(1 << 20)),
            ("3MB", None),
            ("512kB", None),
            ("2GB", None),
            ("", None),
            ("MB", None),
            ("16MiB", None),
        ] {
            assert_eq!(segment_size(text), size, "{text}");
        }
    }
}
