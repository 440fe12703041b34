//! One call: attempts, pauses, and the answer.

use std::time::Duration;

use reqwest::header::HeaderMap;
use reqwest::{Method, Response, Url};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::api::Api;
use crate::error::{ApiError, Facts, Fate};
use crate::message;
use crate::rate::retry_after;
use crate::scrub::{scrub, without};

/// How much of an answer is read.
const ANSWER_BYTES: usize = 32 << 20;

/// A request that is being put together.
#[derive(Debug)]
#[must_use = "a call does nothing until it is sent"]
pub struct Call<'a> {
    api: &'a Api,
    method: Method,
    operation: String,
    url: Url,
    body: Option<Vec<u8>>,
    repeatable: bool,
}

impl<'a> Call<'a> {
    pub(crate) fn new(api: &'a Api, method: Method, operation: &str, url: Url) -> Self {
        let repeatable = matches!(method, Method::GET | Method::HEAD);
        Self { api, method, operation: operation.to_owned(), url, body: None, repeatable }
    }

    /// Adds a parameter to the query.
    #[allow(clippy::needless_pass_by_value, reason = "numbers and texts read better as they are")]
    pub fn query(mut self, name: &str, value: impl ToString) -> Self {
        self.url.query_pairs_mut().append_pair(name, &value.to_string());
        self
    }

    /// Adds a parameter to the query where there is a value.
    pub fn query_some(self, name: &str, value: Option<impl ToString>) -> Self {
        match value {
            Some(value) => self.query(name, value),
            None => self,
        }
    }

    /// Sets the body.
    pub fn json(mut self, body: &impl Serialize) -> Self {
        // Values of ours serialise; one that did not would be refused by the vendor as empty.
        self.body = serde_json::to_vec(body).ok();
        self
    }

    /// Declares that doing it twice is doing it once: it is then repeated like a read.
    pub fn repeatable(mut self) -> Self {
        self.repeatable = true;
        self
    }

    /// Sends it and reads the answer's JSON; an answer without a body is an empty object.
    pub async fn send<T: DeserializeOwned>(self) -> Result<T, ApiError> {
        let (operation, fate) = (self.operation.clone(), self.unread());
        let (api, bytes) = (self.api, self.send_raw().await?);
        let text: &[u8] = if bytes.is_empty() { b"{}" } else { &bytes };
        serde_json::from_slice(text).map_err(|error| {
            let cause = Some(error.to_string().into());
            Facts { cause, ..failure(api, &operation, fate) }.into()
        })
    }

    /// Sends it; what the answer holds does not matter.
    pub async fn send_unit(self) -> Result<(), ApiError> {
        self.send_raw().await.map(|_| ())
    }

    /// A change whose answer cannot be read has happened, but who knows what it made.
    fn unread(&self) -> Fate {
        if self.repeatable { Fate::NotDone } else { Fate::Unknown }
    }

    async fn send_raw(self) -> Result<Vec<u8>, ApiError> {
        let (patience, clock) = (self.api.rules.patience, &self.api.clock);
        let begun = clock.elapsed();
        let (mut pause, mut attempts, mut errors) = (patience.first_pause, 0, 0);
        loop {
            if let Some(pause) = self.api.rate.pause(clock.now())
                && pause <= patience.longest_wait
            {
                clock.sleep(pause).await;
            }
            attempts += 1;
            let mut error = match self.attempt().await {
                Ok(body) => return Ok(body),
                Err(error) => error,
            };
            error.0.attempts = attempts;
            let facts = &error.0;
            let busy = facts.status.is_some_and(|status| self.api.rules.busy.contains(&status));
            let waited = clock.elapsed().saturating_sub(begun);
            errors += u32::from(!busy);
            let out_of_patience =
                if busy { waited >= patience.busy_for } else { errors >= patience.attempts };
            let may = facts.temporary && (self.repeatable || facts.fate == Fate::NotDone);
            let wait = facts.retry_after.unwrap_or_else(|| jittered(pause));
            if !may || out_of_patience || wait > patience.longest_wait {
                return Err(error);
            }
            tracing::debug!(vendor = self.api.rules.vendor, attempts, error = %error, "retrying call");
            clock.sleep(wait).await;
            pause = (pause * 2).min(patience.max_pause);
        }
    }

    async fn attempt(&self) -> Result<Vec<u8>, ApiError> {
        let api = self.api;
        let (name, value) = api.header.clone();
        let mut request = api
            .client
            .request(self.method.clone(), self.url.clone())
            .timeout(api.rules.patience.timeout)
            .header(reqwest::header::ACCEPT, "application/json")
            .header(name, value);
        if let Some(body) = &self.body {
            request = request
                .header(reqwest::header::CONTENT_TYPE, "application/json")
                .body(body.clone());
        }
        api.rate.sent();
        let mut response = request.send().await.map_err(|error| self.lost(error))?;
        let status = response.status();
        api.rate.heard(response.headers(), status.as_u16() == 429, api.clock.now());
        let body = self.body(&mut response).await;
        if status.is_success() {
            return body;
        }
        Err(self.refused(status.as_u16(), response.headers(), &body.unwrap_or_default()))
    }

    async fn body(&self, response: &mut Response) -> Result<Vec<u8>, ApiError> {
        let mut body = Vec::new();
        while let Some(bytes) = response.chunk().await.map_err(|error| self.lost(error))? {
            body.extend_from_slice(&bytes);
            if body.len() > ANSWER_BYTES {
                let message = format!("the answer is longer than {} MiB", ANSWER_BYTES >> 20);
                let facts = failure(self.api, &self.operation, self.unread());
                return Err(Facts { message: Some(message), ..facts }.into());
            }
        }
        Ok(body)
    }

    fn refused(&self, status: u16, headers: &HeaderMap, body: &[u8]) -> ApiError {
        let words = message::read(body);
        let rules = &self.api.rules;
        let unexecuted = status == 429 || rules.unexecuted.contains(&status);
        let servers = status >= 500 || status == 408;
        let id = |name: &str| headers.get(name)?.to_str().ok().map(str::to_owned);
        let secrets = [self.api.secret.clone()];
        Facts {
            status: Some(status),
            code: words.code,
            message: words.message.map(|text| scrub(&without(&text, &secrets))),
            request_id: words.request_id.or_else(|| id("x-request-id")),
            retry_after: retry_after(headers, self.api.clock.now()),
            temporary: unexecuted || servers,
            ..failure(
                self.api,
                &self.operation,
                if servers && !unexecuted { Fate::Unknown } else { Fate::NotDone },
            )
        }
        .into()
    }

    /// No answer. A connection that never came about carried no request.
    fn lost(&self, error: reqwest::Error) -> ApiError {
        let fate = if error.is_connect() { Fate::NotDone } else { Fate::Unknown };
        let timeout = error
            .is_timeout()
            .then(|| format!("no answer within {} s", self.api.rules.patience.timeout.as_secs()));
        Facts {
            message: timeout,
            temporary: true,
            cause: Some(Box::new(error.without_url())),
            ..failure(self.api, &self.operation, fate)
        }
        .into()
    }
}

fn failure(api: &Api, operation: &str, fate: Fate) -> Facts {
    Facts {
        vendor: api.rules.vendor,
        page: api.rules.page,
        operation: operation.to_owned(),
        status: None,
        code: None,
        message: None,
        request_id: None,
        retry_after: None,
        attempts: 1,
        fate,
        temporary: false,
        cause: None,
    }
}

/// Between half of a pause and the whole of it, so that many do not come back at once.
fn jittered(pause: Duration) -> Duration {
    let mut random = [0; 2];
    // Without randomness the pause is what it is.
    let share = match getrandom::fill(&mut random) {
        Ok(()) => f64::from(u16::from_le_bytes(random)) / 65_536.0,
        Err(_) => 1.0,
    };
    pause.mul_f64(0.5 + share / 2.0)
}
