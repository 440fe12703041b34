//! `s3://bucket/prefix?endpoint=…`.

use backup_core::Result;
use url::Url;

use super::{bucket_and_prefix, invalid, parse_endpoint, parse_flag, place, unknown};

/// The parts of an `s3:` URL.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct S3Url {
    /// The bucket.
    pub bucket: String,
    /// The prefix of all names, without slashes at its ends; may be empty.
    pub prefix: String,
    /// `endpoint`: where the service is; AWS without one.
    pub endpoint: Option<String>,
    /// `region`.
    pub region: Option<String>,
    /// `path_style`: whether the bucket goes into the path instead of the host name.
    pub path_style: Option<bool>,
    /// `checksum`: what an upload carries; chosen by the endpoint without one.
    pub checksum: Option<Checksum>,
    /// `storage_class` of new objects.
    pub storage_class: Option<String>,
    /// `profile` in the AWS configuration files.
    pub profile: Option<String>,
}

/// What the store compares an upload with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Checksum {
    /// `x-amz-checksum-crc32c`.
    Crc32c,
    /// `Content-MD5`, which every service knows.
    Md5,
    /// Nothing.
    Off,
}

const PARAMETERS: &str = "An s3: URL takes endpoint, region, path_style, checksum, storage_class \
                          and profile.";

impl S3Url {
    pub(super) fn location(&self) -> String {
        place("s3", &self.bucket, &self.prefix, self.endpoint.as_deref())
    }
}

pub(super) fn parse(url: &Url) -> Result<S3Url> {
    let (bucket, prefix) = bucket_and_prefix(
        url,
        "Write s3://bucket/prefix; the host goes into ?endpoint=https://host:port.",
    )?;
    let mut s3 = S3Url { bucket, prefix, ..S3Url::default() };
    for (name, value) in url.query_pairs() {
        let value = value.into_owned();
        match name.as_ref() {
            "endpoint" => s3.endpoint = Some(parse_endpoint(&value)?),
            "region" => s3.region = Some(value),
            "path_style" => s3.path_style = Some(parse_flag(&value)?),
            "checksum" => s3.checksum = Some(parse_checksum(&value)?),
            "storage_class" => s3.storage_class = Some(value),
            "profile" => s3.profile = Some(value),
            _ => return Err(unknown(&name, PARAMETERS)),
        }
    }
    Ok(s3)
}

fn parse_checksum(text: &str) -> Result<Checksum> {
    match text {
        "crc32c" => Ok(Checksum::Crc32c),
        "md5" => Ok(Checksum::Md5),
        "off" => Ok(Checksum::Off),
        _ => Err(invalid("checksum is not crc32c, md5 or off").with("checksum", text)),
    }
}
