//! The forwarding state as people read it: compiled entries and memberships.

use super::router::Router;
use super::view::{MembershipStatus, Mroute, MrouteEntry, MrouteOutput};
use crate::fib::{Action, CopyOut, Egress, FlowSet, OutputSlot, Target, VlanClass};
use crate::types::{Destination, DropReason, Dscp, Output, Ttl};
use ipnet::IpNet;
use std::collections::HashMap;
use std::num::NonZeroU8;

impl Router {
    pub(super) fn mroute(&self) -> Mroute {
        let owners = self.slot_owners();
        let asked: HashMap<OutputSlot, &Output> = self
            .rules
            .iter()
            .flat_map(|entry| entry.outputs.iter().copied().zip(&entry.rule.outputs))
            .collect();
        let fib = self.fib.unpack();
        Mroute {
            generation: fib.generation(),
            entries: fib
                .entries()
                .into_iter()
                .map(|(key, entry)| MrouteEntry {
                    rules: entry
                        .rules
                        .iter()
                        .filter_map(|slot| owners.get(slot))
                        .map(|rule| rule.display_name())
                        .collect(),
                    outputs: entry
                        .copies
                        .iter()
                        .map(|copy| self.mroute_output(copy, &asked))
                        .collect(),
                    ..self.mroute_key(&key)
                })
                .collect(),
            memberships: self
                .memberships
                .iter()
                .map(|m| {
                    let reason = self.refused.get(m).cloned();
                    MembershipStatus {
                        index: m.index,
                        interface: self.name_of(m.index),
                        group: m.group,
                        source: m.source,
                        joined: reason.is_none(),
                        reason,
                    }
                })
                .collect(),
        }
    }

    fn mroute_key(&self, set: &FlowSet) -> MrouteEntry {
        MrouteEntry {
            interface: self.name_of(set.iif),
            vlan: match set.vlan {
                VlanClass::Untagged => None,
                VlanClass::Id(id) => Some(id.to_string()),
                VlanClass::Other => Some("other".to_owned()),
            },
            source: set.sources.map(net_text),
            group: net_text(set.destinations),
            port: match set.ports {
                None | Some((0, u16::MAX)) => None,
                Some((start, end)) if start == end => Some(start.to_string()),
                Some((start, end)) => Some(format!("{start}-{end}")),
            },
            other_protocols: set.ports.is_none(),
            rules: Vec::new(),
            outputs: Vec::new(),
        }
    }

    fn mroute_output(&self, copy: &CopyOut, asked: &HashMap<OutputSlot, &Output>) -> MrouteOutput {
        match copy.action {
            Action::Send(send) => MrouteOutput {
                interface: send.oif.map(|oif| self.name_of(oif)),
                destination: target_text(send.target),
                port: send.port,
                ttl: send.ttl.to_string(),
                dscp: dscp_value(send.dscp),
                source: source_text(send.egress),
                rate_limit: send.limit,
                burst: send.burst.map(NonZeroU8::get),
                blocked: None,
            },
            Action::Drop(reason) => blocked_output(asked.get(&copy.slot).copied(), reason),
        }
    }
}

/// An output that cannot send now, as the rule asks for it.
fn blocked_output(asked: Option<&Output>, reason: DropReason) -> MrouteOutput {
    let interfaces = asked.map(|output| {
        let names: Vec<String> = output.interfaces.iter().map(ToString::to_string).collect();
        names.join("; ")
    });
    MrouteOutput {
        interface: interfaces.filter(|names| !names.is_empty()),
        destination: asked.and_then(|output| match output.destination {
            Destination::Address(address) => Some(address.to_string()),
            Destination::Prefix(net) => Some(net.to_string()),
            Destination::Unchanged => None,
        }),
        port: asked.and_then(|output| output.port).map(|port| port.get()),
        ttl: asked.map_or_else(|| Ttl::default().to_string(), |output| output.ttl.to_string()),
        dscp: asked.and_then(|output| dscp_value(output.dscp)),
        source: None,
        rate_limit: asked.and_then(|output| output.rate_limit.as_deref().copied()),
        burst: asked.and_then(|output| output.burst).map(NonZeroU8::get),
        blocked: Some(reason),
    }
}

/// A prefix; an address where it is only one.
fn net_text(net: IpNet) -> String {
    match net.prefix_len() == net.max_prefix_len() {
        true => net.network().to_string(),
        false => net.to_string(),
    }
}

fn target_text(target: Target) -> Option<String> {
    match target {
        Target::Set(address) => Some(address.to_string()),
        Target::Map { host_bits: 32.., .. } => None,
        Target::Map { base, host_bits } => Some(format!("{base}/{}", 32 - host_bits)),
    }
}

fn dscp_value(dscp: Dscp) -> Option<u8> {
    match dscp {
        Dscp::Keep => None,
        Dscp::Set(value) => Some(value),
    }
}

fn source_text(egress: Egress) -> Option<String> {
    let (address, port) = match egress {
        Egress::Socket { source, port } => (source?.to_string(), port),
        Egress::Link { source, .. } | Egress::Raw { source } => {
            let address = source.address.map_or_else(|| "keep".to_owned(), |a| a.to_string());
            (address, source.port)
        }
    };
    Some(match port {
        Some(port) => format!("{address}:{port}"),
        None => address,
    })
}
