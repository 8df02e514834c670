//! From a tree of values to the schema's types: every key known, every value of the right kind. All
//! mistakes are found: what is wrong is told, cut out, and the rest is read again.

use super::diagnose::{Findings, MAX_FINDINGS, nearest, quoted};
use super::node::Node;
use super::path::{Path, Segment, camel_case};
use super::v1;
use super::wording;
use serde::de::DeserializeOwned;
use serde_json::Value;

/// How many rules a file may have.
pub(super) const MAX_RULES: usize = 100_000;
/// How many outputs a rule may have.
pub(super) const MAX_OUTPUTS: usize = 256;

/// Reads a whole file. Rule by rule, so that a mistake costs no more than to read its rule again.
pub(super) fn read_file(mut root: Value, findings: &mut Findings) -> v1::File {
    let path = Path::root();
    let Some(members) = root.as_object_mut() else {
        findings.report(&path, "a configuration is an object: { rules: [ … ] }");
        return v1::File::default();
    };
    let rules = match members.get_mut("rules") {
        Some(Value::Array(rules)) => std::mem::take(rules),
        _ => Vec::new(),
    };
    let mut file: v1::File = read(&mut root, &path, findings).unwrap_or_default();
    let path = path.key("rules");
    if rules.len() > MAX_RULES {
        let message = format!("has {} rules; {MAX_RULES} is the most", rules.len());
        findings.report(&path, message);
        return file;
    }
    for (index, mut rule) in rules.into_iter().enumerate() {
        if findings.is_full() {
            break;
        }
        file.rules.push(read_rule(&mut rule, &path.index(index), findings));
    }
    file
}

/// Reads one rule that stands at `path`.
pub(super) fn read_rule(rule: &mut Value, path: &Path, findings: &mut Findings) -> v1::RuleSpec {
    if let Some(Value::Array(outputs)) = rule.get_mut("outputs")
        && outputs.len() > MAX_OUTPUTS
    {
        let message =
            format!("has {} outputs; {MAX_OUTPUTS} is the most of one rule", outputs.len());
        findings.report(&path.key("outputs"), message);
        outputs.clear();
    }
    read(rule, path, findings).unwrap_or_default()
}

/// Reads a value of the schema at `base`, reporting and pruning until it can be read.
fn read<T: DeserializeOwned>(value: &mut Value, base: &Path, findings: &mut Findings) -> Option<T> {
    // Each mistake costs another reading: what is large may be wrong less often.
    let mut tries = None;
    loop {
        let error = match serde_path_to_error::deserialize(Node(value)) {
            Ok(read) => return Some(read),
            Err(error) => error,
        };
        let left = tries
            .get_or_insert_with(|| (2_000_000 / size_of_tree(value)).clamp(8, 4 * MAX_FINDINGS));
        if *left == 0 {
            break;
        }
        *left -= 1;
        let path = to_path(error.path());
        let message = error.inner().to_string();
        if !report_and_prune(value, base, &path, &message, findings) {
            return None;
        }
    }
    findings.report_more(base, "there are more mistakes in here than can be told at once");
    None
}

/// Reports a serde error at `path` and takes out what caused it. False where that is everything.
fn report_and_prune(
    value: &mut Value,
    base: &Path,
    path: &Path,
    message: &str,
    findings: &mut Findings,
) -> bool {
    let full = base.join(path);
    if message.starts_with("unknown field") {
        let key = match path.segments().last() {
            Some(Segment::Key(key)) => key.clone().into_owned(),
            _ => String::new(),
        };
        let known = wording::backticked(message);
        let meant = wording::synonyms(&key)
            .iter()
            .copied()
            .find(|meant| known.iter().any(|k| k == meant))
            .or_else(|| nearest(&camel_case(&key), known.iter().map(String::as_str)));
        match meant {
            Some(meant) => {
                findings.report_key(&full, format!("unknown key; did you mean {}?", quoted(meant)));
                // What is missing was given under the wrong name.
                let object = path.segments().split_last().and_then(|(_, b)| descend(value, b));
                let given = object
                    .and_then(|o| o.as_object())
                    .is_some_and(|o| o.keys().any(|k| camel_case(k) == meant));
                if let Some(parent) = full.parent().filter(|_| !given) {
                    findings.silence(&parent.key(meant.to_owned()));
                    silence_others(&parent, meant, findings);
                }
            }
            None => {
                findings
                    .report_key(&full, format!("unknown key; known here: {}", known.join(", ")));
            }
        }
        return prune(value, path);
    }
    if message.starts_with("duplicate field") {
        // Two spellings of one key. The first, camelCase, is the one to keep.
        let field = wording::backticked(message).into_iter().next().unwrap_or_default();
        let spelled = descend(value, path.segments())
            .and_then(|o| o.as_object())
            .and_then(|o| o.keys().find(|k| **k != field && camel_case(k) == field))
            .cloned();
        let Some(spelled) = spelled else { return false };
        let message = format!("is {field} given twice; remove one");
        findings.report_key(&full.key(spelled.clone()), message);
        return prune(value, &path.key(spelled));
    }
    let found = descend(value, path.segments()).cloned().unwrap_or(Value::Null);
    findings.report(&full, wording::rewrite(message, &full, &found));
    if let (Some(Segment::Key(key)), Some(parent)) = (path.segments().last(), full.parent()) {
        silence_others(&parent, key, findings);
    }
    prune(value, path)
}

/// What is not missing where `key` was given, though wrongly.
fn silence_others(object: &Path, key: &str, findings: &mut Findings) {
    let others: &[&'static str] = match key {
        "interfaces" => &["interface"],
        "groups" => &["group"],
        "ports" => &["port"],
        "sources" => &["source"],
        // Without its address, an output looks like a multicast one.
        "address" => &["group", "interface"],
        // A local output has no interface.
        "local" => &["interface"],
        _ => &[],
    };
    for other in others {
        findings.silence(&object.key(*other));
    }
}

/// The value at a path.
fn descend<'v>(value: &'v mut Value, segments: &[Segment]) -> Option<&'v mut Value> {
    segments.iter().try_fold(value, |value, segment| match segment {
        Segment::Key(key) => value.get_mut(&**key),
        Segment::Index(index) => value.get_mut(*index),
    })
}

/// Takes the value at `path` out. An element of a list becomes something empty instead, so that its
/// neighbours keep their places. False where nothing is left to take out.
fn prune(value: &mut Value, path: &Path) -> bool {
    let Some((last, before)) = path.segments().split_last() else { return false };
    let done = match (last, descend(value, before)) {
        (Segment::Key(key), Some(Value::Object(object))) => object.remove(&**key).is_some(),
        (Segment::Index(index), Some(Value::Array(list))) => match list.get_mut(*index) {
            Some(element) => match emptier(element) {
                Some(empty) => {
                    *element = empty;
                    true
                }
                None => false,
            },
            None => false,
        },
        _ => false,
    };
    done || path.parent().is_some_and(|parent| prune(value, &parent))
}

/// What to try next in the place of a list's element: an empty object, an empty text, zero.
fn emptier(element: &Value) -> Option<Value> {
    match element {
        Value::Object(object) if object.is_empty() => Some(Value::String(String::new())),
        Value::String(text) if text.is_empty() => Some(Value::from(0u8)),
        Value::Number(number) if number.as_u64() == Some(0) => None,
        _ => Some(Value::Object(serde_json::Map::new())),
    }
}

/// Values in the tree, at least 1.
fn size_of_tree(value: &Value) -> usize {
    let mut count = 0;
    let mut rest = vec![value];
    while let Some(value) = rest.pop() {
        count += 1;
        match value {
            Value::Array(list) => rest.extend(list),
            Value::Object(object) => rest.extend(object.values()),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
        }
    }
    count
}

/// serde's path in ours; the names of enum variants are no part of it.
fn to_path(theirs: &serde_path_to_error::Path) -> Path {
    let mut path = Path::root();
    for segment in theirs {
        match segment {
            serde_path_to_error::Segment::Seq { index } => path.push_index(*index),
            serde_path_to_error::Segment::Map { key } => path.push_key(key.clone()),
            serde_path_to_error::Segment::Enum { .. } | serde_path_to_error::Segment::Unknown => {}
        }
    }
    path
}
