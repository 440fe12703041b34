//! Certificate and key.

use std::path::Path;
use std::sync::Arc;

use backup_core::{Error, ErrorKind, Result};
use rustls::ServerConfig;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::TlsAcceptor;

use crate::settings::TlsFiles;

/// Reads the files; what is wrong with them is said before anything is served.
pub(super) fn acceptor(files: &TlsFiles) -> Result<TlsAcceptor> {
    let unusable = |what: &'static str, path: &Path| {
        Error::new(ErrorKind::ConfigInvalid, format!("read TLS {what}"))
            .with("file", path.display())
            .hint("It must be PEM: the server's certificate first, then those that vouch for it.")
    };
    let chain: Vec<_> = CertificateDer::pem_file_iter(&files.certificate)
        .and_then(Iterator::collect)
        .map_err(|error| unusable("certificate", &files.certificate).because(error))?;
    if chain.is_empty() {
        return Err(unusable("certificate", &files.certificate).with("found", "no certificate"));
    }
    let key = PrivateKeyDer::from_pem_file(&files.key)
        .map_err(|error| unusable("key", &files.key).because(error))?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .and_then(|builder| builder.with_no_client_auth().with_single_cert(chain, key))
        .map_err(|error| unusable("certificate and key", &files.certificate).because(error))?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(TlsAcceptor::from(Arc::new(config)))
}
