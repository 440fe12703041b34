//! The words of `sslmode`, `sslrootcert`, `sslnegotiation` and `channel_binding`.

use std::path::PathBuf;

/// How much of TLS is demanded; the words are libpq's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SslMode {
    /// No TLS.
    Disable,
    /// TLS where the server offers it; no verification.
    Prefer,
    /// TLS, whoever answers: stops eavesdroppers, not impostors.
    Require,
    /// TLS, and a trusted authority signed the certificate, for whatever name.
    VerifyCa,
    /// TLS, a trusted certificate, and it is for this host.
    VerifyFull,
}

impl SslMode {
    pub(crate) fn from_word(word: &str) -> Option<Self> {
        Some(match word {
            "disable" => Self::Disable,
            // `allow` starts in the clear; starting with TLS is never worse.
            "allow" | "prefer" => Self::Prefer,
            "require" => Self::Require,
            "verify-ca" => Self::VerifyCa,
            "verify-full" => Self::VerifyFull,
            _ => return None,
        })
    }

    /// Returns the word used in URLs and in `PGSSLMODE`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Disable => "disable",
            Self::Prefer => "prefer",
            Self::Require => "require",
            Self::VerifyCa => "verify-ca",
            Self::VerifyFull => "verify-full",
        }
    }
}

/// Who may vouch for the server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RootCertificates {
    /// The operating system's trusted authorities.
    System,
    /// A PEM file of certificates.
    File(PathBuf),
}

/// How TLS begins.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SslNegotiation {
    /// Ask first (`SSLRequest`); every server understands it.
    #[default]
    Postgres,
    /// Begin with the handshake; PostgreSQL 17 and later.
    Direct,
}

/// Whether the login is tied to the TLS session, so that nobody can sit in between.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ChannelBinding {
    /// Never.
    Disable,
    /// Where the server offers it.
    #[default]
    Prefer,
    /// Or fail.
    Require,
}

impl ChannelBinding {
    pub(crate) fn from_word(word: &str) -> Option<Self> {
        Some(match word {
            "disable" => Self::Disable,
            "prefer" => Self::Prefer,
            "require" => Self::Require,
            _ => return None,
        })
    }

    /// Returns the word used in URLs and in `PGCHANNELBINDING`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Disable => "disable",
            Self::Prefer => "prefer",
            Self::Require => "require",
        }
    }
}
