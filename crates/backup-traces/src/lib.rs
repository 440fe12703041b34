//! Traces of runs, for a collector of OpenTelemetry.
//!
//! **What it is.** Each [`Run`] that ended becomes one trace: a span for the run, and below it one
//! for each of its phases. The id of the trace is the id of the run, so that whoever has one finds
//! the other. [`Traces`] sends them by OTLP over HTTP, as protobuf.
//!
//! **What it is not.** It listens to nothing and keeps nothing: whoever has runs sends them, and
//! again if that failed. It reads no environment.
//!
//! A span says what the record of the run says, and no more: no statement, no row, no secret.

mod client;
mod settings;
mod spans;

use backup_core::{Error, ErrorKind, Result, Run};
use opentelemetry::KeyValue;
use opentelemetry_otlp::{Protocol, RetryPolicy, SpanExporter, WithExportConfig, WithHttpConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::SpanExporter as _;

pub use settings::Collector;

/// Sends traces to one collector.
#[derive(Debug)]
pub struct Traces {
    exporter: SpanExporter,
}

impl Traces {
    /// Sends to this collector with `client`, which brings TLS; connects to nothing yet. `program`
    /// is the service that people see. `ConfigInvalid` when the address cannot be used.
    pub fn new(
        collector: &Collector,
        client: reqwest::Client,
        program: &str,
        version: &str,
    ) -> Result<Self> {
        let mut exporter = SpanExporter::builder()
            .with_http()
            .with_protocol(Protocol::HttpBinary)
            .with_endpoint(&collector.endpoint)
            .with_headers(collector.headers.clone())
            .with_timeout(collector.timeout)
            // Whoever sends knows better whether to try again.
            .with_retry_policy(RetryPolicy::disabled())
            .with_http_client(client::Client::new(client, collector.timeout))
            .build()
            .map_err(|error| {
                Error::new(ErrorKind::ConfigInvalid, "prepare traces")
                    .because(error)
                    .hint("Check OTEL_EXPORTER_OTLP_ENDPOINT: http://host:4318, or https.")
            })?;
        let service = collector.service.clone().unwrap_or_else(|| program.to_owned());
        let resource = Resource::builder()
            .with_service_name(service)
            .with_attribute(KeyValue::new("service.version", version.to_owned()))
            .build();
        exporter.set_resource(&resource);
        Ok(Self { exporter })
    }

    /// Sends the traces of runs that ended; those that have not are left out. An error means that
    /// the collector did not take them: sending them again makes nothing twice, their ids are the
    /// same.
    pub async fn send(&self, runs: &[Run]) -> Result<()> {
        let spans: Vec<_> = runs.iter().flat_map(spans::of).collect();
        if spans.is_empty() {
            return Ok(());
        }
        self.exporter.export(spans).await.map_err(|error| {
            Error::new(ErrorKind::Failed, "send traces")
                .because(error)
                .hint("Look at the collector; traces wait in memory, backups go on.")
                .temporary()
        })
    }
}
