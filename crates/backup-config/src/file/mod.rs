//! `backup.toml`: found, read, and understood, or refused with line and column.

pub(crate) mod group;
mod keys;
pub(crate) mod raw;
pub(crate) mod text;

use std::io::ErrorKind as IoErrorKind;
use std::ops::Range;
use std::path::{Path, PathBuf};

use backup_core::{Error, ErrorKind, Result};
use serde::Deserialize as _;
use toml::Spanned;
use toml::de::{DeTable, DeValue, ValueDeserializer};

pub(crate) use keys::describe;
pub use keys::schema;
use raw::RawFile;

/// The name that is looked for in the working directory.
pub const FILE_NAME: &str = "backup.toml";

/// A configuration file's text, and where it came from.
#[derive(Clone, PartialEq, Eq)]
pub struct ConfigFile {
    /// Its path; relative paths in the file start at its directory.
    pub path: PathBuf,
    /// Its text, which may hold secrets.
    pub text: String,
}

impl std::fmt::Debug for ConfigFile {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ConfigFile").field("path", &self.path).finish_non_exhaustive()
    }
}

impl ConfigFile {
    /// Reads the file at `explicit` (from `--config` or `BACKUP_CONFIG`), which must exist; or
    /// else `backup.toml` in `directory`, if there is one.
    pub fn find(explicit: Option<&Path>, directory: &Path) -> Result<Option<Self>> {
        let path = directory.join(explicit.unwrap_or(Path::new(FILE_NAME)));
        match std::fs::read_to_string(&path) {
            Ok(text) => Ok(Some(Self { path, text })),
            Err(error) if explicit.is_none() && error.kind() == IoErrorKind::NotFound => Ok(None),
            Err(error) => Err(Error::new(ErrorKind::ConfigInvalid, "read configuration")
                .with("file", path.display())
                .because(error)
                .hint("Check the path and that this user may read the file.")),
        }
    }

    /// Parses the file. Errors name line and column, and for an unknown key the nearest known
    /// one; they never quote values that may be secrets.
    pub(crate) fn parse(&self) -> Result<RawFile> {
        let table = DeTable::parse(&self.text).map_err(|error| self.toml_error(&error))?;
        if let Some(unknown) = keys::find_unknown(table.get_ref()) {
            let error =
                self.invalid(Some(unknown.span)).because(format!("unknown key '{}'", unknown.path));
            return Err(error.hint(match unknown.nearest {
                Some(key) => format!("Did you mean '{key}'?"),
                None => format!("Known here are {}.", unknown.known.join(", ")),
            }));
        }
        let span = table.span();
        let value = Spanned::new(span, DeValue::Table(table.into_inner()));
        RawFile::deserialize(ValueDeserializer::from(value))
            .map_err(|error| self.toml_error(&error))
    }

    fn toml_error(&self, error: &toml::de::Error) -> Error {
        let out = self.invalid(error.span());
        // Our own values give a second line: the remedy.
        match error.message().split_once('\n') {
            Some((message, remedy)) => out.because(message).hint(remedy),
            None => out.because(error.message()).hint(
                "docs/configuration.md lists every key; `backupctl schema` prints the JSON \
                 Schema for editors.",
            ),
        }
    }

    fn invalid(&self, span: Option<Range<usize>>) -> Error {
        let error = Error::new(ErrorKind::ConfigInvalid, "read configuration")
            .with("file", self.path.display());
        match span {
            Some(span) => {
                let (line, column) = self.position(span.start);
                error.with("line", line).with("column", column)
            }
            None => error,
        }
    }

    /// Adds to an error where a value stands: `path` is made of keys and positions in arrays, such
    /// as `source.1.url`; where it does not reach, the last value that exists counts.
    pub(crate) fn locate(&self, path: &str, error: Error) -> Error {
        let Ok(table) = DeTable::parse(&self.text) else { return error };
        let mut steps = path.split('.');
        let mut found = steps.next().and_then(|key| table.get_ref().get(key));
        for step in steps {
            let next = match found.map(Spanned::get_ref) {
                Some(DeValue::Table(table)) => table.get(step),
                Some(DeValue::Array(items)) => {
                    step.parse().ok().and_then(|position: usize| items.get(position))
                }
                _ => None,
            };
            if next.is_none() {
                break;
            }
            found = next;
        }
        let Some(span) = found.map(Spanned::span) else { return error };
        let (line, column) = self.position(span.start);
        error.with("file", self.path.display()).with("line", line).with("column", column)
    }

    /// Returns line and column of a byte, both from 1, the column in characters.
    fn position(&self, offset: usize) -> (usize, usize) {
        let before = self.text.get(..offset).unwrap_or(&self.text);
        let line = before.matches('\n').count() + 1;
        let start = before.rfind('\n').map_or(0, |newline| newline + 1);
        (line, before[start..].chars().count() + 1)
    }
}
