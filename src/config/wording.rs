//! serde's errors in the words of operators: what would be right, and what was given.

use super::diagnose::{nearest, quoted};
use super::path::Path;
use serde_json::Value;

/// The names in backticks after the last "expected" (all of them where there is none), in the
/// schema's spelling only.
pub(super) fn backticked(message: &str) -> Vec<String> {
    let known = message.rfind(", expected ").map_or(message, |at| &message[at..]);
    known.split('`').skip(1).step_by(2).filter(|k| !k.contains('_')).map(str::to_owned).collect()
}

/// The keys that can be meant by a word of another program or trade.
pub(super) fn synonyms(key: &str) -> &'static [&'static str] {
    match key.to_lowercase().as_str() {
        "iface" | "if" | "ifname" | "dev" | "device" | "nic" => &["interface"],
        "ifaces" | "devices" | "nics" => &["interfaces"],
        "dst" | "dest" | "destination" | "mcast" | "multicast" => &["group"],
        "ip" | "addr" | "host" | "unicast" => &["address"],
        "src" => &["source"],
        "out" | "destinations" => &["outputs"],
        "to" => &["outputs", "end"],
        "in" => &["input"],
        "from" => &["input", "start"],
        "first" | "min" | "low" => &["start"],
        "last" | "max" | "high" => &["end"],
        "allow" | "only" => &["include"],
        "deny" | "block" | "except" => &["exclude"],
        "type" => &["kind"],
        "glob" | "pattern" => &["nameGlob"],
        "regex" | "regexp" => &["nameRegex"],
        "alias" | "altnames" => &["altName"],
        "prefix" | "subnet" | "network" => &["cidr"],
        "tos" | "qos" => &["dscp"],
        "mtu" => &["mtuPolicy"],
        "loopback" => &["local"],
        "proto" => &["protocol"],
        "active" | "disabled" => &["enabled"],
        "prio" => &["priority"],
        "verbosity" => &["level"],
        "threads" => &["workers"],
        "path" => &["socket"],
        _ => &[],
    }
}

/// A serde error about the value `found` at `path`, rewritten.
pub(super) fn rewrite(message: &str, path: &Path, found: &Value) -> String {
    if message.starts_with("unknown variant") {
        let known = backticked(message);
        let meant = found.as_str().and_then(|word| nearest(word, known.iter().map(String::as_str)));
        let hint =
            meant.map_or(String::new(), |meant| format!("; did you mean {}?", quoted(meant)));
        let list: Vec<String> = known.iter().map(|word| quoted(word)).collect();
        return format!("must be {}, not {}{hint}", one_of(&list), shown(found));
    }
    let Some((_, expected)) = message.rsplit_once(", expected ") else {
        return message.to_owned();
    };
    let key = path.last_key().unwrap_or_default();
    format!("must be {}, not {}", right(expected, &key), shown(found))
}

/// `a, b or c`.
fn one_of(list: &[String]) -> String {
    match list {
        [] => String::new(),
        [only] => only.clone(),
        [before @ .., last] => format!("{} or {last}", before.join(", ")),
    }
}

/// What would be right for a key, where serde expected `expected`.
fn right(expected: &str, key: &str) -> String {
    let number = |range: &str| format!("a whole number {range}");
    match (expected, key) {
        ("u16", "port" | "start" | "end") => number("from 1 to 65535"),
        ("u16", "priority") => number("from 0 to 1000"),
        ("u32", "workers") => number("from 1 to 64"),
        ("u32", "receiveBufferBytes") => number("from 65536 to 1073741824"),
        ("u32", "version") => "1".to_owned(),
        ("u32", "rings") => number("from 0 to 64"),
        ("u32", "shards") => number("from 1 to 16"),
        ("u32", "coalesceUsecs" | "busyPollUsecs") => number("from 0 to 10000"),
        ("u32", "burst") => number("from 1 to 64"),
        ("u32", "queryIntervalSeconds" | "queryInterval") => number("from 1 to 31744"),
        ("u32", "maxGroups") => number("from 1 to 1000000"),
        ("u32", "maxSources") => number("from 1 to 65535"),
        ("u8", "robustness" | "lastMemberQueryCount") => number("from 1 to 7"),
        ("u8", "version") => "1, 2 or 3".to_owned(),
        ("a string", "queryResponseInterval") => "a duration in quotes, such as \"10s\"".to_owned(),
        ("a string", "lastMemberQueryInterval") => {
            "a duration in quotes, such as \"1s\"".to_owned()
        }
        ("u8", _) => number("from 0 to 255"),
        ("u16", _) => number("from 0 to 65535"),
        ("u32", _) => number("from 0 to 4294967295"),
        ("u64", _) => number("of 0 or more"),
        ("a boolean", _) => "true or false".to_owned(),
        ("a string", "group" | "groups") => {
            "an address in quotes, such as \"239.1.1.1\"".to_owned()
        }
        ("a string", "address" | "source" | "include" | "exclude") => {
            "an address in quotes, such as \"10.0.0.9\"".to_owned()
        }
        ("a string", "interface") => "an interface name in quotes, such as \"eth0\"".to_owned(),
        ("a string", "linger") => "a duration in quotes, such as \"3s\"".to_owned(),
        ("a string", "holdTime") => "a duration in quotes, such as \"30s\"".to_owned(),
        ("a string" | "path string", _) => "text in quotes".to_owned(),
        ("a sequence", "outputs") => "a list of outputs: [{ … }]".to_owned(),
        ("a sequence", "rules") => "a list of rules: [{ … }]".to_owned(),
        ("a sequence", _) => "a list: [ … ]".to_owned(),
        ("a map", _) => "an object: { … }".to_owned(),
        _ if expected.starts_with("struct ") => "an object: { … }".to_owned(),
        _ => expected.to_owned(),
    }
}

/// A value as it can stand in a message.
fn shown(value: &Value) -> String {
    match value {
        Value::Null => "null".to_owned(),
        Value::Bool(value) => value.to_string(),
        Value::Number(number) => number.to_string(),
        Value::String(text) => quoted(text),
        Value::Array(_) => "a list".to_owned(),
        Value::Object(_) => "an object".to_owned(),
    }
}
