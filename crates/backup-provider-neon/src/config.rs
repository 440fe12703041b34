//! What the platform is told.

use backup_core::{Finding, Secret};
use url::Url;

/// Neon's API.
pub(crate) const API: &str = "https://console.neon.tech/api/v2";
const POOLED: &str = "-pooler";

/// A project at Neon, and the source in it.
#[derive(Clone, Debug)]
pub struct NeonConfig {
    /// The API key.
    pub api_key: Secret,
    /// The project; absent: found by the address, or the only one.
    pub project_id: Option<String>,
    /// The source's connection URL: names endpoint, role and database.
    pub url: Secret,
    /// The API's address; absent: Neon's own.
    pub api_url: Option<String>,
}

/// What a connection URL says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Address {
    /// The compute endpoint, where the host names one.
    pub(crate) endpoint: Option<String>,
    pub(crate) role: String,
    pub(crate) database: String,
}

impl Address {
    /// Reads a connection URL; nothing where it is none.
    pub(crate) fn of(url: &Secret) -> Option<Self> {
        let url: Url = url.expose().trim().parse().ok()?;
        let label = url.host_str()?.split('.').next()?;
        let label = label.strip_suffix(POOLED).unwrap_or(label);
        let decode = |text: &str| text.replace("%20", " ");
        let role = decode(url.username());
        let database = decode(url.path().trim_matches('/'));
        let database = if database.is_empty() { role.clone() } else { database };
        let endpoint = label.starts_with("ep-").then(|| label.to_owned());
        Some(Self { endpoint, role, database })
    }
}

/// Returns a URL with the direct host in place of the pooled one, and whether it was pooled. What
/// goes through Neon's pooler is pooled by transaction: neither a dump nor a restore survives that.
#[must_use]
pub fn direct_url(url: &str) -> (String, bool) {
    let Some((scheme, rest)) = url.split_once("://") else { return (url.to_owned(), false) };
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let (authority, path) = rest.split_at(end);
    let (user, host) = match authority.rsplit_once('@') {
        Some((user, host)) => (format!("{user}@"), host),
        None => (String::new(), authority),
    };
    let (label, domain) = host.split_once('.').unwrap_or((host, ""));
    match label.strip_suffix(POOLED) {
        Some(direct) if label.starts_with("ep-") => {
            (format!("{scheme}://{user}{direct}.{domain}{path}"), true)
        }
        _ => (url.to_owned(), false),
    }
}

/// Returns a URL with another host; user, password, database and the rest stay.
pub(crate) fn at_host(url: &str, host: &str) -> String {
    let Some((scheme, user, _, rest)) = taken_apart(url) else { return url.to_owned() };
    format!("{scheme}://{user}{host}{rest}")
}

/// Returns a URL that Neon handed out as it is where it has a password, and else with user and password
/// of another one.
pub(crate) fn with_credentials_of(url: &str, other: &str) -> String {
    let (Some((scheme, user, host, rest)), Some((_, known, ..))) =
        (taken_apart(url), taken_apart(other))
    else {
        return url.to_owned();
    };
    let user = if user.contains(':') { user } else { known };
    format!("{scheme}://{user}{host}{rest}")
}

/// Scheme, user and password with the `@` behind them, host and port, and everything after.
fn taken_apart(url: &str) -> Option<(&str, &str, &str, &str)> {
    let (scheme, rest) = url.split_once("://")?;
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let (authority, rest) = rest.split_at(end);
    let at = authority.rfind('@').map_or(0, |at| at + 1);
    let (user, host) = authority.split_at(at);
    Some((scheme, user, host, rest))
}

/// Says that an address was replaced, and why.
pub(crate) fn pooled_finding() -> Finding {
    Finding::note(
        "the pooled address was replaced by the direct one: Neon's pooler changes the server process between \
         transactions, so that a dump through it is not of one instant",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_pooled_host_is_rewritten() {
        for (url, direct) in [
            (
                "postgres://a:p@ep-x-1-pooler.eu.aws.neon.tech/d?sslmode=require",
                Some("postgres://a:p@ep-x-1.eu.aws.neon.tech/d?sslmode=require"),
            ),
            (
                "postgres://ep-x-1-pooler.eu.aws.neon.tech:5432",
                Some("postgres://ep-x-1.eu.aws.neon.tech:5432"),
            ),
            ("postgres://a:ep-x-pooler.@ep-x-1.eu.aws.neon.tech/d", None),
            ("postgres://a@db-pooler.example.com/d", None),
            ("postgres://a@h/d-pooler.x", None),
            ("nonsense", None),
        ] {
            let (found, rewritten) = direct_url(url);
            assert_eq!(rewritten, direct.is_some(), "{url}");
            assert_eq!(found, direct.unwrap_or(url));
        }
    }

    #[test]
    fn a_copy_is_reached_with_the_password_that_is_known() {
        let own = "postgres://app:p%40:x@ep-x-1-pooler.eu.aws.neon.tech/shop?sslmode=require";
        assert_eq!(
            at_host(own, "ep-copy-2.eu.aws.neon.tech"),
            "postgres://app:p%40:x@ep-copy-2.eu.aws.neon.tech/shop?sslmode=require"
        );
        assert_eq!(
            with_credentials_of("postgresql://app@ep-copy-2.eu.aws.neon.tech:5433/shop?a=b", own),
            "postgresql://app:p%40:x@ep-copy-2.eu.aws.neon.tech:5433/shop?a=b"
        );
        let whole = "postgresql://app:stored@ep-copy-2.eu.aws.neon.tech/shop";
        assert_eq!(with_credentials_of(whole, own), whole);
        assert_eq!(with_credentials_of(whole, "nonsense"), whole);
    }

    #[test]
    fn the_address_names_endpoint_role_and_database() {
        let of = |url: &str| Address::of(&Secret::new(url)).unwrap();
        let address = of("postgres://app:p%40@ep-x-1-pooler.eu.aws.neon.tech/shop?sslmode=require");
        assert_eq!(address.endpoint.as_deref(), Some("ep-x-1"));
        assert_eq!((address.role.as_str(), address.database.as_str()), ("app", "shop"));
        let address = of("postgres://app@127.0.0.1:5433");
        assert_eq!((address.endpoint, address.database.as_str()), (None, "app"));
        assert_eq!(Address::of(&Secret::new("shop")), None);
    }
}
