//! The same connection for a child process that uses libpq (`pg_dump`, `pg_restore`, `psql`).

use std::path::Path;

use super::{ConnectOptions, Host, RootCertificates, SslMode, SslNegotiation};

/// Every variable through which libpq can be steered from outside.
const VARIABLES: &[&str] = &[
    "PGAPPNAME",
    "PGCHANNELBINDING",
    "PGCLIENTENCODING",
    "PGCONNECT_TIMEOUT",
    "PGDATABASE",
    "PGDATESTYLE",
    "PGGEQO",
    "PGGSSDELEGATION",
    "PGGSSENCMODE",
    "PGGSSLIB",
    "PGHOST",
    "PGHOSTADDR",
    "PGKRBSRVNAME",
    "PGLOADBALANCEHOSTS",
    "PGMAXPROTOCOLVERSION",
    "PGMINPROTOCOLVERSION",
    "PGOPTIONS",
    "PGPASSFILE",
    "PGPASSWORD",
    "PGPORT",
    "PGREQUIREAUTH",
    "PGREQUIREPEER",
    "PGREQUIRESSL",
    "PGSERVICE",
    "PGSERVICEFILE",
    "PGSSLCERT",
    "PGSSLCERTMODE",
    "PGSSLCOMPRESSION",
    "PGSSLCRL",
    "PGSSLCRLDIR",
    "PGSSLKEY",
    "PGSSLMAXPROTOCOLVERSION",
    "PGSSLMINPROTOCOLVERSION",
    "PGSSLMODE",
    "PGSSLNEGOTIATION",
    "PGSSLROOTCERT",
    "PGSSLSNI",
    "PGSYSCONFDIR",
    "PGTARGETSESSIONATTRS",
    "PGTZ",
    "PGUSER",
];

/// Where operating systems keep one file of trusted authorities.
const SYSTEM_BUNDLES: [&str; 4] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
];

/// The first libpq that understands `sslrootcert=system`.
const SYSTEM_ROOTS_SINCE: u32 = 16;
/// The first libpq that understands `sslnegotiation`.
const NEGOTIATION_SINCE: u32 = 17;

impl ConnectOptions {
    /// Returns the variables that make a libpq program of this major version connect as
    /// [`Client::connect`](crate::Client::connect) would. Remove
    /// [`ConnectOptions::libpq_env_removed`] from the child's environment first. The password is
    /// among the values (`PGPASSWORD`), so that it never appears in arguments.
    #[must_use]
    pub fn libpq_env(&self, libpq_major: u32) -> Vec<(String, String)> {
        let mut env = Environment(Vec::new());
        match &self.host {
            Host::Socket(directory) => env.set("PGHOST", directory.display()),
            Host::Tcp { name, address } => {
                env.set("PGHOST", name);
                if let Some(address) = address {
                    env.set("PGHOSTADDR", address);
                }
            }
        }
        env.set("PGPORT", self.port);
        env.set("PGUSER", &self.user);
        env.set("PGDATABASE", self.database());
        if let Some(password) = &self.password {
            env.set("PGPASSWORD", password.expose());
        }
        env.set("PGAPPNAME", &self.application_name);
        if let Some(options) = &self.options {
            env.set("PGOPTIONS", options);
        }
        // libpq has no "for ever" but leaving it out.
        if let Some(timeout) = self.connect_timeout {
            env.set("PGCONNECT_TIMEOUT", timeout.as_secs().max(2));
        }
        env.set("PGGSSENCMODE", "disable");
        env.set("PGCHANNELBINDING", self.channel_binding.as_str());
        env.set("PGSSLMODE", self.ssl_mode.as_str());
        if let Some(roots) = self.libpq_roots(libpq_major) {
            env.set("PGSSLROOTCERT", roots);
        }
        if let (Some(certificate), Some(key)) = (&self.ssl_certificate, &self.ssl_key) {
            env.set("PGSSLCERT", certificate.display());
            env.set("PGSSLKEY", key.display());
        }
        if self.ssl_negotiation == SslNegotiation::Direct && libpq_major >= NEGOTIATION_SINCE {
            env.set("PGSSLNEGOTIATION", "direct");
        }
        env.0
    }

    /// Returns the names of all variables that libpq reads: inherited ones would change where or
    /// how a child connects.
    #[must_use]
    pub fn libpq_env_removed() -> &'static [&'static str] {
        VARIABLES
    }

    /// libpq's own default is a file in the home directory, so ours has to be spelled out.
    fn libpq_roots(&self, libpq_major: u32) -> Option<String> {
        if let Some(RootCertificates::File(path)) = &self.ssl_root {
            return Some(path.display().to_string());
        }
        let verifies = matches!(self.ssl_mode, SslMode::VerifyCa | SslMode::VerifyFull);
        if !verifies && self.ssl_root.is_none() {
            return None;
        }
        // `system` goes with verify-full only; libpq refuses it for weaker modes.
        if libpq_major >= SYSTEM_ROOTS_SINCE && self.ssl_mode == SslMode::VerifyFull {
            return Some("system".to_owned());
        }
        SYSTEM_BUNDLES.iter().find(|path| Path::new(path).exists()).map(|path| (*path).to_owned())
    }
}

struct Environment(Vec<(String, String)>);

impl Environment {
    fn set(&mut self, name: &str, value: impl std::fmt::Display) {
        self.0.push((name.to_owned(), value.to_string()));
    }
}
