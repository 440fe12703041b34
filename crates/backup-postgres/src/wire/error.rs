//! What the server says went wrong.

use std::error::Error as StdError;
use std::fmt;
use std::io;

use fallible_iterator::FallibleIterator;
use postgres_protocol::message::backend::ErrorFields;

/// An error or notice of the server, with every field it sent.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DbError {
    fields: Vec<(u8, String)>,
}

impl DbError {
    pub(crate) fn read(mut fields: ErrorFields<'_>) -> io::Result<Self> {
        let mut read = Vec::new();
        while let Some(field) = fields.next()? {
            // Before login the server does not know our encoding: never refuse its reasons.
            read.push((field.type_(), String::from_utf8_lossy(field.value_bytes()).into_owned()));
        }
        Ok(Self { fields: read })
    }

    /// Returns the field with this code of the protocol (`b'C'` is the SQLSTATE).
    #[must_use]
    pub fn field(&self, code: u8) -> Option<&str> {
        self.fields.iter().find(|(name, _)| *name == code).map(|(_, value)| value.as_str())
    }

    /// Returns the severity: `ERROR`, `FATAL`, `PANIC`, `WARNING`, `NOTICE` … (untranslated).
    #[must_use]
    pub fn severity(&self) -> &str {
        self.field(b'V').or_else(|| self.field(b'S')).unwrap_or_default()
    }

    /// Returns the SQLSTATE, five characters.
    #[must_use]
    pub fn code(&self) -> &str {
        self.field(b'C').unwrap_or_default()
    }

    /// Returns the message, in the server's language.
    #[must_use]
    pub fn message(&self) -> &str {
        self.field(b'M').unwrap_or_default()
    }

    /// Returns the details; they may quote rows.
    #[must_use]
    pub fn detail(&self) -> Option<&str> {
        self.field(b'D')
    }

    /// Returns the server's advice.
    #[must_use]
    pub fn hint(&self) -> Option<&str> {
        self.field(b'H')
    }

    /// Returns where it happened: the line of a COPY, the call stack of a function. May quote rows.
    #[must_use]
    pub fn context(&self) -> Option<&str> {
        self.field(b'W')
    }

    /// Returns the position in the statement, in characters from 1.
    #[must_use]
    pub fn position(&self) -> Option<u32> {
        self.field(b'P')?.parse().ok()
    }

    /// Returns the schema of the object concerned.
    #[must_use]
    pub fn schema(&self) -> Option<&str> {
        self.field(b's')
    }

    /// Returns the table concerned.
    #[must_use]
    pub fn table(&self) -> Option<&str> {
        self.field(b't')
    }

    /// Returns the constraint concerned.
    #[must_use]
    pub fn constraint(&self) -> Option<&str> {
        self.field(b'n')
    }
}

impl fmt::Display for DbError {
    /// Writes severity, message and SQLSTATE, on one line; details may quote rows and stay out.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let message = self.message().replace('\n', " ");
        write!(f, "{}: {message} (SQLSTATE {})", self.severity(), self.code())
    }
}

impl StdError for DbError {}

/// Returns the SQLSTATE inside an error of this crate, if the server sent one.
#[must_use]
pub fn sqlstate(error: &backup_core::Error) -> Option<&str> {
    DbError::within(error).map(DbError::code)
}

impl DbError {
    /// Returns the server's error inside an error of this crate.
    #[must_use]
    pub fn within(error: &backup_core::Error) -> Option<&Self> {
        let mut cause = error.source();
        while let Some(error) = cause {
            if let Some(found) = error.downcast_ref::<Self>() {
                return Some(found);
            }
            cause = error.source();
        }
        None
    }
}
