//! Whom to trust.

use std::path::Path;
use std::sync::Arc;

use backup_core::{Error, ErrorKind, Result};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};
use rustls_platform_verifier::Verifier;

/// Returns a TLS configuration that trusts the system's authorities and those of `ca_file`.
/// Where the system has none, it fails, unless nothing is `needed`: then it trusts nobody. The
/// provider is ring, passed explicitly: nothing is installed for the process.
pub fn configuration(ca_file: Option<&Path>, needed: bool) -> Result<ClientConfig> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let extra = ca_file.map(authorities).transpose()?.unwrap_or_default();
    let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(failed)?;
    match verifier(extra, provider) {
        Ok(verifier) => Ok(builder
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(verifier))
            .with_no_client_auth()),
        Err(error) if needed => Err(failed(error).hint(
            "Install the system's certificate authorities (package ca-certificates), or name a PEM \
             file of authorities.",
        )),
        Err(_) => Ok(builder.with_root_certificates(RootCertStore::empty()).with_no_client_auth()),
    }
}

/// Returns a TLS configuration that trusts nobody: for addresses that need none.
pub fn nobody() -> Result<ClientConfig> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(failed)?;
    Ok(builder.with_root_certificates(RootCertStore::empty()).with_no_client_auth())
}

fn verifier(
    extra: Vec<CertificateDer<'static>>,
    provider: Arc<CryptoProvider>,
) -> Result<Verifier, rustls::Error> {
    if extra.is_empty() {
        return Verifier::new(provider);
    }
    Verifier::new_with_extra_roots(extra, provider)
}

fn authorities(path: &Path) -> Result<Vec<CertificateDer<'static>>> {
    let invalid = || {
        Error::new(ErrorKind::ConfigInvalid, "read certificate authorities")
            .with("path", path.display())
            .hint("Name a PEM file that holds at least one certificate.")
    };
    let read = CertificateDer::pem_file_iter(path).and_then(Iterator::collect);
    let found: Vec<_> = read.map_err(|error| invalid().because(error))?;
    if found.is_empty() { Err(invalid()) } else { Ok(found) }
}

fn failed(error: rustls::Error) -> Error {
    Error::new(ErrorKind::ConfigInvalid, "set up TLS").because(error)
}
