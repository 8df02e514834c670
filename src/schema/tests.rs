//! What is published is what the code says, and what Kubernetes takes.

use super::{Kind, crd, crd_yaml, file, pretty, rule};
use crate::config::v1::RuleSpec;
use crate::schema::route::{MulticastRoute, MulticastRouteSpec};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use serde_json::{Map, Value, json};
use std::collections::BTreeSet;

/// Compares with the committed file; with `MCR_BLESS=1` writes it.
pub(crate) fn published(path: &str, made: &str) {
    if std::env::var_os("MCR_BLESS").is_some() {
        std::fs::write(path, made).expect(path);
        return;
    }
    let there = std::fs::read_to_string(path).unwrap_or_default();
    let differs = there.lines().zip(made.lines()).position(|(there, made)| there != made);
    assert!(
        there == made,
        "{path} is not what the code says (line {}); run the tests with MCR_BLESS=1",
        differs.unwrap_or_else(|| there.lines().count().min(made.lines().count())) + 1
    );
}

#[test]
fn the_published_schemas_are_current() {
    published("docs/schema/config.schema.json", &pretty(&Kind::File.document()));
    published("docs/schema/rule.schema.json", &pretty(&Kind::Rule.document()));
    published("deploy/k8s/crd/multicastroute.yaml", &crd_yaml());
}

/// Every property of a schema and of its definitions: its place, and itself.
fn properties(at: &str, node: &Value, found: &mut Vec<(String, Value)>) {
    match node {
        Value::Object(map) => {
            if let Some(Value::Object(list)) = map.get("properties") {
                found.extend(list.iter().map(|(name, p)| (format!("{at}.{name}"), p.clone())));
            }
            map.iter().for_each(|(key, child)| properties(&format!("{at}.{key}"), child, found));
        }
        Value::Array(list) => list.iter().for_each(|child| properties(at, child, found)),
        _ => {}
    }
}

#[test]
fn every_property_is_described_and_none_may_be_null() {
    for (name, schema) in [("file", file()), ("rule", rule()), ("crd", crd())] {
        let mut all = Vec::new();
        properties(name, &schema, &mut all);
        assert!(all.len() > 30, "{name}: {}", all.len());
        for (at, property) in all {
            if name == "crd" && (at.ends_with(".properties.spec") || at.ends_with(".status")) {
                // The two that every kind has.
                continue;
            }
            let description = property["description"].as_str().unwrap_or_default();
            assert!(description.len() > 4, "{at} has no description");
            assert!(!description.contains(" \n"), "{at}: {description:?}");
        }
        assert!(!schema.to_string().contains("\"null\""), "{name} has null");
        assert!(!schema.to_string().contains("oneOf"), "{name} has oneOf");
    }
    assert_eq!(file()["$schema"], "https://json-schema.org/draft/2020-12/schema");
    assert_eq!(rule()["$schema"], "https://json-schema.org/draft/2020-12/schema");
    assert_eq!(rule()["required"], json!(["input", "outputs"]));
}

#[test]
fn values_with_a_short_form_have_both_forms() {
    let schema = file();
    let forms = |name: &str| {
        let list = schema["$defs"][name]["anyOf"].as_array().unwrap_or_else(|| panic!("{name}"));
        list.iter()
            .map(|form| match form.get("$ref") {
                Some(_) => "object".to_owned(),
                None => form["type"].as_str().expect("a type").to_owned(),
            })
            .collect::<Vec<_>>()
    };
    for name in ["Ttl", "Dscp", "Vlan"] {
        assert_eq!(forms(name), ["integer", "string", "object"], "{name}");
    }
    assert_eq!(forms("OutputSource"), ["string", "object"]);
    assert_eq!(forms("BitRate"), ["integer", "string"]);
    assert_eq!(schema["$defs"]["Ttl"]["anyOf"][0]["maximum"], 255);
    assert_eq!(schema["$defs"]["Ttl"]["anyOf"][1]["enum"], json!(["decrement", "keep"]));
}

/// The numbers and words that the schema names are those that parse: one beyond each end does not.
#[test]
fn short_forms_in_the_schema_are_those_that_parse() {
    let schema = rule();
    let parses = |field: &str, value: &Value| {
        let mut output = json!({"interface": "eth1"});
        let mut input = json!({"interface": "eth0", "group": "239.1.1.1"});
        let place = if field == "vlan" { &mut input } else { &mut output };
        place[field] = value.clone();
        serde_json::from_value::<RuleSpec>(json!({"input": input, "outputs": [output]})).is_ok()
    };
    for (field, name) in
        [("ttl", "Ttl"), ("dscp", "Dscp"), ("source", "OutputSource"), ("vlan", "Vlan")]
    {
        for form in schema["$defs"][name]["anyOf"].as_array().expect("forms") {
            for word in form["enum"].as_array().into_iter().flatten() {
                assert!(parses(field, word), "{field}: {word}");
            }
            if let (Some(from), Some(to)) = (form["minimum"].as_u64(), form["maximum"].as_u64()) {
                assert!(parses(field, &from.into()) && parses(field, &to.into()), "{field}");
                assert!(!parses(field, &(to + 1).into()), "{field}: {}", to + 1);
                assert!(from == 0 || !parses(field, &(from - 1).into()), "{field}: {from} - 1");
            }
        }
        assert!(!parses(field, &"nonsense".into()), "{field}");
    }
}

/// The rules of structural schemas (Kubernetes, "Extend the Kubernetes API with
/// CustomResourceDefinitions", specifying a structural schema) and what else the API server refuses.
fn structural(at: &str, node: &Value) -> Vec<String> {
    const KNOWN: [&str; 25] = [
        "type",
        "description",
        "properties",
        "items",
        "additionalProperties",
        "required",
        "enum",
        "format",
        "minimum",
        "maximum",
        "minLength",
        "maxLength",
        "minItems",
        "maxItems",
        "pattern",
        "default",
        "nullable",
        "uniqueItems",
        "x-kubernetes-int-or-string",
        "x-kubernetes-preserve-unknown-fields",
        "x-kubernetes-validations",
        "x-kubernetes-list-type",
        "x-kubernetes-list-map-keys",
        "x-kubernetes-map-type",
        "title",
    ];
    const FORMATS: [&str; 8] =
        ["int32", "int64", "float", "double", "byte", "date", "date-time", "password"];
    let Some(map) = node.as_object() else { return vec![format!("{at}: not an object")] };
    let mut wrong = Vec::new();
    for key in map.keys().filter(|key| !KNOWN.contains(&key.as_str())) {
        wrong.push(format!("{at}: {key} is not allowed"));
    }
    let free = ["x-kubernetes-int-or-string", "x-kubernetes-preserve-unknown-fields"];
    let kind = map.get("type").and_then(Value::as_str);
    match kind {
        None if free.iter().any(|key| map.get(*key) == Some(&json!(true))) => {}
        Some("object" | "array" | "string" | "integer" | "number" | "boolean") => {}
        _ => wrong.push(format!("{at}: type {:?}", map.get("type"))),
    }
    if let Some(format) = map.get("format").and_then(Value::as_str)
        && !FORMATS.contains(&format)
    {
        wrong.push(format!("{at}: format {format}"));
    }
    if map.contains_key("properties") && map.contains_key("additionalProperties") {
        wrong.push(format!("{at}: properties and additionalProperties"));
    }
    if (map.contains_key("items") || kind == Some("array"))
        != (map.get("items").is_some_and(Value::is_object) && kind == Some("array"))
    {
        wrong.push(format!("{at}: an array has items of one schema"));
    }
    if let Some(default) = map.get("default")
        && default.is_null()
    {
        wrong.push(format!("{at}: default null"));
    }
    let children = map.get("properties").and_then(Value::as_object).cloned().unwrap_or_default();
    for name in map.get("required").and_then(Value::as_array).into_iter().flatten() {
        if !name.as_str().is_some_and(|name| children.contains_key(name)) {
            wrong.push(format!("{at}: {name} is required and not a property"));
        }
    }
    for (name, child) in &children {
        wrong.extend(structural(&format!("{at}.{name}"), child));
    }
    for key in ["items", "additionalProperties"] {
        if let Some(child) = map.get(key) {
            wrong.extend(structural(&format!("{at}.{key}"), child));
        }
    }
    wrong
}

fn openapi_schema() -> Value {
    crd()["spec"]["versions"][0]["schema"]["openAPIV3Schema"].clone()
}

#[test]
fn the_crd_is_structural() {
    let wrong = structural("", &openapi_schema());
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    // The checker itself finds what it is for.
    for bad in [
        json!({"$ref": "#/x"}),
        json!({"anyOf": [{"type": "string"}]}),
        json!({"type": "integer", "format": "uint16"}),
        json!({"type": "object", "properties": {"a": {}}}),
        json!({"type": "object", "properties": {}, "additionalProperties": {"type": "string"}}),
        json!({"type": "array"}),
        json!({"type": ["string", "null"]}),
        json!({"type": "object", "required": ["a"]}),
    ] {
        assert!(!structural("", &bad).is_empty(), "{bad}");
    }
}

/// The first place where two documents differ. The API has bounds of numbers as floating point.
fn different(at: &str, one: &Value, other: &Value) -> Option<String> {
    match (one, other) {
        (Value::Object(a), Value::Object(b)) => {
            let keys: BTreeSet<&String> = a.keys().chain(b.keys()).collect();
            keys.into_iter().find_map(|key| match (a.get(key), b.get(key)) {
                (Some(a), Some(b)) => different(&format!("{at}.{key}"), a, b),
                _ => Some(format!("{at}.{key} is in one only")),
            })
        }
        (Value::Array(a), Value::Array(b)) if a.len() == b.len() => a
            .iter()
            .zip(b)
            .enumerate()
            .find_map(|(index, (a, b))| different(&format!("{at}[{index}]"), a, b)),
        (Value::Number(a), Value::Number(b)) if a.as_f64() == b.as_f64() => None,
        (a, b) => (a != b).then(|| format!("{at}: {a} and {b}")),
    }
}

/// Nothing is lost on the way through the API's own types: no key that they do not know.
#[test]
fn the_crd_is_made_of_keys_that_the_api_knows() {
    let made = crd();
    let read: CustomResourceDefinition = serde_json::from_value(made.clone()).expect("reads");
    let written = serde_json::to_value(read).expect("writes");
    assert_eq!(different("", &written, &made), None);
    let yaml: Value = serde_yaml_ng::from_str(&crd_yaml()).expect("YAML");
    assert_eq!(different("", &yaml, &made), None, "YAML and JSON say the same");
    let spec = &made["spec"];
    assert_eq!((&spec["group"], &spec["scope"]), (&json!("mcr.dev"), &json!("Cluster")));
    assert_eq!(made["metadata"]["name"], "multicastroutes.mcr.dev");
    assert_eq!(spec["versions"][0]["subresources"], json!({"status": {}}));
}

/// The leaves of a schema as paths: `outputs[].rateLimit.burstBytes`. Of a union those of its object form.
fn leaves(at: &str, node: &Value, defs: &Map<String, Value>, found: &mut BTreeSet<String>) {
    if let Some(name) = node["$ref"].as_str() {
        let target = &defs[name.trim_start_matches("#/$defs/")];
        return leaves(at, target, defs, found);
    }
    if let Some(forms) = node["anyOf"].as_array() {
        let object = forms.iter().find(|form| form.get("$ref").is_some());
        return match object {
            Some(object) => leaves(at, object, defs, found),
            None => {
                found.insert(at.to_owned());
            }
        };
    }
    if let Some(children) = node["properties"].as_object() {
        for (name, child) in children {
            leaves(&format!("{at}.{name}"), child, defs, found);
        }
        return;
    }
    if node["items"].is_object() {
        return leaves(&format!("{at}[]"), &node["items"], defs, found);
    }
    found.insert(at.to_owned());
}

#[test]
fn every_field_of_a_rule_is_in_the_crd_and_no_other() {
    let none = Map::new();
    let rule = rule();
    let mut of_rule = BTreeSet::new();
    leaves("", &rule, rule["$defs"].as_object().expect("definitions"), &mut of_rule);
    assert!(of_rule.len() > 40, "{of_rule:?}");
    assert!(of_rule.remove(".id") && of_rule.remove(".name"));
    let mut of_crd = BTreeSet::new();
    leaves("", &openapi_schema()["properties"]["spec"], &none, &mut of_crd);
    of_crd.retain(|path| !path.starts_with(".nodeSelector") && path != ".placement.mode");
    assert_eq!(of_rule, of_crd);
}

#[test]
fn a_route_is_the_rule_that_the_short_form_writes() {
    let route: MulticastRoute = serde_json::from_value(json!({
        "apiVersion": "mcr.dev/v1alpha1",
        "kind": "MulticastRoute",
        "metadata": {"name": "cam", "uid": "u"},
        "spec": {
            "nodeSelector": {"matchLabels": {"media": "true"}},
            "placement": {"mode": "SingleNode"},
            "priority": 700,
            "input": {
                "interfaces": [{"nameGlob": "bond0.3*", "cidr": "10.20.0.0/16"}],
                "group": "232.10.0.0/24",
                "ports": [{"start": 5000, "end": 5007}],
                "sources": {"include": ["10.20.1.10/32"]},
                "vlan": {"mode": "id", "value": 310},
                "join": "on-demand",
            },
            "outputs": [{
                "name": "lan", "interface": "eth1",
                "ttl": {"mode": "set", "value": 7},
                "dscp": {"mode": "keep"},
                "source": {"mode": "address", "address": "10.0.0.9", "port": 4000},
                "rateLimit": {"bitsPerSecond": "3G", "burstBytes": 4194304},
            }],
        },
    }))
    .expect("parses");
    let short: RuleSpec = serde_json::from_value(json!({
        "name": "cam",
        "priority": 700,
        "input": {
            "interfaces": [{"nameGlob": "bond0.3*", "cidr": "10.20.0.0/16"}],
            "group": "232.10.0.0/24",
            "ports": [{"start": 5000, "end": 5007}],
            "sources": {"include": ["10.20.1.10/32"]},
            "vlan": 310,
            "join": "on-demand",
        },
        "outputs": [{
            "name": "lan", "interface": "eth1", "ttl": 7, "dscp": "keep",
            "source": {"address": "10.0.0.9", "port": 4000},
            "rateLimit": {"bitsPerSecond": 3_000_000_000_u64, "burstBytes": 4194304},
        }],
    }))
    .expect("parses");
    assert_eq!(route.rule(), short);
    let unknown = json!({"outputs": [], "inptu": {}});
    assert!(serde_json::from_value::<MulticastRouteSpec>(unknown).is_err());
}
