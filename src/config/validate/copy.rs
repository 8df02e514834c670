//! Which copies of a rule are the same, and which would come back into it.

use super::identity::interface_set;
use crate::types::{Destination, Input, Output, Port, VlanFilter, is_multicast};
use ipnet::IpNet;
use std::net::IpAddr;

/// What makes two copies the same: how they are rewritten otherwise does not matter.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Copy {
    interfaces: String,
    local: bool,
    destination: Destination,
    port: Option<Port>,
}

impl Copy {
    pub(super) fn new(output: &Output, input: &Input) -> Self {
        let only_group = match input.groups.as_slice() {
            [only] => Some(*only),
            _ => None,
        };
        let destination = match output.destination {
            Destination::Address(address) if only_group == Some(IpNet::from(address)) => {
                Destination::Unchanged
            }
            Destination::Prefix(net) if only_group == Some(net) => Destination::Unchanged,
            other => other,
        };
        let only_port = match input.ports.as_slice() {
            [only] if only.start == only.end => Some(only.start),
            _ => None,
        };
        Self {
            interfaces: interface_set(&output.interfaces),
            local: output.local,
            destination,
            port: output.port.or(only_port),
        }
    }
}

/// True where the rule would certainly take a copy of its own in again.
pub(super) fn loops(output: &Output, input: &Input) -> bool {
    // A copy leaves untagged.
    !matches!(input.vlan, VlanFilter::Id(_))
        && comes_back(output, input)
        && keeps_port(output, input)
        && keeps_group(output, input)
}

/// True where a copy arrives on an interface of the input. Patterns may never select the same one. A
/// unicast input is an address of this host: whatever is sent to it comes back over the loopback
/// interface.
fn comes_back(output: &Output, input: &Input) -> bool {
    let takes = |name: &str| {
        input.interfaces.iter().any(|i| i.only_name().is_some_and(|own| own.as_str() == name))
    };
    match output.destination {
        Destination::Address(address) if !is_multicast(address) && address != BROADCAST => true,
        _ if output.local => takes("lo"),
        _ => output.interfaces.iter().filter_map(|i| i.only_name()).any(|n| takes(n.as_str())),
    }
}

const BROADCAST: IpAddr = IpAddr::V4(std::net::Ipv4Addr::BROADCAST);

fn keeps_port(output: &Output, input: &Input) -> bool {
    let takes = |port| input.ports.iter().any(|range| (range.start..=range.end).contains(&port));
    input.ports.is_empty() || output.port.is_none_or(takes)
}

fn keeps_group(output: &Output, input: &Input) -> bool {
    match output.destination {
        Destination::Unchanged => true,
        Destination::Address(address) => input.groups.iter().any(|net| net.contains(&address)),
        // Both are of one length: they are the same or have nothing in common.
        Destination::Prefix(net) => input.groups.contains(&net),
    }
}
