//! What is said about an object, as attributes of an entry, and back. Pure.

use backup_core::port::ObjectAbout;

use crate::attributes::Attributes;
use crate::entry::{Entry, Moment};

/// The version that a listing tells apart.
const ETAG: &str = "etag";
const VERSION: &str = "version";
const TYPE: &str = "content-type";
const ENCODING: &str = "content-encoding";
const DISPOSITION: &str = "content-disposition";
const CACHE: &str = "cache-control";
/// Before the names of its owner's metadata.
const OWN: &str = "meta:";

/// Returns attributes, by name.
pub(super) fn attributes(about: &ObjectAbout, etag: Option<&str>) -> Attributes {
    let single = [
        (ETAG, etag),
        (VERSION, about.version.as_deref()),
        (TYPE, about.content_type.as_deref()),
        (ENCODING, about.content_encoding.as_deref()),
        (DISPOSITION, about.content_disposition.as_deref()),
        (CACHE, about.cache_control.as_deref()),
    ];
    let single = single.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?)));
    let own = about.metadata.iter().map(|(name, value)| (format!("{OWN}{name}"), value.as_str()));
    let mut all: Attributes = single
        .chain(own)
        .map(|(name, value)| (name.into_bytes(), value.as_bytes().to_vec()))
        .collect();
    all.sort();
    all
}

fn text(entry: &Entry, name: &str) -> Option<String> {
    let found = entry.attributes.iter().find(|(known, _)| known == name.as_bytes());
    String::from_utf8(found?.1.clone()).ok()
}

/// Returns the version that an entry was read of.
pub(super) fn etag(entry: &Entry) -> Option<String> {
    text(entry, ETAG)
}

/// Returns what an entry of a bucket says about its object. Its version is the service's to give.
pub(super) fn about(entry: &Entry) -> ObjectAbout {
    let own = entry.attributes.iter().filter_map(|(name, value)| {
        let name = std::str::from_utf8(name).ok()?.strip_prefix(OWN)?;
        Some((name.to_owned(), String::from_utf8(value.clone()).ok()?))
    });
    ObjectAbout {
        content_type: text(entry, TYPE),
        content_encoding: text(entry, ENCODING),
        content_disposition: text(entry, DISPOSITION),
        cache_control: text(entry, CACHE),
        metadata: own.collect(),
        version: None,
    }
}

/// Takes away what the service itself gives an object, and no restore brings back.
pub(crate) fn lasting(entry: &Entry) -> Entry {
    let mut entry = entry.clone();
    entry.attributes.retain(|(name, _)| name != ETAG.as_bytes() && name != VERSION.as_bytes());
    (entry.modified, entry.changed) = (Moment::default(), Moment::default());
    entry
}

/// Returns a time as lists keep it.
pub(super) fn moment(time: jiff::Timestamp) -> Moment {
    let seconds = time.as_second();
    match u32::try_from(time.subsec_nanosecond()) {
        Ok(nanos) => Moment { seconds, nanos },
        // Before 1970 both count backwards.
        Err(_) => Moment { seconds, nanos: 0 },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::entry::{FileData, Kind};

    #[test]
    fn what_is_said_comes_back_but_for_what_is_the_services() {
        let said = ObjectAbout {
            content_type: Some("image/png".into()),
            content_encoding: None,
            content_disposition: Some("inline".into()),
            cache_control: Some("no-store".into()),
            metadata: vec![("etag".into(), "mine".into()), ("owner".into(), "Zo\u{eb}".into())],
            version: Some("v1".into()),
        };
        let entry = Entry {
            path: b"a".to_vec(),
            kind: Kind::File(FileData::default()),
            mode: 0,
            owner: 0,
            group: 0,
            modified: Moment { seconds: 5, nanos: 0 },
            changed: Moment::default(),
            inode: 0,
            unsettled: false,
            attributes: attributes(&said, Some("\"abc\"")),
        };
        assert_eq!(etag(&entry).as_deref(), Some("\"abc\""), "not its owner's word");
        assert_eq!(about(&entry), ObjectAbout { version: None, ..said.clone() });
        let newer = ObjectAbout { version: Some("v2".into()), ..said };
        let other = Entry {
            attributes: attributes(&newer, Some("\"abd\"")),
            modified: Moment { seconds: 6, nanos: 0 },
            ..entry.clone()
        };
        assert_eq!(lasting(&entry).fingerprint(), lasting(&other).fingerprint());
        assert_ne!(entry.fingerprint(), other.fingerprint());
    }
}
