//! A snapshot as one SQL script that `mysql` and `mariadb` load.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use backup_core::port::{Observer, PartSource};
use backup_core::{Error, ErrorKind, Event, Result, Snapshot, SnapshotKind};
use futures::TryStreamExt;
use tokio::fs::File;
use tokio::io::AsyncWriteExt;

use super::names::ACCOUNTS;
use super::restore::{
    How, Inserts, Subset, TablePart, read_part, read_schema, settings, statement,
};
use crate::accounts::{self, RoleMap};
use crate::quote_name;
use crate::schema::{CreateTable, Item, Kind, Staged};

/// The script.
const DATABASE: &str = "database.sql";
/// The server's accounts, where the snapshot holds them.
const ACCOUNTS_FILE: &str = "accounts.sql";
/// The longest statement: below the packet that servers and clients allow by default.
const LONGEST_STATEMENT: usize = 1 << 20;
/// The mode the script is loaded in: as the programs' own dumps not a strict one, so that values
/// that are no member of their enumeration come back as they were.
const MODE: &str = "NO_AUTO_VALUE_ON_ZERO,ALLOW_INVALID_DATES,NO_ENGINE_SUBSTITUTION";
/// What ends a statement that holds semicolons.
const DELIMITER: &str = "//";

/// How to export.
#[derive(Clone)]
pub struct ExportOptions {
    /// One file per table under `data/`, included by `database.sql`, instead of one big file.
    pub file_per_table: bool,
    /// Only these tables, as `database.table` or `table` (empty: all).
    pub tables: Vec<String>,
    /// Only these databases (empty: all).
    pub schemas: Vec<String>,
    /// Who watches.
    pub observer: Arc<dyn Observer>,
}

/// What was written.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ExportReport {
    /// Files, in the order they are of use.
    pub files: Vec<PathBuf>,
    /// Tables in them.
    pub tables: u64,
    /// Bytes of rows that they hold.
    pub bytes: u64,
}

/// Writes a logical snapshot into `directory`, which is created, or must be empty (`Conflict`):
/// `database.sql`, which `mysql NEW_DATABASE < database.sql` loads into an empty database. It is
/// text in UTF-8; values that are not are written in hexadecimal digits. A snapshot that holds the
/// server's accounts gives `accounts.sql` beside it.
///
/// On failure what was written so far stays, without `database.sql` being complete.
pub async fn export(
    snapshot: &Snapshot,
    parts: &Arc<dyn PartSource>,
    directory: &Path,
    options: &ExportOptions,
) -> Result<ExportReport> {
    if snapshot.kind != SnapshotKind::Logical || snapshot.identity.engine != crate::ENGINE {
        return Err(Error::new(ErrorKind::Unsupported, "export snapshot as SQL")
            .with("snapshot kind", snapshot.kind.as_str())
            .with("engine", &snapshot.identity.engine));
    }
    let database = snapshot.evidence.facts.get("database").map_or("", String::as_str);
    let items = read_schema(&**parts, snapshot, database).await?;
    let subset = Subset::choose(&items, database, &options.tables, &options.schemas)?;
    let items: Vec<&Item> = items.iter().filter(|item| subset.has(item)).collect();
    prepare(directory).await?;
    let roles = RoleMap::default();
    let how = How { from: database, to: None, no_owner: false, roles: &roles, quiet: false };
    let phase = |phase: &str| {
        options.observer.on_event(&Event::PhaseStarted { phase: phase.to_owned() });
    };
    let mut report = ExportReport::default();
    let mut script = Output::create(directory.join(DATABASE)).await?;

    phase("write schema");
    script.text(&head(snapshot)).await?;
    let mut later: Vec<(String, Staged)> = Vec::new();
    for item in of(&items, &[Kind::Sequence]) {
        script.statement(&statement(item, how)).await?;
        if let Some(next) = item.next_value {
            let set = format!("DO SETVAL({}, {next}, 0)", quote_name(&item.name));
            script.statement(&set).await?;
        }
    }
    let (elsewhere, own): (Vec<&Item>, Vec<&Item>) =
        of(&items, &[Kind::Table]).into_iter().partition(|item| item.points_elsewhere());
    for item in own.into_iter().chain(elsewhere.iter().copied()) {
        let table = CreateTable::parse(&item.sql).ok_or_else(|| {
            Error::new(ErrorKind::Integrity, "read stored schema").with("table", &item.name)
        })?;
        let staged = table.staged();
        let first = Item { sql: staged.create.clone(), ..item.clone() };
        script.statement(&statement(&first, how)).await?;
        later.push((item.name.clone(), staged));
    }
    let programs = [Kind::Function, Kind::Procedure, Kind::Package, Kind::PackageBody];
    script.objects(&of(&items, &programs), how).await?;

    phase("write rows");
    for part in parts.parts() {
        let Some(table) = TablePart::read(part)?.filter(|t| subset.has_table(&t.table)) else {
            continue;
        };
        if elsewhere.iter().any(|item| item.name == table.table) {
            continue;
        }
        if options.file_per_table {
            let name = format!("data/{:05}-{}.sql", report.tables + 1, file_name(&table.table));
            script.text(&format!("\\. {name}\n")).await?;
            let mut file = Output::create(directory.join(&name)).await?;
            rows(&mut file, parts, &table, options).await?;
            report.files.push(file.finish().await?);
        } else {
            rows(&mut script, parts, &table, options).await?;
        }
        report.tables += 1;
        report.bytes += table.bytes;
    }

    phase("write indexes, views and triggers");
    for (table, staged) in &later {
        if !staged.indexes.is_empty() {
            script.statement(&alter(table, &staged.indexes)).await?;
        }
    }
    for (table, staged) in &later {
        let kept = staged.foreign_keys.iter().filter(|key| subset.has_parent(key));
        let clauses: Vec<String> = kept.map(|key| key.clause.clone()).collect();
        if !clauses.is_empty() {
            script.statement(&alter(table, &clauses)).await?;
        }
    }
    let (broken, views): (Vec<&Item>, Vec<&Item>) =
        of(&items, &[Kind::View]).into_iter().partition(|view| view.broken.is_some());
    let views = in_order(&views);
    script.objects(&views, how).await?;
    for view in broken {
        script.comment(view, how).await?;
    }
    script.objects(&of(&items, &[Kind::Trigger, Kind::Event]), how).await?;
    script.text("-- End of the database.\n").await?;
    report.files.insert(0, script.finish().await?);
    if let Some(records) = read_part(&**parts, ACCOUNTS).await? {
        let mut file = Output::create(directory.join(ACCOUNTS_FILE)).await?;
        file.accounts(&accounts::parse(&records)?).await?;
        report.files.push(file.finish().await?);
    }
    Ok(report)
}

fn of<'a>(items: &[&'a Item], kinds: &[Kind]) -> Vec<&'a Item> {
    items.iter().copied().filter(|item| kinds.contains(&item.kind)).collect()
}

/// Views after those that they name.
fn in_order<'a>(views: &[&'a Item]) -> Vec<&'a Item> {
    let mut waiting = views.to_vec();
    let mut ordered = Vec::new();
    while !waiting.is_empty() {
        let names = |item: &Item, other: &Item| {
            item.name != other.name && item.sql.contains(&quote_name(&other.name))
        };
        let free = waiting.iter().position(|one| !waiting.iter().any(|other| names(one, other)));
        // A view that only seems to name another keeps its place.
        ordered.push(waiting.remove(free.unwrap_or(0)));
    }
    ordered
}

fn alter(table: &str, clauses: &[String]) -> String {
    format!("ALTER TABLE {} {}", quote_name(table), clauses.join(", "))
}

/// What the script begins with: the settings under which rows are what they were.
fn head(snapshot: &Snapshot) -> String {
    let facts = &snapshot.evidence.facts;
    let fact = |name: &str| facts.get(name).map_or("", String::as_str);
    let mut head = format!(
        "-- Database {} of {} {}, as it was at {}.\n\
         -- Load it into an empty database: mysql NEW_DATABASE < {DATABASE}\n\
         -- (created with CHARACTER SET {} COLLATE {})\n\n\
         SET NAMES utf8mb4;\nSET time_zone = '+00:00';\nSET sql_mode = '{MODE}';\n\
         SET foreign_key_checks = 0;\nSET unique_checks = 0;\n",
        fact("database").escape_debug(),
        fact("flavor"),
        snapshot.evidence.server_version,
        fact("instant"),
        fact("encoding"),
        fact("collate"),
    );
    if fact("flavor") == "MariaDB" {
        head.push_str("/*M!100200 SET check_constraint_checks = 0*/;\n");
    }
    head
}

async fn prepare(directory: &Path) -> Result<()> {
    let failed = |error: std::io::Error| {
        Error::new(ErrorKind::Failed, "prepare directory")
            .with("directory", directory.display())
            .because(error)
    };
    tokio::fs::create_dir_all(directory).await.map_err(failed)?;
    let mut entries = tokio::fs::read_dir(directory).await.map_err(failed)?;
    if entries.next_entry().await.map_err(failed)?.is_some() {
        return Err(Error::new(ErrorKind::Conflict, "export into directory")
            .with("directory", directory.display())
            .hint("Name a new directory, or an empty one."));
    }
    Ok(())
}

async fn rows(
    output: &mut Output,
    parts: &Arc<dyn PartSource>,
    table: &TablePart,
    options: &ExportOptions,
) -> Result<()> {
    let name = quote_name(&table.table);
    output.text(&format!("\n-- {} rows\n", table.rows)).await?;
    let mut inserts = Inserts::new(&name, table, LONGEST_STATEMENT, false);
    let mut written = 0_u64;
    for position in 0..parts.segments(&table.part).await?.len() {
        let mut stream = parts.read(&table.part, position).await?;
        let mut rest = Vec::new();
        while let Some(piece) = stream.try_next().await? {
            let mut from = 0;
            for end in memchr::memchr_iter(b'\n', &piece) {
                rest.extend_from_slice(piece.get(from..end).unwrap_or_default());
                from = end + 1;
                written += 1;
                if let Some(full) = inserts.add(&rest, table)? {
                    output.bytes(&full).await?;
                    output.text(";\n").await?;
                }
                rest.clear();
            }
            rest.extend_from_slice(piece.get(from..).unwrap_or_default());
            options.observer.on_event(&Event::Progress { bytes: piece.len() as u64 });
        }
    }
    if let Some(last) = inserts.take() {
        output.bytes(&last).await?;
        output.text(";\n").await?;
    }
    if written == table.rows {
        return Ok(());
    }
    Err(Error::new(ErrorKind::Integrity, "export rows")
        .with("table", &table.table)
        .with("rows written", written)
        .with("rows in snapshot", table.rows))
}

/// A table's name as part of a file's name; the number in front makes it unique.
fn file_name(table: &str) -> String {
    table.chars().take(40).map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).collect()
}

/// A file while it is written.
struct Output {
    path: PathBuf,
    file: tokio::io::BufWriter<File>,
}

impl Output {
    async fn create(path: PathBuf) -> Result<Self> {
        let failed = |error: std::io::Error| failed(&path, error);
        if let Some(parent) = path.parent() {
            tokio::fs::create_dir_all(parent).await.map_err(failed)?;
        }
        let mut open = File::options();
        // Rows are as private as the database they come from.
        open.write(true).create_new(true).mode(0o600);
        let file = open.open(&path).await.map_err(failed)?;
        Ok(Self { path, file: tokio::io::BufWriter::with_capacity(1 << 18, file) })
    }

    async fn bytes(&mut self, bytes: &[u8]) -> Result<()> {
        self.file.write_all(bytes).await.map_err(|error| failed(&self.path, error))
    }

    async fn text(&mut self, text: &str) -> Result<()> {
        self.bytes(text.as_bytes()).await
    }

    async fn statement(&mut self, sql: &str) -> Result<()> {
        self.text(&format!("\n{sql};\n")).await
    }

    /// Writes an object that was broken at the source so that nobody stumbles over it.
    async fn comment(&mut self, item: &Item, how: How<'_>) -> Result<()> {
        let why = item.broken.as_deref().unwrap_or_default();
        let text = format!(
            "The {} {} was broken at the source: {why}\nIts statement was:\n{};",
            item.kind.word(),
            item.name,
            statement(item, how)
        );
        self.text("\n").await?;
        for line in text.split(['\n', '\r']) {
            self.text(&format!("-- {line}\n")).await?;
        }
        Ok(())
    }

    /// Writes accounts, and what they may do when all of them are there.
    async fn accounts(&mut self, records: &[accounts::Record]) -> Result<()> {
        self.text(
            "-- Accounts of the server, with the hashes of their passwords. Take what is wanted;\n\
             -- one that the server has already ends the script.\n\n",
        )
        .await?;
        for record in records {
            self.text(&format!("{};\n", record.create)).await?;
        }
        for grant in records.iter().flat_map(|record| &record.grants) {
            self.text(&format!("{grant};\n")).await?;
        }
        Ok(())
    }

    /// Writes objects whose bodies hold semicolons, each under its own settings.
    async fn objects(&mut self, items: &[&Item], how: How<'_>) -> Result<()> {
        for item in items {
            let delimiter = delimiter(&item.sql);
            self.text("\n").await?;
            for set in settings(item) {
                self.text(&format!("{set};\n")).await?;
            }
            let sql = statement(item, how);
            self.text(&format!("DELIMITER {delimiter}\n{sql}{delimiter}\nDELIMITER ;\n")).await?;
            self.text(&format!(
                "SET NAMES utf8mb4;\nSET time_zone = '+00:00', sql_mode = '{MODE}';\n"
            ))
            .await?;
        }
        Ok(())
    }

    /// Makes the file durable.
    async fn finish(mut self) -> Result<PathBuf> {
        let failed = |error: std::io::Error| failed(&self.path, error);
        self.file.flush().await.map_err(failed)?;
        self.file.get_ref().sync_all().await.map_err(failed)?;
        Ok(self.path)
    }
}

/// A word that ends a statement and is not in it.
fn delimiter(sql: &str) -> String {
    let mut delimiter = DELIMITER.to_owned();
    while sql.contains(&delimiter) {
        delimiter.push('/');
    }
    delimiter
}

fn failed(path: &Path, error: std::io::Error) -> Error {
    Error::new(ErrorKind::Failed, "write file")
        .with("file", path.display())
        .because(error)
        .hint("Check that the disk has room and may be written to.")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn views_come_after_those_they_name() {
        let view = |name: &str, sql: &str| Item::new(Kind::View, name, sql);
        let views = [
            view("a", "CREATE VIEW `a` AS select * from `b` join `c`"),
            view("b", "CREATE VIEW `b` AS select * from `c`"),
            view("c", "CREATE VIEW `c` AS select 1"),
        ];
        let all: Vec<&Item> = views.iter().collect();
        let names: Vec<&str> = in_order(&all).iter().map(|view| view.name.as_str()).collect();
        assert_eq!(names, ["c", "b", "a"]);
    }

    #[test]
    fn a_delimiter_is_not_in_what_it_ends() {
        assert_eq!(delimiter("begin select 'x'; end"), "//");
        assert_eq!(delimiter("select 'http://x'"), "///");
    }
}
