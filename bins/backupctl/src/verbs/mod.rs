//! One file per verb: call one operation, show its result.

mod backup;
mod copy;
mod daemon;
mod demo;
mod diff;
mod doctor;
mod drill;
mod dump;
mod export;
mod extract;
mod find;
mod forget;
mod init;
mod key;
mod migrate;
mod native;
mod notify;
mod offline;
mod pin;
mod prune;
mod recovery;
mod repair;
mod report;
mod restore;
mod restore_set;
mod sets;
mod show;
mod snapshots;
mod status;
mod tree;
mod validate;
mod verify;
mod wal;

use backup_core::Result;

use crate::args::Verb;
use crate::exit::Ending;
use crate::session::Session;

/// Runs a verb to its end.
pub(crate) async fn run(session: &Session, verb: Verb) -> Result<Ending> {
    match verb {
        Verb::Init(args) => init::run(session, args).await,
        Verb::Backup(args) => backup::run(session, args).await,
        Verb::Snapshots(args) => snapshots::run(session, args).await,
        Verb::Show(args) => show::run(session, args).await,
        Verb::Ls(args) => show::parts(session, args).await,
        Verb::Diff(args) => diff::run(session, &args).await,
        Verb::Find(args) => find::run(session, &args).await,
        Verb::Dump(args) => dump::run(session, &args).await,
        Verb::Restore(args) => restore::run(session, args).await,
        Verb::Verify(args) => verify::run(session, args).await,
        Verb::Drill(args) => Box::pin(drill::run(session, args)).await,
        Verb::Migrate(args) => Box::pin(migrate::run(session, args)).await,
        Verb::Forget(args) => forget::run(session, args).await,
        Verb::Prune(args) => prune::run(session, &args).await,
        Verb::Copy(args) => copy::run(session, &args).await,
        Verb::Pin(args) => pin::run(session, &args, true).await,
        Verb::Unpin(args) => pin::run(session, &args, false).await,
        Verb::Repair(command) => repair::run(session, &command).await,
        Verb::Status(args) => status::run(session, &args).await,
        Verb::Doctor(args) => doctor::run(session, &args).await,
        Verb::Validate(args) => validate::run(session, &args).await,
        Verb::Wal(command) => wal::run(session, command).await,
        Verb::Key(command) => key::run(session, command).await,
        Verb::Export(args) => export::run(session, &args).await,
        Verb::Report(args) => report::run(session, args).await,
        Verb::Notify(command) => notify::run(session, &command).await,
        Verb::Demo(args) => Box::pin(demo::run(session, &args)).await,
        Verb::Completions(args) => offline::completions(&session.screen, &args),
        Verb::Man(args) => offline::man(&session.screen, &args),
        Verb::Schema(args) => offline::schema(&session.screen, &args),
    }
}
