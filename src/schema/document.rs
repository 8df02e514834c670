//! JSON Schema, draft 2020-12, of what people write: the file and one rule.

use crate::config::v1;
use schemars::generate::SchemaSettings;
use schemars::{JsonSchema, Schema};
use serde_json::{Map, Value, json};

/// The schema of the configuration file.
pub fn file() -> Value {
    written_by_people::<v1::File>(
        "config",
        "The configuration file of mcrd. Keys are written as here; the loader also takes them in \
         snake_case, as the earlier MCR wrote them.",
    )
}

/// The schema of one rule: an entry of `rules` in the file, a body of the control API.
pub fn rule() -> Value {
    written_by_people::<v1::RuleSpec>("rule", "One rule of mcrd, as in its file.")
}

fn written_by_people<T: JsonSchema>(title: &str, comment: &str) -> Value {
    let mut schema = SchemaSettings::draft2020_12().into_generator().into_root_schema_for::<T>();
    tidy(&mut schema);
    let mut document = schema.to_value();
    if let Some(root) = document.as_object_mut() {
        root.insert("title".to_owned(), format!("mcr {title}").into());
        root.insert("$comment".to_owned(), comment.into());
    }
    document
}

/// What is read from people: no `null`, and as [`plain`].
pub(super) fn tidy(schema: &mut Schema) {
    without_null(schema);
    plain(schema);
}

/// Simple enumerations, and descriptions without the line breaks of the source.
pub(super) fn plain(schema: &mut Schema) {
    enumerations(schema);
    visit(schema.as_object_mut(), &mut |node| {
        if let Some(Value::String(description)) = node.get_mut("description") {
            let paragraphs = description.split("\n\n").map(|paragraph| {
                if paragraph.starts_with("- ") {
                    paragraph.to_owned()
                } else {
                    paragraph.replace('\n', " ")
                }
            });
            *description = paragraphs.collect::<Vec<_>>().join("\n\n");
        }
    });
}

/// Takes out `null`: an absent key is the way to leave something out.
fn without_null(schema: &mut Schema) {
    visit(schema.as_object_mut(), &mut |node| {
        if let Some(Value::Array(types)) = node.get_mut("type") {
            types.retain(|name| name != "null");
            if let [only] = types.as_slice() {
                let only = only.clone();
                node.insert("type".to_owned(), only);
            }
        }
        if let Some(Value::Array(values)) = node.get_mut("enum") {
            values.retain(|value| !value.is_null());
        }
        let Some(Value::Array(mut branches)) = node.remove("anyOf") else { return };
        branches.retain(|branch| branch != &json!({"type": "null"}));
        match (branches.len(), branches.first()) {
            // What the place says about itself goes before what its type says.
            (1, Some(Value::Object(only))) => {
                for (key, value) in only {
                    node.entry(key.clone()).or_insert_with(|| value.clone());
                }
            }
            _ => {
                node.insert("anyOf".to_owned(), branches.into());
            }
        }
    });
}

/// Turns a choice between documented constants into an `enum` whose description explains each: that is
/// what editors show, and the only form that a CRD may have.
fn enumerations(schema: &mut Schema) {
    visit(schema.as_object_mut(), &mut |node| {
        let Some(Value::Array(branches)) = node.get("oneOf") else { return };
        let mut values: Vec<Value> = Vec::new();
        let mut meanings = Vec::new();
        for branch in branches {
            match (branch.get("const"), branch.get("enum").and_then(Value::as_array)) {
                (Some(value), _) => {
                    let meaning = branch.get("description").and_then(Value::as_str);
                    let meaning = meaning.unwrap_or_default().replace('\n', " ");
                    meanings.push(format!("{}: {}", text(value), meaning));
                    values.push(value.clone());
                }
                (None, Some(several)) => values.extend(several.iter().cloned()),
                (None, None) => return,
            }
        }
        node.remove("oneOf");
        node.insert("type".to_owned(), "string".into());
        node.insert("enum".to_owned(), values.into());
        if !meanings.is_empty() {
            let own = node.get("description").and_then(Value::as_str).unwrap_or_default();
            let whole = format!("{own}\n\n- {}", meanings.join("\n- "));
            node.insert("description".to_owned(), whole.trim().into());
        }
    });
}

fn text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// Calls `change` for every schema below and for this one, the innermost first.
pub(super) fn visit(
    node: Option<&mut Map<String, Value>>,
    change: &mut dyn FnMut(&mut Map<String, Value>),
) {
    let Some(node) = node else { return };
    for key in ["properties", "$defs", "patternProperties"] {
        if let Some(Value::Object(children)) = node.get_mut(key) {
            children.values_mut().for_each(|child| visit(child.as_object_mut(), change));
        }
    }
    for key in ["items", "additionalProperties", "not"] {
        visit(node.get_mut(key).and_then(Value::as_object_mut), change);
    }
    for key in ["anyOf", "oneOf", "allOf", "prefixItems"] {
        if let Some(Value::Array(children)) = node.get_mut(key) {
            children.iter_mut().for_each(|child| visit(child.as_object_mut(), change));
        }
    }
    change(node);
}
