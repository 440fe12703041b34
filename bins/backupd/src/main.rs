//! `backupd`: read the configuration, run until told to stop, stop cleanly.

mod args;
mod log;
mod signals;
mod systemd;

use std::process::ExitCode;
use std::time::Duration;

use backup::config::Environment;
use backup::daemon::{Daemon, Options};
use backup::ops::interrupt;
use backup_core::{Error, ErrorKind, Result};
use clap::Parser;

use crate::args::Args;

fn main() -> ExitCode {
    let args = Args::parse();
    log::install(args.verbose);
    backup::install_tls();
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            return refuse(&Error::new(ErrorKind::Failed, "start runtime").because(error));
        }
    };
    let ended = runtime.block_on(run(args));
    // Sessions that were dropped end on their own; nothing waits for a server that hangs.
    runtime.shutdown_timeout(Duration::from_secs(2));
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => refuse(&error),
    }
}

/// Runs until SIGTERM or SIGINT, which end it with success: it did what it was told.
async fn run(args: Args) -> Result<()> {
    let (interrupter, stop) = interrupt();
    let mut reloads = signals::listen(interrupter)
        .map_err(|error| Error::new(ErrorKind::Failed, "catch signals").because(error))?;
    let options =
        Options { config: args.config, environment: Environment::from_process(), feed: None };
    let (daemon, life) = match Box::pin(stop.unless(Daemon::open(options))).await {
        Err(error) if stop.asked().is_some() => {
            tracing::info!(%error, "stopped before it began");
            return Ok(());
        }
        opened => opened?,
    };
    tracing::info!(version = env!("CARGO_PKG_VERSION"), "backupd runs");
    systemd::notify("READY=1");
    let beat = tokio::spawn(systemd::beat());
    let reloading = tokio::spawn({
        let daemon = daemon.clone();
        async move {
            while reloads.recv().await.is_some() {
                systemd::notify("RELOADING=1");
                // Said in the log and in the status.
                let _ = daemon.reload().await;
                systemd::notify("READY=1");
            }
        }
    });
    let announcing = tokio::spawn({
        let stop = stop.clone();
        async move {
            stop.requested().await;
            tracing::info!("stopping");
            systemd::notify("STOPPING=1");
        }
    });
    let ended = Box::pin(daemon.run(life, &stop)).await;
    for task in [beat, reloading, announcing] {
        task.abort();
    }
    tracing::info!("backupd ends");
    ended
}

fn refuse(error: &Error) -> ExitCode {
    tracing::error!(hint = error.remedy(), "{error}");
    ExitCode::from(error.kind().exit_code())
}
