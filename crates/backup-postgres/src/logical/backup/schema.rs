//! The schema: everything but rows, written by pg_dump into one archive.

use std::time::Duration;

use backup_core::port::{Observer, PartSink};
use backup_core::{Error, ErrorKind, Finding, Result};

use super::stream;
use crate::ConnectOptions;
use crate::logical::archive::Archive;
use crate::logical::hosted::{Hosted, Scope, trim};
use crate::logical::names::SCHEMA;
use crate::tools::{Run, Tool};

/// A schema archive, whole and parsed.
pub(crate) struct Schema {
    bytes: Vec<u8>,
    pub(crate) archive: Archive,
    /// What pg_dump warned of.
    pub(crate) findings: Vec<Finding>,
}

/// Dumps the schema, as the exported snapshot sees it where one is given.
///
/// Fails when pg_dump fails, or when what it wrote is not a complete archive. An error that a
/// conflicting lock caused is temporary.
pub(crate) async fn dump(
    tool: &Tool,
    options: &ConnectOptions,
    snapshot: Option<&str>,
    encoding: &str,
    lock_wait: Duration,
    scope: &Scope,
) -> Result<Schema> {
    let mut run = Run::new(tool, options);
    if let Some(snapshot) = snapshot {
        run = run.arg(format!("--snapshot={snapshot}"));
    }
    for argument in scope.dump_arguments(tool.major) {
        run = run.arg(argument);
    }
    let finished = run
        .arg("--format=custom")
        .arg("--compress=0")
        .arg("--section=pre-data")
        .arg("--section=post-data")
        // Large objects are read like rows; pg_dump 17 counts their metadata as data.
        .arg("--no-blobs")
        .arg(format!("--lock-wait-timeout={}", lock_wait.as_millis()))
        .arg("--no-password")
        .arg_if(encoding != "SQL_ASCII", "--encoding=UTF8")
        .output("dump schema")
        .await?;
    let archive = Archive::parse(&finished.stdout)?;
    if archive.entries.is_empty() {
        return Err(Error::new(ErrorKind::Integrity, "dump schema")
            .because("the archive has no entries, not even settings"));
    }
    let warnings = finished.messages.warnings.into_iter();
    let findings = warnings.map(|text| Finding::warning(format!("pg_dump: {text}"))).collect();
    Ok(Schema { bytes: finished.stdout, archive, findings })
}

impl Schema {
    /// Takes out what is the host's alone.
    pub(crate) fn trim(&mut self, hosted: &Hosted, scope: &Scope) {
        self.findings.extend(trim(&mut self.archive, hosted, scope));
        self.bytes = self.archive.to_bytes();
    }

    /// Writes the part.
    pub(super) async fn write(&self, sink: &dyn PartSink, observer: &dyn Observer) -> Result<()> {
        let attributes = stream::attributes([
            ("format", "pg_dump custom".to_owned()),
            ("tool", self.archive.tool_version.clone()),
            ("entries", self.archive.entries.len().to_string()),
        ]);
        stream::write(sink, observer, SCHEMA, &self.bytes, attributes).await
    }
}
