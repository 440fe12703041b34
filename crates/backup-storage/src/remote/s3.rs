//! S3 and what speaks it.

use std::sync::Arc;

use backup_core::port::NoObserver;
use backup_core::{Error, ErrorKind, Result};
use opendal::layers::{RetryEvent, RetryInterceptor, RetryLayer};
use opendal::services::S3;
use opendal::{HttpTransporter, OperationContext, Operator};
use url::{Host, Url};

use super::answer::convert;
use super::store::{Absence, RemoteStore};
use super::transport::Transport;
use crate::layer::tell;
use crate::options::StoreOptions;
use crate::pace::Pace;
use crate::url::{Checksum, S3Url, StoreUrl, parse_endpoint};

/// Opens a bucket; sends nothing yet.
pub(crate) fn open_s3(url: &S3Url, options: &StoreOptions) -> Result<RemoteStore> {
    let mut url = url.clone();
    if url.endpoint.is_none() {
        url.endpoint = options.endpoint.as_deref().map(parse_endpoint).transpose()?;
    }
    let endpoint = url.endpoint.as_deref().and_then(|endpoint| Url::parse(endpoint).ok());
    let transport = Transport::new(
        options.ca_file.as_deref(),
        endpoint.as_ref().is_none_or(|endpoint| endpoint.scheme() == "https"),
        options.timeout,
        Pace::new(options.upload_rate),
        Pace::new(options.download_rate),
    )?;
    let operator = Operator::new(builder(&url, endpoint.as_ref(), options)?)
        .map_err(|error| convert("open store", None, &error))?
        .with_context(OperationContext::new().with_http_transport(HttpTransporter::new(transport)));
    let listing = operator.clone().layer(page_retry(options));
    let near = endpoint.as_ref().is_some_and(is_this_host);
    let location = StoreUrl::S3(url).location();
    Ok(RemoteStore::new(operator, listing, location, Absence::ByCode, near))
}

/// Returns what asks again for a page of a listing; other requests have our own layer.
fn page_retry(options: &StoreOptions) -> RetryLayer<impl RetryInterceptor> {
    let retry = options.retry;
    let observer = options.observer.clone().unwrap_or_else(|| Arc::new(NoObserver));
    RetryLayer::new()
        .with_jitter()
        .with_min_delay(retry.first_delay)
        .with_max_delay(retry.max_delay)
        .with_max_times(usize::try_from(retry.attempts.saturating_sub(1)).unwrap_or(usize::MAX))
        .with_notify(move |event: RetryEvent<'_>| {
            let error = convert("list objects", None, event.err);
            tell(observer.as_ref(), event.attempt, &error);
        })
}

fn builder(url: &S3Url, endpoint: Option<&Url>, options: &StoreOptions) -> Result<S3> {
    let aws = endpoint.is_none_or(is_aws);
    let mut s3 = S3::default().bucket(&url.bucket).root(&format!("/{}", url.prefix));
    if let Some(endpoint) = &url.endpoint {
        s3 = s3.endpoint(endpoint);
    }
    let region = url.region.clone().or_else(|| options.region.clone());
    if let Some(region) = region.or_else(|| endpoint.map(region_of)) {
        s3 = s3.region(&region);
    }
    // Certificates for *.s3.amazonaws.com do not cover names with dots.
    if !url.path_style.unwrap_or(!aws || url.bucket.contains('.')) {
        if url.bucket.contains('.') {
            return Err(Error::new(ErrorKind::ConfigInvalid, "open store")
                .with("bucket", &url.bucket)
                .hint("A bucket with a dot in its name needs path_style=true."));
        }
        s3 = s3.enable_virtual_host_style();
    }
    s3 = match url.checksum.unwrap_or(if aws { Checksum::Crc32c } else { Checksum::Md5 }) {
        Checksum::Crc32c => s3.checksum_algorithm("crc32c"),
        Checksum::Md5 => s3.checksum_algorithm("md5"),
        Checksum::Off => s3,
    };
    if let Some(class) = &url.storage_class {
        s3 = s3.default_storage_class(class);
    }
    if let Some(profile) = &url.profile {
        s3 = s3.profile(profile);
    }
    if !aws {
        // The metadata service's keys are AWS keys, and asking for them takes a while.
        s3 = s3.disable_ec2_metadata();
    }
    if let Some(keys) = &options.credentials {
        s3 = s3
            .disable_config_load()
            .disable_ec2_metadata()
            .access_key_id(&keys.access_key_id)
            .secret_access_key(keys.secret_access_key.expose());
        if let Some(token) = &keys.session_token {
            s3 = s3.session_token(token.expose());
        }
    }
    Ok(s3)
}

fn is_aws(endpoint: &Url) -> bool {
    endpoint
        .host_str()
        .is_some_and(|host| host.ends_with(".amazonaws.com") || host.ends_with(".amazonaws.com.cn"))
}

/// Reads the region out of the endpoint where vendors put it there.
fn region_of(endpoint: &Url) -> String {
    let host = endpoint.host_str().unwrap_or_default();
    if host.ends_with(".r2.cloudflarestorage.com") {
        return "auto".to_owned();
    }
    let regional = [
        ".backblazeb2.com",
        ".amazonaws.com",
        ".amazonaws.com.cn",
        ".wasabisys.com",
        ".digitaloceanspaces.com",
    ];
    let inner = regional.iter().find_map(|suffix| host.strip_suffix(suffix));
    let region = inner.map(|inner| inner.strip_prefix("s3.").unwrap_or(inner));
    match region {
        Some(region) if !region.is_empty() && region != "s3" && !region.contains('.') => {
            region.to_owned()
        }
        _ => "us-east-1".to_owned(),
    }
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
    fn regions_come_from_endpoints() {
        for (endpoint, region) in [
            ("https://abc.r2.cloudflarestorage.com", "auto"),
            ("https://s3.us-west-004.backblazeb2.com", "us-west-004"),
            ("https://s3.eu-central-1.amazonaws.com", "eu-central-1"),
            ("https://s3.amazonaws.com", "us-east-1"),
            ("https://minio.example.com:9000", "us-east-1"),
        ] {
            assert_eq!(region_of(&Url::parse(endpoint).unwrap()), region, "{endpoint}");
        }
    }

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
