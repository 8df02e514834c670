//! From JSON Schema to the structural schemas of Kubernetes: everything in place, one type at each node,
//! no choice between types.

use super::document::{tidy, visit};
use schemars::generate::SchemaSettings;
use schemars::{JsonSchema, Schema};
use serde_json::{Map, Value, json};

/// The structural schema of a type.
pub(super) fn structural<T: JsonSchema>() -> Value {
    let settings = SchemaSettings::draft2020_12().with(|settings| {
        settings.inline_subschemas = true;
        settings.meta_schema = None;
    });
    let mut schema: Schema = settings.into_generator().into_root_schema_for::<T>();
    tidy(&mut schema);
    visit(schema.as_object_mut(), &mut |node| {
        one_type(node);
        known_format(node);
        // The API server prunes or refuses unknown fields by itself.
        if node.get("additionalProperties") == Some(&Value::Bool(false)) {
            node.remove("additionalProperties");
        }
        node.remove("title");
    });
    schema.to_value()
}

/// A value with a short form keeps only its object form; a number that may have a suffix is what
/// Kubernetes calls an int-or-string.
fn one_type(node: &mut Map<String, Value>) {
    let Some(Value::Array(forms)) = node.remove("anyOf") else { return };
    let object = forms.iter().filter_map(Value::as_object).find(|form| form["type"] == "object");
    let Some(object) = object else {
        node.insert("x-kubernetes-int-or-string".to_owned(), true.into());
        return;
    };
    let place = node.get("description").and_then(Value::as_str).unwrap_or_default();
    let description = format!("{place}\n\nIn this kind always an object.");
    node.extend(object.clone());
    node.insert("description".to_owned(), description.into());
    if node.get("properties").is_some_and(|properties| properties.get("mode").is_some()) {
        node.insert("required".to_owned(), json!(["mode"]));
    }
}

/// The API server knows signed integers only.
fn known_format(node: &mut Map<String, Value>) {
    let format = node.get("format").and_then(Value::as_str).unwrap_or_default();
    let (known, most) = match format {
        "uint8" => ("int32", Some(u64::from(u8::MAX))),
        "uint16" => ("int32", Some(u64::from(u16::MAX))),
        "uint32" => ("int64", Some(u64::from(u32::MAX))),
        "uint64" => ("int64", None),
        _ => return,
    };
    node.insert("format".to_owned(), known.into());
    node.entry("minimum").or_insert_with(|| 0.into());
    if let Some(most) = most {
        node.entry("maximum").or_insert_with(|| most.into());
    }
}
