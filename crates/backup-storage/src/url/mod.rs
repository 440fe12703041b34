//! Where a store is, as text.

mod azure;
mod google;
mod s3;
mod sftp;

use std::path::PathBuf;

use backup_core::{Error, ErrorKind, Result};
use percent_encoding::percent_decode_str;
use url::Url;

pub(crate) use azure::AzureUrl;
pub(crate) use google::GoogleUrl;
pub(crate) use s3::{Checksum, S3Url};
pub(crate) use sftp::SftpUrl;

/// A parsed store URL. Holds no secrets: a URL with a password in it is refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StoreUrl {
    /// `file:///absolute/path`, or the path alone.
    Disk(PathBuf),
    /// `s3://bucket/prefix?endpoint=…&region=…`.
    S3(S3Url),
    /// `azure://container/prefix?account=…`.
    Azure(AzureUrl),
    /// `gs://bucket/prefix`.
    Google(GoogleUrl),
    /// `sftp://user@host/absolute/path`.
    Sftp(SftpUrl),
    /// `memory:`, gone when closed.
    Memory,
}

impl StoreUrl {
    /// Parses a store URL or an absolute path; fails with `ConfigInvalid` and the reason.
    pub fn parse(text: &str) -> Result<Self> {
        if text.starts_with('/') {
            return Ok(Self::Disk(PathBuf::from(text)));
        }
        let Ok(url) = Url::parse(text) else {
            return Err(invalid("it is neither a URL nor an absolute path").hint(
                "Write file:///absolute/path, s3://bucket/prefix?endpoint=…, azure://…, gs://… or \
                 sftp://…; relative paths are refused because they depend on where the command is \
                 started.",
            ));
        };
        let named = !url.username().is_empty() && url.scheme() != "sftp";
        if named || url.password().is_some() {
            return Err(invalid("it holds credentials").hint(
                "Take the keys out of the URL and pass them in the environment, for S3 as \
                 AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY; docs/storage.md has the others.",
            ));
        }
        match url.scheme() {
            "file" => parse_disk(&url),
            "s3" => s3::parse(&url).map(Self::S3),
            "azure" | "azblob" => azure::parse(&url).map(Self::Azure),
            "gs" => google::parse(&url).map(Self::Google),
            "sftp" => sftp::parse(&url).map(Self::Sftp),
            "memory" => Ok(Self::Memory),
            other => Err(invalid("its scheme is not known").with("scheme", other).hint(
                "Use file:///absolute/path, s3://bucket/prefix, azure://container/prefix, \
                 gs://bucket/prefix or sftp://user@host/path; Backblaze B2, Cloudflare R2 and MinIO \
                 are s3: with ?endpoint=….",
            )),
        }
    }

    /// Returns the URL for people.
    #[must_use]
    pub fn location(&self) -> String {
        match self {
            Self::Disk(path) => format!("file://{}", path.display()),
            Self::Memory => "memory:".to_owned(),
            Self::S3(s3) => s3.location(),
            Self::Azure(azure) => azure.location(),
            Self::Google(google) => google.location(),
            Self::Sftp(sftp) => sftp.location(),
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

/// Returns the bucket or container that a URL names, and the prefix below it.
fn bucket_and_prefix(url: &Url, what: &'static str) -> Result<(String, String)> {
    let bucket = url.host_str().unwrap_or_default().to_owned();
    if bucket.is_empty() || url.port().is_some() {
        return Err(invalid("it names no bucket").hint(what));
    }
    let prefix = percent_decode_str(url.path().trim_matches('/')).decode_utf8();
    let prefix = prefix.map_err(|error| invalid("its prefix is not UTF-8").because(error))?;
    Ok((bucket, prefix.into_owned()))
}

/// Refuses a parameter that a kind of URL does not take.
fn unknown(name: &str, known: &str) -> Error {
    invalid("it has an unknown parameter").with("parameter", name.escape_debug()).hint(known)
}

/// Writes a bucket, its prefix, and where it is if that is said.
fn place(scheme: &str, bucket: &str, prefix: &str, endpoint: Option<&str>) -> String {
    let slash = if prefix.is_empty() { "" } else { "/" };
    let at = endpoint.map(|endpoint| format!(" at {endpoint}")).unwrap_or_default();
    format!("{scheme}://{bucket}{slash}{prefix}{at}")
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
    fn other_services_have_urls_of_their_own() {
        for (text, location) in [
            ("azure://c/a/b/?account=shop", "azure://c/a/b at shop"),
            ("azblob://c?endpoint=127.0.0.1:10000/dev", "azure://c at https://127.0.0.1:10000/dev"),
            ("gs://bucket/some/prefix", "gs://bucket/some/prefix"),
            ("sftp://backup@host:2222/srv/x/", "sftp://backup@host:2222/srv/x"),
            ("sftp://host/~/backups?identity=/k&known_hosts=/h", "sftp://host/~/backups"),
        ] {
            assert_eq!(StoreUrl::parse(text).unwrap().location(), location, "{text}");
        }
        let StoreUrl::Sftp(url) = StoreUrl::parse("sftp://host/~/a%20b?identity=/k").unwrap()
        else {
            panic!("another kind");
        };
        assert_eq!(url.path, "a b");
        assert_eq!(url.identity, Some(PathBuf::from("/k")));
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
            ("sftp://u:hunter2@h/x", "credentials"),
            ("azure://key@c/x", "credentials"),
            ("azure://c/x?key=hunter2", "unknown parameter"),
            ("gs://b/x?token=hunter2", "unknown parameter"),
            ("sftp://h/", "no directory"),
            ("sftp://-oProxyCommand=x/srv", "host"),
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
