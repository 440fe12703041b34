//! `gs://bucket/prefix`.

use backup_core::Result;
use url::Url;

use super::{bucket_and_prefix, parse_endpoint, place, unknown};

/// The parts of a `gs:` URL.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GoogleUrl {
    /// The bucket.
    pub bucket: String,
    /// The prefix of all names, without slashes at its ends; may be empty.
    pub prefix: String,
    /// `endpoint`: where the service is, Google's without one.
    pub endpoint: Option<String>,
    /// `storage_class` of new objects.
    pub storage_class: Option<String>,
}

impl GoogleUrl {
    pub(super) fn location(&self) -> String {
        place("gs", &self.bucket, &self.prefix, self.endpoint.as_deref())
    }
}

pub(super) fn parse(url: &Url) -> Result<GoogleUrl> {
    let (bucket, prefix) = bucket_and_prefix(url, "Write gs://bucket/prefix.")?;
    let mut google = GoogleUrl { bucket, prefix, ..GoogleUrl::default() };
    for (name, value) in url.query_pairs() {
        match name.as_ref() {
            "endpoint" => google.endpoint = Some(parse_endpoint(&value)?),
            "storage_class" => google.storage_class = Some(value.into_owned()),
            _ => return Err(unknown(&name, "A gs: URL takes endpoint and storage_class.")),
        }
    }
    Ok(google)
}
