//! How two sets of rules differ: rule by rule, by name, and within a rule field by field.

use super::text::shown;
use crate::config;
use crate::config::v1::RuleSpec;
use crate::types::{Origin, Rule};
use serde::Serialize;
use serde_json::Value;
use std::collections::BTreeMap;

/// What is different about a rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Kind {
    /// The file has it.
    Added,
    /// It runs.
    Removed,
    /// Both have it, with other contents.
    Changed,
}

/// One field with both its values.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Field {
    path: String,
    running: Option<Value>,
    file: Option<Value>,
}

/// One rule that is not the same.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Difference {
    rule: String,
    change: Kind,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    fields: Vec<Field>,
}

/// The differences between running rules and those of a file; empty where there are none. The order
/// of rules does not matter.
///
/// # Errors
/// Where a running rule is not one for this version.
pub(super) fn between(running: &[RuleSpec], file: &[Rule]) -> Result<Vec<Difference>, String> {
    let mut left: BTreeMap<String, Vec<Value>> = BTreeMap::new();
    for spec in running {
        // As if it came from the file, so that both have the same form and the same key.
        let rule = config::rule_from_spec(spec, Origin::File).map_err(|mistakes| {
            let mistakes: Vec<String> = mistakes.iter().map(ToString::to_string).collect();
            format!("a running rule is not understood: {}", mistakes.join("; "))
        })?;
        left.entry(key(&rule)).or_default().push(short(&rule)?);
    }
    let mut right: BTreeMap<String, Vec<Value>> = BTreeMap::new();
    for rule in file {
        right.entry(key(rule)).or_default().push(short(rule)?);
    }
    let mut differences = Vec::new();
    for (rule, mut running) in left {
        let mut file = right.remove(&rule).unwrap_or_default();
        // Rules of several origins may have one name.
        running.retain(|spec| match file.iter().position(|other| other == spec) {
            Some(same) => {
                file.remove(same);
                false
            }
            None => true,
        });
        let both = running.len().min(file.len());
        let add = |change, fields| Difference { rule: rule.clone(), change, fields };
        let pairs = running.iter().zip(&file);
        differences.extend(pairs.map(|(a, b)| add(Kind::Changed, fields(a, b))));
        differences.extend(running[both..].iter().map(|_| add(Kind::Removed, Vec::new())));
        differences.extend(file[both..].iter().map(|_| add(Kind::Added, Vec::new())));
    }
    for (rule, file) in right {
        let new = |_| Difference { rule: rule.clone(), change: Kind::Added, fields: Vec::new() };
        differences.extend(file.iter().map(new));
    }
    Ok(differences)
}

/// A line for each difference: `+` the file only, `-` running only, `~` both, and below it what.
pub(super) fn text(differences: &[Difference]) -> String {
    let mut out = String::new();
    for difference in differences {
        let sign = match difference.change {
            Kind::Added => '+',
            Kind::Removed => '-',
            Kind::Changed => '~',
        };
        out.push_str(&format!("{sign} {}\n", shown(&difference.rule)));
        for Field { path, running, file } in &difference.fields {
            let value = |value: &Option<Value>| {
                value
                    .as_ref()
                    .map_or_else(|| "(absent)".to_owned(), |value| shown(&value.to_string()))
            };
            out.push_str(&format!("    {path}: {} -> {}\n", value(running), value(file)));
        }
    }
    out
}

fn key(rule: &Rule) -> String {
    rule.name.clone().unwrap_or_else(|| rule.id.to_string())
}

fn short(rule: &Rule) -> Result<Value, String> {
    serde_json::to_value(config::spec_of(rule)).map_err(|error| error.to_string())
}

fn fields(running: &Value, file: &Value) -> Vec<Field> {
    let (mut left, mut right) = (BTreeMap::new(), BTreeMap::new());
    flatten(running, String::new(), &mut left);
    flatten(file, String::new(), &mut right);
    let paths: std::collections::BTreeSet<&String> = left.keys().chain(right.keys()).collect();
    paths
        .into_iter()
        .filter(|path| left.get(*path) != right.get(*path))
        .map(|path| Field {
            path: path.clone(),
            running: left.get(path).map(|value| (*value).clone()),
            file: right.get(path).map(|value| (*value).clone()),
        })
        .collect()
}

/// Every value that contains no other, by its path.
fn flatten<'v>(value: &'v Value, path: String, into: &mut BTreeMap<String, &'v Value>) {
    match value {
        Value::Object(members) if !members.is_empty() => {
            for (key, value) in members {
                let dot = if path.is_empty() { "" } else { "." };
                flatten(value, format!("{path}{dot}{key}"), into);
            }
        }
        Value::Array(items) if !items.is_empty() => {
            for (index, value) in items.iter().enumerate() {
                flatten(value, format!("{path}[{index}]"), into);
            }
        }
        _ => {
            into.insert(path, value);
        }
    }
}
