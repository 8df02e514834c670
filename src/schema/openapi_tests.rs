//! The OpenAPI document and the server say the same.

use super::tests::published;
use super::{openapi, pretty};
use crate::api::fake_core::{self, Daemon};
use crate::api::{Limits, ROUTES};
use serde_json::Value;
use std::collections::BTreeSet;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;

/// Routes that answer a bare request, whole: no body is needed, and no stream begins.
fn plain() -> impl Iterator<Item = &'static (&'static str, &'static str)> {
    let plain = |route: &&(&str, &str)| {
        let without_body = ["GET", "DELETE"].contains(&route.0) || route.1.ends_with("/upgrade");
        without_body && **route != ("GET", "/v1/events")
    };
    ROUTES.iter().filter(plain)
}

#[test]
fn the_published_document_is_current() {
    published("docs/schema/openapi.json", &pretty(&openapi()));
}

#[test]
fn the_document_has_the_servers_routes_and_no_others() {
    let document = openapi();
    let mut documented = BTreeSet::new();
    for (path, methods) in document["paths"].as_object().expect("paths") {
        for method in methods.as_object().expect("methods").keys() {
            documented.insert((method.to_uppercase(), path.clone()));
        }
    }
    let own = |(method, path): &(&str, &str)| ((*method).to_owned(), (*path).to_owned());
    let routes: BTreeSet<_> = ROUTES.iter().map(own).collect();
    assert_eq!(documented, routes);
}

/// Every `$ref` in the document leads somewhere, and every schema is used.
#[test]
fn references_lead_somewhere_and_nothing_lies_around() {
    fn references(node: &Value, found: &mut BTreeSet<String>) {
        match node {
            Value::Object(map) => {
                if let Some(target) = map.get("$ref").and_then(Value::as_str) {
                    found.insert(target.to_owned());
                }
                map.values().for_each(|child| references(child, found));
            }
            Value::Array(list) => list.iter().for_each(|child| references(child, found)),
            _ => {}
        }
    }
    let document = openapi();
    let mut found = BTreeSet::new();
    references(&document, &mut found);
    assert!(found.len() > 20, "{found:?}");
    for target in &found {
        let pointer = target.trim_start_matches('#');
        assert!(document.pointer(pointer).is_some(), "{target} leads nowhere");
    }
    for name in document["components"]["schemas"].as_object().expect("schemas").keys() {
        assert!(found.contains(&format!("#/components/schemas/{name}")), "{name} is not used");
    }
    // No schema is empty: each type has told its own.
    assert_eq!(document["components"]["schemas"]["RuleJson"]["type"], "object");
    assert_eq!(document["components"]["schemas"]["IfIndex"]["type"], "integer");
}

async fn status(daemon: &Daemon, method: &str, path: &str) -> (u16, Value) {
    let mut stream = UnixStream::connect(&daemon.path).await.expect("connects");
    let request = format!(
        "{method} {path} HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).await.expect("sends");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.expect("an answer");
    let (head, body) = answer.split_once("\r\n\r\n").expect("a head");
    let status = head.split(' ').nth(1).and_then(|code| code.parse().ok()).expect("a status");
    (status, serde_json::from_str(body).unwrap_or_default())
}

#[tokio::test]
async fn the_server_knows_every_route() {
    let rules = vec![fake_core::rule("a1", Some("cam"))];
    let daemon = Daemon::start(Limits::default(), rules);
    for (method, path) in ROUTES.iter().filter(|route| **route != ("GET", "/v1/events")) {
        let (status, body) = status(&daemon, method, &path.replace("{key}", "a1")).await;
        let kind = body["type"].as_str().unwrap_or_default();
        let unknown = ["urn:mcr:problem:no-such-path", "urn:mcr:problem:wrong-method"];
        assert!(!unknown.contains(&kind), "{method} {path}: {body}");
        // What needs a body is refused as such; everything else has its answer.
        let bare = plain().any(|route| route == &(*method, *path));
        assert_eq!(status == 200, bare, "{method} {path}: {status} {body}");
    }
    let (nothing, body) = status(&daemon, "GET", "/v1/nothing").await;
    assert_eq!((nothing, &body["type"]), (404, &"urn:mcr:problem:no-such-path".into()));
    daemon.stop().await;
}

/// What the server answers fits the schemas: each member is a property, each required one is there.
#[tokio::test]
async fn answers_fit_their_schemas() {
    fn fits(document: &Value, schema: &Value, value: &Value, at: &str) {
        if let Some(target) = schema["$ref"].as_str() {
            let target = document.pointer(target.trim_start_matches('#')).expect("a schema");
            return fits(document, target, value, at);
        }
        if let Some(forms) = schema["anyOf"].as_array() {
            assert!(!forms.is_empty(), "{at}");
            return;
        }
        if let (Some(properties), Value::Object(map)) = (schema["properties"].as_object(), value) {
            for (name, child) in map {
                let property = properties.get(name).unwrap_or_else(|| panic!("no {at}.{name}"));
                fits(document, property, child, &format!("{at}.{name}"));
            }
            for name in schema["required"].as_array().into_iter().flatten() {
                assert!(map.contains_key(name.as_str().expect("a name")), "{at} lacks {name}");
            }
        }
        if let (Value::Object(_), Value::Array(list)) = (&schema["items"], value) {
            list.iter()
                .for_each(|child| fits(document, &schema["items"], child, &format!("{at}[]")));
        }
        let kinds = match &schema["type"] {
            Value::String(one) => vec![one.as_str()],
            Value::Array(several) => several.iter().filter_map(Value::as_str).collect(),
            _ => return,
        };
        let kind = match value {
            Value::Null => "null",
            Value::Bool(_) => "boolean",
            Value::Number(_) => "integer",
            Value::String(_) => "string",
            Value::Array(_) => "array",
            Value::Object(_) => "object",
        };
        assert!(kinds.contains(&kind), "{at} is {kind}, not {kinds:?}");
    }
    let daemon = Daemon::start(Limits::default(), vec![fake_core::rule("a1", Some("cam"))]);
    let document = openapi();
    for (method, path) in plain() {
        let (code, body) = status(&daemon, method, &path.replace("{key}", "a1")).await;
        assert_eq!(code, 200, "{method} {path}");
        let operation = &document["paths"][path][method.to_lowercase()];
        let schema = &operation["responses"]["200"]["content"]["application/json"]["schema"];
        assert!(schema.is_object(), "{method} {path}");
        fits(&document, schema, &body, path);
    }
    daemon.stop().await;
}
