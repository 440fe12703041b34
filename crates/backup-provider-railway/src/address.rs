//! Which way to a service's database is taken, and how far it is trusted: pure.

use backup_core::{Error, ErrorKind, Finding, Result, Secret};
use backup_postgres::{ConnectOptions, Host};

/// How a service's database is reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// `….railway.internal`: inside the project's own network; free, and reached from there only.
    Private,
    /// A TCP proxy of Railway: from anywhere; what leaves is billed.
    Public,
    /// Anything else.
    Other,
}

/// A URL made fit.
#[derive(Clone, Debug)]
pub struct Address {
    /// The URL, as it is used.
    pub url: Secret,
    /// How to connect.
    pub connect: ConnectOptions,
    /// What that leads to.
    pub way: Way,
    /// What was changed, and what to know.
    pub findings: Vec<Finding>,
}

impl Address {
    /// Parses a database URL as the service's variables hold it. Railway's certificates are the
    /// service's own: without an `sslmode` the connection is encrypted and not authenticated,
    /// which is said. `ConfigInvalid` says what cannot be used.
    pub fn parse(url: &str) -> Result<Self> {
        let connect = ConnectOptions::parse(url)?;
        let way = match connect.host() {
            Host::Tcp { name, .. } => way_of(name),
            Host::Socket(_) => Way::Other,
        };
        let says = ["sslmode=", "sslrootcert="].iter().any(|name| parameters(url).contains(name));
        let mode = match way {
            Way::Public => "require",
            // The network itself is encrypted, and images without TLS exist.
            Way::Private => "prefer",
            Way::Other => "",
        };
        if says || mode.is_empty() {
            return Ok(Self { url: Secret::new(url), connect, way, findings: Vec::new() });
        }
        let sign = if url.contains('?') { '&' } else { '?' };
        let url = format!("{url}{sign}sslmode={mode}");
        let connect = ConnectOptions::parse(&url)?;
        let findings = match way {
            Way::Public => vec![Finding::note(
                "the service's certificate is its own, so that the connection is encrypted and \
                 not authenticated (sslmode=require); to pin it, save the certificate and add \
                 sslmode=verify-ca and sslrootcert=/path/to/it to the URL",
            )],
            _ => Vec::new(),
        };
        Ok(Self { url: Secret::new(url), connect, way, findings })
    }

    /// Chooses between a service's variables. `inside`: whether this process runs in the same
    /// environment at Railway.
    pub fn choose(private: Option<&str>, public: Option<&str>, inside: bool) -> Result<Self> {
        let (first, second) = if inside { (private, public) } else { (public, None) };
        match first.or(second) {
            Some(url) => Self::parse(url),
            None => Err(Error::new(ErrorKind::ConfigInvalid, "find way to database")
                .with("provider", "railway")
                .because("the service has no public URL, and this process does not run at Railway")
                .hint(
                    "Give the service a TCP proxy (Settings, Networking), which sets \
                     DATABASE_PUBLIC_URL and bills what leaves; or run this beside it at Railway.",
                )),
        }
    }
}

/// Returns whether a host is Railway's.
#[must_use]
pub fn is_railway_host(host: &str) -> bool {
    way_of(host) != Way::Other
}

fn way_of(host: &str) -> Way {
    let host = host.trim_end_matches('.').to_ascii_lowercase();
    if host.ends_with(".railway.internal") {
        Way::Private
    } else if [".proxy.rlwy.net", ".railway.app", ".rlwy.net"].iter().any(|end| host.ends_with(end))
    {
        Way::Public
    } else {
        Way::Other
    }
}

fn parameters(url: &str) -> &str {
    url.split_once('?').map_or("", |(_, parameters)| parameters)
}

/// Says what a failure most often means here.
pub(crate) fn explain(error: Error, way: Way) -> Error {
    let text = error.to_string();
    if text.contains("no pg_hba.conf entry for replication") {
        return error.hint(
            "Railway's image lets nobody in for replication from outside the container. Use mode \
             = \"logical\", or its own WAL archive into a bucket of yours (docs/providers/\
             railway.md).",
        );
    }
    if way == Way::Private && error.kind() == ErrorKind::SourceUnavailable {
        return error.hint(
            "*.railway.internal exists inside the project's own network only. From elsewhere use \
             DATABASE_PUBLIC_URL.",
        );
    }
    error
}

#[cfg(test)]
mod tests {
    use super::*;

    const PRIVATE: &str = "postgresql://postgres:p@postgres.railway.internal:5432/railway";
    const PUBLIC: &str = "postgresql://postgres:p@monorail.proxy.rlwy.net:31337/railway";

    #[test]
    fn the_private_way_is_for_those_inside() {
        let chosen = |inside| Address::choose(Some(PRIVATE), Some(PUBLIC), inside).unwrap();
        assert_eq!((chosen(true).way, chosen(false).way), (Way::Private, Way::Public));
        assert_eq!(Address::choose(None, Some(PUBLIC), true).unwrap().way, Way::Public);
        let error = Address::choose(Some(PRIVATE), None, false).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ConfigInvalid);
        assert!(error.remedy().unwrap().contains("TCP proxy"));
    }

    #[test]
    fn a_certificate_of_ones_own_is_encrypted_and_told() {
        let public = Address::parse(PUBLIC).unwrap();
        assert_eq!(public.connect.ssl_mode().as_str(), "require");
        assert!(public.findings[0].message.contains("not authenticated"));
        assert!(!format!("{public:?}").contains(":p@"));
        assert_eq!(Address::parse(PRIVATE).unwrap().connect.ssl_mode().as_str(), "prefer");
        let pinned = format!("{PUBLIC}?sslmode=verify-ca&sslrootcert=/tmp/x.pem");
        let pinned = Address::parse(&pinned).unwrap();
        assert_eq!(pinned.connect.ssl_mode().as_str(), "verify-ca");
        assert!(pinned.findings.is_empty());
        let other = Address::parse("postgres://u@db.example.com/d").unwrap();
        assert_eq!((other.way, other.connect.ssl_mode().as_str()), (Way::Other, "verify-full"));
    }

    #[test]
    fn failures_are_explained() {
        let failed = |text: &str| {
            Error::new(ErrorKind::SourceUnavailable, "connect").because(text.to_owned())
        };
        let replication = failed("no pg_hba.conf entry for replication connection from host");
        assert!(explain(replication, Way::Public).remedy().unwrap().contains("logical"));
        let lookup = failed("failed to look up address");
        assert!(explain(lookup, Way::Private).remedy().unwrap().contains("DATABASE_PUBLIC_URL"));
        assert!(
            is_railway_host("a.proxy.rlwy.net") && !is_railway_host("railway.internal.example")
        );
    }
}
