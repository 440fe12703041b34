//! `backup_label` and `tablespace_map`. Pure.

use std::collections::BTreeMap;

use backup_core::{Error, ErrorKind, Lsn, Result};

/// What a `backup_label` says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Label {
    /// Where recovery begins.
    pub(crate) start: Lsn,
    /// On which timeline (11 and newer say so).
    pub(crate) timeline: Option<u32>,
}

impl Label {
    /// Reads a label; one of an incremental backup is refused, since no server starts with it.
    pub(crate) fn parse(content: &[u8]) -> Result<Self> {
        let text = String::from_utf8_lossy(content);
        let field =
            |name: &str| text.lines().find_map(|line| line.strip_prefix(name)).map(str::trim);
        if field("INCREMENTAL FROM LSN:").is_some() {
            return Err(damaged("it is of an incremental backup"));
        }
        let start = field("START WAL LOCATION:")
            .and_then(|rest| rest.split(' ').next())
            .and_then(|lsn| lsn.parse().ok())
            .ok_or_else(|| damaged("it names no start"))?;
        let timeline = field("START TIMELINE:").and_then(|number| number.parse().ok());
        Ok(Self { start, timeline })
    }
}

/// Writes the map that makes a starting server link tablespaces to these places, by oid.
pub(crate) fn tablespace_map(places: &BTreeMap<u32, String>) -> String {
    let mut map = String::new();
    for (oid, place) in places {
        map.push_str(&format!("{oid} "));
        for sign in place.chars() {
            if matches!(sign, '\n' | '\r' | '\\') {
                map.push('\\');
            }
            map.push(sign);
        }
        map.push('\n');
    }
    map
}

fn damaged(what: &'static str) -> Error {
    Error::new(ErrorKind::Integrity, "read backup label").because(what)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_label_says_where_recovery_begins() {
        let text = "START WAL LOCATION: 0/2000028 (file 000000010000000000000002)\n\
            CHECKPOINT LOCATION: 0/2000060\nBACKUP METHOD: streamed\nBACKUP FROM: primary\n\
            START TIME: 2026-01-01 00:00:00 GMT\nLABEL: x\nSTART TIMELINE: 3\n";
        let label = Label::parse(text.as_bytes()).unwrap();
        assert_eq!(label, Label { start: Lsn(0x200_0028), timeline: Some(3) });
        let incremental = format!("{text}INCREMENTAL FROM LSN: 0/1000028\n");
        assert!(Label::parse(incremental.as_bytes()).is_err());
        assert!(Label::parse(b"LABEL: x\n").is_err());
    }

    #[test]
    fn places_with_odd_signs_are_escaped() {
        let places = BTreeMap::from([(16400, "/a\\b\nc".to_owned()), (7, "/x y".to_owned())]);
        assert_eq!(tablespace_map(&places), "7 /x y\n16400 /a\\\\b\\\nc\n");
    }
}
