//! Databases behind Vitess: many short statements instead of one transaction.
//!
//! No transaction lasts longer than some seconds there, so that nothing larger is one instant of a
//! database that somebody writes to. What nobody writes to is the same at every instant: a branch
//! that was restored from a backup is read in pieces, and that it stood still meanwhile is proved.
//! Each table is read by ranges of its key, shard by shard, streamed (`workload = 'olap'`); a piece that
//! breaks off goes on behind its last row. A result that ends early shows in the count that is asked
//! for afterwards.

mod alike;
mod proof;
mod read;
mod shards;

use backup_core::port::PartSink;
use backup_core::{Error, ErrorKind, Event, Evidence, Finding, Result, TableEvidence};

use super::facts;
use super::queue::Queue;
use super::rows::{Reading, order};
use super::source::{
    LogicalSource, changed, check_finished, doubts, other_databases, same_schema, same_tables,
    see_all_columns, write_schema,
};
use crate::catalog::objects;
use crate::catalog::server::Server;
use crate::catalog::tables::{self, Kind, Table};
use crate::logical::discover::coverage;
use crate::logical::examine::Nowhere;
use crate::logical::rate::RateLimit;
use crate::{Client, ConnectOptions, VitessReading, schema};

pub(super) use shards::Shards;

/// Fails where a server behind Vitess may not be read as it is.
pub(super) fn check_allowed(server: &Server, connect: &ConnectOptions) -> Result<()> {
    let read = matches!(connect.vitess(), VitessReading::Frozen | VitessReading::Fuzzy);
    if !server.vitess || read {
        return Ok(());
    }
    Err(Error::new(ErrorKind::Unsupported, "read database")
        .with("server", &server.version)
        .with("database", connect.location())
        .because("Vitess offers no consistent snapshot that outlives a few seconds")
        .hint(
            "Configure PlanetScale's service token: then a branch restored from a backup is read. \
             With ?fuzzy=true in the URL the live database is read piece by piece: no instant of it, \
             never a protection.",
        ))
}

/// Fails where accounts are asked for that Vitess does not show: its own are not MySQL's.
pub(super) fn check_accounts(server: &Server) -> Result<()> {
    if !server.vitess {
        return Ok(());
    }
    Err(Error::new(ErrorKind::Unsupported, "read accounts")
        .with("server", &server.version)
        .because("behind Vitess nobody sees the accounts of the servers")
        .hint("Leave backup.users out for this source."))
}

impl LogicalSource {
    /// Copies it in many short statements.
    pub(super) async fn copy_pieces(&self, sink: &dyn PartSink) -> Result<Evidence> {
        let database = self.connect.database();
        let (server, observer) = (&self.look.server, &*self.options.observer);
        let frozen = self.connect.vitess() == VitessReading::Frozen;
        let mut holder = shards::session(&self.connect).await?;
        let shards = Shards::read(&mut holder, &self.connect).await?;
        let before = proof::positions(&mut holder, &shards).await?;
        let (tables, internal) = tables_of(&mut holder, database).await?;
        tables::check_sound(&tables)?;
        check_finished(&tables, database)?;
        shards.compare_tables(&mut holder, &tables).await?;
        let mut items = schema::read(&mut holder, database, &tables).await?;
        let abroad = other_databases(&mut holder, database, &mut items).await?;
        see_all_columns(&tables, &items)?;
        let objects = objects::count(&mut holder, database, &internal).await?;
        write_schema(sink, &items).await?;

        self.phase("copy rows");
        let copied = self.read_rows(&shards, &tables, sink).await?;

        self.phase("check that nothing changed");
        let (after, _) = tables_of(&mut holder, database).await?;
        check_finished(&after, database)?;
        same_tables(&tables, &after)?;
        same_schema(&items, &schema::read(&mut holder, database, &after).await?, database)?;
        let mut facts = facts::of(server, &self.look.database, database);
        let mut findings = coverage(&self.look, database, &tables);
        if frozen {
            shards.compare_counts(&mut holder, &tables, &copied).await?;
            let still = proof::positions(&mut holder, &shards).await?;
            let proof = match (&before, &still) {
                (Some(before), Some(still)) if before == still => "gtid",
                _ => {
                    self.read_again(&shards, &tables, &copied).await?;
                    "read twice"
                }
            };
            facts.insert("freeze".to_owned(), "frozen branch".to_owned());
            facts.insert("frozen_by".to_owned(), proof.to_owned());
        } else {
            facts.insert("freeze".to_owned(), "none".to_owned());
            findings.push(Finding::fuzzy(
                "each piece was read from the live database as it was at its own time; rows \
                 of different tables, and of one table, need not fit each other. It never counts as \
                 a protection",
            ));
        }
        let consistency = if frozen { "frozen" } else { "fuzzy" };
        facts.insert("consistency".to_owned(), consistency.to_owned());
        facts.insert("vitess".to_owned(), server.version.clone());
        facts.insert("shards".to_owned(), shards.names().join(", "));
        if let Some(positions) = before {
            facts.insert("gtid".to_owned(), positions.join("; "));
        }
        findings.extend(shards.findings());
        findings.extend(shards.alike_findings());
        findings.extend(hidden(&internal));
        findings.extend(abroad);
        findings.extend(doubts(database, &copied, sink));
        holder.close().await;
        for finding in &findings {
            observer.on_event(&Event::Found(finding.clone()));
        }
        Ok(Evidence {
            server_version: server.version.clone(),
            schema_tool_version: server.series(),
            tables: copied,
            sequences: Vec::new(),
            objects,
            schema: Some(schema::fingerprint(&items, database)),
            large_objects: None,
            tree: None,
            findings,
            facts,
        })
    }

    async fn read_rows(
        &self,
        shards: &Shards,
        tables: &[Table],
        sink: &dyn PartSink,
    ) -> Result<Vec<TableEvidence>> {
        let mut readers = Vec::new();
        for _ in 0..self.options.jobs.get() {
            readers.push(shards::session(&self.connect).await?);
        }
        let rate = RateLimit::new(self.options.max_rate);
        let queue = Queue::new(order(tables).into_iter());
        let shared = (&queue, sink, &*self.options.observer, &rate);
        let base = sink.base().await?;
        let rows = Reading::new(shared, &self.title, tables, base, None).through(shards);
        let copied = rows.run(&mut readers).await?;
        for reader in readers {
            reader.close().await;
        }
        Ok(copied)
    }

    /// Reads everything once more: where the servers write for themselves (their heartbeat), or do not
    /// say where they stand, only the rows tell whether they stood still.
    async fn read_again(
        &self,
        shards: &Shards,
        tables: &[Table],
        copied: &[TableEvidence],
    ) -> Result<()> {
        self.phase("read rows again, to prove that nobody writes");
        let again = self.read_rows(shards, tables, &Nowhere::default()).await?;
        match copied.iter().zip(&again).find(|(one, other)| one != other) {
            None => Ok(()),
            Some((table, _)) => Err(changed(format!(
                "somebody writes to table {} of what should be frozen",
                table.name
            ))),
        }
    }
}

/// Reads the tables, and tells those that Vitess keeps for itself apart.
async fn tables_of(client: &mut Client, database: &str) -> Result<(Vec<Table>, Vec<String>)> {
    let (own, mut tables): (Vec<Table>, Vec<Table>) =
        tables::read(client, database).await?.into_iter().partition(|one| is_internal(&one.name));
    for column in tables.iter_mut().flat_map(|table| &mut table.columns) {
        let as_it_is = ["utf8mb4", "utf8mb3", "utf8", "ascii", "binary"];
        column.converted =
            column.charset.as_deref().is_some_and(|charset| !as_it_is.contains(&charset));
    }
    Ok((tables, own.into_iter().map(|table| table.name).collect()))
}

/// Whether a table is one that Vitess made: what is dropped or changed passes through such ones. Only
/// names of exactly their forms are; every other table is somebody's.
pub(crate) fn is_internal(name: &str) -> bool {
    let Some(rest) = name.strip_prefix('_') else { return false };
    let words: Vec<&str> = rest.split('_').collect();
    match words.as_slice() {
        ["vt", hint, one, at, ""] => {
            hint.len() == 3
                && hint.bytes().all(|b| b.is_ascii_lowercase())
                && is_hex(one, 32)
                && is_time(at)
        }
        ["vt", "HOLD" | "PURGE" | "EVAC" | "DROP", id @ .., at] => is_uuid(id) && is_time(at),
        [id @ .., at, "gho" | "ghc" | "del" | "new" | "vrepl"] => is_uuid(id) && is_time(at),
        _ => false,
    }
}

fn is_hex(word: &str, long: usize) -> bool {
    word.len() == long && word.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
}

fn is_time(word: &str) -> bool {
    word.len() == 14 && word.bytes().all(|b| b.is_ascii_digit())
}

fn is_uuid(words: &[&str]) -> bool {
    let long = [8, 4, 4, 4, 12];
    words.len() == long.len() && words.iter().zip(long).all(|(word, long)| is_hex(word, long))
}

fn hidden(internal: &[String]) -> Option<Finding> {
    (!internal.is_empty()).then(|| {
        Finding::note(format!(
            "tables that Vitess keeps for itself are not covered: {}",
            internal.join(", ")
        ))
    })
}

/// What is left of a table's kind for whoever counts.
fn holds_rows(table: &Table) -> bool {
    table.kind == Kind::Plain && table.holds_rows()
}

#[cfg(test)]
mod tests {
    use super::is_internal;

    #[test]
    fn tables_of_vitess_are_told_from_others() {
        for name in [
            "_vt_hld_6ace8bcef73211ea87e9f875a4d24e90_20200915120410_",
            "_vt_PURGE_6ace8bce_f732_11ea_87e9_f875a4d24e90_20200915120410",
            "_4e5dcf80_354b_11eb_82cd_f875a4d24e90_20201203114014_gho",
            "_4e5dcf80_354b_11eb_82cd_f875a4d24e90_20201203114014_new",
        ] {
            assert!(is_internal(name), "{name}");
        }
        for name in [
            "orders",
            "_archive_del",
            "vt_orders",
            "_gho",
            "_vt_orders",
            "_vt_",
            "_a_long_name_of_somebody_who_archives_the_orders_of_a_year_del",
            "_vt_hld_6ace8bcef73211ea87e9f875a4d24e9_20200915120410_",
            "_vt_hld_6ace8bcef73211ea87e9f875a4d24e90_2020091512041x_",
            "_vt_hld_6ace8bcef73211ea87e9f875a4d24e90_20200915120410_x",
        ] {
            assert!(!is_internal(name), "{name}");
        }
    }
}
