//! Traces of runs, in a program that was built with them.

use backup::config::Environment;
use backup::daemon::Daemon;
use tokio::task::JoinHandle;

/// Sends a trace of each run from now on, if a collector is named. One that cannot be used is said,
/// and backups go on.
#[cfg(feature = "otlp")]
pub(crate) fn begin(daemon: &Daemon, environment: &Environment) -> Option<JoinHandle<()>> {
    match daemon.traces(environment) {
        Ok(traces) => {
            let (traces, daemon) = (traces?, daemon.clone());
            tracing::info!("each run is traced");
            Some(tokio::spawn(async move { daemon.trace(&traces).await }))
        }
        Err(error) => {
            tracing::error!(%error, hint = error.remedy(), "no run is traced");
            None
        }
    }
}

/// Says that there are none, if a collector is named.
#[cfg(not(feature = "otlp"))]
pub(crate) fn begin(_: &Daemon, environment: &Environment) -> Option<JoinHandle<()>> {
    let named = ["OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT"];
    if named.iter().any(|name| matches!(environment.get(name), Ok(Some(_)))) {
        tracing::warn!("no run is traced: this backupd was built without the feature `otlp`");
    }
    None
}
