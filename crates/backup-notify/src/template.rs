//! Bodies of a shape that the receiver wants.

use backup_core::port::Alert;
use backup_core::{Error, ErrorKind, Result};
use serde_json::{Map, Value};

use crate::text::headline;

const NAMES: [&str; 10] =
    ["severity", "event", "source", "title", "body", "at", "problem", "phase", "headline", "facts"];

/// A JSON document in whose strings `{{name}}` stands for a part of the alert.
///
/// It is JSON before anything is filled in, so nothing an alert says can break out of its
/// string. Known are `severity`, `event`, `source`, `title`, `body`, `at`, `problem`, `phase`,
/// `headline` (`[CRITICAL] title`) and `facts.NAME`; what an alert does not have is empty. A
/// string that is nothing but `{{facts}}` becomes the object of all facts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Template(Value);

impl Template {
    /// Reads a template; fails with `ConfigInvalid` when it is no JSON, or names something that
    /// no alert has.
    pub fn parse(text: &str) -> Result<Self> {
        let value: Value = serde_json::from_str(text).map_err(|error| {
            unusable(error.to_string()).hint(
                "Write JSON, with the places to fill in inside of strings: \
                 {\"text\": \"{{headline}}\"}.",
            )
        })?;
        check(&value)?;
        Ok(Self(value))
    }

    /// Fills it in.
    pub(crate) fn render(&self, alert: &Alert) -> Value {
        fill(&self.0, alert)
    }
}

fn check(value: &Value) -> Result<()> {
    match value {
        Value::String(text) => match pieces(text) {
            Ok(pieces) => pieces.into_iter().try_for_each(|piece| match piece {
                Piece::Place(name) => known(name),
                Piece::Text(_) => Ok(()),
            }),
            Err(reason) => Err(unusable(reason).hint("Close every {{ with }}.")),
        },
        Value::Array(items) => items.iter().try_for_each(check),
        Value::Object(fields) => fields.values().try_for_each(check),
        _ => Ok(()),
    }
}

fn known(name: &str) -> Result<()> {
    if NAMES.contains(&name) || name.strip_prefix("facts.").is_some_and(|fact| !fact.is_empty()) {
        return Ok(());
    }
    Err(unusable(format!("no alert has '{name}'"))
        .hint(format!("Known are {} and facts.NAME.", NAMES.join(", "))))
}

enum Piece<'a> {
    Text(&'a str),
    Place(&'a str),
}

fn pieces(text: &str) -> Result<Vec<Piece<'_>>, String> {
    let mut pieces = Vec::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("{{") {
        let Some((name, next)) = after.split_once("}}") else {
            return Err("a {{ is never closed".to_owned());
        };
        pieces.extend([Piece::Text(before), Piece::Place(name.trim())]);
        rest = next;
    }
    pieces.push(Piece::Text(rest));
    Ok(pieces)
}

fn fill(value: &Value, alert: &Alert) -> Value {
    match value {
        Value::String(text) if text.trim() == "{{facts}}" => facts(alert).into(),
        Value::String(text) => {
            let pieces = pieces(text).unwrap_or_default();
            let filled = pieces.into_iter().map(|piece| match piece {
                Piece::Text(text) => text.to_owned(),
                Piece::Place(name) => part(alert, name),
            });
            Value::String(filled.collect())
        }
        Value::Array(items) => items.iter().map(|item| fill(item, alert)).collect(),
        Value::Object(fields) => {
            fields.iter().map(|(name, value)| (name.clone(), fill(value, alert))).collect()
        }
        other => other.clone(),
    }
}

fn part(alert: &Alert, name: &str) -> String {
    match name {
        "severity" => alert.severity.as_str().to_owned(),
        "event" => alert.event.clone(),
        "source" => alert.source.clone().unwrap_or_default(),
        "title" => alert.title.clone(),
        "body" => alert.body.clone(),
        "at" => alert.at.to_string(),
        "problem" => alert.problem.clone().unwrap_or_default(),
        "phase" => alert.phase.as_str().to_owned(),
        "headline" => headline(alert),
        "facts" => Value::from(facts(alert)).to_string(),
        _ => name.strip_prefix("facts.").and_then(|fact| find(alert, fact)).unwrap_or_default(),
    }
}

fn find(alert: &Alert, fact: &str) -> Option<String> {
    alert.facts.iter().find(|(name, _)| name == fact).map(|(_, value)| value.clone())
}

/// Returns the facts as an object.
pub(crate) fn facts(alert: &Alert) -> Map<String, Value> {
    alert.facts.iter().map(|(name, value)| (name.clone(), value.clone().into())).collect()
}

fn unusable(reason: String) -> Error {
    Error::new(ErrorKind::ConfigInvalid, "use webhook template").because(reason)
}

#[cfg(test)]
mod tests {
    use super::*;
    use backup_core::Severity;
    use backup_core::port::Phase;
    use serde_json::json;

    fn alert() -> Alert {
        Alert {
            severity: Severity::Critical,
            event: "backup.failed".into(),
            source: None,
            title: "a \"quoted\" title\\".into(),
            body: "two\nlines, {{event}}\u{0}".into(),
            at: "2026-01-01T00:00:00Z".parse().unwrap(),
            facts: vec![("exit_code".into(), "3".into())],
            problem: Some("backup".into()),
            phase: Phase::Open,
        }
    }

    #[test]
    fn fills_strings_in_and_nothing_breaks_out_of_them() {
        let template = Template::parse(
            r#"{"text": "{{ headline }}", "b": ["{{body}}", 3, null],
                "code": "exit {{facts.exit_code}}{{facts.none}}", "all": "{{facts}}",
                "of": "<{{source}}>"}"#,
        );
        let value = template.unwrap().render(&alert());
        assert_eq!(
            value,
            json!({
                "text": "[CRITICAL] a \"quoted\" title\\",
                "b": ["two\nlines, {{event}}\u{0}", 3, null],
                "code": "exit 3",
                "all": {"exit_code": "3"},
                "of": "<>",
            })
        );
        let text = value.to_string();
        assert_eq!(serde_json::from_str::<Value>(&text).unwrap(), value);
    }

    #[test]
    fn refuses_what_cannot_be_filled_in() {
        for (text, reason) in [
            ("{\"a\": {{title}}}", "key must be a string"),
            ("{\"a\": \"{{titel}}\"}", "no alert has 'titel'"),
            ("[\"{{facts.}}\"]", "no alert has"),
            ("[\"{{title\"]", "never closed"),
            ("", "EOF"),
        ] {
            let error = Template::parse(text).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::ConfigInvalid);
            assert!(error.to_string().contains(reason), "{error}");
            assert!(error.remedy().is_some());
        }
    }
}
