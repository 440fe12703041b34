//! `sftp://user@host:port/absolute/path`.

use std::path::PathBuf;

use backup_core::Result;
use percent_encoding::percent_decode_str;
use url::Url;

use super::{invalid, unknown};

/// The parts of an `sftp:` URL.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SftpUrl {
    /// Who logs in; as `ssh` is configured without one.
    pub user: Option<String>,
    /// The host, or its name in the configuration of `ssh`.
    pub host: String,
    /// The port; as `ssh` is configured without one.
    pub port: Option<u16>,
    /// The repository's directory on the server: absolute, or relative to where a login
    /// begins, which is written `/~/path`.
    pub path: String,
    /// `identity`: the file with the private key.
    pub identity: Option<PathBuf>,
    /// `known_hosts`: the file with the keys of hosts.
    pub known_hosts: Option<PathBuf>,
}

impl SftpUrl {
    pub(super) fn location(&self) -> String {
        let user = self.user.as_deref().map(|user| format!("{user}@")).unwrap_or_default();
        let port = self.port.map(|port| format!(":{port}")).unwrap_or_default();
        let path = if self.path.starts_with('/') {
            self.path.clone()
        } else {
            format!("/~/{}", self.path)
        };
        format!("sftp://{user}{}{port}{path}", self.host)
    }
}

pub(super) fn parse(url: &Url) -> Result<SftpUrl> {
    const SHAPE: &str = "Write sftp://user@host:port/absolute/path, or sftp://user@host/~/path for \
                         a directory below the one where logins begin.";
    let text = |part: &str| -> Result<String> {
        let text = percent_decode_str(part).decode_utf8();
        Ok(text.map_err(|error| invalid("it is not UTF-8").because(error))?.into_owned())
    };
    let host = url.host_str().unwrap_or_default().to_owned();
    // `ssh` would take what begins with a dash for an option.
    if host.is_empty() || host.starts_with('-') || url.username().starts_with('-') {
        return Err(invalid("it names no host").hint(SHAPE));
    }
    let path = text(url.path())?;
    let path = match path.strip_prefix("/~/") {
        Some(below) => below.trim_matches('/').to_owned(),
        None => format!("/{}", path.trim_matches('/')),
    };
    if path.is_empty() || path == "/" || path.split('/').any(|part| part == "..") {
        return Err(invalid("it names no directory of its own").hint(SHAPE));
    }
    let user = Some(text(url.username())?).filter(|user| !user.is_empty());
    let mut sftp = SftpUrl { user, host, port: url.port(), path, ..SftpUrl::default() };
    for (name, value) in url.query_pairs() {
        let file = PathBuf::from(value.into_owned());
        match name.as_ref() {
            "identity" => sftp.identity = Some(file),
            "known_hosts" => sftp.known_hosts = Some(file),
            _ => return Err(unknown(&name, "An sftp: URL takes identity and known_hosts.")),
        }
    }
    Ok(sftp)
}
