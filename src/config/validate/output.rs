//! Where a rule's copies go.

use super::super::diagnose::{Findings, quoted};
use super::super::path::Path;
use super::super::v1::{OutputSource, OutputSpec, Ttl as TtlSpec, When};
use super::address::{self, Use};
use super::interface::interface;
use super::{is_name, name_rule, only_default, port_number, unsupported};
use crate::types::{Destination, Output, Ttl};
use std::net::IpAddr;

/// Checks the output at `at`. None where something is wrong; then it was reported.
pub(super) fn output(
    spec: &OutputSpec,
    input: Option<IpAddr>,
    at: &Path,
    findings: &mut Findings,
) -> Option<Output> {
    not_yet(spec, at, findings);
    if let Some(name) = spec.name.as_deref().filter(|name| !is_name(name)) {
        findings.report(&at.key("name"), name_rule(name));
    }
    let name = spec.interface.as_deref();
    let interface =
        interface(name, spec.interfaces.as_deref(), at, "write one output for each", findings);
    let destination = destination(spec, input, at, findings);
    let port = port_number(spec.port, &at.key("port"), findings);
    let ttl = match spec.ttl {
        None => Ttl::default(),
        Some(TtlSpec::Set(value)) => Ttl::Set(value),
        Some(TtlSpec::Decrement) => Ttl::Decrement,
        Some(TtlSpec::Keep) => Ttl::Keep,
    };
    let destination = destination?;
    let multicast = match destination {
        Destination::Unchanged => true,
        Destination::Address(address) => address.is_multicast(),
    };
    if multicast && interface == Some(None) {
        findings.report(
            &at.key("interface"),
            "is missing: a multicast output needs the interface to send on, such as \"eth1\"",
        );
        return None;
    }
    Some(Output { name: spec.name.clone(), interface: interface?, destination, port: port?, ttl })
}

/// Refuses what the schema has and this version has not.
fn not_yet(spec: &OutputSpec, at: &Path, findings: &mut Findings) {
    only_default(spec.when, When::Always, "always", "when", at, findings);
    let rewritten = spec.source.as_ref().is_some_and(|s| *s != OutputSource::Interface);
    unsupported(rewritten, "source", at, findings);
    unsupported(spec.linger.is_some(), "linger", at, findings);
    unsupported(spec.local == Some(true), "local", at, findings);
    unsupported(spec.dscp.is_some(), "dscp", at, findings);
    unsupported(spec.rate_limit.is_some(), "rateLimit", at, findings);
    unsupported(spec.burst.is_some(), "burst", at, findings);
    unsupported(spec.mtu_policy.is_some(), "mtuPolicy", at, findings);
}

fn destination(
    spec: &OutputSpec,
    input: Option<IpAddr>,
    at: &Path,
    findings: &mut Findings,
) -> Option<Destination> {
    let (text, at, only_host) = match (&spec.group, &spec.address) {
        (Some(_), Some(_)) => {
            findings.report(&at.key("address"), "give group or address, not both");
            return None;
        }
        (Some(group), None) => (group, at.key("group"), false),
        (None, Some(address)) => (address, at.key("address"), true),
        (None, None) => {
            return match input {
                Some(input) if !input.is_multicast() => {
                    findings.report(
                        &at.key("group"),
                        "is missing: the input is a unicast address, so each output needs a group \
                         or an address",
                    );
                    None
                }
                _ => Some(Destination::Unchanged),
            };
        }
    };
    let usage = if only_host { Use::Host } else { Use::Group };
    let checked = address::parse(text, usage).and_then(address::ipv4).and_then(|address| {
        if only_host && address.is_multicast() {
            return Err(format!(
                "{address} is a multicast group (224.0.0.0/4); write group: {} instead",
                quoted(text)
            ));
        }
        address::check(address).map(|()| Destination::Address(IpAddr::V4(address)))
    });
    checked.map_err(|message| findings.report(&at, message)).ok()
}
