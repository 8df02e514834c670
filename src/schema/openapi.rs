//! OpenAPI 3.1 of the control API. Its schemas are those of the types that parse and serialise.

use super::document::{plain, tidy};
use super::operations::{Answer, Body, OPERATIONS, Operation};
use crate::api::Problem;
use crate::api::v1::{InterfaceStatus, Mroute, Pong, RuleJson, StatsJson, WorkerStatus};
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
    let mut answers =
        SchemaSettings::draft2020_12().with(settings).for_serialize().into_generator();
    answers.subschema_for::<Pong>();
    answers.subschema_for::<RuleJson>();
    answers.subschema_for::<StatsJson>();
    answers.subschema_for::<WorkerStatus>();
    answers.subschema_for::<InterfaceStatus>();
    answers.subschema_for::<Mroute>();
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

/// Documents around those types.
fn documents() -> Map<String, Value> {
    let text = |description: &str| json!({"type": "string", "description": description});
    let count =
        |description: &str| json!({"type": "integer", "minimum": 0, "description": description});
    let named = json!({
        "Document": {
            "description": "Rules as a configuration file has them.",
            "type": "object",
            "additionalProperties": false,
            "required": ["rules"],
            "properties": {
                "version": {"description": "The version of this format.", "const": 1},
                "rules": {
                    "description": "The rules.",
                    "type": "array", "items": reference("RuleSpec"), "maxItems": 100_000,
                },
            },
        },
        "RuleOrChanges": {
            "description": "A rule, or with dryRun what the change would do.",
            "anyOf": [reference("RuleJson"), reference("Changes")],
        },
        "Changes": {
            "description": "What a change did or would do.",
            "type": "object",
            "required": ["dryRun", "added", "removed", "changed", "unchanged", "changes"],
            "properties": {
                "dryRun": {"type": "boolean", "description": "True: nothing has happened."},
                "added": count("How many rules are added."),
                "removed": count("How many are removed."),
                "changed": count("How many have other contents under the same id."),
                "unchanged": count("How many stay as they are, with their counters."),
                "changes": {
                    "description": "Each of them.",
                    "type": "array",
                    "items": {
                        "type": "object",
                        "required": ["change", "id", "rule", "state", "reason"],
                        "properties": {
                            "change": {
                                "description": "What happened to the rule.",
                                "type": "string",
                                "enum": ["added", "removed", "changed", "unchanged"],
                            },
                            "id": text("The rule's id."),
                            "rule": text("Its origin and name, or its origin and id."),
                            "state": {
                                "description": "What it does then; null for one that is removed.",
                                "anyOf": [reference("State"), {"type": "null"}],
                            },
                            "reason": {
                                "description": "Why it is pending.",
                                "type": ["string", "null"],
                            },
                        },
                    },
                },
            },
        },
        "Event": {
            "description": "One line of the stream: what has changed. The other members depend on it.",
            "type": "object",
            "required": ["event"],
            "properties": {
                "event": text("What has changed, such as ruleAdded or interfaceGone; subscribed is the \
                               first line, alive comes when nothing else does."),
                "sequence": count("Counts up by one from event to event; a gap means lines were lost."),
                "time": {
                    "description": "When it was told, RFC 3339 in UTC.",
                    "type": "string", "format": "date-time",
                },
            },
        },
        "LogLevel": {
            "description": "What is logged.",
            "type": "object",
            "required": ["level"],
            "properties": {
                "level": text("For everything without a level of its own."),
                "modules": {
                    "description": "Levels of single modules.",
                    "type": "object", "additionalProperties": {"type": "string"},
                },
            },
        },
        "SetLogLevel": {
            "description": "What is to be logged.",
            "type": "object",
            "additionalProperties": false,
            "required": ["level"],
            "properties": {
                "level": text("off, error, warn, info, debug or trace; without module also a filter \
                               such as info,mcr::netlink=debug."),
                "module": text("The module that it is for; absent: everything."),
            },
        },
    });
    match named {
        Value::Object(named) => named,
        _ => Map::new(),
    }
}
