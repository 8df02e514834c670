//! One rule, valid in itself.

use super::super::diagnose::{Findings, quoted};
use super::super::path::Path;
use super::super::v1::{Health, RuleSpec};
use super::copy::{Copy, loops};
use super::identity::derived_id;
use super::{input::input, is_name, name_rule, output::output};
use crate::types::{Input, Join, Origin, Output, Rule, RuleId, When};
use std::collections::HashMap;

/// The priority of a rule that says none.
pub(crate) const DEFAULT_PRIORITY: u16 = 500;
/// The highest priority.
const MAX_PRIORITY: u16 = 1000;

/// Checks the rule at `at`. None where something is wrong; then it was reported.
pub(crate) fn rule(
    spec: &RuleSpec,
    origin: Origin,
    at: &Path,
    findings: &mut Findings,
) -> Option<Rule> {
    let before = findings.len();
    if let Some(Health::Rtp | Health::Ts | Health::Seq) = spec.health {
        let message = "health other than \"auto\" and \"off\" is not supported by this version yet; remove it";
        findings.report(&at.key("health"), message);
    }
    let id = spec.id.as_ref().map(|id| {
        let parsed = id.parse::<RuleId>().ok();
        if parsed.is_none() {
            let message = format!(
                "{} is not a rule id: 1 to 64 letters, digits, '-', '_' or '.'",
                quoted(id)
            );
            findings.report(&at.key("id"), message);
        }
        parsed
    });
    if let Some(name) = spec.name.as_deref().filter(|name| !is_name(name)) {
        findings.report(&at.key("name"), name_rule(name));
    }
    let priority = spec.priority.unwrap_or(DEFAULT_PRIORITY);
    if priority > MAX_PRIORITY {
        let message = format!("must be a whole number from 0 to {MAX_PRIORITY}, not {priority}");
        findings.report(&at.key("priority"), message);
    }
    let input = match &spec.input {
        Some(spec) => input(spec, &at.key("input"), findings),
        None => {
            findings.report(
                &at.key("input"),
                "is missing: input: { interface: \"eth0\", group: \"239.1.1.1\", port: 5000 }",
            );
            None
        }
    };
    // Of an input that was not read as it was written, nothing follows for the outputs.
    let sound = input.as_ref().filter(|_| !findings.has(&at.key("input")));
    let outputs = outputs(spec, sound, &at.key("outputs"), findings);
    let (input, outputs) = (input?, outputs?);
    if findings.len() > before {
        return None;
    }
    let always = outputs.iter().position(|output| output.when == When::Always);
    if let Some(always) = always.filter(|_| input.join == Join::OnDemand) {
        let message = format!(
            "\"on-demand\" asks for what members want at outputs with when: \"joined\", and outputs[{always}] \
             sends always; write join: \"always\", or when: \"joined\" there"
        );
        findings.report(&at.key("input").key("join"), message);
        return None;
    }
    let entries = combinations(&input, outputs.len());
    if entries > MAX_COMBINATIONS {
        let message = format!(
            "makes {entries} combinations of groups, sources, ranges of ports and outputs; at most \
             {MAX_COMBINATIONS}: give prefixes and ranges, or several rules"
        );
        findings.report(&at.key("input"), message);
        return None;
    }
    let name = spec.name.clone();
    let id = match id {
        Some(given) => given?,
        None => derived_id(origin, name.as_deref(), &input, &outputs),
    };
    let enabled = spec.enabled.unwrap_or(true);
    let outputs = outputs.into();
    Some(Rule { id, name, origin, enabled, priority, input, outputs })
}

/// Copies in the forwarding table that one rule may need on one interface: each takes some 100 bytes.
const MAX_COMBINATIONS: usize = 262_144;

/// What the forwarding table has to tell apart.
fn combinations(input: &Input, outputs: usize) -> usize {
    let sources = 1 + input.sources.include.len() + input.sources.exclude.len();
    [sources, input.ports.len().max(1), outputs]
        .into_iter()
        .fold(input.groups.len(), usize::saturating_mul)
}

fn outputs(
    spec: &RuleSpec,
    input: Option<&Input>,
    at: &Path,
    findings: &mut Findings,
) -> Option<Vec<Output>> {
    if spec.outputs.is_empty() {
        findings.report(
            at,
            "is missing: a rule needs at least one output: \
             outputs: [{ interface: \"eth1\", group: \"239.2.2.2\", port: 6000 }]",
        );
        return None;
    }
    if spec.outputs.len() > super::super::shape::MAX_OUTPUTS {
        let most = super::super::shape::MAX_OUTPUTS;
        let message = format!("has {} outputs; {most} is the most of one rule", spec.outputs.len());
        findings.report(at, message);
        return None;
    }
    let mut names: HashMap<&str, usize> = HashMap::new();
    let mut copies: HashMap<Copy, usize> = HashMap::new();
    let mut outputs = Vec::with_capacity(spec.outputs.len());
    for (index, spec) in spec.outputs.iter().enumerate() {
        let at = at.index(index);
        if let Some(name) = &spec.name
            && let Some(first) = names.insert(name, index)
        {
            let message = format!(
                "{} is the name of outputs[{first}] already; names are unique in a rule",
                quoted(name)
            );
            findings.report(&at.key("name"), message);
        }
        let Some(output) = output(spec, input, &at, findings) else { continue };
        if let Some(input) = input {
            if loops(&output, input) {
                findings.report(
                    &at,
                    "output equals input: it would loop; change its interface, group or port",
                );
            } else if let Some(first) = copies.insert(Copy::new(&output, input), index) {
                findings.report(&at, format!("is the same copy as outputs[{first}]; remove one"));
            }
        }
        outputs.push(output);
    }
    (outputs.len() == spec.outputs.len()).then_some(outputs)
}
