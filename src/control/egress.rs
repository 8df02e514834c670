//! How an output's copies leave an interface, or why they cannot.

use super::interfaces::Interfaces;
use super::resolve::{down, no_carrier};
use crate::fib::{Egress, Send, SourceRewrite, Target};
use crate::types::{
    Destination, DropReason, Input, Link, MtuPolicy, Output, OutputSource, Protocol, is_multicast,
};
use std::net::{IpAddr, Ipv4Addr};

/// Why an output cannot send now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Blocked {
    /// For people.
    pub(super) reason: String,
    /// What each copy is counted under.
    pub(super) drop: DropReason,
}

fn blocked(drop: DropReason, reason: String) -> Blocked {
    Blocked { reason, drop }
}

/// The source of an output without source of its own, for an interface that has a MAC address.
const KEPT: SourceRewrite = SourceRewrite { address: None, port: None };

/// A unicast output that leaves its interface to the kernel's routing, and what may be wrong.
pub(super) fn routed(
    input: &Input,
    output: &Output,
    interfaces: &Interfaces,
) -> Result<(Send, Option<String>), Blocked> {
    // We know the main and the local table only; a policy rule may lead to others. So it is tried,
    // and what the kernel has no route for is counted as such.
    let (note, mtu) = match output.destination {
        Destination::Address(IpAddr::V4(address)) => match interfaces.rib.lookup(address) {
            None => (Some(format!("there is no route to {address} in the main table")), None),
            Some(route) => {
                let link = route.oif.and_then(|oif| interfaces.get(oif));
                (None, link.map(|link| link.mtu))
            }
        },
        _ => (None, None),
    };
    let egress = match output.source {
        OutputSource::Interface => Egress::Socket { source: None, port: None },
        OutputSource::Keep => return Err(kept_unicast()),
        OutputSource::Address { address, port } => {
            let port = port.map(|port| port.get());
            if interfaces.is_ours(address) {
                Egress::Socket { source: Some(address), port }
            } else {
                Egress::Raw { source: SourceRewrite { address: Some(address), port } }
            }
        }
    };
    let mtu = mtu.filter(|_| needs_mtu(input, output, egress));
    Ok((send(output, None, egress, false, mtu), note))
}

/// One interface of an output.
pub(super) fn on_link(
    input: &Input,
    output: &Output,
    link: &Link,
    interfaces: &Interfaces,
) -> Result<Send, Blocked> {
    if !link.up {
        return Err(blocked(DropReason::InterfaceDown, down(link)));
    }
    if !link.carrier {
        return Err(blocked(DropReason::NoCarrier, no_carrier(link)));
    }
    let (multicast, broadcast) = match output.destination {
        Destination::Prefix(net) => (is_multicast(net.network()), false),
        Destination::Address(address) => {
            (is_multicast(address), interfaces.is_broadcast(link.index, address))
        }
        // What comes in as a broadcast goes out as one; a group stays a group.
        Destination::Unchanged => {
            let multicast = input.groups.iter().all(|group| is_multicast(group.network()));
            (multicast, !multicast)
        }
    };
    let to_many = multicast || broadcast;
    let frames = |source| Egress::Link {
        source,
        link_layer: link.link_layer,
        mac: link.mac.unwrap_or_default(),
    };
    let egress = match output.source {
        OutputSource::Interface if output.local => {
            Egress::Socket { source: Some(Ipv4Addr::LOCALHOST.into()), port: None }
        }
        OutputSource::Interface => match interfaces.source_address(link.index) {
            Some(source) => Egress::Socket { source: Some(source.into()), port: None },
            // Without an address of its own the kernel would send with another interface's.
            None => {
                let reason = format!("{} has no IPv4 address", link.name);
                return Err(blocked(DropReason::NoAddress, reason));
            }
        },
        OutputSource::Keep if to_many => frames(KEPT),
        OutputSource::Keep => return Err(kept_unicast()),
        OutputSource::Address { address, port } => {
            let port = port.map(|port| port.get());
            let source = SourceRewrite { address: Some(address), port };
            if interfaces.is_ours(address) {
                Egress::Socket { source: Some(address), port }
            } else if to_many {
                frames(source)
            } else {
                Egress::Raw { source }
            }
        }
    };
    let mtu = Some(link.mtu).filter(|_| needs_mtu(input, output, egress));
    Ok(send(output, Some(link), egress, broadcast, mtu))
}

/// True where we have to see to it that packets are not larger than the MTU. What the kernel fragments
/// for us need not know it: it may change without a new table.
fn needs_mtu(input: &Input, output: &Output, egress: Egress) -> bool {
    // Of protocols other than UDP there are no sockets that would make new packets.
    let kernel_fragments =
        matches!(egress, Egress::Socket { .. }) && input.protocol == Protocol::Udp;
    !kernel_fragments || output.mtu_policy == MtuPolicy::Drop
}

fn kept_unicast() -> Blocked {
    let reason = "source \"keep\" needs a multicast or broadcast destination".to_owned();
    blocked(DropReason::SendError, reason)
}

fn send(
    output: &Output,
    link: Option<&Link>,
    egress: Egress,
    broadcast: bool,
    mtu: Option<u32>,
) -> Send {
    Send {
        oif: link.map(|link| link.index),
        target: match output.destination {
            Destination::Unchanged => Target::UNCHANGED,
            Destination::Address(address) => Target::Set(address),
            Destination::Prefix(net) => Target::Map {
                base: net.network(),
                host_bits: net.max_prefix_len() - net.prefix_len(),
            },
        },
        port: output.port.map(|port| port.get()),
        ttl: output.ttl,
        dscp: output.dscp,
        egress,
        broadcast,
        mtu,
        mtu_policy: output.mtu_policy,
        limit: output.rate_limit.as_deref().copied(),
        burst: output.burst,
    }
}
