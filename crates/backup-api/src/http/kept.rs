//! Answers that are made once for each picture of the fleet, and not sent again to who has them.

use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use data_encoding::HEXLOWER;
use http::header::{CACHE_CONTROL, ETAG, HeaderMap, HeaderName, HeaderValue, IF_NONE_MATCH};
use http::{Response, StatusCode};
use sha2::{Digest, Sha256};

use super::{Body, Refused, Reply, full};
use crate::view::Fleet;

/// One answer, and the picture it was made from.
#[derive(Default)]
pub(crate) struct Kept(Mutex<Option<(Arc<Fleet>, Content)>>);

/// What an answer says, and how it is called.
#[derive(Clone)]
pub(crate) struct Content {
    pub(crate) bytes: Bytes,
    tag: HeaderValue,
}

impl Kept {
    /// Returns the answer for this picture, made now if it was not before.
    pub(crate) fn of(
        &self,
        fleet: &Arc<Fleet>,
        make: impl FnOnce(&Fleet) -> Result<Vec<u8>, Refused>,
    ) -> Result<Content, Refused> {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, content)) = kept.as_ref().filter(|(known, _)| Arc::ptr_eq(known, fleet)) {
            return Ok(content.clone());
        }
        let bytes = Bytes::from(make(fleet)?);
        let content = Content { tag: tag(&[&bytes]), bytes };
        *kept = Some((Arc::clone(fleet), content.clone()));
        Ok(content)
    }
}

impl Content {
    /// Returns the answer, or that nothing has changed since the one that the client has.
    pub(crate) fn reply(self, media: &'static str, headers: &HeaderMap) -> Reply {
        if let Some(reply) = unchanged(headers, &self.tag) {
            return reply;
        }
        let mut reply = super::text(media, self.bytes);
        mark(&mut reply, self.tag);
        reply
    }
}

/// Returns the name of an answer that is made of these.
pub(crate) fn tag(parts: &[&[u8]]) -> HeaderValue {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part);
    }
    let digest = hash.finalize();
    let text = format!("\"{}\"", HEXLOWER.encode(digest.get(..16).unwrap_or_default()));
    HeaderValue::from_str(&text).unwrap_or(HeaderValue::from_static("\"\""))
}

/// Returns the answer to a client that has this one already.
pub(crate) fn unchanged(headers: &HeaderMap, tag: &HeaderValue) -> Option<Reply> {
    let asked = headers.get(IF_NONE_MATCH)?.to_str().ok()?;
    let tag_text = tag.to_str().ok()?;
    let known = |one: &str| one == "*" || one.trim_start_matches("W/") == tag_text;
    if !asked.split(',').map(str::trim).any(known) {
        return None;
    }
    let mut reply: Response<Body> = Response::new(full(Bytes::new()));
    *reply.status_mut() = StatusCode::NOT_MODIFIED;
    mark(&mut reply, tag.clone());
    Some(reply)
}

/// Says how an answer is called: it may be kept by who got it, and asked after before each use.
pub(crate) fn mark(reply: &mut Reply, tag: HeaderValue) {
    let headers = reply.headers_mut();
    headers.insert(ETAG, tag);
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("private, no-cache"));
    headers
        .insert(HeaderName::from_static("vary"), HeaderValue::from_static("Authorization, Cookie"));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_the_same_is_not_sent_again() {
        let tag = tag(&[b"a", b"b"]);
        assert_ne!(tag, super::tag(&[b"ab", b""]));
        let asked = |text: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(IF_NONE_MATCH, HeaderValue::from_str(text).unwrap());
            unchanged(&headers, &tag).map(|reply| reply.status().as_u16())
        };
        let own = tag.to_str().unwrap();
        assert_eq!(asked(own), Some(304));
        assert_eq!(asked(&format!("\"other\", W/{own}")), Some(304));
        assert_eq!(asked("*"), Some(304));
        assert_eq!(asked("\"other\""), None);
        assert_eq!(asked(own.trim_matches('"')), None);
        assert!(unchanged(&HeaderMap::new(), &tag).is_none());
    }
}
