//! One SQL script that rebuilds the database.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use backup_core::port::PartSource;
use backup_core::{Error, ErrorKind, Event, PartName, Result};
use futures::TryStreamExt;

use super::ExportOptions;
use super::directory::{Directory, Output};
use crate::logical::names::LARGE_OBJECTS;
use crate::logical::restore::{
    Calls, Files, Schema, TablePart, TemporaryFolder, large_object_metadata, sequence_values,
};
use crate::quote_literal;
use crate::tools::{Run, Tool, ToolPaths};

/// The script while it is written.
pub(super) struct Script {
    output: Output,
    schema: Schema,
    after: Vec<u8>,
}

impl Script {
    /// Writes what comes before the rows.
    pub(super) async fn begin(
        directory: &Directory,
        name: &str,
        parts: &Arc<dyn PartSource>,
        tool: &Tool,
        tools: &ToolPaths,
        options: &ExportOptions,
    ) -> Result<Self> {
        let schema = Schema::read_some(&**parts, &options.tables, &options.schemas).await?;
        let folder = TemporaryFolder::create(&tools.temporary())?;
        let files = schema.write(&folder, &BTreeSet::new())?;
        let before = to_sql(tool, &files, &files.before_rows).await?;
        let after = to_sql(tool, &files, &files.after_rows).await?;
        let mut output = directory.open(name).await?;
        output.write(&before).await?;
        Ok(Self { output, schema, after })
    }

    /// Returns whether a table's rows are asked for; what an extension brings along comes with
    /// all, or not at all.
    pub(super) fn wants(&self, table: &TablePart) -> bool {
        let whole = self.schema.subset.is_none();
        self.schema.wants_rows(&table.schema, &table.table) && (whole || !table.is_of_extension())
    }

    /// Returns the archive the script was made from.
    pub(super) fn archive_bytes(&self) -> Vec<u8> {
        self.schema.archive.to_bytes()
    }

    /// Writes one table's rows, into a file of their own where asked for.
    pub(super) async fn table(
        &mut self,
        directory: &Directory,
        parts: &Arc<dyn PartSource>,
        table: &TablePart,
        number: u64,
        options: &ExportOptions,
    ) -> Result<Option<PathBuf>> {
        if !options.file_per_table {
            rows(&mut self.output, parts, table, options).await?;
            return Ok(None);
        }
        let name = format!("data/{:05}-{}.sql", number + 1, file_name(&table.table));
        self.output.write(format!("\\ir {name}\n").as_bytes()).await?;
        let mut output = directory.open(&name).await?;
        rows(&mut output, parts, table, options).await?;
        Ok(Some(output.finish().await?))
    }

    /// Writes large objects; returns their bytes.
    pub(super) async fn large_objects(&mut self, parts: &Arc<dyn PartSource>) -> Result<u64> {
        let objects = large_object_metadata(&**parts).await?;
        if objects.is_empty() || self.schema.subset.is_some() {
            return Ok(0);
        }
        for object in &objects {
            let create = format!("SELECT pg_catalog.lo_create({});\n", object.oid);
            self.output.write(create.as_bytes()).await?;
        }
        let part = PartName::new(LARGE_OBJECTS);
        let mut bytes = 0;
        for position in 0..parts.segments(&part).await?.len() {
            let mut stream = parts.read(&part, position).await?;
            let mut calls = Calls::default();
            while let Some(piece) = stream.try_next().await? {
                bytes += piece.len() as u64;
                calls.add(&piece)?;
                self.output.write(std::mem::take(&mut calls.sql).as_bytes()).await?;
            }
            calls.finish()?;
            self.output.write(calls.sql.as_bytes()).await?;
        }
        for object in &objects {
            for statement in object.statements(str::to_owned, true, true) {
                self.output.write(format!("{statement};\n").as_bytes()).await?;
            }
        }
        Ok(bytes)
    }

    /// Writes the values of sequences.
    pub(super) async fn sequences(&mut self, parts: &Arc<dyn PartSource>) -> Result<()> {
        for sequence in sequence_values(&**parts, self.schema.sequences().as_ref()).await? {
            self.output.write(format!("{};\n", sequence.setval()).as_bytes()).await?;
        }
        Ok(())
    }

    /// Writes what comes after the rows and makes the script durable.
    pub(super) async fn finish(mut self) -> Result<PathBuf> {
        self.output.write(&self.after).await?;
        self.output.finish().await
    }
}

async fn to_sql(tool: &Tool, files: &Files, list: &Path) -> Result<Vec<u8>> {
    let finished = Run::offline(tool)
        .arg("--format=custom")
        .arg("--file=-")
        .arg(format!("--use-list={}", list.display()))
        .arg(&files.archive)
        .output("write schema as SQL")
        .await?;
    if !String::from_utf8_lossy(&finished.stdout).contains("PostgreSQL database dump complete") {
        return Err(Error::new(ErrorKind::Integrity, "write schema as SQL")
            .because("pg_restore's script has no end mark"));
    }
    Ok(finished.stdout)
}

async fn rows(
    output: &mut Output,
    parts: &Arc<dyn PartSource>,
    table: &TablePart,
    options: &ExportOptions,
) -> Result<()> {
    let encoding = quote_literal(table.encoding());
    let copy = format!("\nCOPY {} FROM stdin WITH (ENCODING {encoding});\n", table.copy_into());
    output.write(copy.as_bytes()).await?;
    for position in 0..parts.segments(&table.part).await?.len() {
        let mut stream = parts.read(&table.part, position).await?;
        while let Some(piece) = stream.try_next().await? {
            output.write(&piece).await?;
            options.observer.on_event(&Event::Progress { bytes: piece.len() as u64 });
        }
    }
    output.write(b"\\.\n").await
}

/// A table's name as part of a file's name; the number in front makes it unique.
fn file_name(table: &str) -> String {
    table.chars().take(40).map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).collect()
}
