//! The port: a data directory to restore into.

use std::collections::{BTreeMap, HashSet};
use std::fs::{self, File};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use async_trait::async_trait;
use backup_core::port::{
    PartSource, RecoverySignal, RestoreOptions, RestorePlan, RestoreReport, RestoreStep, Target,
};
use backup_core::{Error, ErrorKind, Event, Finding, PartName, Result, Snapshot};
use bytes::Bytes;

use super::files::{self, CONTROL, FileRestorer, Tally, blocking};
use super::place::{self, Places};
use super::{check, settings};
use crate::physical::MANIFEST;
use crate::physical::facts::ClusterFacts;
use crate::physical::label::tablespace_map;

const RESTORE: &str = "restore into directory";

/// A directory that becomes a data directory.
pub struct DirectoryTarget {
    root: PathBuf,
    options: RestoreOptions,
    planned: Option<(Places, ClusterFacts)>,
}

impl DirectoryTarget {
    /// Names the directory; touches nothing.
    #[must_use]
    pub fn new(root: impl Into<PathBuf>, options: RestoreOptions) -> Self {
        Self { root: root.into(), options, planned: None }
    }

    fn phase(&self, phase: &str) {
        self.options.observer.on_event(&Event::PhaseStarted { phase: phase.to_owned() });
    }
}

#[async_trait]
impl Target for DirectoryTarget {
    fn location(&self) -> String {
        self.root.display().to_string()
    }

    async fn plan(&mut self, snapshot: &Snapshot) -> Result<RestorePlan> {
        check::check_request(snapshot, &self.options)?;
        let facts = ClusterFacts::of(snapshot)?;
        let root = std::path::absolute(&self.root)
            .map_err(|error| place::failed("look at target", &self.root, error))?;
        let places = Places::new(root, &facts.tablespaces, &self.options.tablespaces)?;
        check::check_places(&places, self.options.delta)?;
        let plan = describe(snapshot, &facts, &places, &self.options);
        self.planned = Some((places, facts));
        Ok(plan)
    }

    async fn restore(
        &mut self,
        snapshot: &Snapshot,
        parts: Arc<dyn PartSource>,
    ) -> Result<RestoreReport> {
        if self.planned.is_none() {
            self.plan(snapshot).await?;
        }
        let Some((places, facts)) = self.planned.take() else {
            return Err(Error::new(ErrorKind::Failed, RESTORE));
        };
        // What was checked before may have changed since.
        check::check_places(&places, self.options.delta)?;
        let begun = Instant::now();
        self.phase("write files");
        let target = places.clone();
        blocking(move || {
            target.create()?;
            remove(&target.root.join(CONTROL))
        })
        .await?;
        let restorer = FileRestorer {
            parts,
            root: places.root.clone(),
            jobs: self.options.jobs.get(),
            delta: self.options.delta,
            observer: Arc::clone(&self.options.observer),
            tally: Tally::default(),
        };
        let (control, seen) = write_groups(&restorer, self.options.delta).await?;
        if self.options.delta {
            let (places, seen) = (places.clone(), seen);
            blocking(move || sweep(&places, &seen)).await?;
        }
        write_manifest(&*restorer.parts, &places.root).await?;
        let copied = begun.elapsed().as_secs_f64();
        self.phase("make durable");
        let (target, needed) = (places.clone(), facts.clone());
        let recovery = self.options.recovery.clone();
        let findings = blocking(move || {
            let findings = configure(&target, &needed, &recovery)?;
            target.sync()?;
            write_control(&target.root, &control)?;
            Ok(findings)
        })
        .await?;
        let durable = begun.elapsed().as_secs_f64() - copied;
        let mut report = RestoreReport {
            files: restorer.tally.files.load(Ordering::Relaxed),
            bytes: restorer.tally.bytes.load(Ordering::Relaxed),
            phases: vec![("write files".into(), copied), ("make durable".into(), durable)],
            findings,
            ..RestoreReport::default()
        };
        if self.options.delta {
            let kept = restorer.tally.kept.load(Ordering::Relaxed);
            report.findings.push(Finding::note(format!(
                "{} were there already.",
                backup_core::ByteSize(kept)
            )));
        }
        report.findings.push(Finding::note(start_hint(&places.root, &facts)));
        Ok(report)
    }
}

fn describe(
    snapshot: &Snapshot,
    facts: &ClusterFacts,
    places: &Places,
    options: &RestoreOptions,
) -> RestorePlan {
    let step = |action: &str, detail: String| RestoreStep { action: action.to_owned(), detail };
    let root = places.root.display();
    let mut steps = vec![step(
        if options.delta { "write what differs" } else { "write files" },
        format!("{} into {root}", backup_core::ByteSize(snapshot.read_bytes)),
    )];
    for (oid, place) in &places.tablespaces {
        steps.push(step("place tablespace", format!("{oid} at {}", place.display())));
    }
    let recovery = &options.recovery;
    let archiving = if recovery.keep_archiving { "archiving as before" } else { "archiving off" };
    steps.push(step("configure", format!("postgresql.auto.conf: {archiving}")));
    match recovery.signal {
        RecoverySignal::None => {}
        RecoverySignal::Recovery => steps.push(step("signal", "recovery.signal".into())),
        RecoverySignal::Standby => steps.push(step("signal", "standby.signal".into())),
    }
    steps.push(step("finish", "make all durable, then write pg_control".into()));
    let findings = vec![Finding::note(format!(
        "A server of PostgreSQL {} starts from it; recovery begins at {} and is consistent at {}.",
        facts.version / 10_000,
        facts.start,
        facts.stop
    ))];
    RestorePlan { steps, findings, bytes: snapshot.read_bytes, ..RestorePlan::default() }
}

/// Writes every group; returns the control file and the paths that belong there (as hashes).
async fn write_groups(restorer: &FileRestorer, collect: bool) -> Result<(Bytes, HashSet<u64>)> {
    let mut seen = HashSet::new();
    let mut control = None;
    let lists: Vec<PartName> = restorer
        .parts
        .parts()
        .iter()
        .map(|part| part.name.clone())
        .filter(|name| name.as_str().starts_with("files/"))
        .collect();
    // Directories are in the list of all other files: first, so that they get their modes.
    let (first, rest): (Vec<_>, Vec<_>) =
        lists.into_iter().partition(|name| name.as_str() == "files/other");
    for list in first.iter().chain(&rest) {
        let found = restorer
            .group(list, |path| {
                if collect {
                    seen.insert(key(path));
                }
            })
            .await?;
        control = control.or(found);
    }
    let control = control.ok_or_else(|| {
        Error::new(ErrorKind::Integrity, RESTORE).because("the snapshot has no control file")
    })?;
    Ok((control, seen))
}

fn key(path: &str) -> u64 {
    use std::hash::{DefaultHasher, Hash, Hasher};
    let mut hasher = DefaultHasher::new();
    path.hash(&mut hasher);
    hasher.finish()
}

/// Removes files that do not belong into the copy.
fn sweep(places: &Places, seen: &HashSet<u64>) -> Result<()> {
    let kept = |path: &str| {
        let space = path.strip_prefix("pg_tblspc/").and_then(|oid| oid.parse().ok());
        seen.contains(&key(path))
            || path == "pg_tblspc"
            || space.is_some_and(|oid: u32| places.tablespaces.contains_key(&oid))
    };
    let mut folders = vec![String::new()];
    while let Some(folder) = folders.pop() {
        let place = places.root.join(&folder);
        let entries = fs::read_dir(&place).map_err(|e| place::failed("sweep", &place, e))?;
        for entry in entries {
            let entry = entry.map_err(|error| place::failed("sweep", &place, error))?;
            let name = entry.file_name();
            let name = name.to_string_lossy();
            let path =
                if folder.is_empty() { name.into_owned() } else { format!("{folder}/{name}") };
            // Links to tablespaces and to the log are followed; all others are not.
            let is_followed = path.starts_with("pg_tblspc/") || path == "pg_wal";
            let is_folder = entry.path().is_dir() && (!entry.path().is_symlink() || is_followed);
            if !kept(&path) {
                // A link goes; what it points to may be another cluster's.
                let removed = if is_folder && !entry.path().is_symlink() {
                    fs::remove_dir_all(entry.path())
                } else {
                    fs::remove_file(entry.path())
                };
                removed.map_err(|error| place::failed("sweep", &entry.path(), error))?;
            } else if is_folder {
                folders.push(path);
            }
        }
    }
    Ok(())
}

async fn write_manifest(parts: &dyn PartSource, root: &Path) -> Result<()> {
    let name = PartName::new(MANIFEST);
    let path = root.join("backup_manifest");
    let mut file = create(&path)?;
    for position in 0..parts.segments(&name).await?.len() {
        let bytes = files::read_whole(parts, &name, position).await?;
        file.write_all(&bytes).map_err(|error| place::failed("write file", &path, error))?;
    }
    Ok(())
}

/// Writes the settings and the signal of the copy; returns what a person should know.
fn configure(
    places: &Places,
    facts: &ClusterFacts,
    recovery: &backup_core::port::RecoverySettings,
) -> Result<Vec<Finding>> {
    let root = &places.root;
    let mut findings = Vec::new();
    let auto = root.join("postgresql.auto.conf");
    let original = fs::read(&auto).unwrap_or_default();
    write(&auto, &settings::auto_conf(&String::from_utf8_lossy(&original), recovery))?;
    for signal in ["recovery.signal", "standby.signal"] {
        remove(&root.join(signal))?;
    }
    match recovery.signal {
        RecoverySignal::None => {}
        RecoverySignal::Recovery => write(&root.join("recovery.signal"), "")?,
        RecoverySignal::Standby => write(&root.join("standby.signal"), "")?,
    }
    if places.moved {
        let map: BTreeMap<u32, String> = places
            .tablespaces
            .iter()
            .map(|(oid, place)| (*oid, place.display().to_string()))
            .collect();
        write(&root.join("tablespace_map"), &tablespace_map(&map))?;
    }
    if !root.join("postgresql.conf").exists() {
        write(&root.join("postgresql.conf"), &settings::minimal_conf(&facts.settings))?;
        findings.push(Finding::note(
            "The cluster kept postgresql.conf elsewhere; a minimal one was written.",
        ));
    }
    if !root.join("pg_hba.conf").exists() {
        write(&root.join("pg_hba.conf"), "local all all peer\n")?;
        findings.push(Finding::note(
            "The cluster kept pg_hba.conf elsewhere; one that lets in local users by their own \
             name was written.",
        ));
    }
    Ok(findings)
}

/// The last step: from here on a server can start.
fn write_control(root: &Path, control: &[u8]) -> Result<()> {
    let (path, temporary) = (root.join(CONTROL), root.join("global/pg_control.restored"));
    let mut file = create(&temporary)?;
    let written = file
        .write_all(control)
        .and_then(|()| file.sync_all())
        .and_then(|()| fs::rename(&temporary, &path))
        .and_then(|()| File::open(root.join("global"))?.sync_all());
    written.map_err(|error| place::failed("write control file", &path, error))
}

fn create(path: &Path) -> Result<File> {
    let opened = File::options().write(true).create(true).truncate(true).mode(0o600).open(path);
    opened.map_err(|error| place::failed("create file", path, error))
}

fn write(path: &Path, text: &str) -> Result<()> {
    let mut file = create(path)?;
    file.write_all(text.as_bytes()).map_err(|error| place::failed("write file", path, error))
}

fn remove(path: &Path) -> Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(place::failed("remove file", path, error))
        }
        _ => Ok(()),
    }
}

fn start_hint(root: &Path, facts: &ClusterFacts) -> String {
    let major = facts.version / 10_000;
    let owner = if rustix::process::geteuid().is_root() {
        format!("PostgreSQL does not run as root: chown -R postgres: {} first. ", root.display())
    } else {
        String::new()
    };
    format!(
        "{owner}Start it with PostgreSQL {major}: pg_ctl -D {} -l {}.log -w start",
        root.display(),
        root.display()
    )
}
