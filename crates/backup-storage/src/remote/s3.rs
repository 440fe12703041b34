//! S3 and what speaks it.

use backup_core::{Error, ErrorKind, Result};
use opendal::Operator;
use opendal::services::S3;
use url::Url;

use super::reach::reached;
use super::store::{Absence, RemoteStore};
use crate::options::StoreOptions;
use crate::url::{Checksum, S3Url, StoreUrl, parse_endpoint};

/// Opens a bucket; sends nothing yet.
pub(crate) fn open_s3(url: &S3Url, options: &StoreOptions) -> Result<RemoteStore> {
    let mut url = url.clone();
    if url.endpoint.is_none() {
        url.endpoint = options.endpoint.as_deref().map(parse_endpoint).transpose()?;
    }
    let endpoint = url.endpoint.as_deref().and_then(|endpoint| Url::parse(endpoint).ok());
    let operator = Operator::new(builder(&url, endpoint.as_ref(), options)?);
    reached(operator, StoreUrl::S3(url).location(), Absence::ByCode, endpoint.as_ref(), options)
}

/// Returns the same bucket for uploads in parts, which carry no MD5: CRC-32C where the service is
/// known to take it, or was said to, else nothing but what the connection checks.
pub(crate) fn in_parts(url: &S3Url, options: &StoreOptions) -> S3Url {
    let endpoint = url.endpoint.as_deref().or(options.endpoint.as_deref());
    let endpoint = endpoint.and_then(|text| Url::parse(&parse_endpoint(text).ok()?).ok());
    let aws = endpoint.as_ref().is_none_or(is_aws);
    let checksum = match url.checksum {
        None if aws => Checksum::Crc32c,
        Some(Checksum::Crc32c) => Checksum::Crc32c,
        _ => Checksum::Off,
    };
    S3Url { checksum: Some(checksum), ..url.clone() }
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
}
