//! Which way to a project's database is fit for copying it: pure.

use backup_core::{Error, ErrorKind, Finding, Result, Secret};
use backup_postgres::{ConnectOptions, Host};

/// What the poolers' transaction mode listens on.
const TRANSACTION_PORT: u16 = 6543;
/// What the server, and the poolers' session mode, listen on.
const SESSION_PORT: u16 = 5432;
/// Parameters that other libraries read from the URLs which the dashboard shows, and that mean
/// nothing to a server.
const OF_OTHERS: [&str; 5] =
    ["pgbouncer", "connection_limit", "pool_timeout", "supa", "workaround"];

/// How a project's database is reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// `db.<ref>.supabase.co`: the server itself.
    Direct,
    /// `….pooler.supabase.com`: a pooler, one server process for each session.
    SessionPooler,
    /// Anything else: a server of one's own, a tunnel.
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
    /// The project, where the URL tells.
    pub project: Option<String>,
    /// What was changed, and what to know.
    pub findings: Vec<Finding>,
}

impl Address {
    /// Parses a database URL as the dashboard shows it. A URL of transaction mode (port 6543) is
    /// led to the session on the same host. `ConfigInvalid` says what cannot be used.
    pub fn parse(url: &str) -> Result<Self> {
        let url = without_parameters_of_others(url);
        let connect = ConnectOptions::parse(&url)?;
        let Host::Tcp { name, .. } = connect.host() else {
            return Ok(Self::other(&url, connect));
        };
        let name = name.trim_end_matches('.').to_ascii_lowercase();
        let direct = name.strip_prefix("db.").and_then(|rest| {
            let (project, domain) = rest.split_once('.')?;
            is_supabase(domain).then(|| project.to_owned())
        });
        if let Some(project) = direct {
            return Self::settle(&url, connect, Way::Direct, Some(project));
        }
        if !is_pooler(&name) {
            return Ok(Self::other(&url, connect));
        }
        let Some((_, project)) = connect.user().split_once('.') else {
            return Err(Error::new(ErrorKind::ConfigInvalid, "use database URL")
                .with("host", &name)
                .because("the pooler needs the project in the role's name")
                .hint(
                    "Write the role as postgres.<project ref>, as the dashboard shows it under \
                     Connect.",
                ));
        };
        let project = project.to_owned();
        Self::settle(&url, connect, Way::SessionPooler, Some(project))
    }

    fn other(url: &str, connect: ConnectOptions) -> Self {
        let url = Secret::new(url);
        Self { url, connect, way: Way::Other, project: None, findings: Vec::new() }
    }

    fn settle(
        url: &str,
        connect: ConnectOptions,
        way: Way,
        project: Option<String>,
    ) -> Result<Self> {
        let mut findings = Vec::new();
        let (mut url, mut connect) = (url.to_owned(), connect);
        if connect.port() == TRANSACTION_PORT {
            url = with_port(&url, SESSION_PORT);
            connect = ConnectOptions::parse(&url)?;
            findings.push(Finding::note(format!(
                "port {TRANSACTION_PORT} of the URL is a pooler in transaction mode, where one \
                 consistent copy is not possible; port {SESSION_PORT} of the same host is used"
            )));
        }
        if connect.port() == TRANSACTION_PORT {
            return Err(Error::new(ErrorKind::ConfigInvalid, "use database URL")
                .because("it leads to a pooler in transaction mode")
                .hint(format!("Write port {SESSION_PORT} instead of {TRANSACTION_PORT}.")));
        }
        Ok(Self { url: Secret::new(url), connect, way, project, findings })
    }
}

/// Returns whether a host is Supabase's.
#[must_use]
pub fn is_supabase_host(host: &str) -> bool {
    let host = host.trim_end_matches('.').to_ascii_lowercase();
    is_pooler(&host)
        || host
            .strip_prefix("db.")
            .and_then(|rest| rest.split_once('.'))
            .is_some_and(|(project, domain)| !project.is_empty() && is_supabase(domain))
}

fn is_pooler(host: &str) -> bool {
    host.split_once(".pooler.").is_some_and(|(_, domain)| is_supabase(domain))
}

fn is_supabase(domain: &str) -> bool {
    matches!(domain, "supabase.co" | "supabase.com" | "supabase.red" | "supabase.green")
}

/// Says what an unreachable host most often means here.
pub(crate) fn explain(error: Error, way: Way) -> Error {
    let text = error.to_string();
    let about_trust = ["certificate", "UnknownIssuer"].iter().any(|sign| text.contains(sign));
    if way == Way::Other || error.kind() != ErrorKind::SourceUnavailable {
        return error;
    }
    if about_trust {
        return error.hint(
            "Supabase signs with an authority of its own. Download its certificate (Database \
             settings, SSL configuration) and add ?sslrootcert=/path/to/it to the URL.",
        );
    }
    let network = ["lookup", "resolve", "unreachable", "timed out", "refused"];
    if way == Way::Direct && network.iter().any(|sign| text.contains(sign)) {
        return error.hint(
            "db.<ref>.supabase.co answers over IPv6 only, unless the project has the IPv4 \
             add-on. From a network without IPv6 use the session pooler: its URL is under \
             Connect in the dashboard, with port 5432 and the role postgres.<ref>.",
        );
    }
    error
}

fn with_port(url: &str, port: u16) -> String {
    let (start, query) = url.split_once('?').map_or((url, None), |(s, q)| (s, Some(q)));
    // The login may hold the same digits; only what follows the last @ is the address.
    let at = start.rfind('@').map_or(0, |at| at + 1);
    let (login, address) = start.split_at(at);
    let address = address.replacen(&format!(":{TRANSACTION_PORT}"), &format!(":{port}"), 1);
    let query: Vec<&str> = query
        .into_iter()
        .flat_map(|query| query.split('&'))
        .filter(|pair| !pair.starts_with("port="))
        .collect();
    join(&format!("{login}{address}"), &query)
}

fn without_parameters_of_others(url: &str) -> String {
    let Some((start, query)) = url.split_once('?') else { return url.to_owned() };
    let kept: Vec<&str> = query
        .split('&')
        .filter(|pair| {
            let name = pair.split('=').next().unwrap_or_default();
            !OF_OTHERS.contains(&name) && !name.starts_with("supa")
        })
        .collect();
    join(start, &kept)
}

fn join(start: &str, parameters: &[&str]) -> String {
    if parameters.is_empty() {
        start.to_owned()
    } else {
        format!("{start}?{}", parameters.join("&"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const REF: &str = "abcdefghijklmnopqrst";

    fn address(url: &str) -> Address {
        Address::parse(url).unwrap()
    }

    #[test]
    fn every_url_of_the_dashboard_leads_to_a_session() {
        let direct =
            address(&format!("postgresql://postgres:p@db.{REF}.supabase.co:5432/postgres"));
        assert_eq!((direct.way, direct.project.as_deref()), (Way::Direct, Some(REF)));
        assert!(direct.findings.is_empty());
        let session = address(&format!(
            "postgres://postgres.{REF}:p@aws-0-eu-central-1.pooler.supabase.com:5432/postgres"
        ));
        assert_eq!((session.way, session.project.as_deref()), (Way::SessionPooler, Some(REF)));
        let transaction = address(&format!(
            "postgres://postgres.{REF}:p6543@aws-1-eu-central-1.pooler.supabase.com:6543/postgres\
             ?pgbouncer=true&connection_limit=1&sslmode=require"
        ));
        assert_eq!(transaction.way, Way::SessionPooler);
        assert_eq!(
            transaction.connect.location(),
            format!("postgres.{REF}@aws-1-eu-central-1.pooler.supabase.com:5432/postgres")
        );
        assert_eq!(transaction.connect.ssl_mode().as_str(), "require");
        assert!(transaction.findings[0].message.contains("transaction mode"));
        let dedicated =
            address(&format!("postgres://postgres:p@db.{REF}.supabase.co:6543/postgres"));
        assert_eq!((dedicated.way, dedicated.connect.port()), (Way::Direct, 5432));
        let by_parameter =
            address(&format!("postgres://postgres:p@db.{REF}.supabase.co/postgres?port=6543"));
        assert_eq!(by_parameter.connect.port(), 5432);
    }

    #[test]
    fn a_pooler_needs_to_know_the_project() {
        let url = "postgres://postgres:secret@aws-0-eu-central-1.pooler.supabase.com/postgres";
        let error = Address::parse(url).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ConfigInvalid);
        assert!(error.remedy().unwrap().contains("postgres.<project ref>"));
        assert!(!format!("{error:?}").contains("secret"));
    }

    #[test]
    fn others_are_taken_as_they_are() {
        let own = address("postgres://postgres@127.0.0.1:6543/postgres");
        assert_eq!((own.way, own.connect.port()), (Way::Other, 6543));
        assert!(is_supabase_host(&format!("db.{REF}.supabase.co")));
        assert!(is_supabase_host("aws-0-us-east-1.pooler.supabase.com"));
        for host in ["db.example.com", "supabase.co.example.com", "localhost", "db.supabase.co"] {
            assert!(!is_supabase_host(host), "{host}");
        }
    }

    #[test]
    fn unreachable_hosts_are_explained() {
        let refused = || {
            Error::new(ErrorKind::SourceUnavailable, "connect").because("network is unreachable")
        };
        assert!(explain(refused(), Way::Direct).remedy().unwrap().contains("IPv6"));
        assert_eq!(explain(refused(), Way::Other).remedy(), None);
        let trust = Error::new(ErrorKind::SourceUnavailable, "connect")
            .because("invalid peer certificate: UnknownIssuer");
        assert!(explain(trust, Way::SessionPooler).remedy().unwrap().contains("sslrootcert"));
    }
}
