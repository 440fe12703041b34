//! Railway's own schema as a judge of documents, variables and answers.

use std::sync::Arc;

use apollo_compiler::ast::Type;
use apollo_compiler::executable::{Selection, SelectionSet};
use apollo_compiler::request::coerce_variable_values;
use apollo_compiler::response::JsonMap;
use apollo_compiler::schema::ExtendedType;
use apollo_compiler::validation::Valid;
use apollo_compiler::{ExecutableDocument, Schema};
use async_trait::async_trait;
use backup_testkit::vendor::{Ask, Reply, Vendor, provider_apis};
use serde_json::Value;

/// The schema, where it is at hand; else says so.
pub(crate) fn schema() -> Option<Arc<Valid<Schema>>> {
    let Some(folder) = provider_apis() else {
        eprintln!("Railway's schema is not at hand: documents and answers are not compared");
        return None;
    };
    let text = std::fs::read_to_string(folder.join("railway.graphql")).unwrap();
    Some(Arc::new(Schema::parse_and_validate(text, "railway.graphql").unwrap()))
}

pub(crate) fn parse(
    schema: &Valid<Schema>,
    document: &str,
) -> Result<Valid<ExecutableDocument>, String> {
    ExecutableDocument::parse_and_validate(schema, document, "document.graphql")
        .map_err(|broken| broken.errors.to_string())
}

/// A fake, every request and answer of which is compared with the schema. Where one breaks it,
/// the answer says so and the call fails.
pub(crate) struct Judged<V> {
    pub(crate) vendor: V,
    pub(crate) schema: Option<Arc<Valid<Schema>>>,
}

#[async_trait]
impl<V: Vendor> Vendor for Judged<V> {
    async fn reply(&self, ask: &Ask) -> Reply {
        let reply = self.vendor.reply(ask).await;
        let judged = self.schema.as_ref().map_or(Ok(()), |schema| judge(schema, ask, &reply));
        match judged {
            Ok(()) => reply,
            Err(broken) => Reply::json(418, serde_json::json!({ "message": broken })),
        }
    }
}

fn judge(schema: &Valid<Schema>, ask: &Ask, reply: &Reply) -> Result<(), String> {
    let document = parse(schema, ask.text("/query").unwrap_or_default())?;
    let operation = document.operations.get(None).map_err(|_| "no operation".to_owned())?;
    let variables: JsonMap =
        serde_json::from_value(ask.field("/variables").clone()).map_err(|e| e.to_string())?;
    coerce_variable_values(schema, operation, &variables)
        .map_err(|error| format!("variables: {error:?}"))?;
    let body = reply.body.as_ref().ok_or("no body")?;
    if body.get("errors").is_some() {
        return Ok(());
    }
    object(schema, &operation.selection_set, body.get("data").unwrap_or(&Value::Null), "data")
}

fn object(schema: &Schema, wanted: &SelectionSet, found: &Value, path: &str) -> Result<(), String> {
    let found = found.as_object().ok_or_else(|| format!("{path} is no object"))?;
    for selection in &wanted.selections {
        let Selection::Field(field) = selection else { return Err("fragments".to_owned()) };
        let path = format!("{path}.{}", field.name);
        let value = found.get(field.response_key().as_str()).unwrap_or(&Value::Null);
        shape(schema, &field.definition.ty, &field.selection_set, value, &path)?;
    }
    match found.keys().find(|name| {
        !wanted.selections.iter().any(|one| {
            matches!(one, Selection::Field(field) if field.response_key().as_str() == name.as_str())
        })
    }) {
        Some(extra) => Err(format!("{path}.{extra} was not asked for")),
        None => Ok(()),
    }
}

fn shape(
    schema: &Schema,
    ty: &Type,
    inner: &SelectionSet,
    value: &Value,
    path: &str,
) -> Result<(), String> {
    if value.is_null() {
        return if ty.is_non_null() { Err(format!("{path} must not be null")) } else { Ok(()) };
    }
    match ty {
        Type::List(item) | Type::NonNullList(item) => {
            let items = value.as_array().ok_or_else(|| format!("{path} is no list"))?;
            items.iter().try_for_each(|one| shape(schema, item, inner, one, path))
        }
        Type::Named(name) | Type::NonNullNamed(name) => {
            let good = match schema.types.get(name) {
                Some(ExtendedType::Enum(words)) => value
                    .as_str()
                    .is_some_and(|word| words.values.keys().any(|known| known.as_str() == word)),
                Some(ExtendedType::Scalar(_)) => match name.as_str() {
                    "String" | "ID" => value.is_string(),
                    "DateTime" => {
                        value.as_str().is_some_and(|at| at.parse::<jiff::Timestamp>().is_ok())
                    }
                    "Int" => value.is_i64(),
                    "Float" => value.is_number(),
                    "Boolean" => value.is_boolean(),
                    _ => true,
                },
                Some(_) => return object(schema, inner, value, path),
                None => false,
            };
            if good { Ok(()) } else { Err(format!("{path} is no {name}: {value}")) }
        }
    }
}
