//! The CustomResourceDefinition of `MulticastRoute`.

use super::route::{MulticastRoute, MulticastRouteSpec, MulticastRouteStatus};
use super::structural::structural;
use kube::CustomResourceExt;
use serde_json::{Map, Value, json};

/// A rule in CEL that the API server checks, and what it says where the rule does not hold.
struct Check {
    /// Where in the spec: `outputs[].ttl`.
    at: &'static str,
    rule: &'static str,
    message: &'static str,
}

const fn check(at: &'static str, rule: &'static str, message: &'static str) -> Check {
    Check { at, rule, message }
}

const SELECTS: &str = "has(self.name) || has(self.nameGlob) || has(self.nameRegex) || \
                       has(self.altName) || has(self.cidr) || has(self.kind)";
const SELECTS_MESSAGE: &str =
    "an interface selector says at least one of name, nameGlob, nameRegex, altName, cidr and kind";

/// What can be said of one object alone, without functions that API servers before 1.31 lack; the agent
/// checks the rest and tells in the status.
const CHECKS: &[Check] = &[
    check(
        "input",
        "has(self.interface) != has(self.interfaces)",
        "give interface or interfaces, and not both",
    ),
    check("input", "has(self.group) != has(self.groups)", "give group or groups, and not both"),
    check("input", "!(has(self.port) && has(self.ports))", "give port or ports, not both"),
    check("input", "!(has(self.source) && has(self.sources))", "give source or sources, not both"),
    check("input.interfaces[]", SELECTS, SELECTS_MESSAGE),
    check(
        "input.ports[]",
        "has(self.start) && has(self.end) && self.start <= self.end",
        "a range of ports has a start and an end that is not below it",
    ),
    check(
        "input.vlan",
        "(self.mode == 'id') == has(self.value)",
        "value is given where the mode is id, and only there",
    ),
    check(
        "outputs[]",
        "!(has(self.interface) && has(self.interfaces))",
        "give interface or interfaces, not both",
    ),
    check(
        "outputs[]",
        "!(has(self.group) && has(self.address))",
        "give group or address, not both",
    ),
    check("outputs[].interfaces[]", SELECTS, SELECTS_MESSAGE),
    check(
        "outputs[].ttl",
        "(self.mode == 'set') == has(self.value)",
        "value is given where the mode is set, and only there",
    ),
    check(
        "outputs[].dscp",
        "(self.mode == 'set') == has(self.value)",
        "value is given where the mode is set, and only there",
    ),
    check(
        "outputs[].source",
        "(self.mode == 'address') == has(self.address)",
        "address is given where the mode is address, and only there",
    ),
    check(
        "outputs[].source",
        "self.mode == 'address' || !has(self.port)",
        "port is given only where the mode is address",
    ),
];

/// Lists whose entries are checked need an end, or the API server finds the checks too expensive.
/// They are those of the loader.
const LONGEST: &[(&str, u32)] = &[
    ("input.interfaces", 64),
    ("input.groups", 1024),
    ("input.ports", 64),
    ("input.sources.include", 1024),
    ("input.sources.exclude", 1024),
    ("outputs[].interfaces", 64),
];

/// The definition, as JSON.
pub fn crd() -> Value {
    let mut crd = serde_json::to_value(MulticastRoute::crd()).unwrap_or_default();
    if let Some(schema) = crd.pointer_mut("/spec/versions/0/schema") {
        *schema = json!({"openAPIV3Schema": object()});
    }
    crd
}

/// The definition as YAML, with the command that makes it.
pub fn crd_yaml() -> String {
    let yaml = serde_yaml_ng::to_string(&crd()).unwrap_or_default();
    format!("# Made by `mcrd crd`.\n{yaml}")
}

/// The schema of the whole object.
fn object() -> Value {
    let mut spec = structural::<MulticastRouteSpec>();
    for (at, most) in LONGEST {
        if let Some(node) = find(&mut spec, at) {
            node.insert("maxItems".to_owned(), (*most).into());
        }
    }
    for check in CHECKS {
        if let Some(node) = find(&mut spec, check.at) {
            let rules = node.entry("x-kubernetes-validations").or_insert_with(|| json!([]));
            if let Some(rules) = rules.as_array_mut() {
                rules.push(json!({"rule": check.rule, "message": check.message}));
            }
        }
    }
    json!({
        "description": "One forwarding intent: datagrams of one input go to all of its outputs, on the \
                        nodes that are selected.",
        "type": "object",
        "required": ["spec"],
        "properties": {"spec": spec, "status": structural::<MulticastRouteStatus>()},
    })
}

/// The schema at a path such as `outputs[].ttl`.
fn find<'s>(schema: &'s mut Value, path: &str) -> Option<&'s mut Map<String, Value>> {
    let mut at = schema;
    for step in path.split('.') {
        at = at.get_mut("properties")?.get_mut(step.trim_end_matches("[]"))?;
        if step.ends_with("[]") {
            at = at.get_mut("items")?;
        }
    }
    at.as_object_mut()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_check_and_bound_has_its_place() {
        let mut spec = structural::<MulticastRouteSpec>();
        for at in CHECKS.iter().map(|check| check.at).chain(LONGEST.iter().map(|(at, _)| *at)) {
            assert!(find(&mut spec, at).is_some(), "no {at}");
        }
        let made = crd().to_string();
        assert_eq!(made.matches("\"rule\":").count(), CHECKS.len());
    }
}
