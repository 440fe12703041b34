//! Checks values against the schemas of the description: strictly, what a schema does not name
//! may not be there, and a keyword that is not known here is a failure.

use serde_json::Value;

/// Returns what is wrong with `value`, by place.
pub(crate) fn check(document: &Value, schema: &Value, value: &Value) -> Vec<String> {
    let mut wrong = Vec::new();
    look(document, schema, value, "$", &mut wrong);
    wrong
}

fn look(document: &Value, schema: &Value, value: &Value, place: &str, wrong: &mut Vec<String>) {
    let Some(keywords) = schema.as_object() else {
        if schema != &Value::Bool(true) {
            wrong.push(format!("{place}: no schema"));
        }
        return;
    };
    for (keyword, wanted) in keywords {
        let good = match keyword.as_str() {
            "$ref" => {
                let pointer = wanted.as_str().unwrap().trim_start_matches('#');
                let target = document.pointer(pointer).unwrap_or_else(|| panic!("{wanted}"));
                look(document, target, value, place, wrong);
                true
            }
            "type" => match wanted {
                Value::Array(kinds) => kinds.iter().any(|kind| is(kind, value)),
                kind => is(kind, value),
            },
            "enum" => wanted.as_array().unwrap().contains(value),
            "const" => wanted == value,
            "minimum" => value.as_f64().is_none_or(|n| n >= wanted.as_f64().unwrap()),
            "maximum" => value.as_f64().is_none_or(|n| n <= wanted.as_f64().unwrap()),
            "required" => value.as_object().is_none_or(|object| {
                wanted
                    .as_array()
                    .unwrap()
                    .iter()
                    .all(|name| object.contains_key(name.as_str().unwrap()))
            }),
            "properties" => {
                for (name, inner) in value.as_object().into_iter().flatten() {
                    match wanted.get(name) {
                        Some(schema) => {
                            look(document, schema, inner, &format!("{place}.{name}"), wrong);
                        }
                        None => wrong.push(format!("{place}.{name} is not described")),
                    }
                }
                true
            }
            "additionalProperties" => {
                if keywords.get("properties").is_none() {
                    for (name, inner) in value.as_object().into_iter().flatten() {
                        look(document, wanted, inner, &format!("{place}.{name}"), wrong);
                    }
                }
                true
            }
            "items" => {
                for (number, inner) in value.as_array().into_iter().flatten().enumerate() {
                    look(document, wanted, inner, &format!("{place}[{number}]"), wrong);
                }
                true
            }
            "anyOf" | "oneOf" => wanted.as_array().unwrap().iter().any(|one| {
                let mut inner = Vec::new();
                look(document, one, value, place, &mut inner);
                inner.is_empty()
            }),
            "format" => match wanted.as_str().unwrap() {
                "date-time" => value.as_str().is_none_or(|s| s.parse::<jiff::Timestamp>().is_ok()),
                "date" => value.as_str().is_none_or(|s| s.parse::<jiff::civil::Date>().is_ok()),
                "uint64" | "uint32" | "uint16" | "double" => true,
                other => panic!("format {other}"),
            },
            "description" | "title" | "default" | "pattern" | "minLength" | "maxLength" => true,
            other => panic!("keyword {other} at {place}"),
        };
        if !good {
            wrong.push(format!("{place}: {keyword} {wanted} does not fit {value}"));
        }
    }
}

fn is(kind: &Value, value: &Value) -> bool {
    match kind.as_str().unwrap() {
        "null" => value.is_null(),
        "boolean" => value.is_boolean(),
        "string" => value.is_string(),
        "number" => value.is_number(),
        "integer" => value.is_u64() || value.is_i64(),
        "array" => value.is_array(),
        "object" => value.is_object(),
        other => panic!("type {other}"),
    }
}

#[test]
fn it_finds_what_is_wrong() {
    let schema: Value = serde_json::json!({
        "type": "object",
        "properties": { "a": { "type": ["integer", "null"], "minimum": 0 } },
        "required": ["a"],
    });
    let look = |value: Value| check(&Value::Null, &schema, &value).len();
    assert_eq!(look(serde_json::json!({ "a": 1 })), 0);
    assert_eq!(look(serde_json::json!({ "a": null })), 0);
    for bad in ["{\"a\":-1}", "{\"a\":\"1\"}", "{}", "{\"a\":1,\"b\":2}", "[]"] {
        assert!(look(serde_json::from_str(bad).unwrap()) > 0, "{bad}");
    }
}
