//! `backupd`: read the configuration, run until told to stop, stop cleanly.

mod args;
mod log;
mod signals;
mod systemd;
mod token;
mod traces;
mod web;

use std::panic::AssertUnwindSafe;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use backup::config::Environment;
use backup::daemon::{Daemon, Options, panicked, tell_unable};
use backup::ops::interrupt;
use backup_core::{Error, ErrorKind, Result};
use clap::Parser;
use futures::FutureExt;

use crate::args::{Args, Verb};

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
    let ended = match args.verb {
        Some(Verb::Token(verb)) => runtime.block_on(token::run(args.config.as_deref(), verb)),
        None => runtime.block_on(run_and_tell(args.config)),
    };
    // Sessions that were dropped end on their own; nothing waits for a server that hangs.
    runtime.shutdown_timeout(Duration::from_secs(2));
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => refuse(&error),
    }
}

/// Runs; whatever breaks it off is told to people, be it a fault of the program.
async fn run_and_tell(config: Option<PathBuf>) -> Result<()> {
    let environment = Environment::from_process();
    let running = AssertUnwindSafe(Box::pin(run(config.clone(), &environment)));
    let ended = running.catch_unwind().await;
    let ended = ended.unwrap_or_else(|panic| Err(panicked("run daemon", &*panic)));
    if let Err(error) = &ended {
        Box::pin(tell_unable(config.as_deref(), &environment, error)).await;
    }
    ended
}

/// Runs until SIGTERM or SIGINT, which end it with success: it did what it was told.
async fn run(config: Option<PathBuf>, environment: &Environment) -> Result<()> {
    let (interrupter, stop) = interrupt();
    let mut reloads = signals::listen(interrupter)
        .map_err(|error| Error::new(ErrorKind::Failed, "catch signals").because(error))?;
    let live = web::Live::new();
    let options = Options { config, environment: environment.clone(), feed: Some(live.feed()) };
    let opening = Box::pin(Daemon::prepare(options)).await?;
    let (front, server) = Box::pin(web::bind(opening.unopened(), &live)).await?;
    // Whoever asks is answered from now on, also while the repository is away.
    systemd::notify("READY=1");
    let beat = tokio::spawn(systemd::beat());
    let announcing = tokio::spawn({
        let stop = stop.clone();
        async move {
            stop.requested().await;
            tracing::info!("stopping");
            systemd::notify("STOPPING=1");
        }
    });
    let serving = tokio::spawn(Box::pin(server.serve({
        let stop = stop.clone();
        async move {
            stop.requested().await;
        }
    })));
    let waiting = tokio::spawn(systemd::hold_on(opening.unopened().waiting()));
    let opened = Box::pin(stop.unless(opening.open())).await;
    // It ends with the opening.
    let _ = waiting.await;
    let (daemon, life) = match opened {
        Err(error) if stop.asked().is_some() => {
            tracing::info!(%error, "stopped before it began");
            let _ = serving.await;
            return Ok(());
        }
        opened => opened?,
    };
    let bridge = Box::pin(web::open(&front, &daemon, &live)).await;
    let keeping = tokio::spawn(Box::pin(async move { bridge.keep().await }));
    let traced = traces::begin(&daemon, environment);
    tracing::info!(version = env!("CARGO_PKG_VERSION"), "backupd runs");
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
    let ended = Box::pin(daemon.run(life, &stop)).await;
    if stop.asked().is_none() {
        serving.abort();
    }
    // Requests under way end; those that do not are let go by the server itself.
    let _ = serving.await;
    if stop.asked().is_some() {
        // Said before the end, however quickly that came.
        let _ = announcing.await;
    }
    for task in [beat, reloading, keeping].into_iter().chain(traced) {
        task.abort();
    }
    tracing::info!("backupd ends");
    ended
}

fn refuse(error: &Error) -> ExitCode {
    tracing::error!(hint = error.remedy(), "{error}");
    ExitCode::from(error.kind().exit_code())
}
