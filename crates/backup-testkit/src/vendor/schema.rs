//! The schemas of OpenAPI 3.0, as far as vendors use them. A keyword that is not understood is a
//! fault: nothing passes because it was not looked at.

use std::collections::BTreeSet;

use jiff::Timestamp;
use regex::Regex;
use serde_json::{Map, Value};

/// Keywords that say nothing about validity.
const ANNOTATIONS: [&str; 8] = [
    "description",
    "example",
    "deprecated",
    "default",
    "title",
    "readOnly",
    "discriminator",
    "hideDefinitions",
];
const KNOWN: [&str; 23] = [
    "type",
    "nullable",
    "enum",
    "format",
    "pattern",
    "minLength",
    "maxLength",
    "minimum",
    "maximum",
    "exclusiveMinimum",
    "exclusiveMaximum",
    "minItems",
    "maxItems",
    "minProperties",
    "maxProperties",
    "items",
    "properties",
    "required",
    "additionalProperties",
    "allOf",
    "oneOf",
    "anyOf",
    "uniqueItems",
];

/// Follows `$ref`s.
pub(super) fn reference<'a>(document: &'a Value, value: &'a Value) -> &'a Value {
    let mut value = value;
    while let Some(target) = value.get("$ref").and_then(Value::as_str) {
        let found = target.strip_prefix('#').and_then(|pointer| document.pointer(pointer));
        match found {
            Some(found) => value = found,
            None => return &Value::Null,
        }
    }
    value
}

/// Compares values with schemas of one document.
pub(super) struct Judge<'a> {
    document: &'a Value,
}

impl<'a> Judge<'a> {
    pub(super) fn new(document: &'a Value) -> Self {
        Self { document }
    }

    /// Compares a parameter, which is text, with its schema.
    pub(super) fn text(&self, schema: &Value, text: &str, at: &str, faults: &mut Vec<String>) {
        let resolved = reference(self.document, schema);
        let value = match resolved["type"].as_str() {
            // Lists are spelt out: the name once for each value.
            Some("array") => return self.text(&resolved["items"], text, at, faults),
            Some("integer" | "number" | "boolean") => {
                serde_json::from_str(text).unwrap_or_else(|_| text.into())
            }
            _ => Value::from(text),
        };
        self.value(schema, &value, at, faults);
    }

    /// Compares a value with a schema.
    pub(super) fn value(&self, schema: &Value, value: &Value, at: &str, faults: &mut Vec<String>) {
        self.judge(schema, value, at, true, faults);
    }

    /// `closed`: members that the schema does not name are faults here, and not the business of
    /// a schema around it.
    fn judge(
        &self,
        schema: &Value,
        value: &Value,
        at: &str,
        closed: bool,
        faults: &mut Vec<String>,
    ) {
        let schema = reference(self.document, schema);
        let Some(rules) = schema.as_object() else {
            faults.push(format!("{at}: its schema leads nowhere"));
            return;
        };
        for keyword in rules.keys() {
            let known =
                KNOWN.contains(&keyword.as_str()) || ANNOTATIONS.contains(&keyword.as_str());
            if !known && !keyword.starts_with("x-") {
                faults.push(format!("{at}: keyword {keyword} is not understood"));
            }
        }
        if value.is_null() {
            let listed =
                rules.get("enum").and_then(Value::as_array).is_some_and(|all| all.contains(value));
            let told = rules.contains_key("type") || rules.contains_key("enum");
            if told && rules.get("nullable") != Some(&Value::Bool(true)) && !listed {
                faults.push(format!("{at}: is null"));
            }
            return;
        }
        if let Some(all) = rules.get("enum").and_then(Value::as_array)
            && !all.contains(value)
        {
            faults.push(format!("{at}: {value} is none of {}", Value::from(all.clone())));
        }
        self.kind(rules, value, at, faults);
        match value {
            Value::String(text) => strings(rules, text, at, faults),
            Value::Number(_) => numbers(rules, value, at, faults),
            Value::Array(items) => {
                count(rules, "minItems", "maxItems", items.len(), at, faults);
                if let Some(schema) = rules.get("items") {
                    for (position, item) in items.iter().enumerate() {
                        self.judge(schema, item, &format!("{at}/{position}"), true, faults);
                    }
                }
            }
            Value::Object(members) => self.members(schema, rules, members, at, closed, faults),
            _ => {}
        }
        self.combined(rules, value, at, faults);
    }

    fn kind(&self, rules: &Map<String, Value>, value: &Value, at: &str, faults: &mut Vec<String>) {
        let Some(wanted) = rules.get("type").and_then(Value::as_str) else { return };
        let fits = match wanted {
            "string" => value.is_string(),
            "integer" => value.is_i64() || value.is_u64(),
            "number" => value.is_number(),
            "boolean" => value.is_boolean(),
            "array" => value.is_array(),
            "object" => value.is_object(),
            _ => false,
        };
        if !fits {
            faults.push(format!("{at}: {value} is no {wanted}"));
        }
    }

    fn members(
        &self,
        schema: &Value,
        rules: &Map<String, Value>,
        members: &Map<String, Value>,
        at: &str,
        closed: bool,
        faults: &mut Vec<String>,
    ) {
        count(rules, "minProperties", "maxProperties", members.len(), at, faults);
        for name in rules
            .get("required")
            .and_then(Value::as_array)
            .into_iter()
            .flatten()
            .filter_map(Value::as_str)
        {
            if !members.contains_key(name) {
                faults.push(format!("{at}: {name} is missing"));
            }
        }
        let properties = rules.get("properties").and_then(Value::as_object);
        for (name, member) in members {
            let at = format!("{at}/{name}");
            if let Some(schema) = properties.and_then(|properties| properties.get(name)) {
                self.judge(schema, member, &at, true, faults);
            } else if let Some(schema @ Value::Object(_)) = rules.get("additionalProperties") {
                self.judge(schema, member, &at, true, faults);
            }
        }
        if !closed {
            return;
        }
        let mut names = BTreeSet::new();
        if self.declared(schema, &mut names) {
            for name in members.keys().filter(|name| !names.contains(name.as_str())) {
                faults.push(format!("{at}: {name} is not known"));
            }
        }
    }

    /// Collects the names that a schema declares; `false` where any name is welcome.
    fn declared<'s>(&'s self, schema: &'s Value, names: &mut BTreeSet<&'s str>) -> bool {
        let schema = reference(self.document, schema);
        if matches!(schema.get("additionalProperties"), Some(Value::Bool(true) | Value::Object(_)))
        {
            return false;
        }
        let own = schema.get("properties").and_then(Value::as_object);
        names.extend(own.into_iter().flatten().map(|(name, _)| name.as_str()));
        let parts =
            ["allOf", "oneOf", "anyOf"].into_iter().filter_map(|key| schema.get(key)?.as_array());
        let mut closed = own.is_some() || schema.get("additionalProperties").is_some();
        for part in parts.flatten() {
            closed |= self.declared(part, names);
        }
        closed
    }

    fn combined(
        &self,
        rules: &Map<String, Value>,
        value: &Value,
        at: &str,
        faults: &mut Vec<String>,
    ) {
        let list = |key: &str| rules.get(key).and_then(Value::as_array);
        for part in list("allOf").into_iter().flatten() {
            self.judge(part, value, at, false, faults);
        }
        // Shapes that overlap are told apart by their discriminator only: one that fits will do.
        for key in ["oneOf", "anyOf"] {
            let Some(parts) = list(key) else { continue };
            let fits = parts.iter().any(|part| {
                let mut inner = Vec::new();
                self.judge(part, value, at, false, &mut inner);
                inner.is_empty()
            });
            if !fits {
                faults.push(format!("{at}: fits none of {key}"));
            }
        }
    }
}

fn strings(rules: &Map<String, Value>, text: &str, at: &str, faults: &mut Vec<String>) {
    count(rules, "minLength", "maxLength", text.chars().count(), at, faults);
    if let Some(pattern) = rules.get("pattern").and_then(Value::as_str) {
        match Regex::new(pattern) {
            Ok(regex) if regex.is_match(text) => {}
            Ok(_) => faults.push(format!("{at}: {text:?} does not fit {pattern}")),
            Err(_) => faults.push(format!("{at}: pattern {pattern} is not understood")),
        }
    }
    let fits = match rules.get("format").and_then(Value::as_str) {
        Some("date-time") => text.parse::<Timestamp>().is_ok(),
        Some("uuid") => is_uuid(text),
        Some("uri") => text.contains("://"),
        Some("email") => text.contains('@'),
        _ => true,
    };
    if !fits {
        faults.push(format!("{at}: {text:?} is no {}", rules["format"]));
    }
}

fn is_uuid(text: &str) -> bool {
    let lengths: Vec<usize> = text.split('-').map(str::len).collect();
    lengths == [8, 4, 4, 4, 12] && text.chars().all(|c| c == '-' || c.is_ascii_hexdigit())
}

fn numbers(rules: &Map<String, Value>, value: &Value, at: &str, faults: &mut Vec<String>) {
    let number = value.as_f64().unwrap_or_default();
    let bound = |key: &str| rules.get(key).and_then(Value::as_f64);
    let strict = |key: &str| rules.get(key) == Some(&Value::Bool(true));
    let low = bound("minimum")
        .is_some_and(|least| number < least || (strict("exclusiveMinimum") && number == least));
    let high = bound("maximum")
        .is_some_and(|most| number > most || (strict("exclusiveMaximum") && number == most));
    if low || high {
        faults.push(format!("{at}: {value} is out of bounds"));
    }
    if rules.get("format").and_then(Value::as_str) == Some("int32")
        && number.abs() > f64::from(i32::MAX)
    {
        faults.push(format!("{at}: {value} is no int32"));
    }
}

fn count(
    rules: &Map<String, Value>,
    least: &str,
    most: &str,
    count: usize,
    at: &str,
    faults: &mut Vec<String>,
) {
    let bound = |key: &str| rules.get(key).and_then(Value::as_u64);
    let count = count as u64;
    if bound(least).is_some_and(|least| count < least)
        || bound(most).is_some_and(|most| count > most)
    {
        faults.push(format!("{at}: its length {count} is out of bounds"));
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn faults(schema: &Value, value: &Value) -> Vec<String> {
        let document = json!({ "s": { "type": "object", "required": ["id"], "properties": { "id": { "type": "integer" } } } });
        let mut faults = Vec::new();
        Judge::new(&document).value(schema, value, "v", &mut faults);
        faults
    }

    #[test]
    fn finds_every_sort_of_fault_and_nothing_else() {
        let time = json!({ "type": "string", "format": "date-time" });
        let branch = json!({ "type": "object", "properties": {
            "name": { "type": "string", "minLength": 1, "pattern": "^[a-z-]+$" },
            "at": time, "size": { "type": "integer", "minimum": 1, "format": "int64" },
            "kind": { "type": "string", "enum": ["a", "b"], "nullable": true } } });
        for good in [
            json!({}),
            json!({ "name": "a-b", "at": "2026-01-01T00:00:00Z", "size": 1, "kind": null }),
        ] {
            assert_eq!(faults(&branch, &good), Vec::<String>::new());
        }
        for bad in [
            json!([]),
            json!({ "nam": "a" }),
            json!({ "name": "" }),
            json!({ "name": "A" }),
            json!({ "name": 1 }),
            json!({ "name": null }),
            json!({ "at": "yesterday" }),
            json!({ "size": 0 }),
            json!({ "size": 1.5 }),
            json!({ "kind": "c" }),
        ] {
            assert_ne!(faults(&branch, &bad), Vec::<String>::new(), "{bad}");
        }
        let both = json!({ "allOf": [{ "$ref": "#/s" }, { "type": "object", "properties": { "x": {} } }] });
        assert_eq!(faults(&both, &json!({ "id": 1, "x": [] })), Vec::<String>::new());
        assert_eq!(faults(&both, &json!({ "id": 1, "y": 0 })), ["v: y is not known"]);
        assert_eq!(faults(&both, &json!({})), ["v: id is missing"]);
        let either = json!({ "oneOf": [{ "type": "string" }, { "type": "integer" }] });
        assert_eq!(faults(&either, &json!(1)), Vec::<String>::new());
        assert_eq!(faults(&either, &json!([])), ["v: fits none of oneOf"]);
        assert_eq!(faults(&json!({ "if": {} }), &json!(1)), ["v: keyword if is not understood"]);
        assert_eq!(
            faults(&json!({ "$ref": "#/none" }), &json!(1)),
            ["v: its schema leads nowhere"]
        );
    }
}
