//! TLS as PostgreSQL begins it, on rustls with ring.

use std::io;
use std::path::Path;
use std::sync::Arc;

use backup_core::{Error, ErrorKind, Result};
use bytes::BytesMut;
use postgres_protocol::message::frontend;
use rustls::client::danger::ServerCertVerifier;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{CertificateError, ClientConfig};
use tokio::io::{AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use super::transport::Transport;
use super::{fault, startup, trust};
use crate::connect::{ConnectOptions, Host, RootCertificates, SslMode, SslNegotiation};

/// Room for encrypted bytes: one read brings many records.
const ROOM: usize = 128 << 10;
/// The protocol name demanded by servers when TLS begins without a question.
const ALPN: &[u8] = b"postgresql";

/// Everything needed for handshakes with one server.
#[derive(Clone)]
pub(crate) struct Tls {
    config: Arc<ClientConfig>,
    name: ServerName<'static>,
}

/// Asks the server whether it speaks TLS. Exactly one byte is read, so that nothing sent in the
/// clear can pass for something sent under TLS.
pub(crate) async fn offered(stream: &mut TcpStream, options: &ConnectOptions) -> Result<bool> {
    let mut request = BytesMut::new();
    frontend::ssl_request(&mut request);
    let answer = async {
        stream.write_all(&request).await?;
        stream.read_u8().await
    };
    match answer.await.map_err(|error| fault::unreachable(options, error))? {
        b'S' => Ok(true),
        b'N' => Ok(false),
        // What an unverified server writes here is not worth showing.
        _ => Err(startup::violation(options, "a strange answer to the question for TLS")),
    }
}

impl Tls {
    /// Reads the certificates that the options name.
    pub(crate) async fn prepare(options: &ConnectOptions) -> Result<Self> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let verifier = verifier(options, &provider).await?;
        let builder = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| fault::unusable(options, error, "Use TLS 1.2 or 1.3."))?
            .dangerous()
            .with_custom_certificate_verifier(verifier);
        let mut config = match (&options.ssl_certificate, &options.ssl_key) {
            (Some(certificate), Some(key)) => {
                let chain = certificates(certificate, "sslcert").await?;
                let pem = read(key, "sslkey").await?;
                let key = PrivateKeyDer::from_pem_slice(&pem)
                    .map_err(|_| unreadable(key, "sslkey", "it holds no unencrypted PEM key"))?;
                builder.with_client_auth_cert(chain, key).map_err(|error| {
                    fault::unusable(
                        options,
                        error,
                        "Check that sslcert and sslkey belong together.",
                    )
                })?
            }
            _ => builder.with_no_client_auth(),
        };
        if options.ssl_negotiation == SslNegotiation::Direct {
            config.alpn_protocols = vec![ALPN.to_vec()];
        }
        Ok(Self { config: Arc::new(config), name: server_name(options)? })
    }

    /// Secures a connection; it is closed if the server does not prove what `sslmode` demands.
    pub(crate) async fn handshake(
        &self,
        stream: TcpStream,
        options: &ConnectOptions,
    ) -> Result<Transport> {
        let connector = TlsConnector::from(Arc::clone(&self.config));
        let stream = BufReader::with_capacity(ROOM, stream);
        match connector.connect(self.name.clone(), stream).await {
            Ok(stream) => Ok(Transport::Tls(Box::new(stream))),
            Err(error) => Err(failed(options, error)),
        }
    }
}

async fn verifier(
    options: &ConnectOptions,
    provider: &Arc<CryptoProvider>,
) -> Result<Arc<dyn ServerCertVerifier>> {
    let roots = match &options.ssl_root {
        Some(RootCertificates::File(path)) => Some(certificates(path, "sslrootcert").await?),
        Some(RootCertificates::System) | None => None,
    };
    let unusable = |error| {
        fault::unusable(
            options,
            error,
            "Name a readable PEM file of trusted certificates with sslrootcert.",
        )
    };
    match options.ssl_mode {
        // As in libpq: a root certificate given along with `require` is used.
        SslMode::Disable | SslMode::Prefer | SslMode::Require if roots.is_none() => {
            Ok(Arc::new(trust::Anyone::new(provider)))
        }
        SslMode::VerifyFull => trust::named(roots, provider).map_err(unusable),
        _ => trust::any_name(roots, provider).map_err(unusable),
    }
}

/// Returns the name to ask for and to compare with. A name that cannot be in a certificate still
/// reaches servers that are not verified.
fn server_name(options: &ConnectOptions) -> Result<ServerName<'static>> {
    let Host::Tcp { name, address } = &options.host else {
        return Err(startup::violation(options, "TLS over a Unix socket"));
    };
    match (ServerName::try_from(name.clone()), address, options.ssl_mode) {
        (Ok(name), _, _) => Ok(name),
        (Err(_), Some(address), mode) if mode != SslMode::VerifyFull => Ok((*address).into()),
        (Err(error), _, _) => {
            Err(fault::unusable(options, error, "Use a valid host name, or an address."))
        }
    }
}

async fn certificates(
    path: &Path,
    parameter: &'static str,
) -> Result<Vec<CertificateDer<'static>>> {
    let pem = read(path, parameter).await?;
    let parsed: std::result::Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&pem).collect();
    parsed
        .ok()
        .filter(|certificates| !certificates.is_empty())
        .ok_or_else(|| unreadable(path, parameter, "it holds no PEM certificate"))
}

async fn read(path: &Path, parameter: &'static str) -> Result<Vec<u8>> {
    tokio::fs::read(path).await.map_err(|error| unreadable(path, parameter, error))
}

fn unreadable(
    path: &Path,
    parameter: &'static str,
    reason: impl Into<Box<dyn std::error::Error + Send + Sync>>,
) -> Error {
    Error::new(ErrorKind::ConfigInvalid, "read certificate file")
        .with("parameter", parameter)
        .with("path", path.display())
        .because(reason)
        .hint(format!("Name a readable PEM file with {parameter}."))
}

/// Says why a handshake failed, and which of the ways out fits.
fn failed(options: &ConnectOptions, error: io::Error) -> Error {
    let reason = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
    let Some(reason) = reason else { return fault::unreachable(options, error) };
    let hint = match reason {
        rustls::Error::InvalidCertificate(certificate) => match certificate {
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
                "Connect by a name that the certificate holds as a subject alternative name, or \
                 add sslmode=verify-ca to accept any name."
            }
            CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
                "Renew the server's certificate, and check this machine's clock."
            }
            CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
                "Check the clocks of this machine and the server."
            }
            _ => {
                "Add sslrootcert=FILE with the authority that signed the server's certificate, or \
                 sslmode=require to encrypt without knowing who answers."
            }
        },
        _ => "Check that server and client share a TLS version (1.2 or 1.3) and a cipher.",
    };
    fault::unusable(options, error, hint)
}
