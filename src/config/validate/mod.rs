//! What the schema cannot say: which fields go together, which addresses make sense, what would loop,
//! and what this version does not do yet.

pub(super) mod address;
mod copy;
mod dataplane;
mod destination;
pub(super) mod duration;
mod group;
pub(super) mod identity;
mod igmp;
mod input;
mod interface;
pub(super) mod output;
mod pace;
mod port;
pub(super) mod rule;
mod sections;
mod source;

use super::diagnose::{Findings, quoted};
use super::path::Path;
use super::v1;
use crate::types::{Origin, Port, Rule};
use std::collections::HashMap;

pub(super) use sections::{Sections, sections};

/// Checks all rules of a file, each for itself and their names and ids against each other.
pub(super) fn rules(specs: &[v1::RuleSpec], findings: &mut Findings) -> Vec<Rule> {
    let at = Path::root().key("rules");
    let mut names: HashMap<&str, usize> = HashMap::new();
    let mut ids = HashMap::new();
    let mut rules = Vec::with_capacity(specs.len());
    for (index, spec) in specs.iter().enumerate() {
        let at = at.index(index);
        let mut same_name = false;
        if let Some(name) = &spec.name
            && let Some(first) = names.insert(name, index)
        {
            same_name = true;
            let message = format!(
                "{} is the name of rules[{first}] already; names are unique in a file",
                quoted(name)
            );
            findings.report(&at.key("name"), message);
        }
        let Some(rule) = rule::rule(spec, Origin::File, &at, findings) else { continue };
        if let Some(first) = ids.insert(rule.id.clone(), index)
            && !same_name
        {
            if spec.id.is_some() {
                let message =
                    format!("{} is the id of rules[{first}] already", quoted(rule.id.as_str()));
                findings.report(&at.key("id"), message);
            } else {
                findings.report(
                    &at,
                    format!("does the same as rules[{first}]; remove one or give both a name"),
                );
            }
        }
        rules.push(rule);
    }
    rules
}

/// Refuses the member `key` of the object at `at` if it was given.
fn unsupported(given: bool, key: &'static str, at: &Path, findings: &mut Findings) {
    if given {
        let message = format!("{key} is not supported by this version yet; remove it");
        findings.report(&at.key(key), message);
    }
}

/// A port that is not 0. None where it is; then it was reported.
fn port_number(port: Option<u16>, at: &Path, findings: &mut Findings) -> Option<Option<Port>> {
    let Some(number) = port else { return Some(None) };
    let port = Port::new(number);
    if port.is_none() {
        findings.report(at, "must be a whole number from 1 to 65535, not 0");
    }
    port.map(Some)
}

/// True for a name that can be shown and typed: 1 to 128 characters, no control characters, no white
/// space around it.
fn is_name(name: &str) -> bool {
    (1..=128).contains(&name.chars().count())
        && name.trim() == name
        && !name.chars().any(char::is_control)
}

fn name_rule(name: &str) -> String {
    format!(
        "{} is not a name: 1 to 128 characters, no control characters, no white space around it",
        quoted(name)
    )
}
