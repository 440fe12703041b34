//! A vendor's address, and the token for it.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use backup_core::port::{Clock, RateFacts};
use backup_core::{Error, ErrorKind, Result, Secret};
use reqwest::header::{AUTHORIZATION, HeaderName, HeaderValue};
use reqwest::redirect::Policy;
use reqwest::{Client, Method, Url};

use crate::call::Call;
use crate::rate::Rate;
use crate::rules::Rules;
use crate::tls;

/// How a vendor wants to see the token.
#[derive(Clone)]
pub enum Auth {
    /// `Authorization: Bearer …`.
    Bearer(Secret),
    /// `Authorization: …`, as it is.
    Plain(Secret),
    /// A header of the vendor's own.
    Header(&'static str, Secret),
}

impl Auth {
    fn into_secret(self) -> Secret {
        match self {
            Self::Bearer(secret) | Self::Plain(secret) | Self::Header(_, secret) => secret,
        }
    }

    fn secret(&self) -> &Secret {
        match self {
            Self::Bearer(secret) | Self::Plain(secret) | Self::Header(_, secret) => secret,
        }
    }

    fn header(&self) -> Option<(HeaderName, HeaderValue)> {
        let secret = self.secret().expose().trim();
        let (name, text) = match self {
            Self::Bearer(_) => (AUTHORIZATION, format!("Bearer {secret}")),
            Self::Plain(_) => (AUTHORIZATION, secret.to_owned()),
            Self::Header(name, _) => (HeaderName::from_static(name), secret.to_owned()),
        };
        let mut value = HeaderValue::try_from(text).ok()?;
        value.set_sensitive(true);
        Some((name, value))
    }
}

impl fmt::Debug for Auth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Auth(***)")
    }
}

/// A vendor's API. Cheap to clone; clones share what is known of the limit on requests.
#[derive(Clone)]
pub struct Api {
    pub(crate) rules: Arc<Rules>,
    pub(crate) client: Client,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) header: (HeaderName, HeaderValue),
    pub(crate) secret: Secret,
    pub(crate) rate: Arc<Rate>,
    base: Url,
}

impl fmt::Debug for Api {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Api")
            .field("vendor", &self.rules.vendor)
            .field("base", &self.base.as_str())
            .finish_non_exhaustive()
    }
}

impl Api {
    /// Prepares calls below `base`; connects to nothing. `ConfigInvalid` where the address is no
    /// `https` URL (on loopback `http` will do), or the token cannot be sent.
    pub fn new(rules: Rules, base: &str, auth: Auth, clock: Arc<dyn Clock>) -> Result<Self> {
        let vendor = rules.vendor;
        let unusable = |reason: &str| {
            Error::new(ErrorKind::ConfigInvalid, "prepare provider's API")
                .with("provider", vendor)
                .because(reason.to_owned())
        };
        let base: Url = base
            .trim()
            .parse()
            .map_err(|_| unusable("its address is not a URL").hint("Write https://host/path."))?;
        let local = is_loopback(&base);
        if base.scheme() != "https" && !(base.scheme() == "http" && local) {
            return Err(unusable("its address does not begin with https://")
                .hint("A token is only sent encrypted; http:// is for loopback alone."));
        }
        if auth.secret().expose().trim().is_empty() {
            return Err(unusable("its token is empty").hint("Set the token, or leave it out."));
        }
        let header = auth.header().ok_or_else(|| {
            unusable("its token holds signs that no token has").hint("Copy the token again.")
        })?;
        let plain = base.scheme() == "http";
        let tls = if plain { tls::nobody()? } else { tls::configuration(None, true)? };
        let builder = Client::builder()
            .tls_backend_preconfigured(tls)
            .redirect(Policy::none())
            .connect_timeout(Duration::from_secs(10))
            .user_agent(concat!("backupctl/", env!("CARGO_PKG_VERSION")));
        let builder = if local { builder.no_proxy() } else { builder };
        let client = builder.build().map_err(|error| {
            Error::new(ErrorKind::Failed, "prepare HTTPS client").because(error.without_url())
        })?;
        let secret = Secret::new(auth.into_secret().expose().trim());
        let (rules, rate) = (Arc::new(rules), Arc::default());
        Ok(Self { rules, client, clock, header, secret, rate, base })
    }

    /// Prepares a request; `operation` is a verb and its object, for errors. Each part of the path
    /// is escaped.
    pub fn call(&self, method: Method, operation: &str, path: &[&str]) -> Call<'_> {
        let mut url = self.base.clone();
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop_if_empty().extend(path);
        }
        Call::new(self, method, operation, url)
    }

    /// Prepares a read.
    pub fn get(&self, operation: &str, path: &[&str]) -> Call<'_> {
        self.call(Method::GET, operation, path)
    }

    /// Prepares a change.
    pub fn post(&self, operation: &str, path: &[&str]) -> Call<'_> {
        self.call(Method::POST, operation, path)
    }

    /// Prepares a deletion, which may be repeated: what is gone stays gone.
    pub fn delete(&self, operation: &str, path: &[&str]) -> Call<'_> {
        self.call(Method::DELETE, operation, path).repeatable()
    }

    /// Returns what is known of the limit on requests.
    #[must_use]
    pub fn rate(&self) -> RateFacts {
        self.rate.facts()
    }

    /// Returns the clock that pauses go by.
    #[must_use]
    pub fn clock(&self) -> &Arc<dyn Clock> {
        &self.clock
    }
}

fn is_loopback(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default().trim_matches(['[', ']']);
    host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback())
}
