//! What a rule takes in.

use super::super::diagnose::Findings;
use super::super::path::Path;
use super::super::v1::{InputSpec, Join, LinkLocal, PortRange, Protocol, SourceFilter};
use super::address::{self, Use};
use super::interface::interface;
use super::{only_default, port_number, unsupported};
use crate::types::{Input, Port};
use std::net::IpAddr;

/// Checks the input at `at`. None where something is wrong; then it was reported.
pub(super) fn input(spec: &InputSpec, at: &Path, findings: &mut Findings) -> Option<Input> {
    let InputSpec { protocol, join, link_local, vlan, .. } = spec;
    only_default(*protocol, Protocol::Udp, "udp", "protocol", at, findings);
    only_default(*join, Join::Always, "always", "join", at, findings);
    only_default(*link_local, LinkLocal::Drop, "drop", "linkLocal", at, findings);
    unsupported(vlan.is_some(), "vlan", at, findings);

    let name = spec.interface.as_deref();
    let interface =
        interface(name, spec.interfaces.as_deref(), at, "write one rule for each", findings);
    if interface == Some(None) {
        findings.report(
            &at.key("interface"),
            "is missing: the interface that the datagrams arrive on, such as \"eth0\"",
        );
    }
    let destination = group(spec, at, findings);
    let port = port(spec, at, findings);
    let source = source(spec, at, findings);
    let (destination, port) = (destination?, port?);
    if !destination.is_multicast() && port.is_none() {
        findings.report(
            &at.key("port"),
            format!("is missing: {destination} is a unicast address, which needs a port"),
        );
        return None;
    }
    Some(Input { interface: interface??, destination, port, source: source? })
}

fn group(spec: &InputSpec, at: &Path, findings: &mut Findings) -> Option<IpAddr> {
    let short = at.key("group");
    let long = at.key("groups");
    let (text, at) = match (&spec.group, spec.groups.as_deref()) {
        (Some(_), Some(_)) => {
            findings.report(&long, "give group or groups, not both");
            return None;
        }
        (Some(group), None) => (group, short),
        (None, Some([only])) => (only, long.index(0)),
        (None, Some([])) => {
            findings.report(&long, "is empty; give one group, such as [\"239.1.1.1\"]");
            return None;
        }
        (None, Some(several)) => {
            let message = format!(
                "{} groups are not supported by this version yet; write one rule for each",
                several.len()
            );
            findings.report(&long, message);
            return None;
        }
        (None, None) => {
            findings.report(
                &short,
                "is missing: the multicast group (such as \"239.1.1.1\"), or an own unicast address",
            );
            return None;
        }
    };
    let checked = address::parse(text, Use::Group)
        .and_then(address::ipv4)
        .and_then(|group| address::check(group).map(|()| IpAddr::V4(group)));
    checked.map_err(|message| findings.report(&at, message)).ok()
}

fn port(spec: &InputSpec, at: &Path, findings: &mut Findings) -> Option<Option<Port>> {
    let long = at.key("ports");
    match (spec.port, spec.ports.as_deref()) {
        (Some(_), Some(_)) => {
            findings.report(&long, "give port or ports, not both");
            None
        }
        (port, None) => port_number(port, &at.key("port"), findings),
        (None, Some([])) => Some(None),
        (None, Some([only])) => range(only, &long.index(0), findings).map(Some),
        (None, Some(several)) => {
            let message = format!(
                "{} ranges of ports are not supported by this version yet; write one rule for each",
                several.len()
            );
            findings.report(&long, message);
            None
        }
    }
}

fn range(range: &PortRange, at: &Path, findings: &mut Findings) -> Option<Port> {
    for (key, port) in [("start", range.start), ("end", range.end)] {
        if port.is_none() {
            findings.report(&at.key(key), "is missing: a whole number from 1 to 65535");
        }
    }
    let start = port_number(range.start, &at.key("start"), findings)??;
    let end = port_number(range.end, &at.key("end"), findings)??;
    if start == end {
        return Some(start);
    }
    let message = if start > end {
        format!("starts at {start} and ends at {end}; a range ends where it starts or later")
    } else {
        "is a range of ports, which is not supported by this version yet; give one port, or none \
         for every port"
            .to_owned()
    };
    findings.report(at, message);
    None
}

fn source(spec: &InputSpec, at: &Path, findings: &mut Findings) -> Option<Option<IpAddr>> {
    let long = at.key("sources");
    let (text, at) = match (&spec.source, &spec.sources) {
        (Some(_), Some(_)) => {
            findings.report(&long, "give source or sources, not both");
            return None;
        }
        (None, None) => return Some(None),
        (Some(source), None) => (source, at.key("source")),
        (None, Some(SourceFilter { include, exclude })) => {
            if !exclude.is_empty() {
                unsupported(true, "exclude", &long, findings);
                return None;
            }
            match include.as_slice() {
                [] => return Some(None),
                [only] => (only, long.key("include").index(0)),
                several => {
                    let message = format!(
                        "{} sources are not supported by this version yet; write one rule for each",
                        several.len()
                    );
                    findings.report(&long.key("include"), message);
                    return None;
                }
            }
        }
    };
    let checked = address::parse(text, Use::Host).and_then(address::ipv4).and_then(|source| {
        if source.is_multicast() {
            return Err(format!(
                "{source} is a multicast group; a source is the address of the sending host"
            ));
        }
        if source.is_unspecified() {
            return Err("0.0.0.0 is no source; leave source out to take every source".to_owned());
        }
        address::check_host(source).map(|()| IpAddr::V4(source))
    });
    checked.map_err(|message| findings.report(&at, message)).ok().map(Some)
}
