//! The HTTP client of the exporter: ours, with our TLS.

use std::time::Duration;

use async_trait::async_trait;
use bytes::{Bytes, BytesMut};
use http::{Request, Response};
use opentelemetry_http::{HttpClient, HttpError, ResponseBodyTooLarge};

/// Longer answers of a collector are refused.
const MOST_BYTES: usize = 1 << 20;

#[derive(Debug)]
pub(crate) struct Client {
    inner: reqwest::Client,
    timeout: Duration,
}

impl Client {
    pub(crate) fn new(inner: reqwest::Client, timeout: Duration) -> Self {
        Self { inner, timeout }
    }
}

#[async_trait]
impl HttpClient for Client {
    async fn send_bytes(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        // An address may hold what nobody is to see in a log.
        let plain = reqwest::Error::without_url;
        let mut request = reqwest::Request::try_from(request).map_err(plain)?;
        *request.timeout_mut() = Some(self.timeout);
        let mut answer = self.inner.execute(request).await.map_err(plain)?;
        let mut body = BytesMut::new();
        while let Some(piece) = answer.chunk().await.map_err(plain)? {
            if body.len() + piece.len() > MOST_BYTES {
                return Err(ResponseBodyTooLarge::new().into());
            }
            body.extend_from_slice(&piece);
        }
        let mut response = Response::new(body.freeze());
        *response.status_mut() = answer.status();
        *response.headers_mut() = std::mem::take(answer.headers_mut());
        Ok(response)
    }
}
