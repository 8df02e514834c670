//! One rule, valid in itself.

use super::super::diagnose::{Findings, quoted};
use super::super::path::Path;
use super::super::v1::RuleSpec;
use super::{input::input, is_name, name_rule, output::output, unsupported};
use crate::types::{Destination, IfName, Input, Origin, Output, Port, Rule, RuleId};
use std::collections::HashMap;
use std::fmt::Write as _;
use std::net::IpAddr;

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
    unsupported(spec.health.is_some(), "health", at, findings);
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
    let outputs = outputs(spec, input.as_ref(), &at.key("outputs"), findings);
    let (input, outputs) = (input?, outputs?);
    if findings.len() > before {
        return None;
    }
    let name = spec.name.clone();
    let id = match id {
        Some(given) => given?,
        None => derived_id(origin, name.as_deref(), &input, &outputs),
    };
    let enabled = spec.enabled.unwrap_or(true);
    Some(Rule { id, name, origin, enabled, priority, input, outputs })
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
        let destination = input.map(|input| input.destination);
        let Some(output) = output(spec, destination, &at, findings) else { continue };
        if let Some(input) = input {
            let copy = Copy::new(&output, input);
            if copy.loops(input) {
                findings.report(
                    &at,
                    "output equals input: it would loop; change its interface, group or port",
                );
            } else if let Some(first) = copies.insert(copy, index) {
                findings.report(&at, format!("is the same copy as outputs[{first}]; remove one"));
            }
        }
        outputs.push(output);
    }
    (outputs.len() == spec.outputs.len()).then_some(outputs)
}

/// What makes two copies the same: how they are rewritten otherwise does not matter.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Copy {
    interface: Option<IfName>,
    destination: IpAddr,
    port: Option<Port>,
}

impl Copy {
    fn new(output: &Output, input: &Input) -> Self {
        let destination = match output.destination {
            Destination::Unchanged => input.destination,
            Destination::Address(address) => address,
        };
        Self { interface: output.interface.clone(), destination, port: output.port.or(input.port) }
    }

    /// True where the rule would take the copy in again. A unicast input is an address of this host:
    /// whatever is sent to it comes back over the loopback interface.
    fn loops(&self, input: &Input) -> bool {
        let same_port = input.port.is_none() || self.port == input.port;
        let same_interface = self.interface.as_ref() == Some(&input.interface);
        self.destination == input.destination
            && same_port
            && (same_interface || !input.destination.is_multicast())
    }
}

/// The id of a rule that was given none: from its name, or from what it does.
pub(crate) fn derived_id(
    origin: Origin,
    name: Option<&str>,
    input: &Input,
    outputs: &[Output],
) -> RuleId {
    if let Some(name) = name {
        return RuleId::derived(&format!("{origin}/{name}"));
    }
    let mut lines: Vec<String> = outputs.iter().map(canonical_output).collect();
    lines.sort_unstable();
    let mut seed = format!("{origin}\n{} {}", input.interface, input.destination);
    let port = input.port.map_or(0, Port::get);
    let _ = write!(seed, " {port}");
    if let Some(source) = input.source {
        let _ = write!(seed, " {source}");
    }
    for line in lines {
        let _ = write!(seed, "\n{line}");
    }
    RuleId::derived(&seed)
}

fn canonical_output(output: &Output) -> String {
    let interface = output.interface.as_ref().map_or("", IfName::as_str);
    let destination = match output.destination {
        Destination::Unchanged => "unchanged".to_owned(),
        Destination::Address(address) => address.to_string(),
    };
    let port = output.port.map_or(0, Port::get);
    format!("{destination} {port} {interface} {}", output.ttl)
}
