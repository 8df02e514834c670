//! Outputs that would feed themselves: what leaves by a veth whose other end is here, or to this
//! host, can be what a rule takes in, and so on round.
//!
//! A chain of rules is fine; the edge that closes a circle is cut, at the rule of least
//! precedence. Circles that lead through other hosts are not seen here: own source addresses and
//! TTLs end those.

use super::interfaces::Interfaces;
use crate::fib::{Action, OutputSlot, Resolved, RuleSlot, Send, Target};
use crate::types::{DropReason, IfIndex, VlanFilter};
use ipnet::IpNet;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::IpAddr;

/// Blocks copies that would close a circle; rules come in the order of precedence. Returns the
/// blocked outputs with the rules that they would feed.
pub(super) fn block(
    table: &mut [Resolved],
    interfaces: &Interfaces,
) -> BTreeMap<OutputSlot, RuleSlot> {
    let mut by_iif: HashMap<IfIndex, Vec<usize>> = HashMap::new();
    for (at, resolved) in table.iter().enumerate() {
        by_iif.entry(resolved.iif).or_default().push(at);
    }
    let mut feeds: BTreeMap<RuleSlot, BTreeSet<RuleSlot>> = BTreeMap::new();
    let mut cut = Vec::new();
    for (at, resolved) in table.iter().enumerate() {
        for (copy_at, copy) in resolved.copies.iter().enumerate() {
            let Action::Send(send) = &copy.action else { continue };
            // The table makes no copy that goes back unchanged.
            let unchanged = send.target == Target::UNCHANGED && send.port.is_none();
            if unchanged && send.oif == Some(resolved.iif) {
                continue;
            }
            let Some(arrives) = arrival(resolved, send, interfaces) else { continue };
            for &other in by_iif.get(&arrives).into_iter().flatten() {
                let fed = &table[other];
                if !takes(fed, resolved, send) {
                    continue;
                }
                if leads_to(&feeds, fed.slot, resolved.slot) {
                    cut.push((at, copy_at, fed.slot));
                } else {
                    feeds.entry(resolved.slot).or_default().insert(fed.slot);
                }
            }
        }
    }
    let mut blocked = BTreeMap::new();
    for (at, copy_at, fed) in cut {
        let copy = &mut table[at].copies[copy_at];
        copy.action = Action::Drop(DropReason::WouldLoop);
        blocked.insert(copy.slot, fed);
    }
    blocked
}

/// The interface of ours that a copy comes in by again.
fn arrival(resolved: &Resolved, send: &Send, interfaces: &Interfaces) -> Option<IfIndex> {
    let link = send.oif.and_then(|oif| interfaces.get(oif));
    let to_us = match send.target {
        Target::Set(address) => interfaces.is_ours(address),
        Target::Map { .. } => {
            resolved.groups.iter().any(|group| interfaces.is_ours(group.network()))
        }
    };
    match link {
        Some(link) if link.loopback => Some(link.index),
        _ if to_us => interfaces.loopback().map(|lo| lo.index),
        Some(link) => link.peer.filter(|peer| interfaces.get(*peer).is_some()),
        None => None,
    }
}

/// True where `fed` takes some of what `feeder` sends this way.
fn takes(fed: &Resolved, feeder: &Resolved, send: &Send) -> bool {
    // Copies leave without a tag.
    if matches!(fed.vlan, VlanFilter::Id(_)) {
        return false;
    }
    let destinations: Vec<IpNet> = match send.target {
        Target::Set(address) => vec![address.into()],
        Target::Map { .. } => {
            feeder.groups.iter().map(|group| mapped(send.target, group)).collect()
        }
    };
    let group = destinations
        .iter()
        .any(|net| fed.groups.iter().any(|group| group.contains(net) || net.contains(group)));
    let ports = match (send.port, feeder.ports.as_slice()) {
        (Some(port), _) => vec![(port, port)],
        (None, []) => vec![(0, u16::MAX)],
        (None, ranges) => ranges.to_vec(),
    };
    let port = fed.ports.is_empty()
        || fed
            .ports
            .iter()
            .any(|range| ports.iter().any(|other| range.0 <= other.1 && other.0 <= range.1));
    group && port
}

fn mapped(target: Target, group: &IpNet) -> IpNet {
    let network: IpAddr = target.of(group.network());
    IpNet::new(network, group.prefix_len()).map_or(*group, |net| net.trunc())
}

fn leads_to(feeds: &BTreeMap<RuleSlot, BTreeSet<RuleSlot>>, from: RuleSlot, to: RuleSlot) -> bool {
    let mut seen = BTreeSet::from([from]);
    let mut next = vec![from];
    while let Some(rule) = next.pop() {
        if rule == to {
            return true;
        }
        next.extend(feeds.get(&rule).into_iter().flatten().filter(|fed| seen.insert(**fed)));
    }
    false
}
