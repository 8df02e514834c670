//! Documents as people write them: JSON5 without quotes around keys, what fits on a line on one line.

use serde_json::Value;

/// The widest line, characters.
const WIDTH: usize = 100;
/// Keys that come first, in this order; the others follow by the alphabet.
const FIRST: [&str; 12] = [
    "version",
    "name",
    "id",
    "enabled",
    "priority",
    "interface",
    "interfaces",
    "group",
    "groups",
    "address",
    "port",
    "input",
];

/// The document, with a line end.
pub(super) fn document(value: &Value) -> String {
    let mut out = String::new();
    write(value, 0, 0, &mut out);
    out.push('\n');
    out
}

/// `taken`: characters that stand before the value on its line.
fn write(value: &Value, indent: usize, taken: usize, out: &mut String) {
    let line = on_one_line(value);
    let is_root = indent == 0 && taken == 0;
    if !is_root && taken + line.chars().count() < WIDTH {
        out.push_str(&line);
        return;
    }
    match value {
        Value::Object(members) if !members.is_empty() => {
            out.push_str("{\n");
            for (key, value) in sorted(members) {
                let key = spelled(key);
                let before = indent + 2 + key.chars().count() + 2;
                out.push_str(&format!("{:1$}{key}: ", "", indent + 2));
                write(value, indent + 2, before, out);
                out.push_str(",\n");
            }
            out.push_str(&format!("{:indent$}}}", ""));
        }
        Value::Array(items) if !items.is_empty() => {
            out.push_str("[\n");
            for item in items {
                out.push_str(&format!("{:1$}", "", indent + 2));
                write(item, indent + 2, indent + 2, out);
                out.push_str(",\n");
            }
            out.push_str(&format!("{:indent$}]", ""));
        }
        _ => out.push_str(&line),
    }
}

fn on_one_line(value: &Value) -> String {
    match value {
        Value::Object(members) if !members.is_empty() => {
            let members = sorted(members).into_iter();
            let members =
                members.map(|(key, value)| format!("{}: {}", spelled(key), on_one_line(value)));
            format!("{{ {} }}", members.collect::<Vec<_>>().join(", "))
        }
        Value::Array(items) => {
            format!("[{}]", items.iter().map(on_one_line).collect::<Vec<_>>().join(", "))
        }
        other => other.to_string(),
    }
}

fn sorted(members: &serde_json::Map<String, Value>) -> Vec<(&String, &Value)> {
    let mut members: Vec<_> = members.iter().collect();
    let rank = |key: &str| FIRST.iter().position(|first| *first == key).unwrap_or(FIRST.len());
    members.sort_by_key(|(key, _)| rank(key));
    members
}

/// A key that is an identifier needs no quotes.
fn spelled(key: &str) -> String {
    let plain = key.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '$'))
        && key.chars().next().is_some_and(|c| !c.is_ascii_digit());
    if plain { key.to_owned() } else { Value::from(key).to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_document_is_short_and_means_the_same() {
        let value = json!({
            "version": 1,
            "rules": [
                {"name": "cam", "input": {"interface": "eth0", "group": "239.1.1.1", "port": 5000},
                 "outputs": [{"interface": "eth1", "group": "239.2.2.2", "port": 6000, "ttl": "keep"}]},
                {"outputs": [], "a-b": null, "input": {"group": "line\nend \u{2028} \"quoted\""}},
            ],
        });
        let text = document(&value);
        assert_eq!(
            text,
            "\
{
  version: 1,
  rules: [
    {
      name: \"cam\",
      input: { interface: \"eth0\", group: \"239.1.1.1\", port: 5000 },
      outputs: [{ interface: \"eth1\", group: \"239.2.2.2\", port: 6000, ttl: \"keep\" }],
    },
    { input: { group: \"line\\nend \u{2028} \\\"quoted\\\"\" }, \"a-b\": null, outputs: [] },
  ],
}
"
        );
        assert_eq!(json5::from_str::<Value>(&text).expect("JSON5"), value);
        assert_eq!(document(&json!({})), "{}\n");
    }
}
