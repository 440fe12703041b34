//! `backup`: a snapshot of each source, a recovery set of each group.

mod group;

use backup::config::SourceSettings;
use backup::ops::document::BackupDocument;
use backup::ops::{BackupReceipt, BackupRequest, Depth, Plausibility};
use backup_core::port::{PhysicalAccess, PhysicalOptions};
use backup_core::{
    ByteSize, Error, ErrorKind, Result, SetPlace, Snapshot, SnapshotKind, SnapshotRecord,
};

use crate::alerts;
use crate::args::{BackupArgs, FilesFrom, Mode, ProofArg};
use crate::exit::Ending;
use crate::render;
use crate::session::{Job, Session};

pub(super) async fn run(session: &Session, args: BackupArgs) -> Result<Ending> {
    if args.via_daemon && args.native {
        return super::daemon::native(session, &args.sources).await;
    }
    if args.via_daemon {
        return super::daemon::backup(session, &args).await;
    }
    if args.native {
        return super::native::backup(session, &args.sources).await;
    }
    let jobs = session.jobs(&args.sources)?;
    if let [Job::Source(source)] = jobs.as_slice() {
        return alone(session, source, &args).await;
    }
    // One source is opened together with the repository; many would each hear of its error.
    session.repository().await?;
    let mut tally = Tally::default();
    for job in jobs {
        match job {
            Job::Source(source) => {
                one_of_several(session, source, &args, None, &mut tally).await?;
            }
            Job::Group(settings) => group::run(session, settings, &args, &mut tally).await?,
        }
    }
    Ok(tally.worst.map_or(Ending::Ok, Ending::Found))
}

/// The worst that happened to any of several.
#[derive(Default)]
struct Tally {
    worst: Option<ErrorKind>,
}

impl Tally {
    /// A failure outweighs a doubt.
    fn add(&mut self, kind: ErrorKind) {
        if self.worst != Some(ErrorKind::Failed) {
            self.worst = Some(kind);
        }
    }
}

/// A single source ends with its own error.
async fn alone(session: &Session, source: &SourceSettings, args: &BackupArgs) -> Result<Ending> {
    match announced(session, source, args, None).await {
        Ok(receipt) => {
            told(session, &receipt).await?;
            let suspect = receipt.record.snapshot.is_suspect();
            Ok(if suspect { Ending::Found(ErrorKind::Suspect) } else { Ending::Ok })
        }
        Err(error) => {
            if session.screen.json() {
                session.screen.document(&BackupDocument::failed(&source.name, &error))?;
            }
            Err(error.with("source", &source.name))
        }
    }
}

/// Returns the snapshot, or nothing where the source failed, which was told; an error is a wish to
/// stop.
async fn one_of_several(
    session: &Session,
    source: &SourceSettings,
    args: &BackupArgs,
    place: Option<&SetPlace>,
    tally: &mut Tally,
) -> Result<Option<SnapshotRecord>> {
    match announced(session, source, args, place).await {
        Ok(receipt) => {
            told(session, &receipt).await?;
            if receipt.record.snapshot.is_suspect() {
                tally.add(ErrorKind::Suspect);
            }
            Ok(Some(receipt.record))
        }
        Err(error) => {
            if session.screen.json() {
                session.screen.document(&BackupDocument::failed(&source.name, &error))?;
            }
            if stopped(&error) {
                return Err(error.with("source", &source.name));
            }
            alerts::failed(session, "backup", Some(source.name.as_str()), &error).await;
            session.screen.error(&error.with("source", &source.name));
            tally.add(ErrorKind::Failed);
            Ok(None)
        }
    }
}

/// Shows what was taken, and tells those who want to know.
async fn told(session: &Session, receipt: &BackupReceipt) -> Result<()> {
    show(session, receipt)?;
    let alert = backup::ops::alert::backup(receipt, session.clock.now());
    alerts::tell(session, &alert).await;
    if let Some(alert) = backup::ops::alert::left_behind(receipt, session.clock.now()) {
        alerts::tell(session, &alert).await;
    }
    Ok(())
}

/// Who measures runs hears of the start meanwhile; that delays nothing but the end, which must
/// not be heard first.
async fn announced(
    session: &Session,
    settings: &SourceSettings,
    args: &BackupArgs,
    place: Option<&SetPlace>,
) -> Result<BackupReceipt> {
    let name = Some(settings.name.as_str());
    let start = backup::ops::alert::started("backup", name, session.clock.now());
    let (result, ()) =
        tokio::join!(one(session, settings, args, place), alerts::tell(session, &start));
    result
}

async fn one(
    session: &Session,
    settings: &SourceSettings,
    args: &BackupArgs,
    place: Option<&SetPlace>,
) -> Result<BackupReceipt> {
    let source = session.choose(settings)?;
    let request = BackupRequest {
        source: source.name.clone(),
        kind: match args.mode {
            Some(Mode::Physical) => SnapshotKind::Physical,
            Some(Mode::Logical) => SnapshotKind::Logical,
            None => source.kind,
        },
        jobs: args.jobs.or(source.jobs).unwrap_or_else(::backup::default_jobs),
        max_rate: args.max_rate.map(|rate| rate.0).or(source.max_rate),
        physical: PhysicalOptions {
            from: match args.physical_from {
                None => source.physical.from,
                Some(FilesFrom::Local) => PhysicalAccess::Local,
                Some(FilesFrom::Remote) => PhysicalAccess::Remote,
            },
            full_read: args.full_read || source.physical.full_read,
        },
        accept_new_identity: args.accept_new_identity,
        plausibility: Plausibility { accepted: args.accept_shrink, ..Plausibility::default() },
        verify: match args.verify {
            ProofArg::Exists => Depth::Exists,
            ProofArg::Read => Depth::Read,
        },
        set: place.cloned(),
    };
    backup::ops::backup_while_opening(
        session.repository(),
        source.provider.as_ref(),
        &request,
        &session.clock,
        &session.observer(),
        &session.interrupt,
    )
    .await
}

fn stopped(error: &Error) -> bool {
    matches!(error.kind(), ErrorKind::Interrupted | ErrorKind::Terminated)
}

/// What a snapshot holds, in a few words.
fn content(snapshot: &Snapshot) -> String {
    let kind = snapshot.kind.as_str();
    match snapshot.kind {
        SnapshotKind::Physical => format!("{kind}, a whole cluster"),
        SnapshotKind::Files => {
            let tree = snapshot.evidence.tree.clone().unwrap_or_default();
            format!("{} files, {}", render::count(tree.files), ByteSize(tree.bytes))
        }
        _ => format!(
            "{kind} in {} tables, {} rows",
            render::count(snapshot.evidence.tables.len() as u64),
            render::count(snapshot.evidence.rows())
        ),
    }
}

fn show(session: &Session, receipt: &BackupReceipt) -> Result<()> {
    let screen = &session.screen;
    if screen.json() {
        return screen.document(&BackupDocument::committed(receipt));
    }
    let snapshot = &receipt.record.snapshot;
    let id = snapshot.id.short();
    screen.data(&format!(
        "snapshot {id} of {}: {}\n\
         read     {} in {} ({})\n\
         new      {} ({} of what was read)\n\
         stored   {} in {} objects\n\
         verified {}\n",
        snapshot.source,
        content(snapshot),
        ByteSize(snapshot.read_bytes),
        render::seconds(receipt.seconds),
        render::rate(snapshot.read_bytes, receipt.seconds),
        ByteSize(snapshot.added_bytes),
        render::percent(snapshot.added_bytes, snapshot.read_bytes),
        ByteSize(snapshot.stored_bytes),
        render::count(receipt.requests.creates),
        receipt.record.verified.level.as_str(),
    ));
    for finding in &snapshot.evidence.findings {
        screen.say(&render::finding(finding));
    }
    if snapshot.is_fuzzy() {
        screen.hint(
            "The snapshot is kept, and is no instant of the database: it never counts as a backup. \
             docs/mysql.md says how one is had behind Vitess.",
        );
    } else if snapshot.is_suspect() {
        screen.hint(
            "The snapshot is kept but does not count as a backup. Look at the database; if the \
             data really did shrink, run again with --accept-shrink.",
        );
    } else if receipt.record.verified.level < backup_core::VerifyLevel::Read {
        screen.hint(&format!("Prove it: `backupctl verify {id} --read-data`."));
    }
    Ok(())
}
