//! Every property of the schema, wrong in every way that the schema names: each mistake is told at
//! its own path.

use crate::config::{Diagnostic, load_text, rule_from_json, v1};
use crate::types::Origin;
use serde_json::{Value, json};

/// A step into a document.
#[derive(Clone, Debug)]
enum Step {
    Key(String),
    Index,
}

/// What a walk through a schema has made.
struct Corpus<'s> {
    definitions: &'s Value,
    /// A valid document to put mistakes into.
    base: Value,
    cases: Vec<Case>,
}

struct Case {
    document: Value,
    /// Where the mistake is.
    path: String,
    /// True where the value is of the right type and only out of its bounds.
    bounds: bool,
}

impl Corpus<'_> {
    fn of(schema: &Value, base: Value) -> Vec<Case> {
        let mut corpus = Corpus { definitions: &schema["$defs"], base, cases: Vec::new() };
        corpus.object(schema, &mut Vec::new());
        corpus.cases
    }

    /// The alternatives of a schema, without references.
    fn alternatives(&self, schema: &Value) -> Vec<Value> {
        if let Some(name) = schema["$ref"].as_str() {
            let name = name.rsplit('/').next().expect("a name");
            return self.alternatives(&self.definitions[name]);
        }
        for key in ["anyOf", "oneOf"] {
            if let Some(list) = schema[key].as_array() {
                return list.iter().flat_map(|schema| self.alternatives(schema)).collect();
            }
        }
        vec![schema.clone()]
    }

    fn object(&mut self, schema: &Value, at: &mut Vec<Step>) {
        let properties = schema["properties"].as_object().cloned().unwrap_or_default();
        for (key, schema) in &properties {
            at.push(Step::Key(key.clone()));
            self.property(schema, at);
            at.pop();
        }
        if !properties.is_empty() {
            at.push(Step::Key("noSuchKey".to_owned()));
            self.add(at, json!(1), false);
            at.pop();
        }
        if schema["additionalProperties"].is_object() {
            at.push(Step::Key("eth0".to_owned()));
            self.property(&schema["additionalProperties"], at);
            at.pop();
        }
    }

    fn property(&mut self, schema: &Value, at: &mut Vec<Step>) {
        let forms = self.alternatives(schema);
        let is = |form: &Value, kind: &str| match &form["type"] {
            Value::String(own) => own == kind,
            Value::Array(kinds) => kinds.iter().any(|own| own == kind),
            _ => form["const"].is_string() && kind == "string",
        };
        let takes = |kind: &str| forms.iter().any(|form| is(form, kind));
        let mut wrong = vec![Value::Null, json!(1.5)];
        for (kind, value) in [
            ("boolean", json!(true)),
            ("integer", json!(3)),
            ("string", json!("no-such-word")),
            ("array", json!([])),
            ("object", json!({})),
        ] {
            if !takes(kind) {
                wrong.push(value);
            }
        }
        let words = |form: &Value| form["const"].is_string() || form["enum"].is_array();
        if takes("string") && forms.iter().filter(|form| is(form, "string")).all(words) {
            wrong.push(json!("no-such-word"));
        }
        for value in wrong {
            self.add(at, value, false);
        }
        for form in &forms {
            self.bounds(form, at);
            self.object(form, at);
            if form["items"].is_object() {
                at.push(Step::Index);
                self.property(&form["items"], at);
                at.pop();
            }
        }
    }

    /// A value below and one above each bound.
    fn bounds(&mut self, form: &Value, at: &[Step]) {
        if let Some(least) = form["minimum"].as_i64() {
            self.add(at, json!(least - 1), true);
        }
        let format = match form["format"].as_str() {
            Some("uint32") => Some(u64::from(u32::MAX)),
            _ => None,
        };
        if let Some(most) = form["maximum"].as_u64().or(format) {
            self.add(at, json!(most + 1), true);
        }
        if let Some(least) = form["minLength"].as_u64().filter(|least| *least > 0) {
            let length = usize::try_from(least - 1).expect("short");
            self.add(at, json!("x".repeat(length)), true);
        }
        if let Some(most) = form["maxLength"].as_u64() {
            let length = usize::try_from(most + 1).expect("short");
            self.add(at, json!("x".repeat(length)), true);
        }
        if form["minItems"].as_u64() == Some(1) {
            self.add(at, json!([]), true);
        }
    }

    fn add(&mut self, at: &[Step], value: Value, bounds: bool) {
        let mut document = self.base.clone();
        let mut place = &mut document;
        let mut path = String::new();
        for step in at {
            match step {
                Step::Key(key) => {
                    if !place.is_object() {
                        *place = json!({});
                    }
                    let object = place.as_object_mut().expect("an object");
                    for rival in rivals(key) {
                        object.remove(*rival);
                    }
                    place = object.entry(key.as_str()).or_insert(Value::Null);
                    let separator = if path.is_empty() { "" } else { "." };
                    path = format!("{path}{separator}{key}");
                }
                Step::Index => {
                    if !place.is_array() {
                        *place = json!([null]);
                    }
                    place = &mut place[0];
                    path.push_str("[0]");
                }
            }
        }
        *place = value;
        self.cases.push(Case { document, path, bounds });
    }
}

/// Keys that do not stand beside this one.
fn rivals(key: &str) -> &'static [&'static str] {
    match key {
        "interfaces" => &["interface"],
        "groups" | "address" => &["group"],
        "ports" => &["port"],
        "sources" => &["source"],
        _ => &[],
    }
}

fn rule() -> Value {
    json!({
        "input": { "interface": "eth0", "group": "239.1.1.1", "port": 5000 },
        "outputs": [{ "interface": "eth1", "group": "239.2.2.2" }],
    })
}

/// Checks each case; the sections in `refused` are told as a whole where a value is out of bounds.
fn check(cases: &[Case], refused: &[&str], load: impl Fn(&str) -> Vec<Diagnostic>) {
    for Case { document, path, bounds } in cases {
        let text = serde_json::to_string_pretty(document).expect("JSON");
        let told = load(&text);
        let section = path.split(['.', '[']).next().unwrap_or_default();
        let as_a_whole = *bounds && refused.contains(&section);
        assert!(
            told.iter().any(|one| one.path == *path || as_a_whole && one.path == section),
            "nothing is told at {path} of\n{text}\n{told:#?}"
        );
        for one in &told {
            assert!(one.line.is_some() && !one.message.is_empty(), "{one}");
            assert!(!one.message.contains("expected"), "serde's own words: {one}");
        }
    }
}

#[test]
fn every_property_of_the_file() {
    let schema = serde_json::to_value(schemars::schema_for!(v1::File)).expect("JSON");
    let cases = Corpus::of(&schema, json!({ "rules": [rule()] }));
    assert!(cases.len() > 700, "{}", cases.len());
    let refused = ["pim", "msdp", "metrics"];
    check(&cases, &refused, |text| match load_text("f", text) {
        Ok(_) => Vec::new(),
        Err(told) => told.list,
    });
}

#[test]
fn every_property_of_a_rule() {
    let schema = serde_json::to_value(schemars::schema_for!(v1::RuleSpec)).expect("JSON");
    let cases = Corpus::of(&schema, rule());
    assert!(cases.len() > 400, "{}", cases.len());
    check(&cases, &[], |text| match rule_from_json(text.as_bytes(), Origin::Runtime) {
        Ok(_) => Vec::new(),
        Err(told) => told.list,
    });
}
