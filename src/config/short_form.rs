//! Rules as people write them: the shortest spec of a rule, and an output on the command line.

use super::diagnose::quoted;
use super::v1::{InputSpec, OutputSpec, RuleSpec, Ttl as TtlSpec};
use super::validate::address::{self, Use};
use super::validate::rule::{DEFAULT_PRIORITY, derived_id};
use crate::types::{Destination, IfName, Output, Port, Rule, Ttl};

/// The shortest spec that gives `rule` back.
pub fn spec_of(rule: &Rule) -> RuleSpec {
    let derived = derived_id(rule.origin, rule.name.as_deref(), &rule.input, &rule.outputs);
    RuleSpec {
        id: (rule.id != derived).then(|| rule.id.to_string()),
        name: rule.name.clone(),
        enabled: (!rule.enabled).then_some(false),
        priority: Some(rule.priority).filter(|priority| *priority != DEFAULT_PRIORITY),
        input: Some(InputSpec {
            interface: Some(rule.input.interface.to_string()),
            group: Some(rule.input.destination.to_string()),
            port: rule.input.port.map(Port::get),
            source: rule.input.source.map(|source| source.to_string()),
            ..InputSpec::default()
        }),
        outputs: rule.outputs.iter().map(output_spec).collect(),
        health: None,
    }
}

fn output_spec(output: &Output) -> OutputSpec {
    let (group, address) = match output.destination {
        Destination::Unchanged => (None, None),
        Destination::Address(group) if group.is_multicast() => (Some(group.to_string()), None),
        Destination::Address(address) => (None, Some(address.to_string())),
    };
    let ttl = match output.ttl {
        ttl if ttl == Ttl::default() => None,
        Ttl::Set(value) => Some(TtlSpec::Set(value)),
        Ttl::Decrement => Some(TtlSpec::Decrement),
        Ttl::Keep => Some(TtlSpec::Keep),
    };
    OutputSpec {
        name: output.name.clone(),
        interface: output.interface.as_ref().map(ToString::to_string),
        group,
        address,
        port: output.port.map(Port::get),
        ttl,
        ..OutputSpec::default()
    }
}

/// Reads an output of the command line: group or address, port and interface with colons between
/// them. Port and interface can be left out from the right; an IPv6 address stands in brackets.
///
/// # Errors
/// What is wrong and what would be right.
pub fn parse_output(text: &str) -> Result<OutputSpec, String> {
    let wrong = |what: String| {
        format!(
            "output {}: {what}; write ADDRESS:PORT:INTERFACE, such as 239.2.2.2:6000:eth1",
            quoted(text)
        )
    };
    let (address, rest) = if text.starts_with('[') {
        let end = text.find(']').ok_or_else(|| wrong("']' is missing".to_owned()))?;
        let (inside, rest) = text.split_at(end + 1);
        let address = address::bracketed(inside).ok_or_else(|| {
            wrong(format!("{} is not an IPv6 address in brackets", quoted(inside)))
        })?;
        let rest = match rest.strip_prefix(':') {
            None if rest.is_empty() => None,
            None => return Err(wrong("':' is missing after ']'".to_owned())),
            rest => rest,
        };
        (address.into(), rest)
    } else {
        if text.parse::<std::net::Ipv6Addr>().is_ok() {
            return Err(wrong("an IPv6 address needs brackets".to_owned()));
        }
        let (address, rest) =
            text.split_once(':').map_or((text, None), |(address, rest)| (address, Some(rest)));
        (address::parse(address, Use::Group).map_err(wrong)?, rest)
    };
    let (port, interface) = match rest.map(|rest| rest.split_once(':').unwrap_or((rest, ""))) {
        None => (None, None),
        Some((port, interface)) => {
            let number = port.bytes().all(|b| b.is_ascii_digit()).then(|| port.parse::<Port>());
            let Some(Ok(number)) = number else {
                return Err(wrong(format!("{} is not a port from 1 to 65535", quoted(port))));
            };
            let named = rest.is_some_and(|rest| rest.contains(':'));
            (Some(number.get()), named.then_some(interface))
        }
    };
    if let Some(interface) = interface.filter(|interface| interface.parse::<IfName>().is_err()) {
        return Err(wrong(format!("{} is not an interface name", quoted(interface))));
    }
    let (group, address) = if address.is_multicast() {
        (Some(address.to_string()), None)
    } else {
        (None, Some(address.to_string()))
    };
    let interface = interface.map(str::to_owned);
    Ok(OutputSpec { interface, group, address, port, ..OutputSpec::default() })
}
