//! Replication slots: the server's promise to keep WAL until it was fetched.

use backup_core::{Error, ErrorKind, Lsn, Result};

use super::{Replication, unreadable};
use crate::{Client, quote_ident, quote_literal};

const SLOT: &str = "use replication slot";

/// A physical slot, as the server sees it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SlotState {
    /// From where on WAL is kept; `None`: nothing is reserved.
    pub restart: Option<Lsn>,
    /// The timeline of that position, where the server tells (15 and newer).
    pub timeline: Option<u32>,
    /// Whether a connection uses it now ([`slot`] only).
    pub active: bool,
    /// `reserved`, `extended`, `unreserved` or `lost` ([`slot`] only).
    pub wal_status: Option<String>,
    /// Bytes that may be written before WAL is at risk, where a limit is set ([`slot`] only).
    pub safe_bytes: Option<i64>,
}

impl Replication {
    /// Creates a physical slot that keeps WAL from now on (`RESERVE_WAL`); a temporary one ends
    /// with this connection.
    ///
    /// # Errors
    /// `Conflict` if it exists; the server's error (`max_replication_slots`) otherwise.
    pub async fn create_slot(&mut self, name: &str, temporary: bool) -> Result<()> {
        let name = checked(name)?;
        let kind = if temporary { "TEMPORARY PHYSICAL" } else { "PHYSICAL" };
        let sql = format!("CREATE_REPLICATION_SLOT {name} {kind} RESERVE_WAL");
        self.client.execute(&sql).await.map(drop).map_err(|error| advise(error, &name))
    }

    /// Returns a physical slot's position, `None` if there is no such slot. Only servers from 15
    /// on answer this; for older ones use [`slot`] on an SQL session.
    ///
    /// # Errors
    /// `Unsupported` before 15, `Conflict` for a logical slot, or the server's error.
    pub async fn read_slot(&mut self, name: &str) -> Result<Option<SlotState>> {
        if self.server_version_num() < 150_000 {
            return Err(Error::new(ErrorKind::Unsupported, SLOT)
                .with("server", self.server_version())
                .because("READ_REPLICATION_SLOT came with PostgreSQL 15"));
        }
        let sql = format!("READ_REPLICATION_SLOT {}", checked(name)?);
        let row = self.one_row(SLOT, &sql).await?;
        let Some(kind) = row.by_name("slot_type") else { return Ok(None) };
        if kind != "physical" {
            return Err(not_physical(name));
        }
        let number =
            |column| row.by_name(column).map(|text| text.parse().map_err(drop)).transpose();
        let timeline = number("restart_tli").map_err(|()| unreadable(SLOT))?;
        let restart = position(row.by_name("restart_lsn"))?;
        Ok(Some(SlotState { restart, timeline, ..SlotState::default() }))
    }

    /// Drops a slot; `wait` until whoever uses it lets go, instead of failing.
    ///
    /// # Errors
    /// `NotFound` if there is none, `Conflict` if it is in use, or the server's error.
    pub async fn drop_slot(&mut self, name: &str, wait: bool) -> Result<()> {
        let name = checked(name)?;
        let wait = if wait { " WAIT" } else { "" };
        let sql = format!("DROP_REPLICATION_SLOT {name}{wait}");
        self.client.execute(&sql).await.map(drop).map_err(|error| advise(error, &name))
    }
}

/// Returns what `pg_replication_slots` says of a physical slot, on an SQL session of any major;
/// `None` if there is no such slot.
///
/// # Errors
/// `Conflict` for a logical slot, or the server's error.
pub async fn slot(client: &mut Client, name: &str) -> Result<Option<SlotState>> {
    let sql = format!(
        "SELECT slot_type, restart_lsn, active, wal_status, safe_wal_size \
         FROM pg_catalog.pg_replication_slots WHERE slot_name = {}",
        quote_literal(name)
    );
    let rows = client.query(&sql).await?;
    let Some(row) = rows.first() else { return Ok(None) };
    if row.by_name("slot_type") != Some("physical") {
        return Err(not_physical(name));
    }
    Ok(Some(SlotState {
        restart: position(row.by_name("restart_lsn"))?,
        timeline: None,
        active: row.by_name("active") == Some("t"),
        wal_status: row.by_name("wal_status").map(ToOwned::to_owned),
        safe_bytes: row.by_name("safe_wal_size").and_then(|bytes| bytes.parse().ok()),
    }))
}

fn position(text: Option<&str>) -> Result<Option<Lsn>> {
    text.map(str::parse).transpose().map_err(|error| unreadable(SLOT).because(error))
}

/// The server's rule for slot names, said before it is asked.
pub(super) fn checked(name: &str) -> Result<String> {
    let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_';
    if (1..=63).contains(&name.len()) && name.bytes().all(plain) {
        return Ok(quote_ident(name));
    }
    Err(Error::new(ErrorKind::Usage, SLOT)
        .with("slot", name)
        .hint("Slot names hold lower-case letters, digits and underscores, 63 at most."))
}

fn not_physical(name: &str) -> Error {
    Error::new(ErrorKind::Conflict, SLOT)
        .with("slot", name)
        .because("a logical slot has that name")
        .hint("Choose another name for the physical slot.")
}

fn advise(error: Error, name: &str) -> Error {
    let (kind, hint) = match crate::sqlstate(&error) {
        Some("42710") => (ErrorKind::Conflict, "The slot exists already."),
        Some("42704") => (ErrorKind::NotFound, "There is no slot of that name."),
        Some("55006") => (ErrorKind::Conflict, "Another connection uses the slot; end that first."),
        Some("53400") => (
            ErrorKind::SourceUnavailable,
            "Raise max_replication_slots (and restart the server), or drop slots nobody uses.",
        ),
        _ => return error,
    };
    error.into_kind(kind).with("slot", name).hint(hint)
}

#[cfg(test)]
mod tests {
    use super::checked;

    #[test]
    fn slot_names_are_the_servers() {
        for name in ["backup", "b_1", &"x".repeat(63)] {
            assert_eq!(checked(name).unwrap(), format!("\"{name}\""));
        }
        for name in ["", "Backup", "a-b", "a b", "ü", "a\"", &"x".repeat(64)] {
            assert!(checked(name).is_err(), "{name}");
        }
    }
}
