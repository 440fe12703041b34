//! Answers.

use std::convert::Infallible;

use bytes::Bytes;
use futures::Stream;
use futures::StreamExt;
use http::header::{CONTENT_TYPE, HeaderValue, LOCATION};
use http::{Response, StatusCode};
use http_body::Frame;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use serde::Serialize;

use super::{Problem, Refused};

/// The body of an answer.
pub(crate) type Body = UnsyncBoxBody<Bytes, Infallible>;

/// An answer.
pub(crate) type Reply = Response<Body>;

pub(crate) fn full(bytes: impl Into<Bytes>) -> Body {
    Full::new(bytes.into()).boxed_unsync()
}

/// An answer in JSON.
pub(crate) fn json<T: Serialize>(status: StatusCode, value: &T) -> Result<Reply, Refused> {
    let body = serde_json::to_vec(value).map_err(|error| Problem::unwritable(&error))?;
    let mut reply = Response::new(full(body));
    *reply.status_mut() = status;
    reply.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    Ok(reply)
}

/// An answer of another media type.
pub(crate) fn text(media: &'static str, body: impl Into<Bytes>) -> Reply {
    let mut reply = Response::new(full(body));
    reply.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(media));
    reply
}

/// An answer that goes on.
pub(crate) fn stream(
    media: &'static str,
    chunks: impl Stream<Item = Bytes> + Send + 'static,
) -> Reply {
    let frames = chunks.map(|bytes| Ok(Frame::data(bytes)));
    let mut reply = Response::new(StreamBody::new(frames).boxed_unsync());
    reply.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(media));
    reply
}

/// Sends a browser elsewhere on this server.
pub(crate) fn see_other(path: &str) -> Reply {
    let mut reply = Response::new(full(Bytes::new()));
    *reply.status_mut() = StatusCode::SEE_OTHER;
    if let Ok(value) = HeaderValue::from_str(path) {
        reply.headers_mut().insert(LOCATION, value);
    }
    reply
}
