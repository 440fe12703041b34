//! `postgres://role:password@host:port/database?name=value&…`
//!
//! Parsed by hand rather than with a general URL parser: socket directories as hosts, and errors
//! that say what to change without ever repeating the URL (it holds the password).

use std::net::IpAddr;
use std::path::PathBuf;

use backup_core::{Error, ErrorKind, Result, Secret};
use percent_encoding::percent_decode_str;

use super::parameters::{self, Extra};
use super::{
    ChannelBinding, ConnectOptions, DEFAULT_APPLICATION_NAME, DEFAULT_CONNECT_TIMEOUT,
    DEFAULT_PORT, DEFAULT_SOCKET_DIRECTORY, Host, Keepalive, RootCertificates, SslMode,
    SslNegotiation,
};

pub(super) fn parse(url: &str) -> Result<ConnectOptions> {
    let rest = url
        .trim()
        .strip_prefix("postgresql://")
        .or_else(|| url.trim().strip_prefix("postgres://"))
        .ok_or_else(|| {
            invalid("it does not begin with postgres:// or postgresql://")
                .hint("Write it as postgres://role:password@host:5432/database.")
        })?;
    let (rest, query) = rest.split_once('?').map_or((rest, None), |(r, q)| (r, Some(q)));
    let (authority, path) = rest.split_once('/').map_or((rest, ""), |(a, p)| (a, p));
    // The last @ ends the login: a password may hold others.
    let (login, address) = authority.rsplit_once('@').map_or(("", authority), |(l, a)| (l, a));
    let (user, password) = login.split_once(':').map_or((login, None), |(u, p)| (u, Some(p)));
    if query.is_some_and(|q| q.contains('#')) || rest.contains('#') {
        return Err(invalid("it holds a '#'")
            .hint("Write # as %23, / as %2F, ? as %3F and % as %25 in a password."));
    }

    let mut options = ConnectOptions {
        host: Host::Socket(PathBuf::from(DEFAULT_SOCKET_DIRECTORY)),
        port: DEFAULT_PORT,
        user: decode("role", user)?,
        password: password.map(|p| decode("password", p).map(Secret::new)).transpose()?,
        database: decode("database", path)?,
        application_name: DEFAULT_APPLICATION_NAME.to_owned(),
        options: None,
        ssl_mode: SslMode::VerifyFull,
        ssl_negotiation: SslNegotiation::default(),
        ssl_root: None,
        ssl_certificate: None,
        ssl_key: None,
        channel_binding: ChannelBinding::default(),
        connect_timeout: Some(DEFAULT_CONNECT_TIMEOUT),
        stall_timeout: None,
        keepalive: Some(Keepalive::default()),
        // Off, as in libpq: Linux would also end a COPY IN that waits behind a lock.
        tcp_user_timeout: None,
        extra_startup: Vec::new(),
    };
    let (host, port) = split_address(address)?;
    let mut extra = Extra { host: decode("host", host)?, ..Extra::default() };
    if let Some(port) = port {
        options.port = parse_port(port)?;
    }
    for pair in query.unwrap_or_default().split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').ok_or_else(|| {
            invalid("a parameter has no value").hint("Write parameters as ?name=value&name=value.")
        })?;
        let name = decode("parameter name", name)?;
        let value = decode("parameter", value)?;
        parameters::apply(&mut options, &mut extra, &name, value)?;
    }
    settle(options, extra)
}

/// Decides what depends on several parts of the URL together.
fn settle(mut options: ConnectOptions, extra: Extra) -> Result<ConnectOptions> {
    if extra.host.contains(',') {
        return Err(invalid("it names several hosts")
            .hint("Name the one server to read from: backups need a single consistent source."));
    }
    options.host = match (extra.host, extra.address) {
        (host, None) if host.is_empty() => options.host,
        (host, None) if host.starts_with('/') => Host::Socket(PathBuf::from(host)),
        (host, address) => {
            let name = if host.is_empty() {
                address.map(|a| a.to_string()).unwrap_or_default()
            } else {
                host
            };
            if name.starts_with('@') {
                return Err(invalid("abstract Unix sockets are not supported")
                    .hint("Name the directory of the socket: ?host=/var/run/postgresql."));
            }
            Host::Tcp { name, address }
        }
    };
    let system = options.ssl_root == Some(RootCertificates::System);
    options.ssl_mode = match extra.ssl_mode {
        Some(mode) => mode,
        None if options.is_local() && options.ssl_root.is_none() => SslMode::Prefer,
        None => SslMode::VerifyFull,
    };
    // Anyone can have a certificate that the system trusts; only the name tells them apart.
    if system && options.ssl_mode != SslMode::VerifyFull {
        return Err(invalid("sslrootcert=system needs sslmode=verify-full")
            .hint("Remove sslmode, or name a file of trusted certificates with sslrootcert."));
    }
    if options.ssl_certificate.is_some() != options.ssl_key.is_some() {
        return Err(
            invalid("sslcert and sslkey belong together").hint("Name both files, or neither.")
        );
    }
    let weak = matches!(options.ssl_mode, SslMode::Disable | SslMode::Prefer);
    if options.ssl_negotiation == SslNegotiation::Direct && weak {
        return Err(invalid("sslnegotiation=direct needs TLS")
            .hint("Add sslmode=require, verify-ca or verify-full."));
    }
    Ok(options)
}

/// Splits `host`, `host:port`, `[v6]` and `[v6]:port`.
fn split_address(address: &str) -> Result<(&str, Option<&str>)> {
    if let Some(rest) = address.strip_prefix('[') {
        let (host, rest) = rest.split_once(']').ok_or_else(|| {
            invalid("an IPv6 address lacks its closing bracket").hint("Write it as [::1]:5432.")
        })?;
        return match rest.strip_prefix(':') {
            Some(port) => Ok((host, Some(port).filter(|p| !p.is_empty()))),
            None if rest.is_empty() => Ok((host, None)),
            None => {
                Err(invalid("something follows an IPv6 address").hint("Write it as [::1]:5432."))
            }
        };
    }
    Ok(address
        .rsplit_once(':')
        .map_or((address, None), |(host, port)| (host, Some(port).filter(|p| !p.is_empty()))))
}

pub(super) fn parse_port(text: &str) -> Result<u16> {
    // The text is not shown: with a stray @ or : it may be a piece of the password.
    text.parse().ok().filter(|port| *port != 0).ok_or_else(|| {
        invalid("the port is not a number from 1 to 65535").hint(
            "If the password holds one of : / @ ? # %, write that character as % and its hex code.",
        )
    })
}

pub(super) fn parse_address(text: &str) -> Result<IpAddr> {
    text.parse().map_err(|_| {
        invalid("hostaddr is not an IP address").hint("Use host= for names, hostaddr= for numbers.")
    })
}

fn decode(part: &'static str, text: &str) -> Result<String> {
    let text = percent_decode_str(text).decode_utf8().map_err(|_| {
        invalid("percent-encoded text is not UTF-8")
            .with("part", part)
            .hint("Write each % of the original text as %25.")
    })?;
    if text.contains('\0') {
        return Err(invalid("it holds a zero byte").with("part", part));
    }
    Ok(text.into_owned())
}

pub(super) fn invalid(reason: &'static str) -> Error {
    Error::new(ErrorKind::ConfigInvalid, "parse database URL").because(reason)
}
