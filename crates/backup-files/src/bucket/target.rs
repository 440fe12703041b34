//! The port: a bucket to restore into.

use std::sync::Arc;
use std::time::Instant;

use async_trait::async_trait;
use backup_core::port::{
    Bucket, PartSource, RestoreOptions, RestorePlan, RestoreReport, RestoreStep, Target,
};
use backup_core::{ByteSize, Error, ErrorKind, Finding, Result, Snapshot, SnapshotKind};
use futures::TryStreamExt;

use super::fill::{Fill, is_key};
use crate::entry::Kind;
use crate::list::{LIST, Order};
use crate::restore::Chosen;
use crate::select::Wanted;

pub(super) const RESTORE: &str = "restore into bucket";
/// Keys that are named.
const NAMED: usize = 8;

/// A bucket that files are restored into.
pub struct BucketTarget {
    bucket: Arc<dyn Bucket>,
    options: RestoreOptions,
}

/// What is chosen of a list.
#[derive(Debug, Default)]
struct Count {
    files: u64,
    bytes: u64,
    folders: u64,
    others: u64,
}

impl BucketTarget {
    /// Names the bucket; asks it nothing.
    #[must_use]
    pub fn new(bucket: Arc<dyn Bucket>, options: RestoreOptions) -> Self {
        Self { bucket, options }
    }

    fn check(&self, snapshot: &Snapshot) -> Result<Wanted> {
        if snapshot.kind != SnapshotKind::Files {
            return Err(Error::new(ErrorKind::Unsupported, RESTORE)
                .with("snapshot", snapshot.id.short())
                .with("kind", snapshot.kind.as_str())
                .hint("Only a snapshot of files is restored into a bucket."));
        }
        let options = &self.options;
        let refuse = |why: &'static str, hint: &'static str| {
            Err(Error::new(ErrorKind::Usage, RESTORE).because(why).hint(hint))
        };
        if !options.tables.is_empty() || !options.schemas.is_empty() {
            return refuse("files have neither tables nor schemas", "Say which with --path.");
        }
        if options.files.delete && !options.delta {
            return refuse(
                "--delete is for a bucket that has something in it",
                "Pass --delta as well.",
            );
        }
        let wanted = Wanted::new(&options.files.paths)?;
        if options.files.delete && !wanted.is_all() {
            return refuse(
                "--delete would remove all that --path does not name",
                "Leave out one of the two.",
            );
        }
        let order = snapshot.part(LIST).map(Order::of).unwrap_or_default();
        if options.files.delete && order != Order::Keys {
            return refuse(
                "the snapshot is of a tree, whose files are not in the order of keys",
                "Leave out --delete, or restore into an empty prefix.",
            );
        }
        Ok(wanted)
    }

    /// Refuses a bucket with something in it, unless that is to be changed.
    async fn check_empty(&self) -> Result<()> {
        if self.options.delta {
            return Ok(());
        }
        match self.bucket.list().await?.try_next().await? {
            None => Ok(()),
            Some(first) => Err(Error::new(ErrorKind::Conflict, RESTORE)
                .with("bucket", self.bucket.location())
                .with("key", first.key.escape_debug())
                .because("it is not empty")
                .hint(
                    "Name another bucket or an empty prefix; or pass --delta to write what differs \
                     from the snapshot into this one (a restore that was broken off goes on that \
                     way).",
                )),
        }
    }

    /// Counts what is chosen, and refuses what no key can be, by name.
    async fn count(&self, parts: &Arc<dyn PartSource>, wanted: &Wanted) -> Result<Count> {
        let mut chosen = Chosen::bare(parts, wanted.clone()).await?;
        let mut count = Count::default();
        let (mut refused, mut named) = (0_u64, Vec::new());
        while let Some(entry) = chosen.next().await? {
            match &entry.kind {
                Kind::File(data) => {
                    count.files += 1;
                    count.bytes += data.size;
                    if !is_key(&entry.path) {
                        refused += 1;
                        if named.len() < NAMED {
                            named.push(entry.shown());
                        }
                    }
                }
                Kind::Directory => count.folders += 1,
                _ => count.others += 1,
            }
        }
        if refused > 0 {
            return Err(Error::new(ErrorKind::Unsupported, RESTORE)
                .with("paths", named.join(", "))
                .because(format!("{refused} paths cannot be keys"))
                .hint(
                    "Restore into a directory, or choose others with --path. Nothing was written.",
                ));
        }
        if count.files == 0 && !wanted.is_all() {
            return Err(Error::new(ErrorKind::NotFound, "find in snapshot")
                .with("paths", self.options.files.paths.join(", "))
                .hint("`backupctl ls SNAPSHOT` lists its files; paths begin below its root."));
        }
        Ok(count)
    }

    fn steps(&self, what: &str) -> Vec<RestoreStep> {
        let step = |action: &str, detail: String| RestoreStep { action: action.into(), detail };
        let action = if self.options.delta { "write what differs" } else { "write objects" };
        let place = self.bucket.location();
        let mut steps = vec![step(action, format!("{what} into {place}, with types and metadata"))];
        if self.options.files.delete {
            steps.push(step("remove", "what the snapshot does not have".into()));
        }
        steps
    }
}

#[async_trait]
impl Target for BucketTarget {
    fn location(&self) -> String {
        self.bucket.location()
    }

    async fn plan(&mut self, snapshot: &Snapshot) -> Result<RestorePlan> {
        let wanted = self.check(snapshot)?;
        self.check_empty().await?;
        let tree = snapshot.evidence.tree.clone().unwrap_or_default();
        let what = if wanted.is_all() {
            format!("{} files, {}", tree.files, ByteSize(tree.bytes))
        } else {
            format!("what is named of {} files", tree.files)
        };
        let steps = self.steps(&what);
        Ok(RestorePlan { steps, bytes: tree.bytes, files: tree.files, ..RestorePlan::default() })
    }

    async fn preview(
        &mut self,
        snapshot: &Snapshot,
        parts: Arc<dyn PartSource>,
    ) -> Result<Option<RestorePlan>> {
        let wanted = self.check(snapshot)?;
        let count = self.count(&parts, &wanted).await?;
        let what = format!("{} files, {}", count.files, ByteSize(count.bytes));
        let (files, bytes) = (count.files, count.bytes);
        let findings = left_out(snapshot, &count).into_iter().collect();
        let steps = self.steps(&what);
        Ok(Some(RestorePlan { steps, bytes, files, findings, ..RestorePlan::default() }))
    }

    async fn restore(
        &mut self,
        snapshot: &Snapshot,
        parts: Arc<dyn PartSource>,
    ) -> Result<RestoreReport> {
        let wanted = self.check(snapshot)?;
        self.check_empty().await?;
        let count = self.count(&parts, &wanted).await?;
        let begun = Instant::now();
        let fill = Fill::open(Arc::clone(&self.bucket), Arc::clone(&parts), &self.options).await?;
        let filled = fill.run(Chosen::bare(&parts, wanted).await?).await?;
        let mut report =
            RestoreReport { files: filled.files, bytes: filled.bytes, ..<_>::default() };
        if self.options.delta {
            let text = format!("{} objects were there already.", filled.kept);
            report.findings.push(Finding::note(text));
        }
        if self.options.files.delete {
            let text =
                format!("{} objects that the snapshot does not have were removed.", filled.gone);
            report.findings.push(Finding::note(text));
        }
        report.findings.extend(left_out(snapshot, &count));
        report.phases = vec![("write objects".into(), begun.elapsed().as_secs_f64())];
        Ok(report)
    }
}

/// Says what of a tree a bucket does not keep.
fn left_out(snapshot: &Snapshot, count: &Count) -> Option<Finding> {
    let order = snapshot.part(LIST).map(Order::of).unwrap_or_default();
    (order == Order::Tree).then(|| {
        Finding::warning(format!(
            "A bucket keeps neither owners, modes nor times of a tree; {} directories, and {} links, \
             pipes and devices were left out.",
            count.folders, count.others
        ))
    })
}
