//! What all services over HTTP share: transport, retries of listings, nearness.

use std::sync::Arc;

use backup_core::Result;
use backup_core::port::NoObserver;
use opendal::layers::{RetryEvent, RetryInterceptor, RetryLayer};
use opendal::{HttpTransporter, OperationContext, Operator};
use url::{Host, Url};

use super::answer::convert;
use super::store::{Absence, RemoteStore};
use super::transport::Transport;
use crate::layer::tell;
use crate::options::StoreOptions;
use crate::pace::Pace;

/// Puts our transport below a service; sends nothing yet. Without an `endpoint` the service is the
/// vendor's own, over TLS.
pub(super) fn reached(
    operator: opendal::Result<Operator>,
    location: String,
    absence: Absence,
    endpoint: Option<&Url>,
    options: &StoreOptions,
) -> Result<RemoteStore> {
    let transport = Transport::new(
        options.ca_file.as_deref(),
        endpoint.is_none_or(|endpoint| endpoint.scheme() == "https"),
        options.timeout,
        Pace::new(options.upload_rate),
        Pace::new(options.download_rate),
    )?;
    let operator = operator
        .map_err(|error| convert("open store", None, &error))?
        .with_context(OperationContext::new().with_http_transport(HttpTransporter::new(transport)));
    let listing = operator.clone().layer(page_retry(options));
    let near = endpoint.is_some_and(is_this_host);
    Ok(RemoteStore::new(operator, listing, location, absence, near))
}

/// Returns what asks again for a page of a listing, and for all that has to do with a bucket of
/// somebody's; other requests have our own layer.
fn page_retry(options: &StoreOptions) -> RetryLayer<impl RetryInterceptor> {
    let retry = options.retry;
    let observer = options.observer.clone().unwrap_or_else(|| Arc::new(NoObserver));
    RetryLayer::new()
        .with_jitter()
        .with_min_delay(retry.first_delay)
        .with_max_delay(retry.max_delay)
        .with_max_times(usize::try_from(retry.attempts.saturating_sub(1)).unwrap_or(usize::MAX))
        .with_notify(move |event: RetryEvent<'_>| {
            let operation = match event.op {
                opendal::raw::Operation::Read => "read object",
                opendal::raw::Operation::Write => "write object",
                opendal::raw::Operation::Delete => "delete object",
                _ => "list objects",
            };
            let error = convert(operation, None, event.err);
            tell(observer.as_ref(), event.attempt, &error);
        })
}

fn is_this_host(endpoint: &Url) -> bool {
    match endpoint.host() {
        Some(Host::Domain(name)) => name == "localhost" || name.ends_with(".localhost"),
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nearness_is_this_host_only() {
        for (endpoint, near) in [
            ("http://127.0.0.1:9000", true),
            ("http://[::1]:9000", true),
            ("http://localhost", true),
            ("https://127.0.0.1.example.com", false),
            ("http://10.0.0.1:9000", false),
        ] {
            assert_eq!(is_this_host(&Url::parse(endpoint).unwrap()), near, "{endpoint}");
        }
    }
}
