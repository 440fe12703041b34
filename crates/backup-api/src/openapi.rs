//! The description of what programs can ask (OpenAPI 3.1), made from the table the router uses.

use std::sync::OnceLock;

use http::StatusCode;
use schemars::generate::SchemaSettings;
use schemars::{Schema, SchemaGenerator, json_schema};
use serde_json::{Map, Value, json};

use crate::http::{
    App, Call, Content, Needs, OPERATIONS, Operation, Parameter, ParameterKind, Place,
    ProblemDocument, Refused, Reply, json as json_reply,
};

/// The schema of the description itself: some object.
pub(crate) fn any_object(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "type": "object" })
}

pub(crate) fn serve(_: &App, _: &Call) -> Result<Reply, Refused> {
    static DOCUMENT: OnceLock<Value> = OnceLock::new();
    json_reply(StatusCode::OK, DOCUMENT.get_or_init(document))
}

/// Returns the description.
#[must_use]
pub fn document() -> Value {
    let mut settings = SchemaSettings::draft2020_12();
    settings.definitions_path = "/components/schemas".into();
    let mut generator = settings.into_generator();
    let problem = generator.subschema_for::<ProblemDocument>();
    let mut paths = Map::new();
    for operation in OPERATIONS {
        let methods = paths.entry(operation.path).or_insert_with(|| json!({}));
        methods[operation.method.as_str().to_ascii_lowercase()] =
            describe(operation, &mut generator);
    }
    json!({
        "openapi": "3.1.0",
        "jsonSchemaDialect": "https://json-schema.org/draft/2020-12/schema",
        "info": {
            "title": "backupd",
            "summary": "Database backups: verified or not protected.",
            "description": "Times are RFC 3339 in UTC, sizes bytes. What is not known is null, \
                never zero. Fields may be added, never renamed, removed or given another meaning.",
            "version": "1",
            "license": { "name": "MIT OR Apache-2.0" },
        },
        "servers": [{ "url": "/" }],
        "paths": paths,
        "components": {
            "schemas": generator.take_definitions(true),
            "securitySchemes": {
                "token": {
                    "type": "http",
                    "scheme": "bearer",
                    "description": "A token with the role viewer, operator or admin. On the \
                        machine itself reading needs none.",
                },
            },
            "responses": {
                "Problem": {
                    "description": "It did not work.",
                    "content": { "application/problem+json": { "schema": problem } },
                },
            },
        },
    })
}

fn describe(operation: &Operation, generator: &mut SchemaGenerator) -> Value {
    let mut responses = Map::new();
    for answer in operation.answers {
        let mut response = json!({ "description": answer.summary });
        match &answer.content {
            Content::Json(schema) => {
                response["content"] =
                    json!({ "application/json": { "schema": schema(generator) } });
            }
            Content::Events(schema) => {
                let each = schema(generator);
                response["content"] = json!({ "text/event-stream": {
                    "schema": { "type": "string" },
                    "x-event-data": each,
                } });
            }
            Content::Other(media) => {
                response["content"] = json!({ *media: { "schema": { "type": "string" } } });
            }
            Content::Empty => {}
        }
        responses.insert(answer.status.to_string(), response);
    }
    responses.insert("default".into(), json!({ "$ref": "#/components/responses/Problem" }));
    let mut described = json!({
        "operationId": operation.id,
        "summary": operation.summary,
        "responses": responses,
    });
    if !operation.parameters.is_empty() {
        described["parameters"] = operation.parameters.iter().map(parameter).collect();
    }
    if let Some(schema) = operation.body {
        described["requestBody"] = json!({
            "required": true,
            "content": { "application/json": { "schema": schema(generator) } },
        });
    }
    match operation.needs {
        Needs::Nothing => described["security"] = json!([]),
        Needs::Role(role) => {
            described["security"] = json!([{ "token": [] }]);
            described["x-role"] = json!(role.as_str());
        }
    }
    described
}

fn parameter(parameter: &Parameter) -> Value {
    let (place, required) = match parameter.place {
        Place::Path => ("path", true),
        Place::Query => ("query", false),
    };
    let schema = match &parameter.kind {
        ParameterKind::Source => {
            json!({ "type": "string", "pattern": "^[A-Za-z0-9_][A-Za-z0-9_.-]{0,63}$" })
        }
        ParameterKind::Snapshot => json!({ "type": "string", "pattern": "^[0-9a-f]{32}$" }),
        ParameterKind::Id => json!({ "type": "string", "pattern": "^[A-Za-z0-9_.-]{1,64}$" }),
        ParameterKind::Number { usual, most } => {
            json!({ "type": "integer", "minimum": 0, "maximum": most, "default": usual })
        }
        ParameterKind::Text(most) => {
            let pattern = format!(r"^[^\x00-\x1f\x7f-\x9f]{{0,{most}}}$");
            json!({ "type": "string", "maxLength": most, "pattern": pattern })
        }
        ParameterKind::Word(words) => json!({ "type": "string", "enum": words }),
        ParameterKind::Local => json!({ "type": "string", "pattern": "^/" }),
        ParameterKind::Flag => json!({ "type": "boolean", "default": false }),
    };
    let mut described = json!({
        "name": parameter.name,
        "in": place,
        "required": required,
        "description": parameter.summary,
        "schema": schema,
    });
    if matches!(parameter.kind, ParameterKind::Flag) {
        described["allowEmptyValue"] = json!(true);
    }
    described
}
