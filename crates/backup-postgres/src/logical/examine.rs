//! Asking a restored database for its own evidence.
//!
//! It is read exactly as a source is, with the same statements and the same settings, into
//! nothing: so the evidence of a faithful restore is equal to that of its snapshot.

use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use backup_core::port::{
    NoObserver, Observer, PartSink, PartSource, SegmentSink, Source, SourceOptions,
};
use backup_core::{
    Error, ErrorKind, Evidence, Layout, Part, PartName, Result, Snapshot, SnapshotKind,
};

use super::archive::Archive;
use super::backup::LogicalSource;
use super::fingerprint::of_schema;
use super::hosted::Scope;
use super::names::SCHEMA;
use super::restore::read_part;
use super::schema_text;
use crate::ConnectOptions;
use crate::tools::ToolPaths;

/// How a restored database is looked at.
#[derive(Clone)]
pub struct Examination {
    /// Parallel readers.
    pub jobs: NonZeroUsize,
    /// Whether ownership was restored, so that it can be compared.
    pub owners: bool,
    /// Whether privileges were restored, so that they can be compared.
    pub privileges: bool,
    /// Who watches.
    pub observer: Arc<dyn Observer>,
}

/// What was found in a restored database.
#[derive(Clone, Debug)]
pub struct Examined {
    /// Its own evidence.
    pub evidence: Evidence,
    /// How its schema differs from the stored one, a phrase each.
    pub schema_differences: Vec<String>,
}

/// Reads a restored database and compares its schema with the one stored in `parts`. Changes
/// nothing. A stored schema that is not the one the manifest vouches for is `Integrity`.
pub async fn examine(
    connect: &ConnectOptions,
    tools: &ToolPaths,
    snapshot: &Snapshot,
    parts: &dyn PartSource,
    how: &Examination,
) -> Result<Examined> {
    let options = SourceOptions {
        kind: SnapshotKind::Logical,
        jobs: how.jobs,
        max_rate: None,
        physical: <_>::default(),
        observer: Arc::clone(&how.observer),
    };
    let pieces = snapshot.evidence.facts.get("large_objects_read");
    let nowhere = Nowhere::default();
    let scope = Scope::from_facts(&snapshot.evidence.facts)?;
    let evidence = LogicalSource::open(connect.clone(), tools, &options)
        .await?
        .with_scope(scope.clone())
        .with_large_objects_in_pieces(pieces.is_some_and(|read| read == "pieces"))
        .copy_to(&nowhere)
        .await?;
    let restored = Archive::parse(&nowhere.schema())?;
    let mut stored = Archive::parse(&read_part(parts, SCHEMA).await?.unwrap_or_default())?;
    if snapshot.evidence.schema.is_some_and(|vouched| vouched != of_schema(&stored)) {
        return Err(Error::new(ErrorKind::Integrity, "compare stored schema with manifest")
            .with("snapshot", snapshot.id.short())
            .hint("The stored schema is not the one that was read from the source."));
    }
    // What the server lacks was left out, and said so.
    let has =
        |name: &str| restored.entries.iter().any(|e| e.kind() == "EXTENSION" && e.tag() == name);
    for name in scope.optional_extensions.iter().filter(|name| !has(name)) {
        stored.leave_out_extension(name);
    }
    let schema_differences =
        schema_text::differences(&stored, &restored, how.owners, how.privileges);
    Ok(Examined { evidence, schema_differences })
}

/// Reads a database whole, its rows and its schema, into nothing, and returns its evidence.
/// Changes nothing.
pub(crate) async fn read_through(
    connect: &ConnectOptions,
    tools: &ToolPaths,
    jobs: NonZeroUsize,
) -> Result<Evidence> {
    let observer = Arc::new(NoObserver);
    let options = SourceOptions {
        kind: SnapshotKind::Logical,
        jobs,
        max_rate: None,
        physical: <_>::default(),
        observer,
    };
    let mut source = LogicalSource::open(connect.clone(), tools, &options).await?;
    source.copy_to(&Nowhere::default()).await
}

/// A sink that forgets everything but the schema.
#[derive(Default)]
struct Nowhere {
    schema: Arc<Mutex<Vec<u8>>>,
}

impl Nowhere {
    fn schema(&self) -> Vec<u8> {
        std::mem::take(&mut self.schema.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

#[async_trait]
impl PartSink for Nowhere {
    fn previous(&self, _name: &PartName) -> Option<Part> {
        None
    }

    async fn begin_part(&self, _name: &PartName, _layout: Layout) -> Result<()> {
        Ok(())
    }

    async fn segment(&self, part: &PartName, _address: u64) -> Result<Box<dyn SegmentSink>> {
        let into = (part.as_str() == SCHEMA).then(|| Arc::clone(&self.schema));
        Ok(Box::new(Forgotten { into }))
    }

    async fn finish_part(
        &self,
        _name: &PartName,
        _attributes: BTreeMap<String, String>,
    ) -> Result<()> {
        Ok(())
    }

    async fn start_over(&self) -> Result<()> {
        self.schema();
        Ok(())
    }
}

struct Forgotten {
    into: Option<Arc<Mutex<Vec<u8>>>>,
}

#[async_trait]
impl SegmentSink for Forgotten {
    async fn write(&mut self, bytes: &[u8]) -> Result<()> {
        if let Some(into) = &self.into {
            into.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(bytes);
        }
        Ok(())
    }

    async fn finish(self: Box<Self>) -> Result<()> {
        Ok(())
    }
}
