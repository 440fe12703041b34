//! Asking a restored database for its own evidence.
//!
//! It is read exactly as a source is, with the same statements and the same settings, into
//! nothing: so the evidence of a faithful restore is equal to that of its snapshot.

use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use backup_core::port::{
    Observer, PartSink, PartSource, Restored, SegmentSink, Source, SourceOptions,
};
use backup_core::{Layout, Part, PartName, Result, Snapshot, SnapshotKind};

use super::backup::LogicalSource;
use super::names::SCHEMA;
use super::restore::read_schema;
use crate::accounts::RoleMap;
use crate::schema;
use crate::{ConnectOptions, VitessReading};

/// How a restored database is looked at.
#[derive(Clone)]
pub struct Examination {
    /// Parallel readers.
    pub jobs: NonZeroUsize,
    /// Whether definers were restored, so that they can be compared.
    pub owners: bool,
    /// The new names under which definers were restored: pairs of old and new.
    pub role_map: Vec<(String, String)>,
    /// Who watches.
    pub observer: Arc<dyn Observer>,
}

/// Reads a restored database and compares its schema with the one stored in `parts`. Changes
/// nothing. A stored schema that is not the one the manifest vouches for is `Integrity`.
pub async fn examine(
    connect: &ConnectOptions,
    snapshot: &Snapshot,
    parts: &dyn PartSource,
    how: &Examination,
) -> Result<Restored> {
    let options = SourceOptions {
        kind: SnapshotKind::Logical,
        jobs: how.jobs,
        max_rate: None,
        physical: <_>::default(),
        observer: Arc::clone(&how.observer),
    };
    let title = snapshot.evidence.facts.get("database").map_or("", String::as_str);
    let nowhere = Nowhere::default();
    // Behind Vitess it is a copy as well: who writes to it meanwhile is found out.
    let connect = &connect.clone().with_vitess(VitessReading::Frozen);
    let mut source = LogicalSource::open(connect.clone(), &options).await?.titled(title);
    let evidence = source.copy_to(&nowhere).await?;
    let restored = schema::parse(&nowhere.schema())?;
    let mut stored = read_schema(parts, snapshot, title).await?;
    let roles = RoleMap::new(&how.role_map);
    for item in &mut stored {
        item.sql = schema::renamed(&item.sql, &roles);
    }
    let schema_differences =
        schema::differences((&stored, title), (&restored, connect.database()), how.owners);
    Ok(Restored { evidence, schema_differences, cluster: None, tree: None })
}

/// A sink that forgets everything but the schema.
#[derive(Default)]
pub(super) struct Nowhere {
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
