//! Values of the file that are text with a meaning.

use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;
use std::str::FromStr as _;

use backup_core::port::PhysicalAccess;
use backup_core::{ByteSize, Error, ErrorKind, Severity, SnapshotKind, SourceName, VerifyLevel};
use backup_retention::{Period, Policy};
use backup_schedule::Blackout;
use jiff::tz::TimeZone;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Deserialize;
use serde::de::{Deserializer, Unexpected, Visitor};

use crate::kinds::{
    DELTA_MODES, HOOK_MOMENTS, LEVELS, MODES, NOTIFY_KINDS, PLACES, SEVERITIES, word,
};
use crate::{Cron, DeltaMode, DrillEvery, DrillPoint, HookMoment, NotifyKind, ProviderKind};

/// A meaning that text can have.
pub(crate) trait FromText: Sized {
    /// Parses it; the error's remedy becomes the hint.
    fn from_text(text: &str) -> Result<Self, Error>;

    /// Returns the JSON Schema of the text.
    fn schema() -> Schema {
        json_schema!({ "type": "string" })
    }
}

/// Text of the file, understood.
#[derive(Clone, Debug)]
pub(crate) struct Text<T>(pub(crate) T);

impl<T: FromText> JsonSchema for Text<T> {
    fn schema_name() -> Cow<'static, str> {
        "Text".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        T::schema()
    }
}

impl<'de, T: FromText> Deserialize<'de> for Text<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Reader<T>(PhantomData<T>);
        impl<T: FromText> Visitor<'_> for Reader<T> {
            type Value = Text<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("text in quotes")
            }

            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Text<T>, E> {
                T::from_text(text).map(Text).map_err(|error| E::custom(two_lines(&error)))
            }
        }
        deserializer.deserialize_str(Reader(PhantomData))
    }
}

/// Carries message and remedy through serde, which knows only one text: a line each.
fn two_lines(error: &Error) -> String {
    match error.remedy() {
        Some(remedy) => format!("{error}\n{remedy}"),
        None => error.to_string(),
    }
}

/// Text that may be a secret: no error repeats it, whatever stands there.
#[derive(Clone)]
pub(crate) struct Hidden(pub(crate) String);

impl fmt::Debug for Hidden {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Hidden(***)")
    }
}

impl JsonSchema for Hidden {
    fn schema_name() -> Cow<'static, str> {
        "Secret".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "x-secret": true })
    }
}

impl<'de> Deserialize<'de> for Hidden {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        // serde would quote the unexpected value: `passphrase = 12345` must not be shown.
        struct Reader;
        impl Visitor<'_> for Reader {
            type Value = Hidden;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("text in quotes")
            }

            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Hidden, E> {
                Ok(Hidden(text.to_owned()))
            }

            fn visit_bool<E: serde::de::Error>(self, _: bool) -> Result<Hidden, E> {
                Err(E::invalid_type(Unexpected::Other("truth value"), &self))
            }

            fn visit_i64<E: serde::de::Error>(self, _: i64) -> Result<Hidden, E> {
                Err(E::invalid_type(Unexpected::Other("number"), &self))
            }

            fn visit_i128<E: serde::de::Error>(self, _: i128) -> Result<Hidden, E> {
                Err(E::invalid_type(Unexpected::Other("number"), &self))
            }

            fn visit_u64<E: serde::de::Error>(self, _: u64) -> Result<Hidden, E> {
                Err(E::invalid_type(Unexpected::Other("number"), &self))
            }

            fn visit_u128<E: serde::de::Error>(self, _: u128) -> Result<Hidden, E> {
                Err(E::invalid_type(Unexpected::Other("number"), &self))
            }

            fn visit_f64<E: serde::de::Error>(self, _: f64) -> Result<Hidden, E> {
                Err(E::invalid_type(Unexpected::Other("number"), &self))
            }
        }
        deserializer.deserialize_any(Reader)
    }
}

impl FromText for Period {
    fn from_text(text: &str) -> Result<Self, Error> {
        Self::from_str(text)
    }

    fn schema() -> Schema {
        json_schema!({ "type": "string", "examples": ["26h", "15m", "14d"] })
    }
}

/// A length of time, or `never`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Patience(pub(crate) Option<Period>);

impl FromText for Patience {
    fn from_text(text: &str) -> Result<Self, Error> {
        if text.trim().eq_ignore_ascii_case("never") {
            return Ok(Self(None));
        }
        Period::from_str(text).map(Some).map(Self)
    }

    fn schema() -> Schema {
        json_schema!({ "type": "string", "examples": ["24h", "never"] })
    }
}

impl FromText for Policy {
    fn from_text(text: &str) -> Result<Self, Error> {
        Self::from_str(text)
    }

    fn schema() -> Schema {
        json_schema!({ "type": "string", "examples": ["7 daily, 4 weekly, 12 monthly"] })
    }
}

impl FromText for SourceName {
    fn from_text(text: &str) -> Result<Self, Error> {
        Self::from_str(text)
    }

    fn schema() -> Schema {
        json_schema!({ "type": "string", "pattern": "^[A-Za-z0-9_][A-Za-z0-9_.-]{0,63}$" })
    }
}

impl FromText for ByteSize {
    fn from_text(text: &str) -> Result<Self, Error> {
        let size = Self::from_str(text)?;
        if size.0 == 0 {
            return Err(Error::new(ErrorKind::ConfigInvalid, "parse rate")
                .because("it is zero")
                .hint("Leave the key out for no limit."));
        }
        Ok(size)
    }

    fn schema() -> Schema {
        json_schema!({ "type": "string", "examples": ["50MiB"] })
    }
}

impl FromText for Cron {
    fn from_text(text: &str) -> Result<Self, Error> {
        Self::from_str(text)
    }

    fn schema() -> Schema {
        json_schema!({ "type": "string", "examples": ["0 2 * * *"] })
    }
}

impl FromText for DrillEvery {
    fn from_text(text: &str) -> Result<Self, Error> {
        Self::from_str(text)
    }

    fn schema() -> Schema {
        json_schema!({ "type": "string", "examples": ["snapshot", "weekly", "quarterly", "10d"] })
    }
}

impl FromText for DrillPoint {
    fn from_text(text: &str) -> Result<Self, Error> {
        Self::from_str(text)
    }

    fn schema() -> Schema {
        json_schema!({ "type": "string", "examples": ["latest", "6h"] })
    }
}

impl FromText for Blackout {
    fn from_text(text: &str) -> Result<Self, Error> {
        Self::from_str(text)
    }

    fn schema() -> Schema {
        json_schema!({ "type": "string", "examples": ["mon-fri 08:00-18:00"] })
    }
}

impl FromText for TimeZone {
    fn from_text(text: &str) -> Result<Self, Error> {
        Self::get(text).map_err(|error| {
            Error::new(ErrorKind::ConfigInvalid, "find time zone")
                .because(error)
                .hint("Write a name of the IANA database, such as UTC or Europe/Berlin.")
        })
    }

    fn schema() -> Schema {
        json_schema!({ "type": "string", "examples": ["UTC", "Europe/Berlin"] })
    }
}

macro_rules! from_words {
    ($($type:ty, $what:literal, $table:expr;)*) => {$(
        impl FromText for $type {
            fn from_text(text: &str) -> Result<Self, Error> {
                word($what, text, &$table)
            }

            fn schema() -> Schema {
                let words: Vec<&str> = $table.iter().map(|(word, _)| *word).collect();
                json_schema!({ "type": "string", "enum": words })
            }
        }
    )*};
}

from_words! {
    ProviderKind, "provider", ProviderKind::WORDS;
    SnapshotKind, "mode", MODES;
    PhysicalAccess, "place", PLACES;
    VerifyLevel, "level", LEVELS;
    DeltaMode, "delta mode", DELTA_MODES;
    HookMoment, "moment", HOOK_MOMENTS;
    NotifyKind, "kind of notification", NOTIFY_KINDS;
    Severity, "severity", SEVERITIES;
}
