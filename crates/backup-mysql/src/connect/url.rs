//! `mysql://user:password@host:port/database?name=value&…`
//!
//! Parsed by hand: sockets as hosts, and errors that say what to change without ever repeating
//! the URL (it holds the password).

use std::path::PathBuf;
use std::time::Duration;

use backup_core::{Error, ErrorKind, Result, Secret};
use percent_encoding::percent_decode_str;

use super::security::{Security, SslMode};
use super::{
    ConnectOptions, DEFAULT_CONNECT_TIMEOUT, DEFAULT_PORT, DEFAULT_SOCKET, Host, VitessReading,
};

pub(super) fn parse(url: &str) -> Result<ConnectOptions> {
    let rest = ["mysql://", "mariadb://"]
        .iter()
        .find_map(|scheme| url.trim().strip_prefix(scheme))
        .ok_or_else(|| {
            invalid("it does not begin with mysql:// or mariadb://")
                .hint("Write it as mysql://user:password@host:3306/database.")
        })?;
    if rest.contains('#') {
        return Err(invalid("it holds a '#'")
            .hint("Write # as %23, / as %2F, ? as %3F and % as %25 in a password."));
    }
    let (rest, query) = rest.split_once('?').map_or((rest, ""), |(rest, query)| (rest, query));
    let (authority, path) = rest.split_once('/').map_or((rest, ""), |(a, p)| (a, p));
    // The last @ ends the login: a password may hold others.
    let (login, address) = authority.rsplit_once('@').map_or(("", authority), |(l, a)| (l, a));
    let (user, password) = login.split_once(':').map_or((login, None), |(u, p)| (u, Some(p)));
    let (host, port) = split_address(address)?;

    let mut options = ConnectOptions {
        host: host_of(decode("host", host)?),
        port: port.map_or(Ok(DEFAULT_PORT), parse_port)?,
        user: decode("user", user)?,
        password: password.map(|p| decode("password", p).map(Secret::new)).transpose()?,
        database: decode("database", path)?,
        security: Security::default(),
        connect_timeout: DEFAULT_CONNECT_TIMEOUT,
        program: "backupctl".to_owned(),
        vitess: VitessReading::default(),
    };
    let mut given = Given::default();
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').ok_or_else(|| {
            invalid("a parameter has no value").hint("Write parameters as ?name=value&name=value.")
        })?;
        let (name, value) = (decode("parameter name", name)?, decode("parameter", value)?);
        given.take(&mut options, &name, value)?;
    }
    settle(options, given)
}

/// What depends on several parts of the URL.
#[derive(Default)]
struct Given {
    mode: Option<SslMode>,
    certificate: Option<PathBuf>,
    key: Option<PathBuf>,
}

impl Given {
    fn take(&mut self, options: &mut ConnectOptions, name: &str, value: String) -> Result<()> {
        match name.to_ascii_lowercase().replace('_', "-").as_str() {
            "socket" | "unix-socket" => options.host = Host::Socket(PathBuf::from(value)),
            "ssl-mode" | "sslmode" => {
                let mode = SslMode::of(&value);
                self.mode = Some(mode.ok_or_else(|| {
                    invalid("ssl-mode is none of its words").hint(
                        "Use disabled, required or verify-identity, and ssl-name=NAME where the \
                             certificate is for another name than the host's.",
                    )
                })?);
            }
            "sslaccept" => {
                self.mode = Some(match value.as_str() {
                    "strict" => SslMode::VerifyIdentity,
                    "accept_invalid_certs" => SslMode::Required,
                    _ => {
                        return Err(
                            invalid("sslaccept is neither of its words").hint("Use ssl-mode.")
                        );
                    }
                });
            }
            "ssl-ca" | "sslca" | "sslrootcert" => {
                options.security.authorities = Some(PathBuf::from(value));
            }
            "ssl-name" => options.security.name = Some(value),
            "ssl-cert" | "sslcert" => self.certificate = Some(PathBuf::from(value)),
            "ssl-key" | "sslkey" => self.key = Some(PathBuf::from(value)),
            "connect-timeout" => {
                let seconds = value.parse().ok().filter(|seconds| *seconds > 0);
                options.connect_timeout = Duration::from_secs(seconds.ok_or_else(|| {
                    invalid("connect-timeout is not a number of seconds above 0")
                })?);
            }
            "fuzzy" => match value.as_str() {
                "true" | "1" | "yes" => options.vitess = VitessReading::Fuzzy,
                "false" | "0" | "no" => {}
                _ => {
                    return Err(invalid("fuzzy is neither true nor false")
                        .hint("Write fuzzy=true, or leave it out."));
                }
            },
            // Every session of ours is utf8mb4, and rows are read as they are stored.
            "charset" if value.eq_ignore_ascii_case("utf8mb4") => {}
            _ => {
                return Err(invalid("it holds a parameter that is not known")
                    .with("parameter", name)
                    .hint(
                        "Known are socket, ssl-mode, ssl-ca, ssl-name, ssl-cert, ssl-key, \
                         connect-timeout and fuzzy.",
                    ));
            }
        }
        Ok(())
    }
}

fn settle(mut options: ConnectOptions, given: Given) -> Result<ConnectOptions> {
    let local = options.is_local();
    let asks = options.security.authorities.is_some()
        || options.security.name.is_some()
        || given.certificate.is_some();
    options.security.mode = match given.mode {
        Some(mode) => mode,
        None if local && !asks => SslMode::Disabled,
        None => SslMode::VerifyIdentity,
    };
    options.security.identity = match (given.certificate, given.key) {
        (Some(certificate), Some(key)) => Some((certificate, key)),
        (None, None) => None,
        _ => {
            return Err(invalid("ssl-cert and ssl-key belong together")
                .hint("Name both files, or neither."));
        }
    };
    if options.user.is_empty() {
        return Err(invalid("it names no user")
            .hint("Write it as mysql://user:password@host:3306/database."));
    }
    if options.database.is_empty() {
        return Err(invalid("it names no database")
            .hint("Write it as mysql://user:password@host:3306/database."));
    }
    Ok(options)
}

fn host_of(host: String) -> Host {
    if host.is_empty() {
        return Host::Socket(PathBuf::from(DEFAULT_SOCKET));
    }
    if host.starts_with('/') { Host::Socket(PathBuf::from(host)) } else { Host::Tcp(host) }
}

/// Splits `host`, `host:port`, `[v6]` and `[v6]:port`.
fn split_address(address: &str) -> Result<(&str, Option<&str>)> {
    let port = |port: &str| -> Option<()> { (!port.is_empty()).then_some(()) };
    if let Some(rest) = address.strip_prefix('[') {
        let (host, rest) = rest.split_once(']').ok_or_else(|| {
            invalid("an IPv6 address lacks its closing bracket").hint("Write it as [::1]:3306.")
        })?;
        return match rest.strip_prefix(':') {
            Some(text) => Ok((host, port(text).map(|()| text))),
            None if rest.is_empty() => Ok((host, None)),
            None => {
                Err(invalid("something follows an IPv6 address").hint("Write it as [::1]:3306."))
            }
        };
    }
    Ok(address
        .rsplit_once(':')
        .map_or((address, None), |(host, text)| (host, port(text).map(|()| text))))
}

fn parse_port(text: &str) -> Result<u16> {
    // The text is not shown: with a stray @ or : it may be a piece of the password.
    text.parse().ok().filter(|port| *port != 0).ok_or_else(|| {
        invalid("the port is not a number from 1 to 65535").hint(
            "If the password holds one of : / @ ? # %, write that character as % and its hex code.",
        )
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

fn invalid(reason: &'static str) -> Error {
    Error::new(ErrorKind::ConfigInvalid, "parse database URL").because(reason)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_say_where_and_never_show_the_password() {
        for (url, location, mode) in [
            (
                "mysql://app:s3cr%2Ft@db.example.com/shop",
                "app@db.example.com:3306/shop",
                "verify-identity",
            ),
            ("mariadb://app:s3cr@t@127.0.0.1:3307/shop", "app@127.0.0.1:3307/shop", "disabled"),
            ("mysql://app@[::1]/shop", "app@[::1]:3306/shop", "disabled"),
            ("mysql://app@/shop", "app@/run/mysqld/mysqld.sock/shop", "disabled"),
            ("mysql://app@%2Ftmp%2Fs.sock/shop", "app@/tmp/s.sock/shop", "disabled"),
            ("mysql://app@h/shop?socket=/tmp/a.sock", "app@/tmp/a.sock/shop", "disabled"),
            ("mysql://app@localhost/shop?ssl-mode=REQUIRED", "app@localhost:3306/shop", "required"),
            (
                "mysql://app@h/shop?sslmode=verify_full&ssl-name=db",
                "app@h:3306/shop",
                "verify-identity",
            ),
            (
                "mysql://app@localhost/shop?ssl-ca=/ca.pem",
                "app@localhost:3306/shop",
                "verify-identity",
            ),
            ("mysql://app@h/shop?sslaccept=strict", "app@h:3306/shop", "verify-identity"),
        ] {
            let options = ConnectOptions::parse(url).unwrap();
            assert_eq!(options.location(), location, "{url}");
            assert_eq!(options.ssl_mode().as_str(), mode, "{url}");
            assert!(!format!("{options:?}").contains("s3cr"), "{options:?}");
        }
    }

    #[test]
    fn unusable_urls_say_what_to_change_without_the_password() {
        for url in [
            "postgres://u@h/d",
            "mysql://u:hunter2@h",
            "mysql://h/d",
            "mysql://u:hunter2@h:x/d",
            "mysql://u:hunter#2@h/d",
            "mysql://u@h/d?ssl-mode=maybe",
            "mysql://u@h/d?ssl-mode=verify-ca",
            "mysql://u@h/d?ssl-cert=/c",
            "mysql://u@h/d?nonsense=1",
            "mysql://u@h/d?fuzzy=perhaps",
            "mysql://u@[::1/d",
        ] {
            let error = ConnectOptions::parse(url).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::ConfigInvalid, "{url}");
            assert!(!format!("{error:?}").contains("hunter"), "{error:?}");
            assert!(error.remedy().is_some(), "{url}");
        }
    }
}
