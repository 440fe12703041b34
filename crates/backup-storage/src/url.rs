//! Where a store is, as text.

use std::path::PathBuf;

use backup_core::{Error, ErrorKind, Result};
use percent_encoding::percent_decode_str;
use url::Url;

/// A parsed store URL. Holds no secrets: a URL with a password in it is refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StoreUrl {
    /// `file:///absolute/path`, or the path alone.
    Disk(PathBuf),
    /// `s3://bucket/prefix?endpoint=…&region=…`.
    S3(S3Url),
    /// `memory:`, gone when closed.
    Memory,
}

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

const S3_PARAMETERS: &str = "endpoint, region, path_style, checksum, storage_class and profile";

impl StoreUrl {
    /// Parses a store URL or an absolute path; fails with `ConfigInvalid` and the reason.
    pub fn parse(text: &str) -> Result<Self> {
        if text.starts_with('/') {
            return Ok(Self::Disk(PathBuf::from(text)));
        }
        let Ok(url) = Url::parse(text) else {
            return Err(invalid("it is neither a URL nor an absolute path").hint(
                "Write file:///absolute/path or s3://bucket/prefix?endpoint=…; relative paths \
                 are refused because they depend on where the command is started.",
            ));
        };
        if !url.username().is_empty() || url.password().is_some() {
            return Err(invalid("it holds credentials").hint(
                "Take the keys out of the URL and pass them as AWS_ACCESS_KEY_ID and \
                 AWS_SECRET_ACCESS_KEY.",
            ));
        }
        match url.scheme() {
            "file" => parse_disk(&url),
            "s3" => parse_s3(&url).map(Self::S3),
            "memory" => Ok(Self::Memory),
            other => Err(invalid("its scheme is not known").with("scheme", other).hint(
                "Use file:///absolute/path or s3://bucket/prefix; Backblaze B2, Cloudflare R2 \
                 and MinIO are s3: with ?endpoint=….",
            )),
        }
    }

    /// Returns the URL for people.
    #[must_use]
    pub fn location(&self) -> String {
        match self {
            Self::Disk(path) => format!("file://{}", path.display()),
            Self::Memory => "memory:".to_owned(),
            Self::S3(s3) => {
                let slash = if s3.prefix.is_empty() { "" } else { "/" };
                let at = s3.endpoint.as_deref().map(|e| format!(" at {e}")).unwrap_or_default();
                format!("s3://{}{slash}{}{at}", s3.bucket, s3.prefix)
            }
        }
    }
}

fn parse_disk(url: &Url) -> Result<StoreUrl> {
    if url.host_str().is_some_and(|host| !host.is_empty() && host != "localhost") {
        return Err(invalid("a file URL cannot name a host")
            .hint("Write three slashes: file:///absolute/path."));
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err(invalid("a file URL takes no parameters"));
    }
    let path = percent_decode_str(url.path()).decode_utf8();
    let path = path.map_err(|error| invalid("its path is not UTF-8").because(error))?;
    Ok(StoreUrl::Disk(PathBuf::from(path.into_owned())))
}

fn parse_s3(url: &Url) -> Result<S3Url> {
    let bucket = url.host_str().unwrap_or_default().to_owned();
    if bucket.is_empty() || url.port().is_some() {
        return Err(invalid("it names no bucket")
            .hint("Write s3://bucket/prefix; the host goes into ?endpoint=https://host:port."));
    }
    let prefix = percent_decode_str(url.path().trim_matches('/')).decode_utf8();
    let prefix = prefix.map_err(|error| invalid("its prefix is not UTF-8").because(error))?;
    let mut s3 = S3Url { bucket, prefix: prefix.into_owned(), ..S3Url::default() };
    for (name, value) in url.query_pairs() {
        let value = value.into_owned();
        match name.as_ref() {
            "endpoint" => s3.endpoint = Some(parse_endpoint(&value)?),
            "region" => s3.region = Some(value),
            "path_style" => s3.path_style = Some(parse_flag(&value)?),
            "checksum" => s3.checksum = Some(parse_checksum(&value)?),
            "storage_class" => s3.storage_class = Some(value),
            "profile" => s3.profile = Some(value),
            _ => {
                return Err(invalid("it has an unknown parameter")
                    .with("parameter", name.escape_debug())
                    .hint(format!("An s3: URL takes {S3_PARAMETERS}.")));
            }
        }
    }
    Ok(s3)
}

/// Checks an endpoint; a bare host gets `https://`.
pub(crate) fn parse_endpoint(text: &str) -> Result<String> {
    let full = if text.contains("://") { text.to_owned() } else { format!("https://{text}") };
    let url = Url::parse(&full).map_err(|error| {
        invalid("its endpoint is not a URL").with("endpoint", text).because(error)
    })?;
    let plain = matches!(url.scheme(), "http" | "https")
        && url.host_str().is_some()
        && url.username().is_empty()
        && url.password().is_none()
        && url.query().is_none();
    if !plain {
        return Err(invalid("its endpoint is not usable")
            .hint("Write the endpoint as https://host or http://host:port, without keys."));
    }
    Ok(full.trim_end_matches('/').to_owned())
}

fn parse_flag(text: &str) -> Result<bool> {
    match text {
        "true" | "1" => Ok(true),
        "false" | "0" => Ok(false),
        _ => Err(invalid("path_style is neither true nor false").with("path_style", text)),
    }
}

fn parse_checksum(text: &str) -> Result<Checksum> {
    match text {
        "crc32c" => Ok(Checksum::Crc32c),
        "md5" => Ok(Checksum::Md5),
        "off" => Ok(Checksum::Off),
        _ => Err(invalid("checksum is not crc32c, md5 or off").with("checksum", text)),
    }
}

/// Names the fault without repeating the URL, which may hold a password.
fn invalid(reason: &'static str) -> Error {
    Error::new(ErrorKind::ConfigInvalid, "parse store URL").because(reason)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn s3(text: &str) -> S3Url {
        match StoreUrl::parse(text).unwrap() {
            StoreUrl::S3(url) => url,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn paths_and_file_urls_are_the_same_place() {
        let disk = StoreUrl::Disk(PathBuf::from("/var/my backups"));
        for text in
            ["/var/my backups", "file:///var/my%20backups", "file://localhost/var/my%20backups"]
        {
            assert_eq!(StoreUrl::parse(text).unwrap(), disk, "{text}");
        }
        assert_eq!(disk.location(), "file:///var/my backups");
    }

    #[test]
    fn s3_urls_carry_their_parameters() {
        let url =
            s3("s3://my.bucket/a/b/?endpoint=minio:9000&region=eu-1&path_style=true&checksum=off");
        assert_eq!(url.bucket, "my.bucket");
        assert_eq!(url.prefix, "a/b");
        assert_eq!(url.endpoint.as_deref(), Some("https://minio:9000"));
        assert_eq!(url.path_style, Some(true));
        assert_eq!(url.checksum, Some(Checksum::Off));
        let text = StoreUrl::S3(url).location();
        assert_eq!(text, "s3://my.bucket/a/b at https://minio:9000");
        assert_eq!(StoreUrl::S3(s3("s3://b")).location(), "s3://b");
    }

    #[test]
    fn unusable_urls_say_why_and_repeat_no_secret() {
        for (text, part) in [
            ("backups", "absolute path"),
            ("file://server/x", "cannot name a host"),
            ("file:///x?y=1", "no parameters"),
            ("ftp://x/y", "scheme"),
            ("s3:///x", "no bucket"),
            ("s3://b/x?endpont=y", "unknown parameter"),
            ("s3://b/x?path_style=maybe", "path_style"),
            ("s3://b/x?endpoint=ftp://y", "endpoint"),
            ("s3://AKIA:hunter2@b/x", "credentials"),
            ("s3://b/x?endpoint=https://k:hunter2@h", "endpoint"),
        ] {
            let error = StoreUrl::parse(text).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::ConfigInvalid, "{text}");
            let shown = format!("{error:?}");
            assert!(shown.contains(part), "{text}: {shown}");
            assert!(!shown.contains("hunter2"), "{shown}");
        }
    }
}
