//! The HTTP client that notifiers share.

use std::time::Duration;

use backup_core::{Error, ErrorKind, Result};
use backup_http::tls;
use reqwest::redirect::Policy;
use reqwest::{Client, ClientBuilder};

/// Creates the client: TLS by rustls with ring, certificates judged by the platform, no
/// redirects (a POST that is redirected would arrive as an empty GET), proxies of the system.
/// Cheap to clone; one is enough for all notifiers.
pub fn client() -> Result<Client> {
    client_builder()?.build().map_err(|error| failed().because(error.without_url()))
}

/// Returns the builder behind [`client`], for callers with further wishes.
pub fn client_builder() -> Result<ClientBuilder> {
    Ok(Client::builder()
        .tls_backend_preconfigured(tls::configuration(None, true)?)
        .redirect(Policy::none())
        .connect_timeout(Duration::from_secs(10))
        .user_agent(concat!("backup-notify/", env!("CARGO_PKG_VERSION"))))
}

fn failed() -> Error {
    Error::new(ErrorKind::Failed, "prepare HTTPS client")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn builds_without_a_process_wide_provider() {
        assert!(client().is_ok());
        assert!(rustls::crypto::CryptoProvider::get_default().is_none());
    }
}
