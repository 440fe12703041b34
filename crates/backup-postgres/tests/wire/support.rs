//! What the tests share: servers, connections, certificates.

use backup_core::Result;
use backup_postgres::{Client, ConnectOptions};
use backup_testkit::postgres::Cluster;
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair, SanType};

/// Starts a server of each of these majors with default settings, one after the other.
pub(crate) fn clusters(majors: Vec<u32>) -> impl Iterator<Item = Cluster> {
    majors.into_iter().filter_map(Cluster::start)
}

/// Every major that is installed: for tests of what servers do differently.
pub(crate) fn majors() -> Vec<u32> {
    let found: Vec<u32> = Cluster::majors().into_iter().filter(|major| *major >= 14).collect();
    // None at all: be told what is missing.
    if found.is_empty() { vec![15] } else { found }
}

/// One major, another for each `turn`: for tests of what only this crate does.
pub(crate) fn one(turn: usize) -> Vec<u32> {
    let majors = majors();
    vec![majors[turn % majors.len()]]
}

pub(crate) fn options(url: &str) -> ConnectOptions {
    ConnectOptions::parse(url).unwrap()
}

pub(crate) async fn connect(url: &str) -> Result<Client> {
    Client::connect(&options(url)).await
}

/// Returns the one value of a query.
pub(crate) async fn value(client: &mut Client, sql: &str) -> String {
    let rows = client.query(sql).await.unwrap();
    assert_eq!((rows.len(), rows[0].len()), (1, 1), "{sql}");
    rows[0].get(0).unwrap().to_owned()
}

/// Adds login and parameters to a server's address.
pub(crate) fn url(cluster: &Cluster, login: &str, database: &str, parameters: &str) -> String {
    format!("postgres://{login}@127.0.0.1:{}/{database}?{parameters}", cluster.port())
}

/// A certificate authority, and what it signed.
pub(crate) struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pub(crate) pem: String,
}

impl Authority {
    pub(crate) fn new(name: &str) -> Self {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(Vec::<String>::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(rcgen::DnType::CommonName, name);
        let pem = params.self_signed(&key).unwrap().pem();
        Self { issuer: Issuer::new(params, key), pem }
    }

    /// Returns certificate and key of a server with these names, valid for `days` from now
    /// (negative: expired).
    pub(crate) fn server(&self, names: &[&str], key: &KeyPair, expired: bool) -> String {
        let mut params = params(names);
        if expired {
            params.not_before = rcgen::date_time_ymd(2020, 1, 1);
            params.not_after = rcgen::date_time_ymd(2021, 1, 1);
        }
        params.signed_by(key, &self.issuer).unwrap().pem()
    }

    /// Returns the certificate of a client with this role name.
    pub(crate) fn client(&self, role: &str, key: &KeyPair) -> String {
        let mut params = CertificateParams::new(Vec::<String>::new()).unwrap();
        params.distinguished_name.push(rcgen::DnType::CommonName, role);
        params.signed_by(key, &self.issuer).unwrap().pem()
    }
}

/// The parameters of a server certificate; `127.0.0.1` and its like become addresses.
pub(crate) fn params(names: &[&str]) -> CertificateParams {
    let mut params = CertificateParams::new(Vec::<String>::new()).unwrap();
    for name in names {
        params.subject_alt_names.push(match name.parse() {
            Ok(address) => SanType::IpAddress(address),
            Err(_) => SanType::DnsName((*name).try_into().unwrap()),
        });
    }
    params.distinguished_name.push(rcgen::DnType::CommonName, "test server");
    params
}
