//! `backupctl`: parse, call one operation, show its result.

mod alerts;
mod args;
mod exit;
mod private;
mod prompt;
mod render;
mod session;
mod sheet;
mod signals;
mod verbs;

use std::process::ExitCode;
use std::sync::Arc;

use backup::config::Overrides;
use backup::ops::interrupt;
use backup_core::{Error, ErrorKind, Secret};
use clap::Parser;

use crate::args::{Cli, Color, GlobalArgs, Verb};
use crate::exit::Contract;
use crate::render::install_log;
use crate::render::screen::Screen;
use crate::session::Session;

fn main() -> ExitCode {
    let contract = Contract::of(std::env::args_os());
    // A panic has a code of its own, which a server that recovers would take for "not there".
    std::panic::catch_unwind(|| start(contract)).unwrap_or_else(|_| contract.failed(101))
}

fn start(contract: Contract) -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return refuse(&error, contract),
    };
    let screen = Arc::new(Screen::new(&cli.global));
    install_log(&screen);
    backup::install_tls();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let runtime = match runtime {
        Ok(runtime) => runtime,
        Err(error) => {
            screen.error(&Error::new(ErrorKind::Failed, "start runtime").because(error));
            return contract.failed(ErrorKind::Failed.exit_code());
        }
    };
    let code = runtime.block_on(run(cli, &screen, contract));
    // Sessions that were dropped end on their own; nothing waits for a server that hangs.
    runtime.shutdown_timeout(std::time::Duration::from_secs(2));
    code
}

async fn run(cli: Cli, screen: &Arc<Screen>, contract: Contract) -> ExitCode {
    let (interrupter, interrupt) = interrupt();
    if let Err(error) = signals::listen(interrupter, contract) {
        screen.warn(&format!("signals cannot be caught: {error}"));
    }
    let alerting = alerting(&cli.verb);
    let overrides = overrides(&cli.verb);
    let session =
        Session::new(cli.global, overrides, needs_probe(&cli.verb), Arc::clone(screen), interrupt);
    let ran = Box::pin(verbs::run(&session, cli.verb)).await;
    match ran.and_then(|ending| screen.demand_printed().map(|()| ending)) {
        Ok(ending) => contract.ended(ending),
        Err(error) => {
            if matches!(error.kind(), ErrorKind::Interrupted | ErrorKind::Terminated) {
                settle().await;
            }
            if let Some(verb) = alerting {
                alerts::failed(&session, verb, source_of(&error), &error).await;
            }
            screen.error(&error);
            contract.failed(error.kind().exit_code())
        }
    }
}

/// Returns the source that an error is about, where it says so.
fn source_of(error: &Error) -> Option<&str> {
    error.context().iter().find(|(name, _)| *name == "source").map(|(_, source)| source.as_str())
}

/// What was dropped halfway tidies up behind itself: sessions are cancelled, an unfinished
/// database is dropped. This waits for it, for a while; a second signal does not wait.
async fn settle() {
    const PATIENCE: std::time::Duration = std::time::Duration::from_secs(5);
    const LOOK: std::time::Duration = std::time::Duration::from_millis(20);
    // The task that listens to signals stays.
    let tidying = || tokio::runtime::Handle::current().metrics().num_alive_tasks() > 1;
    let waiting = async {
        while tidying() {
            tokio::time::sleep(LOOK).await;
        }
    };
    // Connections kept for reuse count as well: then the whole time is waited.
    let _ = tokio::time::timeout(PATIENCE, waiting).await;
}

/// Returns what flags say about settings.
fn overrides(verb: &Verb) -> Overrides {
    match verb {
        Verb::Init(args) => {
            Overrides { database_url: args.url.clone().map(Secret::new), ..Overrides::default() }
        }
        _ => Overrides::default(),
    }
}

/// Returns whether a verb relies on the store refusing what exists: then it is asked, with a few
/// small requests, instead of believed.
fn needs_probe(verb: &Verb) -> bool {
    match verb {
        Verb::Prune(args) => !args.dry_run,
        Verb::Forget(args) => args.prune,
        Verb::Doctor(args) => args.live,
        _ => false,
    }
}

/// Returns the name of a verb that runs work, whose failure somebody should hear of. Verbs that
/// only look, ask or print do not wake anybody.
fn alerting(verb: &Verb) -> Option<&'static str> {
    match verb {
        Verb::Backup(_) => Some("backup"),
        Verb::Restore(args) if !args.preview => Some("restore"),
        Verb::Verify(_) => Some("verify"),
        Verb::Drill(args) if !args.history => Some("drill"),
        Verb::Migrate(args) if !args.preview => Some("migrate"),
        Verb::Forget(args) if !args.dry_run => Some("forget"),
        Verb::Prune(args) if !args.dry_run => Some("prune"),
        Verb::Copy(args) if !args.dry_run => Some("copy"),
        Verb::Status(_) => Some("status"),
        Verb::Repair(_) => Some("repair"),
        Verb::Export(_) => Some("export"),
        _ => None,
    }
}

/// Shows what clap says: help and version are data, everything else is a usage error.
fn refuse(error: &clap::Error, contract: Contract) -> ExitCode {
    let json = std::env::args_os().skip(1).any(|word| word == "--json");
    if !error.use_stderr() || !json {
        // Printing can only fail when nobody reads.
        let _ = error.print();
        let code = u8::try_from(error.exit_code()).unwrap_or(2);
        return if code == 0 { ExitCode::SUCCESS } else { contract.failed(code) };
    }
    let global = GlobalArgs { config: None, json, quiet: false, verbose: 0, color: Color::Never };
    let text = error.render().to_string();
    let reason = text.lines().next().unwrap_or_default().trim_start_matches("error: ");
    let usage = Error::new(ErrorKind::Usage, "parse command line")
        .hint("Run `backupctl --help`.")
        .because(reason.to_owned());
    Screen::new(&global).error(&usage);
    contract.failed(ErrorKind::Usage.exit_code())
}
