//! The parameters after the `?` of a database URL: libpq's names and meanings.

use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use backup_core::{Result, Secret};

use super::url::{invalid, parse_address, parse_port};
use super::{ChannelBinding, ConnectOptions, Keepalive, RootCertificates, SslMode, SslNegotiation};

/// What is settled only when the whole URL has been read.
#[derive(Default)]
pub(super) struct Extra {
    pub(super) host: String,
    pub(super) address: Option<IpAddr>,
    pub(super) ssl_mode: Option<SslMode>,
}

/// Applies one parameter; an unknown one is an error that names it.
pub(super) fn apply(
    options: &mut ConnectOptions,
    extra: &mut Extra,
    name: &str,
    value: String,
) -> Result<()> {
    match name {
        "host" => extra.host = value,
        "hostaddr" => extra.address = Some(parse_address(&value)?),
        "port" => options.port = parse_port(&value)?,
        "user" => options.user = value,
        "password" => options.password = Some(Secret::new(value)),
        "dbname" => options.database = value,
        "application_name" | "fallback_application_name" => options.application_name = value,
        "options" => options.options = Some(value),
        "connect_timeout" => options.connect_timeout = seconds(name, &value)?,
        "sslmode" => {
            let mode = SslMode::from_word(&value);
            extra.ssl_mode = Some(mode.ok_or_else(|| {
                unusable(name, &value, "disable, prefer, require, verify-ca or verify-full")
            })?);
        }
        "sslrootcert" if value == "system" => options.ssl_root = Some(RootCertificates::System),
        "sslrootcert" => options.ssl_root = Some(RootCertificates::File(PathBuf::from(value))),
        "sslcert" => options.ssl_certificate = Some(PathBuf::from(value)),
        "sslkey" => options.ssl_key = Some(PathBuf::from(value)),
        "sslnegotiation" => {
            options.ssl_negotiation = match value.as_str() {
                "postgres" => SslNegotiation::Postgres,
                "direct" => SslNegotiation::Direct,
                _ => return Err(unusable(name, &value, "postgres or direct")),
            };
        }
        "channel_binding" => {
            options.channel_binding = ChannelBinding::from_word(&value)
                .ok_or_else(|| unusable(name, &value, "disable, prefer or require"))?;
        }
        // GSSAPI encryption is not spoken here; only demanding it is an error.
        "gssencmode" if value == "disable" || value == "prefer" => {}
        "gssencmode" => return Err(unusable(name, &value, "disable or prefer")),
        "target_session_attrs" if value == "any" => {}
        "target_session_attrs" => return Err(unusable(name, &value, "any")),
        "keepalives" => {
            options.keepalive = match value.as_str() {
                "0" => None,
                "1" => Some(options.keepalive.unwrap_or_default()),
                _ => return Err(unusable(name, &value, "0 or 1")),
            };
        }
        "keepalives_idle" => {
            let idle = seconds(name, &value)?;
            edit(options, |k| k.idle = idle.unwrap_or(Keepalive::default().idle));
        }
        "keepalives_interval" => {
            let interval = seconds(name, &value)?;
            edit(options, |k| k.interval = interval.unwrap_or(Keepalive::default().interval));
        }
        "keepalives_count" => {
            let count = number(name, &value)?;
            edit(options, |k| {
                k.count = if count == 0 { Keepalive::default().count } else { count }
            });
        }
        "tcp_user_timeout" => {
            let millis = number(name, &value)?;
            options.tcp_user_timeout =
                (millis > 0).then(|| Duration::from_millis(u64::from(millis)));
        }
        _ => {
            return Err(invalid("a parameter is not known here")
                .with("parameter", name)
                .hint(format!("Remove {name} from the database URL.")));
        }
    }
    Ok(())
}

fn edit(options: &mut ConnectOptions, change: impl FnOnce(&mut Keepalive)) {
    if let Some(keepalive) = &mut options.keepalive {
        change(keepalive);
    }
}

/// Whole seconds; zero or less means no limit, as in libpq.
fn seconds(name: &str, value: &str) -> Result<Option<Duration>> {
    let count: i32 =
        value.parse().map_err(|_| unusable(name, value, "a whole number of seconds"))?;
    Ok(u64::try_from(count).ok().filter(|count| *count > 0).map(Duration::from_secs))
}

fn number(name: &str, value: &str) -> Result<u32> {
    value.parse().map_err(|_| unusable(name, value, "a whole number"))
}

fn unusable(name: &str, value: &str, wanted: &str) -> backup_core::Error {
    invalid("a parameter has an unusable value")
        .with("parameter", name)
        .with("value", value)
        .hint(format!("Set {name} to {wanted}."))
}
