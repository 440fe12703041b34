//! Names: of sources, of parts inside a snapshot, of objects in a store.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::{Error, ErrorKind};

/// The name its owner gave to a database (or tree) that is backed up.
///
/// One to 64 of `a-z A-Z 0-9 _ - .`, not starting with `.` or `-`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct SourceName(String);

impl SourceName {
    /// Returns the name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Makes a usable source name out of a database's name, replacing what is not allowed.
    #[must_use]
    pub fn from_database(database: &str) -> Self {
        let mut text: String =
            database.chars().take(64).map(|c| if allowed(c) { c } else { '_' }).collect();
        if text.is_empty() || text.starts_with(['.', '-']) {
            text.insert(0, '_');
            text.truncate(64);
        }
        Self(text)
    }
}

fn allowed(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.')
}

impl TryFrom<String> for SourceName {
    type Error = Error;

    fn try_from(text: String) -> Result<Self, Error> {
        let good = !text.is_empty()
            && text.len() <= 64
            && text.chars().all(allowed)
            && !text.starts_with(['.', '-']);
        if good {
            return Ok(Self(text));
        }
        Err(Error::new(ErrorKind::Usage, "parse source name")
            .with("text", text.escape_debug())
            .hint("Use 1 to 64 letters, digits, '_', '-' or '.', not starting with '.' or '-'."))
    }
}

impl FromStr for SourceName {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        Self::try_from(text.to_owned())
    }
}

impl From<SourceName> for String {
    fn from(name: SourceName) -> Self {
        name.0
    }
}

impl fmt::Display for SourceName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

/// The name of one stream inside a snapshot, chosen by the engine, such as
/// `table/public.orders`. Any text without control characters; it is never used as a path.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct PartName(String);

impl PartName {
    /// Takes the engine's name for a part; control characters become `_`.
    #[must_use]
    pub fn new(text: impl AsRef<str>) -> Self {
        Self(text.as_ref().chars().map(|c| if c.is_control() { '_' } else { c }).collect())
    }

    /// Returns the name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for PartName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

/// The name of an object in a store: segments of `a-z 0-9 - _ .` joined by `/`.
///
/// No empty segment and none of only dots, so that a name is safe as a relative path.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ObjectName(String);

impl ObjectName {
    /// Returns the name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns the last segment.
    #[must_use]
    pub fn file_name(&self) -> &str {
        self.0.rsplit('/').next().unwrap_or(&self.0)
    }
}

impl FromStr for ObjectName {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let good = text.len() <= 512
            && text.split('/').all(|segment| {
                !segment.is_empty()
                    && segment.bytes().any(|b| b != b'.')
                    && segment
                        .bytes()
                        .all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.'))
            });
        if good {
            return Ok(Self(text.to_owned()));
        }
        Err(Error::new(ErrorKind::Usage, "parse object name").with("text", text.escape_debug()))
    }
}

impl fmt::Display for ObjectName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn object_names_cannot_leave_their_root() {
        for good in ["config", "packs/ab/cd", "leases/prune/00000001"] {
            assert!(good.parse::<ObjectName>().is_ok(), "{good}");
        }
        for bad in ["", "/a", "a/", "a//b", "../a", "a/..", "a/./b", "A", "a b", "a\\b", "a\0"] {
            assert!(bad.parse::<ObjectName>().is_err(), "{bad:?}");
        }
    }

    #[test]
    fn database_names_become_source_names() {
        assert_eq!(SourceName::from_database("shop").as_str(), "shop");
        assert_eq!(SourceName::from_database("../x y").as_str(), "_.._x_y");
        assert_eq!(SourceName::from_database("").as_str(), "_");
        assert!("a/b".parse::<SourceName>().is_err());
    }
}
