//! Documents against the published schemas: as much of JSON Schema as those use.

use std::path::Path;

use serde_json::Value;

/// Fails unless the document fits the schema in `docs/schemas` that its `schema` field names.
#[track_caller]
pub(crate) fn check(document: &Value) {
    let name = document["schema"].as_str().expect("every document names its schema");
    let verb = name.strip_prefix("backupctl.").and_then(|name| name.strip_suffix(".v1")).unwrap();
    let schema = [verb, alias(verb)]
        .iter()
        .find_map(|name| std::fs::read_to_string(folder().join(format!("{name}.v1.json"))).ok())
        .unwrap_or_else(|| panic!("docs/schemas has nothing for {name}"));
    let schema: Value = serde_json::from_str(&schema).unwrap();
    let mut wrong = Vec::new();
    fits(document, &schema, &schema, "$", &mut wrong);
    assert!(wrong.is_empty(), "{name}: {wrong:#?}\n{document:#}");
}

pub(crate) fn folder() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/schemas")
}

fn alias(verb: &str) -> &str {
    match verb {
        "validate" => "doctor",
        _ => "receipt",
    }
}

fn fits(value: &Value, schema: &Value, root: &Value, at: &str, wrong: &mut Vec<String>) {
    if let Some(name) = schema["$ref"].as_str() {
        let target = root.pointer(name.trim_start_matches('#')).expect("a $ref leads somewhere");
        fits(value, target, root, at, wrong);
    }
    if let Some(any) = schema["anyOf"].as_array().or(schema["oneOf"].as_array()) {
        let fitting = any.iter().any(|one| {
            let mut inner = Vec::new();
            fits(value, one, root, at, &mut inner);
            inner.is_empty()
        });
        if !fitting {
            wrong.push(format!("{at}: fits none of {any:?}"));
        }
    }
    let types: Vec<&str> = match &schema["type"] {
        Value::String(one) => vec![one],
        Value::Array(many) => many.iter().filter_map(Value::as_str).collect(),
        _ => Vec::new(),
    };
    if !types.is_empty() && !types.iter().any(|name| is(value, name)) {
        wrong.push(format!("{at}: {value} is not {types:?}"));
    }
    if !schema["const"].is_null() && schema["const"] != *value {
        wrong.push(format!("{at}: {value} is not {}", schema["const"]));
    }
    if let Some(allowed) = schema["enum"].as_array()
        && !allowed.contains(value)
    {
        wrong.push(format!("{at}: {value} is not one of {allowed:?}"));
    }
    if schema["format"] == "date-time"
        && let Some(text) = value.as_str()
        && (text.parse::<jiff::Timestamp>().is_err() || !text.ends_with('Z'))
    {
        wrong.push(format!("{at}: {text} is no time in UTC"));
    }
    if let Some(object) = value.as_object() {
        for name in schema["required"].as_array().into_iter().flatten() {
            if !object.contains_key(name.as_str().unwrap()) {
                wrong.push(format!("{at}: {name} is missing"));
            }
        }
        for (name, value) in object {
            let property = &schema["properties"][name];
            if !property.is_null() {
                fits(value, property, root, &format!("{at}.{name}"), wrong);
            } else if schema["additionalProperties"].is_object() {
                let other = &schema["additionalProperties"];
                fits(value, other, root, &format!("{at}.{name}"), wrong);
            } else if schema["properties"].is_object() {
                wrong.push(format!("{at}: {name} is in no schema"));
            }
        }
    }
    for (position, item) in value.as_array().into_iter().flatten().enumerate() {
        if schema["items"].is_object() {
            fits(item, &schema["items"], root, &format!("{at}[{position}]"), wrong);
        }
    }
}

fn is(value: &Value, name: &str) -> bool {
    match name {
        "null" => value.is_null(),
        "boolean" => value.is_boolean(),
        "integer" => value.is_u64() || value.is_i64(),
        "number" => value.is_number(),
        "string" => value.is_string(),
        "array" => value.is_array(),
        "object" => value.is_object(),
        _ => false,
    }
}

#[test]
fn a_document_that_does_not_fit_is_found() {
    let schema: Value = serde_json::json!({
        "type": "object",
        "required": ["a"],
        "properties": {"a": {"type": "integer"}, "b": {"anyOf": [{"type": "null"}, {"$ref": "#/$defs/x"}]}},
        "$defs": {"x": {"type": "string", "enum": ["y"]}},
    });
    let wrong = |document: Value| {
        let mut wrong = Vec::new();
        fits(&document, &schema, &schema, "$", &mut wrong);
        wrong.len()
    };
    assert_eq!(wrong(serde_json::json!({"a": 1, "b": "y"})), 0);
    assert_eq!(wrong(serde_json::json!({"a": 1, "b": null})), 0);
    assert_eq!(wrong(serde_json::json!({"a": 1, "b": "z"})), 1);
    assert_eq!(wrong(serde_json::json!({"a": "1"})), 1);
    assert_eq!(wrong(serde_json::json!({"c": 1})), 2);
}
