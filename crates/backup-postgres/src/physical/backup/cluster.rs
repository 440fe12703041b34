//! The groups of a cluster that are being written.

use backup_core::Result;
use backup_core::port::PartSink;

use super::copied::Copied;
use super::group::GroupWriter;
use crate::physical::changes::Base;
use crate::physical::files::name::{GLOBAL, Group};

/// Opens each group when its first file comes. A database's files come one after the other:
/// when the next database begins, the one before is finished and its memory is free.
pub(crate) struct ClusterWriter<'a> {
    sink: &'a dyn PartSink,
    copied: &'a Copied,
    base: Option<&'a Base>,
    database: Option<(Group, GroupWriter<'a>)>,
    global: GroupWriter<'a>,
    wal: GroupWriter<'a>,
    other: GroupWriter<'a>,
}

impl<'a> ClusterWriter<'a> {
    pub(super) async fn begin(
        sink: &'a dyn PartSink,
        copied: &'a Copied,
        base: Option<&'a Base>,
    ) -> Result<Self> {
        let global = GroupWriter::begin(sink, copied, GLOBAL, base).await?;
        let wal = GroupWriter::begin(sink, copied, Group::Wal, None).await?;
        let other = GroupWriter::begin(sink, copied, Group::Other, None).await?;
        Ok(Self { sink, copied, base, database: None, global, wal, other })
    }

    /// Returns the writer of a group.
    pub(super) async fn group(&mut self, group: Group) -> Result<&GroupWriter<'a>> {
        match group {
            Group::Wal => Ok(&self.wal),
            Group::Other => Ok(&self.other),
            // Its control file comes long after the rest of it.
            GLOBAL => Ok(&self.global),
            Group::Database { .. } => {
                if self.database.as_ref().is_none_or(|(open, _)| *open != group) {
                    if let Some((_, before)) = self.database.take() {
                        before.finish().await?;
                    }
                    let next = GroupWriter::begin(self.sink, self.copied, group, self.base).await?;
                    self.database = Some((group, next));
                }
                // It was put there just now.
                Ok(self.database.as_ref().map_or(&self.other, |(_, writer)| writer))
            }
        }
    }

    /// Ends all parts.
    pub(super) async fn finish(self) -> Result<()> {
        if let Some((_, last)) = self.database {
            last.finish().await?;
        }
        self.global.finish().await?;
        self.wal.finish().await?;
        self.other.finish().await
    }
}
