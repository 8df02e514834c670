//! From names to interfaces: what a rule can do now, or why it cannot yet.

use super::interfaces::Interfaces;
use super::rules::Entry;
use crate::fib::{ANY_PORT, ANY_SOURCE, Action, CopyOut, FlowKey, Resolved, Send};
use crate::types::{
    Destination, DropReason, IfIndex, Input, Link, Membership, Output, is_multicast,
};
use std::net::{IpAddr, Ipv4Addr};

/// An input socket that rules need.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum PortKey {
    /// AF_PACKET on an interface.
    Packet(IfIndex),
    /// UDP on a unicast address and port of ours.
    Udp(IfIndex, Ipv4Addr, u16),
}

impl PortKey {
    /// The interface.
    pub const fn iif(&self) -> IfIndex {
        match self {
            Self::Packet(iif) | Self::Udp(iif, ..) => *iif,
        }
    }
}

/// A resolved input.
#[derive(Clone, Debug)]
pub(super) struct ResolvedInput {
    pub(super) port: PortKey,
    /// The group, for the port's in-kernel filter.
    pub(super) group: Option<Ipv4Addr>,
    pub(super) membership: Option<Membership>,
    /// Bound, but nothing can arrive now.
    pub(super) reason: Option<String>,
}

/// A resolved output.
#[derive(Clone, Debug)]
pub(super) struct ResolvedOutput {
    pub(super) interface: Option<IfIndex>,
    /// Why nothing can be sent now.
    pub(super) reason: Option<String>,
    /// What may be wrong, though it is tried.
    pub(super) note: Option<String>,
}

/// What became of a rule.
#[derive(Clone, Debug)]
pub(super) struct Resolution {
    /// Err: the reason why the input cannot be bound.
    pub(super) input: Result<ResolvedInput, String>,
    pub(super) outputs: Vec<ResolvedOutput>,
}

impl Resolution {
    /// Why nothing comes in; none where it does.
    pub(super) fn input_trouble(&self) -> Option<String> {
        let reason = match &self.input {
            Err(reason) => reason,
            Ok(input) => input.reason.as_ref()?,
        };
        Some(format!("input: {reason}"))
    }
}

/// Resolves one enabled rule; the second part goes into the table where the input is bound.
pub(super) fn resolve(entry: &Entry, interfaces: &Interfaces) -> (Resolution, Option<Resolved>) {
    let rule = &entry.rule;
    let input = resolve_input(&rule.input, interfaces);
    let mut outputs = Vec::with_capacity(rule.outputs.len());
    let mut copies = Vec::with_capacity(rule.outputs.len());
    for (output, slot) in rule.outputs.iter().zip(&entry.outputs) {
        let (resolved, action) = resolve_output(&rule.input, output, interfaces);
        outputs.push(resolved);
        copies.push(CopyOut { slot: *slot, action });
    }
    let resolved = input.as_ref().ok().map(|resolved| Resolved {
        slot: entry.slot,
        key: FlowKey {
            iif: resolved.port.iif(),
            destination: rule.input.destination,
            port: rule.input.port.map_or(ANY_PORT, |port| port.get()),
            source: rule.input.source.unwrap_or(ANY_SOURCE),
        },
        copies,
    });
    (Resolution { input, outputs }, resolved)
}

fn resolve_input(input: &Input, interfaces: &Interfaces) -> Result<ResolvedInput, String> {
    let name = &input.interface;
    let link = interfaces.named(name).ok_or_else(|| no_interface(name.as_str()))?;
    if !link.up {
        return Err(down(link));
    }
    let IpAddr::V4(address) = input.destination else {
        return Err("IPv6 is not forwarded yet".to_owned());
    };
    let reason = (!link.carrier).then(|| no_carrier(link));
    if is_multicast(input.destination) {
        return Ok(ResolvedInput {
            port: PortKey::Packet(link.index),
            group: Some(address),
            membership: Some(Membership {
                index: link.index,
                group: input.destination,
                source: input.source,
            }),
            reason,
        });
    }
    if !interfaces.has_address(link.index, input.destination) {
        return Err(format!("{address} is not an address of {name}"));
    }
    let port = input.port.ok_or("a unicast input needs a port")?;
    let port = PortKey::Udp(link.index, address, port.get());
    Ok(ResolvedInput { port, group: None, membership: None, reason })
}

fn resolve_output(
    input: &Input,
    output: &Output,
    interfaces: &Interfaces,
) -> (ResolvedOutput, Action) {
    let destination = match output.destination {
        Destination::Unchanged => input.destination,
        Destination::Address(address) => address,
    };
    let send = |oif, source| {
        Action::Send(Send {
            oif,
            source,
            destination: Some(destination),
            port: output.port.or(input.port).map(|port| port.get()),
            ttl: output.ttl,
        })
    };
    let blocked = |interface, reason: String, drop| {
        (ResolvedOutput { interface, reason: Some(reason), note: None }, Action::Drop(drop))
    };
    let Some(name) = &output.interface else {
        // We know the main and the local table only; a policy rule may lead to others. So it is
        // tried, and what the kernel has no route for is counted as such.
        let note = match destination {
            IpAddr::V4(address) if interfaces.rib.lookup(address).is_none() => {
                Some(format!("there is no route to {address} in the main table"))
            }
            _ => None,
        };
        return (ResolvedOutput { interface: None, reason: None, note }, send(None, None));
    };
    let Some(link) = interfaces.named(name) else {
        return blocked(None, no_interface(name.as_str()), DropReason::NoInterface);
    };
    if !link.up {
        return blocked(Some(link.index), down(link), DropReason::InterfaceDown);
    }
    if !link.carrier {
        return blocked(Some(link.index), no_carrier(link), DropReason::NoCarrier);
    }
    match interfaces.source_address(link.index) {
        // Without an address of its own the kernel would send with another interface's.
        None => {
            let reason = format!("{name} has no IPv4 address");
            blocked(Some(link.index), reason, DropReason::NoAddress)
        }
        Some(source) => (
            ResolvedOutput { interface: Some(link.index), reason: None, note: None },
            send(Some(link.index), Some(IpAddr::V4(source))),
        ),
    }
}

fn no_interface(name: &str) -> String {
    format!("there is no interface {name}")
}

fn down(link: &Link) -> String {
    format!("{0} is down (ip link set {0} up)", link.name)
}

fn no_carrier(link: &Link) -> String {
    format!("{} has no carrier", link.name)
}
