//! Which keys there are: the JSON Schema, and what differs from it.

use std::ops::Range;

use schemars::schema_for;
use serde_json::{Map, Value};
use toml::de::{DeTable, DeValue};

use super::raw::RawFile;
use crate::nearest::nearest;

/// Returns the JSON Schema (draft 2020-12) of `backup.toml`.
#[must_use]
pub fn schema() -> Value {
    schema_for!(RawFile).to_value()
}

/// A key that nobody knows.
pub(super) struct UnknownKey {
    pub(super) span: Range<usize>,
    pub(super) path: String,
    pub(super) nearest: Option<String>,
    pub(super) known: Vec<String>,
}

/// Returns the first unknown key of a file.
pub(super) fn find_unknown(table: &DeTable<'_>) -> Option<UnknownKey> {
    let schema = schema();
    let mut unknown = Vec::new();
    Walk { root: &schema }.check(table, &schema, "", &mut unknown);
    unknown.into_iter().min_by_key(|key| key.span.start)
}

/// One key, for the reference.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct KeyDescription {
    /// Its path: `repository.url`, `source[].name`.
    pub(crate) path: String,
    /// What it means.
    pub(crate) text: String,
    /// `text`, `number`, `true/false`, `table`.
    pub(crate) kind: &'static str,
    /// Whether it may be given as a reference to a secret.
    pub(crate) secret: bool,
}

/// Returns every key of the file that holds a value.
pub(crate) fn describe() -> Vec<KeyDescription> {
    let schema = schema();
    let mut keys = Vec::new();
    Walk { root: &schema }.describe(&schema, "", &mut keys);
    keys
}

struct Walk<'a> {
    root: &'a Value,
}

impl Walk<'_> {
    fn check(&self, table: &DeTable<'_>, schema: &Value, path: &str, out: &mut Vec<UnknownKey>) {
        let Some(properties) = properties(self.resolve(schema)) else { return };
        for (key, value) in table.iter() {
            let name: &str = key.get_ref();
            let path = join(path, name);
            let Some(inner) = properties.get(name) else {
                let known: Vec<String> = properties.keys().cloned().collect();
                out.push(UnknownKey {
                    span: key.span(),
                    path,
                    nearest: nearest(name, known.iter().map(String::as_str)).map(str::to_owned),
                    known,
                });
                continue;
            };
            let inner = self.resolve(inner);
            match value.get_ref() {
                DeValue::Table(table) => self.check(table, inner, &path, out),
                DeValue::Array(items) => {
                    let Some(each) = inner.get("items") else { continue };
                    for item in items.iter() {
                        if let DeValue::Table(table) = item.get_ref() {
                            self.check(table, each, &path, out);
                        }
                    }
                }
                _ => {}
            }
        }
    }

    fn describe(&self, schema: &Value, path: &str, out: &mut Vec<KeyDescription>) {
        let Some(properties) = properties(self.resolve(schema)) else { return };
        for (name, schema) in properties {
            let path = join(path, name);
            let inner = self.resolve(schema);
            if properties_of_items(self, inner, &path, out) {
                continue;
            }
            if self::properties(inner).is_some() {
                self.describe(inner, &path, out);
                continue;
            }
            let text = schema.get("description").and_then(Value::as_str).unwrap_or_default();
            out.push(KeyDescription {
                path,
                text: text.split_whitespace().collect::<Vec<_>>().join(" "),
                kind: kind(schema),
                secret: find(schema, "x-secret").is_some(),
            });
        }
    }

    /// Follows a reference to its definition.
    fn resolve<'s>(&'s self, schema: &'s Value) -> &'s Value {
        let target = find(schema, "$ref").and_then(Value::as_str);
        target.and_then(|target| self.root.pointer(target.strip_prefix('#')?)).unwrap_or(schema)
    }
}

fn properties_of_items(
    walk: &Walk<'_>,
    schema: &Value,
    path: &str,
    out: &mut Vec<KeyDescription>,
) -> bool {
    let Some(items) = schema.get("items") else { return false };
    walk.describe(items, &format!("{path}[]"), out);
    true
}

fn properties(schema: &Value) -> Option<&Map<String, Value>> {
    schema.get("properties").and_then(Value::as_object)
}

/// Finds a keyword in a schema or in the alternatives of an optional one.
fn find<'a>(schema: &'a Value, keyword: &str) -> Option<&'a Value> {
    schema.get(keyword).or_else(|| {
        let alternatives = schema.get("anyOf").or_else(|| schema.get("allOf"))?;
        alternatives.as_array()?.iter().find_map(|alternative| alternative.get(keyword))
    })
}

fn kind(schema: &Value) -> &'static str {
    let types = find(schema, "type");
    let is = |name: &str| match types {
        Some(Value::String(only)) => only == name,
        Some(Value::Array(all)) => all.iter().any(|one| one == name),
        _ => false,
    };
    if is("boolean") {
        "true/false"
    } else if is("integer") {
        "number"
    } else if is("object") {
        "table"
    } else {
        "text"
    }
}

fn join(path: &str, name: &str) -> String {
    if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") }
}
