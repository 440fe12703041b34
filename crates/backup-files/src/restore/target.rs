//! The port: a directory to restore into.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use async_trait::async_trait;
use backup_core::port::{
    PartSource, RestoreOptions, RestorePlan, RestoreReport, RestoreStep, Target,
};
use backup_core::{ByteSize, Error, ErrorKind, Event, Finding, Result, Snapshot, SnapshotKind};

use super::chosen::Chosen;
use super::drive::Driver;
use super::keys;
use super::place::{RESTORE, check, failed};
use super::sweep::sweep;
use super::write::{Place, Tally};
use crate::beneath::open_root;
use crate::entry::Kind;
use crate::list::ListReader;
use crate::select::Wanted;

/// A directory that a tree is restored into.
pub struct TreeTarget {
    root: PathBuf,
    options: RestoreOptions,
}

impl TreeTarget {
    /// Names the directory; touches nothing.
    #[must_use]
    pub fn new(root: impl Into<PathBuf>, options: RestoreOptions) -> Self {
        Self { root: root.into(), options }
    }

    fn phase(&self, phase: &str) {
        self.options.observer.on_event(&Event::PhaseStarted { phase: phase.to_owned() });
    }

    fn check(&self, snapshot: &Snapshot) -> Result<Wanted> {
        if snapshot.kind != SnapshotKind::Files {
            return Err(Error::new(ErrorKind::Unsupported, RESTORE)
                .with("snapshot", snapshot.id.short())
                .with("kind", snapshot.kind.as_str())
                .hint("Only a snapshot of files is restored as a tree."));
        }
        let options = &self.options;
        if !options.tables.is_empty() || !options.schemas.is_empty() {
            return Err(Error::new(ErrorKind::Usage, RESTORE)
                .because("a tree has neither tables nor schemas")
                .hint("Say which files with --path."));
        }
        if options.files.delete && !options.delta {
            return Err(Error::new(ErrorKind::Usage, RESTORE)
                .because("--delete is for a directory that has something in it")
                .hint("Pass --delta as well."));
        }
        if options.files.delete && snapshot.is_suspect() {
            return Err(Error::new(ErrorKind::Conflict, RESTORE)
                .with("snapshot", snapshot.id.short())
                .because(
                    "the snapshot is suspect: --delete would remove what it may only have missed",
                )
                .hint(
                    "Name a snapshot that is not suspect (`backupctl snapshots` shows which), or \
                     leave out --delete.",
                ));
        }
        let wanted = Wanted::new(&options.files.paths)?;
        if options.files.delete && !wanted.is_all() {
            return Err(Error::new(ErrorKind::Usage, RESTORE)
                .because("--delete would remove all that --path does not name")
                .hint("Leave out one of the two."));
        }
        if options.files.delete && keys::is_of_bucket(snapshot) {
            return Err(Error::new(ErrorKind::Unsupported, RESTORE)
                .because("the snapshot is of a bucket, which has no folders of its own")
                .hint("Leave out --delete, or restore into a new directory."));
        }
        Ok(wanted)
    }
}

/// Runs what blocks off the async threads.
pub(super) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T> + Send + 'static,
) -> Result<T> {
    tokio::task::spawn_blocking(work)
        .await
        .map_err(|error| Error::new(ErrorKind::Failed, RESTORE).because(error))?
}

#[async_trait]
impl Target for TreeTarget {
    fn location(&self) -> String {
        self.root.display().to_string()
    }

    async fn plan(&mut self, snapshot: &Snapshot) -> Result<RestorePlan> {
        let wanted = self.check(snapshot)?;
        self.root = std::path::absolute(&self.root)
            .map_err(|error| failed("look at target", &self.root, error))?;
        check(&self.root, self.options.delta)?;
        let tree = snapshot.evidence.tree.clone().unwrap_or_default();
        let what = if wanted.is_all() {
            format!("{} files, {}", tree.files, ByteSize(tree.bytes))
        } else {
            format!("what is named of {} files", tree.files)
        };
        Ok(RestorePlan {
            steps: steps(&self.options, &what, &self.root),
            bytes: tree.bytes,
            files: tree.files,
            ..RestorePlan::default()
        })
    }

    async fn preview(
        &mut self,
        snapshot: &Snapshot,
        parts: Arc<dyn PartSource>,
    ) -> Result<Option<RestorePlan>> {
        let wanted = self.check(snapshot)?;
        keys::check(&parts, &wanted).await?;
        let mut chosen = Chosen::open(&parts, wanted).await?;
        let (mut files, mut bytes, mut others) = (0, 0, 0_u64);
        while let Some(entry) = chosen.next().await? {
            match &entry.kind {
                Kind::File(data) => {
                    files += 1;
                    bytes += data.size;
                }
                _ => others += 1,
            }
        }
        chosen.wanted.check_fulfilled()?;
        let what = format!("{files} files, {}, and {others} other entries", ByteSize(bytes));
        let steps = steps(&self.options, &what, &self.root);
        Ok(Some(RestorePlan { steps, bytes, files, ..RestorePlan::default() }))
    }

    async fn restore(
        &mut self,
        snapshot: &Snapshot,
        parts: Arc<dyn PartSource>,
    ) -> Result<RestoreReport> {
        let wanted = self.check(snapshot)?;
        look_for(&parts, &wanted).await?;
        // What was checked before may have changed since.
        check(&self.root, self.options.delta)?;
        keys::check(&parts, &wanted).await?;
        let of_bucket = keys::is_of_bucket(snapshot);
        let begun = Instant::now();
        self.phase("write files");
        let (root, options) = (self.root.clone(), &self.options);
        let (fd, device) = blocking(move || {
            match std::fs::create_dir(&root) {
                Err(error) if error.kind() != std::io::ErrorKind::AlreadyExists => {
                    return Err(failed("create directory", &root, error));
                }
                _ => {}
            }
            let fd = open_root(&root).map_err(|error| failed("open directory", &root, error))?;
            let stat =
                rustix::fs::fstat(&fd).map_err(|e| failed("look at directory", &root, e.into()))?;
            Ok((fd, stat.st_dev))
        })
        .await?;
        let names = if options.delta { names(&parts).await? } else { HashMap::new() };
        let place = Arc::new(Place {
            root: fd,
            shown: self.root.clone(),
            device,
            delta: options.delta,
            names,
            delete: options.files.delete,
            // Objects have no owner that a file could have.
            no_owner: options.no_owner || of_bucket,
            tally: Tally::default(),
        });
        let observer = Arc::clone(&options.observer);
        let jobs = options.jobs.get();
        let driver = Driver::new(Arc::clone(&parts), Arc::clone(&place), jobs, observer).await?;
        driver.contents(Chosen::open(&parts, wanted.clone()).await?).await?;
        let tally = &place.tally;
        let mut report = RestoreReport::default();
        if options.files.delete {
            let gone = sweep(&place, Chosen::open(&parts, wanted.clone()).await?).await?;
            report.findings.push(Finding::note(format!(
                "{gone} entries that the snapshot does not have were removed."
            )));
        }
        driver.metadata(Chosen::open(&parts, wanted.clone()).await?, wanted.is_all()).await?;
        let wrote = begun.elapsed().as_secs_f64();
        self.phase("make durable");
        let synced = Arc::clone(&place);
        blocking(move || {
            rustix::fs::syncfs(&synced.root)
                .map_err(|error| synced.failed("make durable", b"", error))
        })
        .await?;
        report.files = tally.files.load(Ordering::Relaxed);
        report.bytes = tally.bytes.load(Ordering::Relaxed);
        let kept = tally.kept.load(Ordering::Relaxed);
        if options.delta {
            report.findings.push(Finding::note(format!("{kept} files were there already.")));
        }
        report.findings.extend(tally.findings());
        if of_bucket {
            report.findings.push(Finding::note(
                "Content types and metadata of objects stay in the snapshot: a directory keeps none.",
            ));
        }
        let durable = begun.elapsed().as_secs_f64() - wrote;
        report.phases = vec![("write files".into(), wrote), ("make durable".into(), durable)];
        Ok(report)
    }
}

/// Returns how many names each file has that has several, by number; of all that is in the list, wanted
/// or not.
async fn names(parts: &Arc<dyn PartSource>) -> Result<HashMap<u64, u64>> {
    let mut list = ListReader::open(Arc::clone(parts)).await?;
    let mut names = HashMap::new();
    while let Some(entry) = list.next().await? {
        if let Some(number) = entry.file().and_then(|data| data.linked) {
            *names.entry(number).or_default() += 1;
        }
    }
    Ok(names)
}

/// Fails with `NotFound` where something that was asked for is not there.
async fn look_for(parts: &Arc<dyn PartSource>, wanted: &Wanted) -> Result<()> {
    if wanted.is_all() {
        return Ok(());
    }
    let mut chosen = Chosen::open(parts, wanted.clone()).await?;
    while chosen.next().await?.is_some() {}
    chosen.wanted.check_fulfilled()
}

fn steps(options: &RestoreOptions, what: &str, root: &std::path::Path) -> Vec<RestoreStep> {
    let step = |action: &str, detail: String| RestoreStep { action: action.to_owned(), detail };
    let action = if options.delta { "write what differs" } else { "write files" };
    let mut steps = vec![step(action, format!("{what} into {}", root.display()))];
    if options.files.delete {
        steps.push(step("remove", "what the snapshot does not have".into()));
    }
    let owners = if options.no_owner { "modes, attributes" } else { "owners, modes, attributes" };
    steps.push(step("set metadata", format!("{owners} and times, directories last")));
    steps.push(step("finish", "make all durable".into()));
    steps
}
