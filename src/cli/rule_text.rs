//! Rules in a line: what comes in, where it goes.

use super::columns::TIE;
use super::text::shown;
use crate::api::v1::OutputJson;
use crate::config::v1::{
    BitRate, Dscp, InputSpec, InterfaceSelector, Join, LinkLocal, OutputSource, OutputSpec,
    PortRange, Protocol, SourceFilter, Ttl, Vlan, When,
};
use std::fmt::Display;

/// Entries of a list that are written out.
const SHOWN: usize = 3;

/// `239.1.1.1:5000 on eth0 from 10.0.0.1`, and what is not usual after it.
pub(super) fn input(input: &InputSpec) -> String {
    let groups = few(input.group.iter().chain(input.groups.iter().flatten()).map(|g| shown(g)));
    let port = input.port.map(|port| port.to_string());
    let ports = few(port.into_iter().chain(input.ports.iter().flatten().map(range)));
    let interfaces = interfaces(input.interface.as_deref(), input.interfaces.as_deref());
    let mut text =
        format!("{} on {interfaces}", endpoint(&groups, (!ports.is_empty()).then_some(&ports)));
    let mut add =
        |more: String| text.push_str(&format!(" {}", more.replace(' ', &TIE.to_string())));
    if let Some(source) = &input.source {
        add(format!("from {}", shown(source)));
    }
    if let Some(SourceFilter { include, exclude }) = &input.sources {
        if !include.is_empty() {
            add(format!("from {}", few(include.iter().map(|source| shown(source)))));
        }
        if !exclude.is_empty() {
            add(format!("not from {}", few(exclude.iter().map(|source| shown(source)))));
        }
    }
    match input.vlan {
        None => {}
        Some(Vlan::Id(id)) => add(format!("vlan {id}")),
        Some(Vlan::Any) => add("any vlan".to_owned()),
    }
    if input.protocol == Some(Protocol::Any) {
        add("any protocol".to_owned());
    }
    if input.link_local == Some(LinkLocal::Relay) {
        add("link-local too".to_owned());
    }
    match input.join {
        Some(Join::OnDemand) => add("on demand".to_owned()),
        Some(Join::Always | Join::Never) | None => {}
    }
    text
}

/// `239.2.2.2:6000 via eth1`, and what is not usual after it.
pub(super) fn output(output: &OutputJson) -> String {
    let OutputSpec { group, address, port, ttl, dscp, source, .. } = &output.spec;
    let mut text = match group.as_ref().or(address.as_ref()) {
        Some(address) => endpoint(&shown(address), port.as_ref()),
        None => unchanged(port.as_ref()),
    };
    let mut add =
        |more: String| text.push_str(&format!(" {}", more.replace(' ', &TIE.to_string())));
    if output.spec.local == Some(true) {
        add("on this host".to_owned());
    }
    let interfaces =
        interfaces(output.spec.interface.as_deref(), output.spec.interfaces.as_deref());
    if !interfaces.is_empty() {
        add(format!("via {interfaces}"));
    }
    match ttl {
        None => {}
        Some(Ttl::Set(value)) => add(format!("ttl {value}")),
        Some(Ttl::Decrement) => add("ttl decrement".to_owned()),
        Some(Ttl::Keep) => add("ttl keep".to_owned()),
    }
    if let Some(Dscp::Set(value)) = dscp {
        add(format!("dscp {value}"));
    }
    match source {
        None | Some(OutputSource::Interface) => {}
        Some(OutputSource::Keep) => add("source kept".to_owned()),
        Some(OutputSource::Address { address, port }) => {
            add(format!("source {}", endpoint(&shown(address), port.as_ref())));
        }
    }
    if let Some(limit) = &output.spec.rate_limit {
        if let Some(BitRate(bits)) = limit.bits_per_second {
            add(format!("at most {} bit/s", scaled(bits)));
        }
        if let Some(packets) = limit.packets_per_second {
            add(format!("at most {} datagrams/s", scaled(packets)));
        }
    }
    if let Some(burst) = output.spec.burst {
        add(format!("burst {burst}"));
    }
    if output.spec.when == Some(When::Joined) {
        let linger = output.spec.linger.as_ref();
        add(linger.map_or_else(
            || "while joined".to_owned(),
            |linger| format!("while joined and {linger} longer"),
        ));
    }
    text
}

/// `3G`, `1500k`: the largest unit that keeps all digits.
fn scaled(rate: u64) -> String {
    let units = [("T", 1_000_000_000_000), ("G", 1_000_000_000), ("M", 1_000_000), ("k", 1000)];
    let unit = units.into_iter().find(|(_, scale)| rate >= *scale && rate.is_multiple_of(*scale));
    unit.map_or_else(|| rate.to_string(), |(name, scale)| format!("{}{name}", rate / scale))
}

/// `10.0.0.1:5000`, `[ff15::1]:5000`, `10.0.0.1`.
pub(super) fn endpoint(address: &str, port: Option<&impl Display>) -> String {
    match port {
        Some(port) if address.contains(':') => format!("[{address}]:{port}"),
        Some(port) => format!("{address}:{port}"),
        None => address.to_owned(),
    }
}

/// An output that keeps its group.
pub(super) fn unchanged(port: Option<&impl Display>) -> String {
    port.map_or_else(|| "same group".to_owned(), |port| format!("same group, port {port}"))
}

fn interfaces(short: Option<&str>, long: Option<&[InterfaceSelector]>) -> String {
    few(short.map(shown).into_iter().chain(long.into_iter().flatten().map(selector)))
}

fn selector(selector: &InterfaceSelector) -> String {
    let InterfaceSelector { name, name_glob, name_regex, alt_name, cidr, kind } = selector;
    let parts: Vec<String> = [
        name.as_ref().map(|name| shown(name)),
        name_glob.as_ref().map(|glob| shown(glob)),
        name_regex.as_ref().map(|regex| format!("/{}/", shown(regex))),
        alt_name.as_ref().map(|name| shown(name)),
        cidr.as_ref().map(|cidr| format!("cidr{TIE}{}", shown(cidr))),
        kind.as_ref().map(|kind| format!("kind{TIE}{}", shown(kind))),
    ]
    .into_iter()
    .flatten()
    .collect();
    parts.join("+")
}

fn range(range: &PortRange) -> String {
    match (range.start, range.end) {
        (Some(start), Some(end)) if start != end => format!("{start}-{end}"),
        (start, end) => start.or(end).map(|port| port.to_string()).unwrap_or_default(),
    }
}

fn few(items: impl Iterator<Item = String>) -> String {
    let all: Vec<String> = items.collect();
    let first = all.get(..SHOWN.min(all.len())).unwrap_or_default().join(",");
    match all.len().saturating_sub(SHOWN) {
        0 => first,
        more => format!("{first},+{more}"),
    }
}
