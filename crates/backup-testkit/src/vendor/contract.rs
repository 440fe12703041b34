//! A vendor's OpenAPI document as a judge of requests and answers.

use std::collections::BTreeSet;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::Value;

use super::schema::{Judge, reference};
use super::{Ask, Reply};

/// An OpenAPI 3.0 document.
#[derive(Clone)]
pub struct Contract {
    document: Arc<Value>,
}

impl fmt::Debug for Contract {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let title = self.document.pointer("/info/title").and_then(Value::as_str);
        f.debug_tuple("Contract").field(&title.unwrap_or_default()).finish()
    }
}

/// Returns the folder of vendors' API definitions: `BACKUP_PROVIDER_APIS`, else
/// `shared/provider-apis` in a folder above this repository; nothing where there is none.
#[must_use]
pub fn provider_apis() -> Option<PathBuf> {
    if let Some(chosen) = std::env::var_os("BACKUP_PROVIDER_APIS").filter(|value| !value.is_empty())
    {
        return Some(PathBuf::from(chosen)).filter(|folder| folder.is_dir());
    }
    let above = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().skip(2);
    above.map(|folder| folder.join("shared/provider-apis")).find(|folder| folder.is_dir())
}

impl Contract {
    /// Reads a document of [`provider_apis`] by its file name; where it is not there, says on
    /// standard error that this contract is not compared, and returns nothing.
    ///
    /// # Panics
    /// When the document is there and is no JSON.
    #[must_use]
    #[allow(clippy::panic, clippy::print_stderr, reason = "fixtures fail the test that uses them")]
    pub fn load(file: &str) -> Option<Self> {
        let path = provider_apis().map(|folder| folder.join(file)).filter(|path| path.is_file());
        let Some(path) = path else {
            eprintln!(
                "skipped: {file} is missing; set BACKUP_PROVIDER_APIS to the folder that holds it"
            );
            return None;
        };
        let text = std::fs::read_to_string(&path).unwrap_or_default();
        match serde_json::from_str(&text) {
            Ok(document) => Some(Self::new(document)),
            Err(error) => panic!("{} is no JSON: {error}", path.display()),
        }
    }

    /// Takes a document.
    #[must_use]
    pub fn new(document: Value) -> Self {
        Self { document: Arc::new(document) }
    }

    /// Compares a request: path, parameters of the path and the query, and body. What the
    /// document does not know is refused, in names as well.
    pub fn request(&self, ask: &Ask) -> Result<(), String> {
        let (template, item, operation) = self.operation(ask)?;
        let judge = Judge::new(&self.document);
        let parameters = self.parameters(item, operation)?;
        let mut faults = Vec::new();
        let values = template.split('/').zip(ask.path.split('/'));
        for (name, value) in values.filter_map(|(part, value)| Some((placeholder(part)?, value))) {
            let value = percent_encoding::percent_decode_str(value).decode_utf8_lossy();
            if let Some(parameter) = named(&parameters, "path", name) {
                judge.text(schema_of(parameter), &value, &format!("path {name}"), &mut faults);
            }
        }
        let mut seen = BTreeSet::new();
        for (name, value) in &ask.query {
            seen.insert(name.as_str());
            match named(&parameters, "query", name) {
                Some(parameter) => {
                    judge.text(schema_of(parameter), value, &format!("query {name}"), &mut faults);
                }
                None => faults.push(format!("query {name} is not known")),
            }
        }
        for parameter in parameters.iter().filter(|p| p["in"] == "query" && p["required"] == true) {
            let name = parameter["name"].as_str().unwrap_or_default();
            if !seen.contains(name) {
                faults.push(format!("query {name} is missing"));
            }
        }
        self.request_body(operation, ask, &judge, &mut faults);
        settle(&faults)
    }

    fn request_body(
        &self,
        operation: &Value,
        ask: &Ask,
        judge: &Judge<'_>,
        faults: &mut Vec<String>,
    ) {
        let expected = operation.get("requestBody").map(|body| reference(&self.document, body));
        let Some(expected) = expected else {
            if ask.body.is_some() {
                faults.push("there is a body, and none is known".to_owned());
            }
            return;
        };
        match (&ask.body, expected.pointer("/content/application~1json/schema")) {
            (Some(body), Some(schema)) => judge.value(schema, body, "body", faults),
            (Some(_), None) => faults.push("the body is not meant to be JSON".to_owned()),
            (None, _) if expected["required"] == true => {
                faults.push("the body is missing".to_owned());
            }
            (None, _) => {}
        }
    }

    /// Compares an answer. Refusals that the document does not declare are normal; successes
    /// that it does not declare are not.
    pub fn answer(&self, ask: &Ask, reply: &Reply) -> Result<(), String> {
        let (_, _, operation) = self.operation(ask)?;
        let responses = &operation["responses"];
        let status = reply.status.to_string();
        let declared = match responses.get(&status) {
            Some(response) => Some(response),
            None if reply.status >= 400 => responses.get("default"),
            None => return Err(format!("status {status} is not known")),
        };
        let Some(declared) = declared else { return Ok(()) };
        let declared = reference(&self.document, declared);
        let schema = declared.pointer("/content/application~1json/schema");
        let mut faults = Vec::new();
        match (&reply.body, schema) {
            (Some(body), Some(schema)) => {
                Judge::new(&self.document).value(schema, body, "body", &mut faults);
            }
            (Some(_), None) if reply.status < 400 => faults.push(format!("{status} has no body")),
            (None, Some(_)) if reply.status < 400 => faults.push(format!("{status} has a body")),
            _ => {}
        }
        settle(&faults)
    }

    /// Finds the operation of a request; literal paths come before those with placeholders.
    fn operation(&self, ask: &Ask) -> Result<(&str, &Value, &Value), String> {
        let paths = self.document["paths"].as_object().ok_or("the document has no paths")?;
        let mut found: Option<(&str, &Value)> = None;
        for (template, item) in paths {
            let better = found.is_none_or(|(known, _)| holes(template) < holes(known));
            if better && fits(template, &ask.path) {
                found = Some((template, item));
            }
        }
        let (template, item) = found.ok_or("the path is not known")?;
        let operation = item.get(ask.method.to_ascii_lowercase());
        Ok((template, item, operation.ok_or("the method is not known on that path")?))
    }

    fn parameters<'a>(
        &'a self,
        item: &'a Value,
        operation: &'a Value,
    ) -> Result<Vec<&'a Value>, String> {
        let lists = [operation.get("parameters"), item.get("parameters")];
        let all = lists.into_iter().flatten().filter_map(Value::as_array).flatten();
        Ok(all.map(|parameter| reference(&self.document, parameter)).collect())
    }
}

fn settle(faults: &[String]) -> Result<(), String> {
    if faults.is_empty() { Ok(()) } else { Err(faults.join("; ")) }
}

fn schema_of(parameter: &Value) -> &Value {
    parameter.get("schema").unwrap_or(&Value::Null)
}

fn named<'a>(parameters: &[&'a Value], place: &str, name: &str) -> Option<&'a Value> {
    parameters.iter().find(|p| p["in"] == place && p["name"] == name).copied()
}

fn placeholder(part: &str) -> Option<&str> {
    part.strip_prefix('{')?.strip_suffix('}')
}

fn holes(template: &str) -> usize {
    template.matches('{').count()
}

fn fits(template: &str, path: &str) -> bool {
    let (mut wanted, mut given) = (template.split('/'), path.split('/'));
    loop {
        match (wanted.next(), given.next()) {
            (None, None) => return true,
            (Some(part), Some(value)) if part == value => {}
            (Some(part), Some(value)) if placeholder(part).is_some() && !value.is_empty() => {}
            _ => return false,
        }
    }
}
