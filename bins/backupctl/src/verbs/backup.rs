//! `backup`: a snapshot of each source.

use backup::config::SourceSettings;
use backup::ops::document::BackupDocument;
use backup::ops::{BackupReceipt, BackupRequest, Depth, Plausibility};
use backup_core::port::{PhysicalAccess, PhysicalOptions};
use backup_core::{ByteSize, Error, ErrorKind, Result, Snapshot, SnapshotKind};

use crate::alerts;
use crate::args::{BackupArgs, FilesFrom, Mode, ProofArg};
use crate::exit::Ending;
use crate::render;
use crate::session::Session;

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
    let sources = session.sources(&args.sources)?;
    let alone = sources.len() == 1;
    // One source is opened together with the repository; many would each hear of its error.
    if !alone {
        session.repository().await?;
    }
    let mut worst = None;
    for source in sources {
        match announced(session, source, &args).await {
            Ok(receipt) => {
                show(session, &receipt)?;
                let alert = backup::ops::alert::backup(&receipt, session.clock.now());
                alerts::tell(session, &alert).await;
                let left = backup::ops::alert::left_behind(&receipt, session.clock.now());
                if let Some(alert) = left {
                    alerts::tell(session, &alert).await;
                }
                if receipt.record.snapshot.is_suspect() {
                    worst = worse(worst, ErrorKind::Suspect);
                }
            }
            // A single source ends with its own error; so does a wish to stop.
            Err(error) if alone => {
                if session.screen.json() {
                    session.screen.document(&BackupDocument::failed(&source.name, &error))?;
                }
                return Err(error.with("source", &source.name));
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
                worst = worse(worst, ErrorKind::Failed);
            }
        }
    }
    Ok(worst.map_or(Ending::Ok, Ending::Found))
}

/// Who measures runs hears of the start meanwhile; that delays nothing but the end, which must
/// not be heard first.
async fn announced(
    session: &Session,
    settings: &SourceSettings,
    args: &BackupArgs,
) -> Result<BackupReceipt> {
    let name = Some(settings.name.as_str());
    let start = backup::ops::alert::started("backup", name, session.clock.now());
    let (result, ()) = tokio::join!(one(session, settings, args), alerts::tell(session, &start));
    result
}

async fn one(
    session: &Session,
    settings: &SourceSettings,
    args: &BackupArgs,
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

/// A failure outweighs a doubt.
fn worse(worst: Option<ErrorKind>, kind: ErrorKind) -> Option<ErrorKind> {
    match worst {
        Some(ErrorKind::Failed) => worst,
        _ => Some(kind),
    }
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
    if snapshot.is_suspect() {
        screen.hint(
            "The snapshot is kept but does not count as a backup. Look at the database; if the \
             data really did shrink, run again with --accept-shrink.",
        );
    } else if receipt.record.verified.level < backup_core::VerifyLevel::Read {
        screen.hint(&format!("Prove it: `backupctl verify {id} --read-data`."));
    }
    Ok(())
}
