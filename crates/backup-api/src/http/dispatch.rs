//! The way of one request: found, counted, known, permitted, recorded, answered.

use std::sync::Arc;
use std::time::Duration;

use backup_core::port::Clock;
use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use http::{Method, Request, StatusCode};
use http_body_util::{BodyExt, Limited};

use super::{
    Call, Kept, Needs, OPERATIONS, Operation, PAGES, Problem, Recorded, Refused, Reply, full,
    see_other,
};
use crate::audit::Outcome;
use crate::guard::{Caller, Guard, Peer, origin};
use crate::metrics::Meter;
use crate::port::{Actions, Facts, Ledger};
use crate::record::Recorder;
use crate::settings::Settings;

/// Everything an answer is made of.
pub(crate) struct App {
    pub(crate) settings: Settings,
    pub(crate) facts: Arc<dyn Facts>,
    pub(crate) actions: Arc<dyn Actions>,
    pub(crate) ledger: Arc<dyn Ledger>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) guard: Guard,
    pub(crate) recorder: Recorder,
    pub(crate) meter: Meter,
    pub(crate) stop: tokio::sync::watch::Receiver<bool>,
    /// The summary for existing dashboards, and the metrics of the fleet, as they were made last.
    pub(crate) status: Kept,
    pub(crate) metrics: Kept,
}

/// The body of a request, whatever carries it.
pub(crate) trait Incoming:
    http_body::Body<Data = Bytes, Error: Into<Box<dyn std::error::Error + Send + Sync>>>
    + Send
    + 'static
{
}
impl<T> Incoming for T where
    T: http_body::Body<Data = Bytes, Error: Into<Box<dyn std::error::Error + Send + Sync>>>
        + Send
        + 'static
{
}

/// Answers one request.
pub(crate) async fn answer<B: Incoming>(app: Arc<App>, peer: Peer, request: Request<B>) -> Reply {
    let begun = app.clock.elapsed();
    let head = request.method() == Method::HEAD;
    let encrypted = app.settings.tls.is_some();
    let (id, mut reply) = match find(&request) {
        Ok((operation, segments)) => {
            let page = PAGES.iter().any(|known| std::ptr::eq(known, operation));
            let target = target(&request);
            let result = go(&app, peer, operation, segments, request).await;
            let reply = result.unwrap_or_else(|problem| refuse(&app, *problem, page, &target));
            (operation.id, reply)
        }
        Err(problem) => ("none", problem.into_reply()),
    };
    let bodiless = reply.status() == StatusCode::NOT_MODIFIED;
    dress(reply.headers_mut(), encrypted);
    if bodiless {
        reply.headers_mut().remove(CONTENT_TYPE);
    }
    if head {
        *reply.body_mut() = full(Bytes::new());
    }
    app.meter.count(id, reply.status(), app.clock.elapsed().saturating_sub(begun));
    reply
}

/// The values in a path, by name.
type Segments = Vec<(&'static str, String)>;

/// Returns the operation and the values in its path.
fn find<B>(request: &Request<B>) -> Result<(&'static Operation, Segments), Refused> {
    let path = request.uri().path();
    let fitting = || {
        OPERATIONS
            .iter()
            .chain(PAGES)
            .filter_map(|operation| Some((operation, operation.fit(path)?)))
    };
    let method = match request.method() {
        &Method::HEAD => "GET",
        other => other.as_str(),
    };
    if let Some((operation, values)) =
        fitting().find(|(operation, _)| operation.method.as_str() == method)
    {
        let values = values.into_iter().map(|(name, value)| (name, value.to_owned())).collect();
        return Ok((operation, values));
    }
    let allowed: Vec<_> = fitting().map(|(operation, _)| operation.method.as_str()).collect();
    Err(if allowed.is_empty() {
        Problem::not_found()
    } else {
        Problem::wrong_method(&allowed.join(", "))
    })
}

fn target<B>(request: &Request<B>) -> String {
    request.uri().path_and_query().map_or("/", http::uri::PathAndQuery::as_str).to_owned()
}

async fn go<B: Incoming>(
    app: &Arc<App>,
    peer: Peer,
    operation: &'static Operation,
    segments: Segments,
    request: Request<B>,
) -> Result<Reply, Refused> {
    let now = app.clock.elapsed();
    app.guard.requests.take(peer.address(), now).map_err(Problem::too_many)?;
    let target = target(&request);
    let (parts, body) = request.into_parts();
    let caller = permit(app, peer, operation, &parts.method, &parts.headers, &target).await?;
    let segments: Vec<_> = segments.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let query = parts.uri.query().unwrap_or("");
    let mut call = Call::new(operation, &segments, query, caller, peer, parts.headers)?;
    call.body = receive(app, &parts.method, body).await?;
    let (caller, object) = (call.caller.clone(), call.object());
    match operation.recorded {
        Recorded::No => {}
        Recorded::Read => {
            if app.recorder.is_new_read(&caller, peer, operation.id, &object) {
                // Looking at the state of things must work even when the record does not; the
                // failure is logged and counted.
                let _ =
                    app.recorder.of(&caller, peer, operation.id, &object, Outcome::Allowed).await;
            }
        }
        Recorded::Change => {
            app.recorder.of(&caller, peer, operation.id, &object, Outcome::Allowed).await?;
        }
    }
    let handling = (operation.handling)(app.clone(), call);
    let result = match tokio::time::timeout(app.settings.limits.answer, handling).await {
        Ok(result) => result,
        Err(_) => Err(Problem::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "timeout",
            "the answer took too long to make",
        )),
    };
    if result.is_err() && operation.recorded == Recorded::Change {
        let _ = app.recorder.of(&caller, peer, operation.id, &object, Outcome::Failed).await;
    }
    result
}

/// Says who asks, and refuses what they may not.
async fn permit(
    app: &Arc<App>,
    peer: Peer,
    operation: &Operation,
    method: &Method,
    headers: &HeaderMap,
    target: &str,
) -> Result<Caller, Refused> {
    let now = app.clock.elapsed();
    if !app.guard.failures.allows(peer.address(), now) && headers.contains_key("authorization") {
        return Err(Problem::too_many(Duration::from_secs(60)));
    }
    let caller = app.guard.identify(peer, headers).await?;
    if caller.refused {
        let _ = app.guard.failures.take(peer.address(), now);
    }
    let changes = !matches!(*method, Method::GET | Method::HEAD);
    if changes && !origin::is_same_site(headers) {
        return Err(Problem::forbidden("the request was sent by a page of another site"));
    }
    let Needs::Role(role) = operation.needs else { return Ok(caller) };
    if caller.may(role) {
        return Ok(caller);
    }
    if caller.role.is_none() {
        app.recorder.refused(&caller, peer, operation.id).await;
    } else if app.recorder.is_new_read(&caller, peer, "denied", operation.id) {
        let path = target.split('?').next().unwrap_or("");
        let _ = app.recorder.of(&caller, peer, operation.id, path, Outcome::Denied).await;
    }
    if caller.role.is_none() || caller.name == "local" {
        return Err(Problem::unauthorized(caller.refused));
    }
    Err(Problem::forbidden(format!("this needs the role {}", role.as_str()))
        .hint("Ask for a token with that role."))
}

/// Reads the body, as long as it is small and comes soon.
async fn receive<B: Incoming>(app: &Arc<App>, method: &Method, body: B) -> Result<Bytes, Refused> {
    if matches!(*method, Method::GET | Method::HEAD | Method::DELETE) {
        return Ok(Bytes::new());
    }
    let limits = &app.settings.limits;
    let whole = Box::pin(Limited::new(body, limits.body_bytes)).collect();
    match tokio::time::timeout(limits.receive, whole).await {
        Ok(Ok(body)) => Ok(body.to_bytes()),
        Ok(Err(error)) if error.is::<http_body_util::LengthLimitError>() => Err(Problem::new(
            StatusCode::PAYLOAD_TOO_LARGE,
            "usage",
            format!("the body is longer than {} bytes", limits.body_bytes),
        )),
        Ok(Err(_)) => Err(Problem::bad_request("the body broke off")),
        Err(_) => {
            Err(Problem::new(StatusCode::REQUEST_TIMEOUT, "timeout", "the body came too slowly"))
        }
    }
}

/// Browsers get a page that says what went wrong, or are asked for a token.
fn refuse(app: &App, problem: Problem, page: bool, target: &str) -> Reply {
    if !page {
        return problem.into_reply();
    }
    if problem.status == StatusCode::UNAUTHORIZED {
        return see_other(&crate::page::login_address(target));
    }
    let status = problem.status;
    let mut reply = crate::page::problem(app, &problem.document());
    *reply.status_mut() = status;
    reply
}

/// What every answer says about how it may be used.
fn dress(headers: &mut HeaderMap, encrypted: bool) {
    const ALWAYS: [(&str, &str); 6] = [
        (
            "content-security-policy",
            "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; \
             connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
        ),
        ("x-content-type-options", "nosniff"),
        ("x-frame-options", "DENY"),
        // With `no-referrer` browsers call our own forms those of nobody (`Origin: null`).
        ("referrer-policy", "same-origin"),
        ("cross-origin-opener-policy", "same-origin"),
        ("cross-origin-resource-policy", "same-origin"),
    ];
    for (name, value) in ALWAYS {
        headers.insert(HeaderName::from_static(name), HeaderValue::from_static(value));
    }
    headers.entry(CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    if !headers.contains_key(CONTENT_TYPE) {
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    }
    if encrypted {
        let year = HeaderValue::from_static("max-age=31536000");
        headers.insert(HeaderName::from_static("strict-transport-security"), year);
    }
}
