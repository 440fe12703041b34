//! A request whose parameters were checked.

use std::collections::BTreeMap;

use backup_core::{SnapshotId, SourceName};
use bytes::Bytes;
use http::HeaderMap;
use http::header::CONTENT_TYPE;
use percent_encoding::percent_decode_str;
use serde::de::DeserializeOwned;

use super::{Operation, Parameter, ParameterKind, Place, Problem, Refused};
use crate::guard::{Caller, Peer};

/// A request whose parameters were checked.
pub(crate) struct Call {
    pub(crate) caller: Caller,
    pub(crate) peer: Peer,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,

    values: BTreeMap<&'static str, Value>,
}

enum Value {
    Text(String),
    Source(SourceName),
    Snapshot(SnapshotId),
    Number(u64),
    Flag(bool),
}

impl Call {
    /// Checks what was given against what the operation takes.
    pub(crate) fn new(
        operation: &Operation,
        segments: &[(&'static str, &str)],
        query: &str,
        caller: Caller,
        peer: Peer,
        headers: HeaderMap,
    ) -> Result<Self, Refused> {
        let mut values = BTreeMap::new();
        for (name, raw) in segments {
            let parameter = operation.parameters.iter().find(|known| known.name == *name);
            // A path that names what the table does not is a mistake of ours: nothing is there.
            let parameter = parameter.ok_or_else(Problem::not_found)?;
            values.insert(*name, parse(parameter, &decode(raw)?)?);
        }
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            let (name, raw) = pair.split_once('=').unwrap_or((pair, ""));
            let name = decode(name)?;
            let parameter = operation
                .parameters
                .iter()
                .find(|known| known.place == Place::Query && known.name == name)
                .ok_or_else(|| unknown(operation, &name))?;
            let value = parse(parameter, &decode(raw)?)?;
            if values.insert(parameter.name, value).is_some() {
                return Err(Problem::bad_request(format!("`{}` is given twice", parameter.name)));
            }
        }
        for parameter in operation.parameters {
            if let ParameterKind::Number { usual, .. } = parameter.kind {
                values.entry(parameter.name).or_insert(Value::Number(usual));
            }
        }
        Ok(Self { caller, peer, headers, body: Bytes::new(), values })
    }

    /// Returns the words of the path, for the audit record.
    pub(crate) fn object(&self) -> String {
        let mut words = Vec::new();
        for (name, value) in &self.values {
            match value {
                Value::Source(source) => words.push(source.to_string()),
                Value::Snapshot(snapshot) => words.push(snapshot.to_string()),
                Value::Text(text) => words.push(format!("{name}={text}")),
                Value::Number(_) | Value::Flag(_) => {}
            }
        }
        words.join(" ")
    }

    pub(crate) fn source(&self) -> Option<SourceName> {
        match self.values.get("source") {
            Some(Value::Source(source)) => Some(source.clone()),
            _ => None,
        }
    }

    pub(crate) fn snapshot(&self) -> Option<SnapshotId> {
        match self.values.get("snapshot") {
            Some(Value::Snapshot(id)) => Some(*id),
            _ => None,
        }
    }

    pub(crate) fn text(&self, name: &str) -> Option<&str> {
        match self.values.get(name) {
            Some(Value::Text(text)) => Some(text),
            _ => None,
        }
    }

    pub(crate) fn number(&self, name: &str) -> u64 {
        match self.values.get(name) {
            Some(Value::Number(number)) => *number,
            _ => 0,
        }
    }

    pub(crate) fn flag(&self, name: &str) -> bool {
        matches!(self.values.get(name), Some(Value::Flag(true)))
    }

    /// Reads the body as JSON.
    pub(crate) fn json<T: DeserializeOwned>(&self) -> Result<T, Refused> {
        let media = self.headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
        let media = media.and_then(|media| media.split(';').next()).map(str::trim);
        if !media.is_some_and(|media| media.eq_ignore_ascii_case("application/json")) {
            return Err(Problem::new(
                http::StatusCode::UNSUPPORTED_MEDIA_TYPE,
                "usage",
                "the body must be JSON",
            )
            .hint("Send `Content-Type: application/json`."));
        }
        serde_json::from_slice(&self.body)
            .map_err(|error| Problem::bad_request(format!("read the body: {error}")))
    }

    /// Reads one field of a form a browser sent.
    pub(crate) fn form(&self, name: &str) -> Option<String> {
        let body = std::str::from_utf8(&self.body).ok()?;
        let pairs = body.split('&').filter_map(|pair| pair.split_once('='));
        let (_, raw) = pairs.into_iter().find(|(key, _)| *key == name)?;
        decode(&raw.replace('+', " ")).ok()
    }
}

fn unknown(operation: &Operation, name: &str) -> Refused {
    let known: Vec<_> = operation
        .parameters
        .iter()
        .filter(|parameter| parameter.place == Place::Query)
        .map(|parameter| parameter.name)
        .collect();
    let problem = Problem::bad_request(format!("`{}` is not known here", name.escape_debug()));
    match known.is_empty() {
        true => problem.hint("This address takes no parameters."),
        false => problem.hint(format!("It takes: {}.", known.join(", "))),
    }
}

fn parse(parameter: &Parameter, text: &str) -> Result<Value, Refused> {
    let wrong = |what: &str| Problem::bad_request(format!("`{}` must be {what}", parameter.name));
    let is_id = |text: &str| {
        (1..=64).contains(&text.len())
            && text
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_' || b == b'.')
    };
    Ok(match &parameter.kind {
        ParameterKind::Source => Value::Source(text.parse().map_err(|_| wrong("a source's name"))?),
        ParameterKind::Snapshot => Value::Snapshot(
            text.parse().map_err(|_| wrong("a snapshot's id, 32 hexadecimal digits"))?,
        ),
        ParameterKind::Id if is_id(text) => Value::Text(text.to_owned()),
        ParameterKind::Id => {
            return Err(wrong("1 to 64 letters, digits, '-', '_' or '.'"));
        }
        ParameterKind::Number { most, .. } => {
            let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
            let number = text.parse().ok().filter(|number| digits && *number <= *most);
            Value::Number(number.ok_or_else(|| wrong(&format!("a number from 0 to {most}")))?)
        }
        ParameterKind::Word(words) => match words.iter().find(|word| **word == text) {
            Some(word) => Value::Text((*word).to_owned()),
            None => return Err(wrong(&format!("one of {}", words.join(", ")))),
        },
        ParameterKind::Text(most) => {
            if text.chars().count() > *most || text.chars().any(char::is_control) {
                return Err(wrong(&format!(
                    "at most {most} characters without control characters"
                )));
            }
            Value::Text(text.to_owned())
        }
        ParameterKind::Local if is_local(text) => Value::Text(text.to_owned()),
        ParameterKind::Local => return Err(wrong("an address on this server")),
        ParameterKind::Flag => match text {
            "" | "true" | "1" => Value::Flag(true),
            "false" | "0" => Value::Flag(false),
            _ => return Err(wrong("true or false")),
        },
    })
}

/// Returns whether an address leads nowhere but to this server.
pub(crate) fn is_local(text: &str) -> bool {
    text.len() <= 512
        && text.starts_with('/')
        && !text.starts_with("//")
        && text.bytes().all(|b| b.is_ascii_graphic() && b != b'\\')
}

fn decode(raw: &str) -> Result<String, Refused> {
    let text = percent_decode_str(raw).decode_utf8();
    Ok(text.map_err(|_| Problem::bad_request("the address is not UTF-8"))?.into_owned())
}
