//! The page of the configuration file: every field, from the schema that is published.

use super::roff::Page;
use super::sheet::Sheet;
use crate::schema;
use serde_json::{Map, Value};

/// What the page shows first; it loads.
pub(super) const EXAMPLE: &str = r#"{
  rules: [
    {
      name: "cameras",
      input: { interface: "eth0", group: "239.1.1.1", port: 5000 },
      outputs: [
        { interface: "eth1", group: "239.2.2.2", port: 6000 },
        { address: "10.4.0.9", port: 7000 },
      ],
    },
  ],
}"#;

/// mcr.json5(5).
pub(super) fn page() -> String {
    let schema = schema::file();
    let mut page = Page::new("mcr.json5", 5);
    page.section("NAME");
    page.raw("mcr.json5 \\- the configuration file of mcrd\n");
    page.section("DESCRIPTION");
    page.paragraph(
        "A file in JSON5: JSON with comments, keys without quotes, and commas at the end of lists. It is \
         read when mcrd starts and on SIGHUP. All mistakes in it are reported at once, each with its line \
         and what would be right, and none of it is applied until there are none. A key that is not known \
         is a mistake. Keys may also be written in snake_case.",
    );
    page.section("EXAMPLE");
    page.verbatim(EXAMPLE);
    page.section("FIELDS");
    let definitions = schema["$defs"].as_object().cloned().unwrap_or_default();
    fields("the file", &schema, definitions, "#/$defs/", &mut page);
    page.section("SEE ALSO");
    page.paragraph("mcrd(8), mcrctl(1)");
    page.text()
}

/// Every field of an object and of those in it, from a schema whose definitions are referred to under
/// `place`.
pub(super) fn fields(
    title: &str,
    schema: &Value,
    definitions: Map<String, Value>,
    place: &'static str,
    page: &mut dyn Sheet,
) {
    let mut writer = Writer { definitions, place, sections: Vec::new() };
    writer.object(title, "", schema, page);
    let mut next = 0;
    while let Some((path, object)) = writer.sections.get(next).cloned() {
        next += 1;
        writer.object(&path, &format!("{path}."), &object, page);
    }
}

struct Writer {
    definitions: Map<String, Value>,
    place: &'static str,
    /// Objects that have a part of their own: path and schema.
    sections: Vec<(String, Value)>,
}

impl Writer {
    /// What `$ref` leads to, or the node itself.
    fn target<'n>(&'n self, node: &'n Value) -> &'n Value {
        let name = node["$ref"].as_str().and_then(|target| target.strip_prefix(self.place));
        name.and_then(|name| self.definitions.get(name)).unwrap_or(node)
    }

    fn object(&mut self, title: &str, prefix: &str, object: &Value, page: &mut dyn Sheet) {
        page.part(title);
        let description = object["description"].as_str().unwrap_or_default();
        page.paragraph(description);
        let required: Vec<&str> =
            object["required"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
        for (name, property) in object["properties"].as_object().into_iter().flatten() {
            let target = self.target(property).clone();
            let mut kind = self.kind(&target);
            if required.contains(&name.as_str()) {
                kind.push_str("; required");
            }
            let meaning = property["description"].as_str().unwrap_or_default();
            let (meaning, mut words) = split(meaning);
            if words.is_empty() {
                words = split(target["description"].as_str().unwrap_or_default()).1;
            }
            page.entry(name, &format!("({kind})"), meaning);
            for word in words {
                page.below(word);
            }
            self.below(&format!("{prefix}{name}"), &target);
        }
    }

    /// Gives the objects that a field holds parts of their own.
    fn below(&mut self, path: &str, target: &Value) {
        if target["properties"].is_object() {
            self.sections.push((path.to_owned(), target.clone()));
        } else if target["items"].is_object() {
            let items = self.target(&target["items"]).clone();
            self.below(&format!("{path}[]"), &items);
        }
        let forms = target["anyOf"].as_array().into_iter().flatten();
        let objects: Vec<Value> = forms.map(|form| self.target(form).clone()).collect();
        for object in objects.iter().filter(|form| form["properties"].is_object()) {
            self.sections.push((path.to_owned(), object.clone()));
        }
    }

    /// What a value is, in words: "number, 1 to 65535".
    fn kind(&self, node: &Value) -> String {
        let node = self.target(node);
        if let Some(forms) = node["anyOf"].as_array() {
            let forms: Vec<String> = forms.iter().map(|form| self.kind(form)).collect();
            return forms.join("; or ");
        }
        if let Some(words) = node["enum"].as_array() {
            let words: Vec<String> = words.iter().map(ToString::to_string).collect();
            return words.join(", ");
        }
        match node["type"].as_str().unwrap_or_default() {
            "boolean" => "true or false".to_owned(),
            "integer" => ranged("number", &node["minimum"], &node["maximum"], ""),
            "string" => ranged("text", &node["minLength"], &node["maxLength"], " characters"),
            "array" => {
                let list = format!("list of {}", self.kind(&node["items"]));
                ranged(&list, &node["minItems"], &node["maxItems"], " entries")
            }
            _ if node["additionalProperties"].is_object() => {
                format!("object, by name: {}", self.kind(&node["additionalProperties"]))
            }
            _ => "object".to_owned(),
        }
    }
}

/// The sentence of a description, and the lines that explain its words.
fn split(description: &str) -> (&str, Vec<&str>) {
    match description.split_once("\n\n- ") {
        Some((sentence, words)) => (sentence, words.split("\n- ").collect()),
        None => (description, Vec::new()),
    }
}

fn ranged(what: &str, least: &Value, most: &Value, unit: &str) -> String {
    match (least.as_u64(), most.as_u64()) {
        (Some(least), Some(most)) if least == most => format!("{what}, {most}{unit}"),
        (Some(least), Some(most)) => format!("{what}, {least} to {most}{unit}"),
        (Some(least), None) if least > 0 => format!("{what}, at least {least}{unit}"),
        (None, Some(most)) => format!("{what}, at most {most}{unit}"),
        _ => what.to_owned(),
    }
}
