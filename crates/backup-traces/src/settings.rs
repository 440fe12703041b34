//! Where traces go.

use std::collections::HashMap;
use std::fmt;
use std::time::Duration;

use backup_core::{Error, ErrorKind, Result, Secret};
use percent_encoding::percent_decode_str;

/// A collector of OpenTelemetry. `Debug` shows no header: they may authorise.
#[derive(Clone)]
pub struct Collector {
    pub(crate) endpoint: String,
    pub(crate) headers: HashMap<String, String>,
    pub(crate) service: Option<String>,
    pub(crate) timeout: Duration,
}

impl fmt::Debug for Collector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Collector").field("service", &self.service).finish_non_exhaustive()
    }
}

impl Collector {
    /// Names the collector by the URL that takes traces, as it is.
    #[must_use]
    pub fn exactly(url: &str) -> Self {
        Self {
            endpoint: url.to_owned(),
            headers: HashMap::new(),
            service: None,
            timeout: Duration::from_secs(10),
        }
    }

    /// Names the collector by the URL below which all signals have their place.
    #[must_use]
    pub fn below(url: &str) -> Self {
        Self::exactly(&format!("{}/v1/traces", url.trim_end_matches('/')))
    }

    /// Sends these headers: `name=value,name=value`, values percent-encoded. `ConfigInvalid` for
    /// anything else; the error does not show what was given.
    pub fn with_headers(mut self, text: &Secret) -> Result<Self> {
        for pair in text.expose().split(',').filter(|pair| !pair.trim().is_empty()) {
            let read = || {
                let (name, value) = pair.split_once('=')?;
                let value = percent_decode_str(value.trim()).decode_utf8().ok()?;
                let name = name.trim();
                http::HeaderName::from_bytes(name.as_bytes()).ok()?;
                http::HeaderValue::from_str(&value).ok()?;
                Some((name.to_owned(), value.into_owned()))
            };
            let (name, value) = read().ok_or_else(|| {
                Error::new(ErrorKind::ConfigInvalid, "read headers for traces")
                    .because("they are not of the form name=value,name=value")
                    .hint("Look at OTEL_EXPORTER_OTLP_HEADERS; values are percent-encoded.")
            })?;
            self.headers.insert(name, value);
        }
        Ok(self)
    }

    /// Calls the service so.
    #[must_use]
    pub fn as_service(mut self, name: &str) -> Self {
        self.service = Some(name.to_owned());
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_are_read_and_not_shown() {
        let collector = Collector::below("http://there:4318/");
        assert_eq!(collector.endpoint, "http://there:4318/v1/traces");
        let with = |text: &str| collector.clone().with_headers(&Secret::new(text));
        let read = with("Authorization=Bearer%20hunter2, x-tenant=a").unwrap();
        assert_eq!(read.headers["Authorization"], "Bearer hunter2");
        assert_eq!(read.headers["x-tenant"], "a");
        assert!(!format!("{read:?}").contains("hunter2"));
        for bad in ["hunter2", "a b=hunter2", "x=hunter2%0a"] {
            let error = with(bad).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::ConfigInvalid);
            assert!(!error.to_string().contains("hunter2"), "{error}");
        }
    }
}
