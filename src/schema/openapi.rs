//! OpenAPI 3.1 of the control API. Its schemas are those of the types that parse and serialise.

use super::document::{plain, tidy};
use super::operations::{Answer, Body, OPERATIONS, Operation};
use crate::api::Problem;
use crate::api::v1::{
    ChangesJson, DataPlaneUpgrade, Document, EventJson, IgmpGroup, IgmpInterface, IgmpStatistics,
    InterfaceStatus, LogLevel, Mroute, Pong, RuleJson, SetLogLevel, StatsJson, Upgrade,
    WorkerStatus,
};
use crate::config::v1::RuleSpec;
use schemars::Schema;
use schemars::generate::SchemaSettings;
use serde_json::{Map, Value, json};

/// The document.
pub fn openapi() -> Value {
    let mut paths = Map::new();
    for operation in OPERATIONS {
        let path = paths.entry(operation.path).or_insert_with(|| json!({}));
        path[operation.method] = describe(operation);
    }
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "mcrd control API",
            "version": "1",
            "summary": "What mcrctl asks of a running mcrd.",
            "description": "HTTP/1.1 over a Unix socket, /run/mcr/control.sock unless the daemon was \
                            told otherwise: `curl --unix-socket /run/mcr/control.sock \
                            http://mcr/v1/rules`. A connection carries one request. Whoever may open \
                            the socket may ask everything.",
            "license": {"name": "MIT OR Apache-2.0", "identifier": "MIT OR Apache-2.0"},
        },
        "servers": [{"url": "http://mcr", "description": "The control socket; any host name does."}],
        "security": [],
        "paths": paths,
        "components": {"schemas": schemas(), "responses": {"Problem": {
            "description": "Why the request was refused (RFC 9457). Nothing changed.",
            "content": {"application/problem+json": {"schema": reference("Problem")}},
        }}},
    })
}

fn reference(name: &str) -> Value {
    json!({"$ref": format!("#/components/schemas/{name}")})
}

fn describe(operation: &Operation) -> Value {
    let parameters: Vec<Value> = operation
        .parameters
        .iter()
        .map(|parameter| {
            json!({
                "name": parameter.name, "in": parameter.place, "description": parameter.meaning,
                "required": parameter.place == "path",
                "schema": match parameter.words {
                    [] => json!({"type": "string"}),
                    ["true", "false"] => json!({"type": "boolean", "default": false}),
                    words => json!({"type": "string", "enum": words}),
                },
            })
        })
        .collect();
    let mut answers = Map::new();
    for Answer { status, meaning, body } in operation.answers {
        let (kind, schema) = match body {
            Body::One(name) => ("application/json", reference(name)),
            Body::List(name) => {
                ("application/json", json!({"type": "array", "items": reference(name)}))
            }
            Body::Lines(name) => ("application/jsonl", reference(name)),
        };
        answers.insert(
            (*status).to_owned(),
            json!({"description": meaning, "content": {kind: {"schema": schema}}}),
        );
    }
    answers.insert("default".to_owned(), json!({"$ref": "#/components/responses/Problem"}));
    let mut described = json!({
        "operationId": operation.id, "summary": operation.summary, "responses": answers,
    });
    if !parameters.is_empty() {
        described["parameters"] = parameters.into();
    }
    if let Some(body) = operation.body {
        described["requestBody"] =
            json!({"required": true, "content": {"application/json": {"schema": reference(body)}}});
    }
    described
}

/// All named schemas. What is sent is described as it is read, without null; answers as they are written.
fn schemas() -> Value {
    let settings = |settings: &mut SchemaSettings| {
        settings.definitions_path = "/components/schemas".into();
        settings.meta_schema = None;
    };
    let mut requests = SchemaSettings::draft2020_12().with(settings).into_generator();
    requests.subschema_for::<RuleSpec>();
    requests.subschema_for::<Document>();
    requests.subschema_for::<SetLogLevel>();
    let mut answers =
        SchemaSettings::draft2020_12().with(settings).for_serialize().into_generator();
    answers.subschema_for::<Pong>();
    answers.subschema_for::<RuleJson>();
    answers.subschema_for::<StatsJson>();
    answers.subschema_for::<WorkerStatus>();
    answers.subschema_for::<InterfaceStatus>();
    answers.subschema_for::<Mroute>();
    answers.subschema_for::<IgmpGroup>();
    answers.subschema_for::<IgmpInterface>();
    answers.subschema_for::<IgmpStatistics>();
    answers.subschema_for::<ChangesJson>();
    answers.subschema_for::<EventJson>();
    answers.subschema_for::<LogLevel>();
    answers.subschema_for::<Upgrade>();
    answers.subschema_for::<DataPlaneUpgrade>();
    answers.subschema_for::<Problem>();
    let mut all = shaped(answers.take_definitions(true), plain);
    all.extend(shaped(requests.take_definitions(true), tidy));
    all.extend(documents());
    all.into()
}

fn shaped(definitions: Map<String, Value>, change: fn(&mut Schema)) -> Map<String, Value> {
    let shape = |(name, value): (String, Value)| {
        let mut schema = Schema::try_from(value).unwrap_or_default();
        change(&mut schema);
        (name, schema.to_value())
    };
    definitions.into_iter().map(shape).collect()
}

/// A document that has no type of its own.
fn documents() -> Map<String, Value> {
    let either = json!({
        "description": "A rule, or with dryRun what the change would do.",
        "anyOf": [reference("RuleJson"), reference("ChangesJson")],
    });
    Map::from_iter([("RuleOrChanges".to_owned(), either)])
}
