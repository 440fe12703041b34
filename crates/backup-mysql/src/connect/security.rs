//! TLS: what is demanded, and what the driver is told.

use std::path::PathBuf;

use mysql_async::{ClientIdentity, SslOpts};

/// How much of TLS is demanded, by the names of MySQL's own clients.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SslMode {
    /// None.
    #[default]
    Disabled,
    /// Encryption; whoever answers is believed.
    Required,
    /// A certificate of a trusted authority for the host's name (or the one that is given).
    VerifyIdentity,
}

impl SslMode {
    /// Returns the word in URLs.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Disabled => "disabled",
            Self::Required => "required",
            Self::VerifyIdentity => "verify-identity",
        }
    }

    /// Reads a word as MySQL's clients, or PostgreSQL's, write it.
    pub(super) fn of(word: &str) -> Option<Self> {
        match word.to_ascii_lowercase().replace('_', "-").as_str() {
            "disabled" | "disable" => Some(Self::Disabled),
            "required" | "require" => Some(Self::Required),
            "verify-identity" | "verify-full" => Some(Self::VerifyIdentity),
            _ => None,
        }
    }
}

/// What a connection demands.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Security {
    pub(super) mode: SslMode,
    /// Certificates (PEM) that are trusted instead of those compiled in.
    pub(super) authorities: Option<PathBuf>,
    /// The name that the server's certificate is for, where it is not the host's.
    pub(super) name: Option<String>,
    /// A client's certificate and its key, both PEM.
    pub(super) identity: Option<(PathBuf, PathBuf)>,
}

impl Security {
    pub(super) fn driver_options(&self) -> Option<SslOpts> {
        let mut options = match self.mode {
            SslMode::Disabled => return None,
            SslMode::Required => SslOpts::default()
                .with_danger_accept_invalid_certs(true)
                .with_danger_skip_domain_validation(true),
            SslMode::VerifyIdentity => {
                SslOpts::default().with_danger_tls_hostname_override(self.name.clone())
            }
        };
        if let Some(file) = &self.authorities {
            options = options
                .with_root_certs(vec![file.clone().into()])
                .with_disable_built_in_roots(true);
        }
        let identity = self.identity.as_ref();
        options = options.with_client_identity(identity.map(|(certificate, key)| {
            ClientIdentity::new(certificate.clone().into(), key.clone().into())
        }));
        Some(options)
    }
}
