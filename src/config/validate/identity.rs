//! The id of a rule that was given none. What its seed says may grow by new fields, but stays the
//! same for what could be said before: ids live on in other programs.

use crate::types::{
    Criteria, Destination, Dscp, Input, InterfaceSelector, Join, Limit, MtuPolicy, Origin, Output,
    OutputSource, PortRange, Protocol, RuleId, SourceFilter, VlanFilter, When, is_multicast,
};
use ipnet::IpNet;
use std::fmt::Write as _;

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
    let mut lines: Vec<String> = outputs.iter().map(output_line).collect();
    lines.sort_unstable();
    let mut seed = format!("{origin}\n{}", input_line(input));
    for line in lines {
        seed.push('\n');
        seed.push_str(&line);
    }
    RuleId::derived(&seed)
}

fn input_line(input: &Input) -> String {
    let mut line = interface_set(&input.interfaces);
    let _ = write!(line, " {} {}", net_set(&input.groups), port_set(&input.ports));
    let SourceFilter { include, exclude } = &input.sources;
    if !include.is_empty() {
        let _ = write!(line, " {}", net_set(include));
    }
    if !exclude.is_empty() {
        let _ = write!(line, " without {}", net_set(exclude));
    }
    if input.protocol == Protocol::Any {
        line.push_str(" any");
    }
    let has_groups = input.groups.first().is_some_and(|net| is_multicast(net.addr()));
    match input.join {
        Join::Never if has_groups => line.push_str(" join=never"),
        Join::OnDemand => line.push_str(" join=on-demand"),
        Join::Never | Join::Always => {}
    }
    if input.link_local {
        line.push_str(" link-local");
    }
    match input.vlan {
        VlanFilter::Untagged => {}
        VlanFilter::Id(id) => {
            let _ = write!(line, " vlan={id}");
        }
        VlanFilter::Any => line.push_str(" vlan=any"),
    }
    line
}

fn output_line(output: &Output) -> String {
    let destination = match output.destination {
        Destination::Unchanged => "unchanged".to_owned(),
        Destination::Address(address) => address.to_string(),
        Destination::Prefix(net) => net.to_string(),
    };
    let port = output.port.map_or(0, u16::from);
    let mut line =
        format!("{destination} {port} {} {}", interface_set(&output.interfaces), output.ttl);
    if output.local {
        line.push_str(" local");
    }
    if let Dscp::Set(value) = output.dscp {
        let _ = write!(line, " dscp={value}");
    }
    match output.source {
        OutputSource::Interface => {}
        OutputSource::Keep => line.push_str(" source=keep"),
        OutputSource::Address { address, port } => {
            let _ = write!(line, " source={address}:{}", port.map_or(0, u16::from));
        }
    }
    if output.mtu_policy == MtuPolicy::Drop {
        line.push_str(" mtu=drop");
    }
    if let Some(Limit { bits_per_second, packets_per_second, burst_bytes }) =
        output.rate_limit.as_deref()
    {
        let (bits, packets) = (bits_per_second.unwrap_or(0), packets_per_second.unwrap_or(0));
        let _ = write!(line, " limit={bits}/{packets}/{burst_bytes}");
    }
    if let Some(burst) = output.burst {
        let _ = write!(line, " burst={burst}");
    }
    if let When::Joined { linger } = output.when {
        let _ = write!(line, " joined+{}ms", linger.as_millis());
    }
    line
}

/// Interfaces whatever their order; a single one by its name alone.
pub(super) fn interface_set(interfaces: &[InterfaceSelector]) -> String {
    let mut texts: Vec<String> = interfaces.iter().map(interface_text).collect();
    texts.sort_unstable();
    texts.join("|")
}

fn interface_text(selector: &InterfaceSelector) -> String {
    if let Some(name) = selector.only_name() {
        return name.to_string();
    }
    let criteria = selector.criteria();
    let Criteria { name, name_glob, name_regex, alt_name, cidr, kind } = &*criteria;
    let cidr = cidr.map(|cidr| cidr.to_string());
    let parts = [
        ("name", name.as_ref().map(|name| name.as_str())),
        ("nameGlob", name_glob.as_ref().map(|glob| glob.as_str())),
        ("nameRegex", name_regex.as_ref().map(|regex| regex.as_str())),
        ("altName", alt_name.as_deref()),
        ("cidr", cidr.as_deref()),
        ("kind", kind.as_deref()),
    ];
    let mut text = String::new();
    for (key, value) in parts {
        if let Some(value) = value {
            // With its length, so that no text can look like two parts. No name has a '/'.
            let _ = write!(text, "/{key}:{}:{value}", value.len());
        }
    }
    text
}

fn net_set(nets: &[IpNet]) -> String {
    let mut nets = nets.to_vec();
    nets.sort_unstable();
    let texts: Vec<String> = nets.iter().map(super::address::text_of).collect();
    texts.join(",")
}

fn port_set(ports: &[PortRange]) -> String {
    if ports.is_empty() {
        return "0".to_owned();
    }
    let texts: Vec<String> = ports.iter().map(ToString::to_string).collect();
    texts.join(",")
}
