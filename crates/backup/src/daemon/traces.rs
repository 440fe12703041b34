//! A trace of each run that ended, for a collector of OpenTelemetry.

use std::collections::VecDeque;
use std::time::Duration;

use backup_config::{Environment, SecretRef};
use backup_core::{Result, Run, RunState};
use backup_traces::{Collector, Traces};
use tokio::sync::broadcast::error::RecvError;

use super::start::Daemon;

/// Runs that wait for a collector that is away; then the oldest are let go.
const MOST_WAITING: usize = 1000;
/// The pause after a collector took nothing; it doubles from one to the next.
const SHORTEST: Duration = Duration::from_secs(1);
const LONGEST: Duration = Duration::from_secs(60);

impl Daemon {
    /// Returns what sends traces, if the environment names a collector.
    pub fn traces(&self, environment: &Environment) -> Result<Option<Traces>> {
        let collector = match (
            environment.get("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")?,
            environment.get("OTEL_EXPORTER_OTLP_ENDPOINT")?,
        ) {
            (Some(url), _) => Collector::exactly(url),
            (None, Some(url)) => Collector::below(url),
            (None, None) => return Ok(None),
        };
        let mut collector = collector;
        for variable in ["OTEL_EXPORTER_OTLP_HEADERS", "OTEL_EXPORTER_OTLP_TRACES_HEADERS"] {
            if let Some(headers) = SecretRef::from_environment(environment, variable)? {
                let headers = self.inner.work.loaded().composer.secret(&headers)?;
                collector = collector.with_headers(&headers)?;
            }
        }
        if let Some(name) = environment.get("OTEL_SERVICE_NAME")? {
            collector = collector.as_service(name);
        }
        let client = backup_notify::client()?;
        Traces::new(&collector, client, "backupd", env!("CARGO_PKG_VERSION")).map(Some)
    }

    /// Sends a trace of each run that ends from now on, for ever. A collector that is away costs
    /// traces of long ago, and no backup.
    pub async fn trace(&self, traces: &Traces) {
        let mut changes = self.changes();
        let mut waiting: VecDeque<Run> = VecDeque::new();
        let mut pause = SHORTEST;
        let mut away = false;
        loop {
            tokio::select! {
                changed = changes.recv() => match changed {
                    Ok(run) if has_trace(&run) => waiting.push_back(run),
                    Ok(_) | Err(RecvError::Lagged(_)) => continue,
                    // The daemon ends.
                    Err(RecvError::Closed) => return,
                },
                () = self.inner.clock.sleep(pause), if away => {}
            }
            while waiting.len() > MOST_WAITING {
                waiting.pop_front();
            }
            match traces.send(waiting.make_contiguous()).await {
                Ok(()) => {
                    if away {
                        tracing::info!("traces are taken again");
                    }
                    waiting.clear();
                    (away, pause) = (false, SHORTEST);
                }
                Err(error) => {
                    if !away {
                        tracing::warn!(%error, hint = error.remedy(), "traces wait");
                    }
                    pause = if away { (pause * 2).min(LONGEST) } else { SHORTEST };
                    away = true;
                }
            }
        }
    }
}

/// Whether a run ended, and was one: what another daemon did instead is none.
fn has_trace(run: &Run) -> bool {
    let none = run.state == RunState::Cancelled && run.error.is_none();
    run.ended_at.is_some() && !none
}
