//! Restoring behind Vitess: into a keyspace that is there and empty, in statements that each are
//! done before any limit is met.
//!
//! Statements about databases, routines, triggers and events, named locks and files from clients are
//! refused there, and what MySQL complains of is not passed on: so nothing is tried that could be
//! half done. A value that does not fit is an error (strict mode), every statement's count of rows is
//! compared, and what cannot be made is named before anything is.

use std::sync::Arc;

use backup_core::port::{PartSource, RestoreReport};
use backup_core::{Error, ErrorKind, Finding, Result, Snapshot};
use futures::FutureExt;

use super::foreign;
use super::make::{self, How};
use super::place::{self, Place, finish_unfinished};
use super::report::Report;
use super::rows::{self, Manner};
use super::session::writing;
use super::subset::Subset;
use super::target::{LogicalTarget, Undo, alter, check_complete, read_schema, tables_of};
use crate::accounts::RoleMap;
use crate::catalog::database::Database;
use crate::catalog::server::Server;
use crate::logical::backup::is_internal;
use crate::schema::{CreateTable, Item, Kind, Staged, without_definer};
use crate::{Client, ConnectOptions, error_code, quote_name};

/// The number under which Vitess tells most of its own errors.
const OWN: u16 = 1105;

/// Looks at the keyspace: it must be there, of one shard, and empty.
pub(super) async fn look(client: &mut Client, connect: &ConnectOptions) -> Result<Place> {
    let name = connect.database();
    let refused = |kind, why: &str, hint: &str| {
        Err(Error::new(kind, "restore into keyspace")
            .with("target", connect.location())
            .because(why.to_owned())
            .hint(hint))
    };
    let prefix = format!("{name}/");
    let shards = client.query("SHOW VITESS_SHARDS").await?;
    match shards.iter().filter(|row| row.text(0).starts_with(&prefix)).count() {
        1 => {}
        0 => {
            return refused(
                ErrorKind::NotFound,
                "there is no such keyspace, and no statement makes one",
                "Make it at PlanetScale, or name one that is there.",
            );
        }
        _ => {
            return refused(
                ErrorKind::Unsupported,
                "it is sharded: where a row belongs says its VSchema, which no snapshot holds",
                "Restore into an unsharded keyspace, and move the tables there.",
            );
        }
    }
    let Some(database) = Database::read(client, name).await? else {
        return refused(ErrorKind::NotFound, "it cannot be seen", "Check the user's role.");
    };
    let mut objects = place::objects(client, name).await?;
    objects.retain(|name| !is_internal(name));
    if objects.is_empty() {
        return Ok(Place::Empty(database));
    }
    Err(Error::new(ErrorKind::Conflict, "restore into keyspace")
        .with("target", connect.location())
        .with("it holds", objects.iter().take(5).cloned().collect::<Vec<_>>().join(", "))
        .hint(
            "Restore into a new branch, or drop what is there first (a restore that was killed leaves \
             its tables): nothing is ever overwritten.",
        ))
}

/// Fails with the names of what cannot be made behind Vitess.
fn check_possible(items: &[&Item], no_owner: bool) -> Result<()> {
    let kinds = [Kind::Table, Kind::View];
    let mut names: Vec<String> = items
        .iter()
        .filter(|item| !kinds.contains(&item.kind) || item.points_elsewhere())
        .map(|item| format!("{} {}", item.kind.word(), item.name))
        .collect();
    let mut hint = "Restore tables alone with --table (of those without triggers), or into a MySQL or \
                    MariaDB server.";
    if names.is_empty() && !no_owner {
        let named =
            |item: &&&Item| item.kind == Kind::View && without_definer(&item.sql) != item.sql;
        names.extend(
            items.iter().filter(named).map(|item| format!("the definer of view {}", item.name)),
        );
        hint = "Restore with --no-owner: whoever restores is the definer then.";
    }
    if names.is_empty() {
        return Ok(());
    }
    Err(Error::new(ErrorKind::Unsupported, "restore behind Vitess")
        .with("what it does not take", names.join(", "))
        .hint(hint))
}

impl LogicalTarget {
    /// Restores where Vitess is before the server; nothing where it is not.
    pub(super) async fn carry_out_in_pieces(
        &self,
        snapshot: &Snapshot,
        parts: &Arc<dyn PartSource>,
        undo: &mut Undo,
    ) -> Result<Option<RestoreReport>> {
        let mut client = Client::connect_to_server(&self.connect).await?;
        let server = Server::read(&mut client, &self.connect).await?;
        client.close().await;
        if !server.vitess {
            return Ok(None);
        }
        let (options, facts) = (&self.options, &snapshot.evidence.facts);
        let mut report = Report::new(&*options.observer);
        report.phase("check target");
        let (mut client, server, place) = self.prepare(snapshot).await?;
        let way = rows::way(&mut client, &server).await?;
        client.close().await;
        for finding in self.findings(snapshot, &server, way) {
            report.found(finding);
        }
        let database = facts.get("database").map_or("", String::as_str);
        let items = read_schema(&**parts, snapshot, database).await?;
        let subset = Subset::choose(&items, database, &options.tables, &options.schemas)?;
        let tables = tables_of(&**parts, &subset, &items)?;
        check_complete(&items, &tables, &subset)?;
        let chosen: Vec<&Item> = items.iter().filter(|item| subset.has(item)).collect();
        place::check_names(&chosen)?;
        check_possible(&chosen, options.no_owner)?;
        if options.create_roles {
            return Err(Error::new(ErrorKind::Unsupported, "restore behind Vitess")
                .with("what it does not take", "accounts (--create-roles)")
                .hint("Passwords are made at PlanetScale; leave the option out."));
        }

        report.phase("create database and schema");
        let mut client = writing(&self.connect, facts).await?;
        let name = quote_name(self.connect.database());
        if let Place::Empty(before) = place {
            let written = &mut undo.written;
            let mark = place::mark_empty(&mut client, &name, snapshot, (before, written)).await;
            mark.map_err(|error| ddl(error, "mark of an unfinished restore"))?;
        }
        let to = Some(self.connect.database());
        let (no_owner, roles) = (options.no_owner, RoleMap::new(&options.role_map));
        let how = How { from: database, to, no_owner, roles: &roles, quiet: false };
        let mut later: Vec<(String, Staged)> = Vec::new();
        for item in chosen.iter().filter(|item| item.kind == Kind::Table) {
            // No index is added to what is large: that may take longer than a statement may.
            let staged = CreateTable::parse(&item.sql).map(|table| table.with_indexes());
            let staged = staged.ok_or_else(|| {
                Error::new(ErrorKind::Integrity, "read stored schema").with("table", &item.name)
            })?;
            let first = Item { sql: staged.create.clone(), ..(*item).clone() };
            let made = make::one(&mut client, &first, how, &mut undo.made).await;
            made.map_err(|error| ddl(error, &item.name))?;
            later.push((item.name.clone(), staged));
        }
        // Before any row: a keyspace may take none.
        for (table, staged) in &later {
            let (kept, left): (Vec<_>, Vec<_>) = staged
                .foreign_keys
                .iter()
                .partition(|key| key.database.is_none() && subset.has_parent(key));
            for key in left {
                report.found(Finding::warning(format!(
                    "a foreign key of {table} is left out: it references {}, which is not restored",
                    key.parent()
                )));
            }
            let clauses: Vec<String> = kept.into_iter().map(|key| key.clause.clone()).collect();
            let made = alter(&mut client, table, &clauses).await;
            made.map_err(|error| foreign_key(error, table))?;
        }

        report.phase("load rows");
        let manner = Manner { way, jobs: options.jobs, observer: &*options.observer };
        let nothing = |_| std::future::ready(Ok(())).boxed();
        let loaded = rows::load(&self.connect, facts, parts, &tables, manner, &nothing).await?;
        report.inner.tables = tables.len() as u64;
        report.inner.rows = loaded.rows;
        report.inner.bytes = loaded.bytes;

        report.phase("check constraints");
        for finding in foreign::check(&mut client, self.connect.database()).await? {
            report.found(finding);
        }
        let views: Vec<&Item> =
            chosen.iter().copied().filter(|item| item.kind == Kind::View).collect();
        for (view, error) in make::all(&mut client, &views, how, &mut undo.made).await? {
            report.found(Finding::warning(format!(
                "view {view} is left out: it cannot be made here ({error}); export writes its statement"
            )));
        }
        finish_unfinished(&mut client, &self.connect).await?;
        client.close().await;
        Ok(Some(report.finish()))
    }
}

/// What was refused of a statement that changes the schema.
fn ddl(error: Error, what: &str) -> Error {
    let safe = error_code(&error) == Some(OWN) && error.to_string().contains("DDL is disabled");
    if !safe {
        return error;
    }
    Error::new(ErrorKind::Unsupported, "restore behind Vitess")
        .with("refused", what)
        .because(error)
        .hint(
            "The branch has safe migrations on: switch them off for it at PlanetScale, or restore into \
             a branch without them.",
        )
}

/// What was refused of a foreign key.
fn foreign_key(error: Error, table: &str) -> Error {
    if error_code(&error) != Some(OWN) {
        return error;
    }
    Error::new(ErrorKind::Unsupported, "restore behind Vitess")
        .with("foreign keys of table", table)
        .because(error)
        .hint(
            "Allow foreign key constraints in the database's settings at PlanetScale, or restore into a \
             MySQL or MariaDB server.",
        )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_made_is_named() {
        let table = Item::new(Kind::Table, "t", "CREATE TABLE `t` (\n `a` int\n) ENGINE=InnoDB");
        let view = Item::new(Kind::View, "v", "CREATE DEFINER=`a`@`b` VIEW `v` AS select 1");
        let trigger = Item::new(Kind::Trigger, "tr", "x");
        let event = Item::new(Kind::Event, "e", "x");
        assert!(check_possible(&[&table, &view], true).is_ok());
        let error = check_possible(&[&table, &view], false).unwrap_err();
        assert!(error.to_string().contains("the definer of view v"), "{error}");
        assert!(error.remedy().unwrap().contains("--no-owner"));
        let error = check_possible(&[&table, &trigger, &event], true).unwrap_err();
        assert!(error.to_string().contains("trigger tr, event e"), "{error}");
    }
}
