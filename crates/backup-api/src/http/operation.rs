//! One thing that can be asked: its address, its parameters, its answers, and who may.
//!
//! The router, the checks and the served description are all made from this, so that none of
//! them can say anything the others do not.

use std::sync::Arc;

use futures::future::BoxFuture;
use schemars::{JsonSchema, Schema, SchemaGenerator};

use super::{App, Call, Refused, Reply};
use crate::port::Role;

/// What makes an answer.
pub(crate) type Handling = fn(Arc<App>, Call) -> BoxFuture<'static, Result<Reply, Refused>>;

/// Writes a handler down where a constant is needed.
macro_rules! handler {
    ($path:path) => {
        |app, call| Box::pin($path(app, call))
    };
}
pub(crate) use handler;

/// The same for an answer that needs no waiting.
macro_rules! at_once {
    ($path:path) => {
        |app, call| Box::pin(std::future::ready($path(&app, &call)))
    };
}
pub(crate) use at_once;

/// One thing that can be asked.
#[derive(Clone, Copy)]
pub(crate) struct Operation {
    /// Its name: in the description, the audit record and the metrics.
    pub(crate) id: &'static str,
    pub(crate) method: Verb,
    /// Its address; `{name}` stands for one segment.
    pub(crate) path: &'static str,
    pub(crate) needs: Needs,
    pub(crate) recorded: Recorded,
    /// One sentence.
    pub(crate) summary: &'static str,
    pub(crate) parameters: &'static [Parameter],
    /// The schema of the body, where there is one.
    pub(crate) body: Option<SchemaOf>,
    /// What comes back when it works.
    pub(crate) answers: &'static [Answer],
    pub(crate) handling: Handling,
}

/// How it is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verb {
    Get,
    Post,
    Delete,
}

impl Verb {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Post => "POST",
            Self::Delete => "DELETE",
        }
    }
}

/// Makes a schema and names its definition.
pub(crate) type SchemaOf = fn(&mut SchemaGenerator) -> Schema;

/// Returns what makes the schema of a type.
pub(crate) const fn schema_of<T: JsonSchema>() -> SchemaOf {
    |generator| generator.subschema_for::<T>()
}

/// Who may.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Needs {
    /// Everybody.
    Nothing,
    /// At least this role.
    Role(Role),
}

/// What the audit record says of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Recorded {
    /// Nothing: it shows no data of anybody.
    No,
    /// That it was read; the same reader reading the same again within minutes is one entry.
    Read,
    /// Each time, before it is carried out; and that it failed, if it did.
    Change,
}

/// One parameter.
pub(crate) struct Parameter {
    pub(crate) name: &'static str,
    pub(crate) place: Place,
    pub(crate) kind: ParameterKind,
    pub(crate) summary: &'static str,
}

/// Where a parameter stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    Path,
    Query,
}

/// What a parameter may be.
pub(crate) enum ParameterKind {
    /// A source's name.
    Source,
    /// A snapshot's id, in full.
    Snapshot,
    /// The id of a run or a token.
    Id,
    /// A number from 0 to `most`, `usual` when absent.
    Number { usual: u64, most: u64 },
    /// One of these words.
    Word(&'static [&'static str]),
    /// Any text of at most so many characters, without control characters.
    Text(usize),
    /// There or not, without a value (or `true`, `false`).
    Flag,
    /// An address on this server.
    Local,
}

/// One answer that means it worked.
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) summary: &'static str,
    pub(crate) content: Content,
}

/// What an answer holds.
pub(crate) enum Content {
    /// JSON of this schema.
    Json(SchemaOf),
    /// Something else of this media type.
    Other(&'static str),
    /// Server-sent events, each with JSON of this schema.
    Events(SchemaOf),
    /// Nothing.
    Empty,
}

impl Operation {
    /// Returns the values of the path's names when the segments fit.
    pub(crate) fn fit<'a>(&self, path: &'a str) -> Option<Vec<(&'static str, &'a str)>> {
        let mut values = Vec::new();
        let mut given = path.split('/');
        for wanted in self.path.split('/') {
            let segment = given.next()?;
            match wanted.strip_prefix('{').and_then(|name| name.strip_suffix('}')) {
                Some(name) if !segment.is_empty() => values.push((name, segment)),
                Some(_) => return None,
                None if wanted == segment => {}
                None => return None,
            }
        }
        given.next().is_none().then_some(values)
    }
}
