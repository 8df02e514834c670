//! From names to interfaces: what a rule can do now, or why it cannot yet.

use super::egress::{self, Blocked};
use super::interfaces::Interfaces;
use super::joined::Asks;
use super::members::Lingers;
use super::rules::Entry;
use crate::fib::{Action, CopyOut, OutputSlot, Resolved};
use crate::types::{
    Destination, DropReason, Few, IfIndex, Input, InputFilter, InterfaceSelector, Join, Link,
    Membership, Output, Protocol, Rule, SourceFilter, When, is_multicast,
};
use ipnet::{IpNet, Ipv4Net};
use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

/// Groups of one output that applications on this host are made members of.
const MAX_LOCAL_GROUPS: usize = 1024;

/// An input socket that rules need.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize,
)]
pub enum PortKey {
    /// AF_PACKET on an interface: the shard of this number, from 0. What a rule needs is said as shard 0
    /// and means all of them.
    Packet(IfIndex, u32),
    /// UDP on a unicast address and port of ours.
    Udp(IfIndex, Ipv4Addr, u16),
}

impl PortKey {
    /// The interface.
    pub const fn iif(&self) -> IfIndex {
        match self {
            Self::Packet(iif, _) | Self::Udp(iif, ..) => *iif,
        }
    }
}

/// What several interfaces of one input or output have come to.
#[derive(Debug, Default)]
struct Outcome {
    /// Interfaces that work.
    working: usize,
    /// Why others do not.
    troubles: Vec<String>,
}

/// What an input or output has come to, as it is remembered: nearly always there is nothing to tell.
#[derive(Clone, Debug, Default)]
pub(super) struct Standing(Option<Box<Told>>);

#[derive(Clone, Debug)]
struct Told {
    /// Something works all the same.
    works: bool,
    text: String,
}

impl Standing {
    fn new(works: bool, text: Option<String>) -> Self {
        Self(text.map(|text| Box::new(Told { works, text })))
    }

    /// Why nothing works; none where something does.
    pub(super) fn reason(&self) -> Option<&str> {
        self.0.as_ref().filter(|told| !told.works).map(|told| told.text.as_str())
    }

    /// What does not work, or may be wrong, where something works.
    pub(super) fn note(&self) -> Option<&str> {
        self.0.as_ref().filter(|told| told.works).map(|told| told.text.as_str())
    }
}

impl Outcome {
    fn trouble(&mut self, trouble: String) {
        if !self.troubles.contains(&trouble) {
            self.troubles.push(trouble);
        }
    }

    fn standing(&self) -> Standing {
        Standing::new(self.working > 0, self.told())
    }

    fn told(&self) -> Option<String> {
        const SHOWN: usize = 3;
        let first = self.troubles.get(..SHOWN.min(self.troubles.len()))?.join("; ");
        match self.troubles.len() {
            0 => None,
            n if n > SHOWN => Some(format!("{first}; and {} more", n - SHOWN)),
            _ => Some(first),
        }
    }
}

/// What all rules together need: of the kernel to get packets, of members to send them.
#[derive(Debug, Default)]
pub(super) struct Needs {
    /// Sockets to be open, with what they let in.
    pub(super) ports: BTreeMap<PortKey, InputFilter>,
    /// Some several times.
    pub(super) memberships: Vec<Membership>,
    pub(super) asks: Asks,
    /// Where members are to be known.
    pub(super) lingers: Lingers,
}

/// An input while it is resolved.
#[derive(Debug, Default)]
struct ResolvedInput {
    ports: BTreeSet<PortKey>,
    outcome: Outcome,
    /// For each interface the groups that can be taken there.
    groups: BTreeMap<IfIndex, Vec<IpNet>>,
}

/// A resolved output.
#[derive(Clone, Debug, Default)]
pub(super) struct ResolvedOutput {
    pub(super) interfaces: Few<IfIndex>,
    /// Whether anything can be sent now.
    pub(super) standing: Standing,
}

/// What became of a rule.
#[derive(Clone, Debug)]
pub(super) struct Resolution {
    /// The sockets that its packets come in by, in order.
    pub(super) ports: Few<PortKey>,
    input: Standing,
    pub(super) outputs: Few<ResolvedOutput>,
}

impl Resolution {
    /// Why nothing comes in; none where something does.
    pub(super) fn input_trouble(&self) -> Option<String> {
        self.input.reason().map(|reason| format!("input: {reason}"))
    }

    /// What does not come in where something does.
    pub(super) fn input_note(&self) -> Option<String> {
        self.input.note().map(|note| format!("input: {note}"))
    }
}

/// Resolves one enabled rule and adds what it needs; the second part goes into the table, one for each
/// input interface.
pub(super) fn resolve(
    entry: &Entry,
    interfaces: &Interfaces,
    needs: &mut Needs,
) -> (Resolution, Vec<Resolved>) {
    let rule = &entry.rule;
    let input = resolve_input(&rule.input, interfaces, needs);
    let mut outputs = Vec::with_capacity(rule.outputs.len());
    let mut copies: Vec<CopyOut> = Vec::with_capacity(rule.outputs.len());
    if rule.input.join == Join::OnDemand {
        needs.asks.on_demand.insert(entry.slot);
    }
    for (output, slot) in rule.outputs.iter().zip(&entry.outputs) {
        outputs.push(resolve_output(rule, output, *slot, interfaces, needs, &mut copies));
        needs.memberships.extend(local_memberships(rule, output, interfaces));
    }
    let ports: Vec<(u16, u16)> =
        rule.input.ports.iter().map(|range| (range.start.get(), range.end.get())).collect();
    let resolved = input.groups.iter().map(|(&iif, groups)| Resolved {
        slot: entry.slot,
        iif,
        vlan: rule.input.vlan,
        groups: groups.clone(),
        ports: ports.clone(),
        sources: rule.input.sources.clone(),
        protocol: rule.input.protocol,
        link_local: rule.input.link_local,
        copies: copies.clone(),
    });
    let resolved = resolved.collect();
    let ports = input.ports.into_iter().collect();
    let resolution = Resolution { ports, input: input.outcome.standing(), outputs: outputs.into() };
    (resolution, resolved)
}

fn resolve_input(input: &Input, interfaces: &Interfaces, needs: &mut Needs) -> ResolvedInput {
    let mut resolved = ResolvedInput::default();
    for link in selected(&input.interfaces, interfaces, &mut resolved.outcome) {
        if !link.up {
            resolved.outcome.trouble(down(link));
            continue;
        }
        let mut bound = false;
        for group in &input.groups {
            match bind(input, *group, link, interfaces, needs) {
                Ok(ports) => {
                    resolved.ports.extend(ports);
                    resolved.groups.entry(link.index).or_default().push(*group);
                    bound = true;
                }
                Err(trouble) => resolved.outcome.trouble(trouble),
            }
        }
        match bound {
            true if link.carrier => resolved.outcome.working += 1,
            true => resolved.outcome.trouble(no_carrier(link)),
            false => {}
        }
    }
    resolved
}

/// The sockets and memberships of one group on one interface.
fn bind(
    input: &Input,
    group: IpNet,
    link: &Link,
    interfaces: &Interfaces,
    needs: &mut Needs,
) -> Result<Vec<PortKey>, String> {
    let IpNet::V4(v4) = group else { return Err("IPv6 is not forwarded yet".to_owned()) };
    let address = group.network();
    let multicast = is_multicast(address);
    if multicast || interfaces.is_broadcast(link.index, address) {
        let port = PortKey::Packet(link.index, 0);
        let filter = needs.ports.entry(port).or_default();
        filter.destinations.insert(v4);
        filter.any_protocol |= input.protocol == Protocol::Any;
        filter.all_multicast |= multicast && input.join == Join::Never;
        if multicast && input.join == Join::Always {
            needs.memberships.extend(memberships(&input.sources, v4, link.index));
        }
        return Ok(vec![port]);
    }
    if !interfaces.has_address(link.index, address) {
        return Err(format!("{address} is not an address of {}", link.name));
    }
    if input.ports.is_empty() {
        return Err("a unicast input needs a port".to_owned());
    }
    let numbers = input.ports.iter().flat_map(|range| range.start.get()..=range.end.get());
    let ports: Vec<PortKey> =
        numbers.map(|port| PortKey::Udp(link.index, v4.network(), port)).collect();
    needs.ports.extend(ports.iter().map(|port| (*port, InputFilter::default())));
    Ok(ports)
}

/// Source-specific where all sources are known one by one; else of every source, and the table
/// leaves out what is not wanted.
pub(super) fn memberships(
    taken: &SourceFilter,
    groups: Ipv4Net,
    index: IfIndex,
) -> impl Iterator<Item = Membership> + use<> {
    let include = &taken.include;
    let one_by_one = include.iter().all(|net| net.prefix_len() == net.max_prefix_len());
    let sources: Vec<Option<IpAddr>> = if include.is_empty() || !one_by_one {
        vec![None]
    } else {
        let taken = include.iter().filter(|net| taken.takes(net));
        taken.map(|net| Some(net.network())).collect()
    };
    addresses(groups).flat_map(move |group| {
        let of = sources.clone().into_iter();
        of.map(move |source| Membership { index, group: group.into(), source })
    })
}

/// Every address of a prefix, the first and the last included.
fn addresses(net: Ipv4Net) -> impl Iterator<Item = Ipv4Addr> {
    (u32::from(net.network())..=u32::from(net.broadcast())).map(Ipv4Addr::from)
}

/// Groups that must be joined on the loopback interface so that its traffic reaches applications.
fn local_groups(rule: &Rule, output: &Output) -> impl Iterator<Item = Ipv4Addr> {
    let nets: Vec<IpNet> = match output.destination {
        Destination::Unchanged => rule.input.groups.to_vec(),
        Destination::Address(address) => vec![address.into()],
        Destination::Prefix(net) => vec![net],
    };
    let groups = nets.into_iter().filter_map(|net| match net {
        IpNet::V4(net) if net.network().is_multicast() => Some(addresses(net)),
        _ => None,
    });
    groups.flatten()
}

fn local_memberships(rule: &Rule, output: &Output, interfaces: &Interfaces) -> Vec<Membership> {
    let Some(lo) = interfaces.loopback().filter(|_| output.local) else { return Vec::new() };
    local_groups(rule, output)
        .take(MAX_LOCAL_GROUPS)
        .map(|group| Membership { index: lo.index, group: group.into(), source: None })
        .collect()
}

fn resolve_output(
    rule: &Rule,
    output: &Output,
    slot: OutputSlot,
    interfaces: &Interfaces,
    needs: &mut Needs,
    copies: &mut Vec<CopyOut>,
) -> ResolvedOutput {
    let mut push = |action| copies.push(CopyOut { slot, action });
    if output.interfaces.is_empty() && !output.local {
        return match egress::routed(&rule.input, output, interfaces) {
            Ok((send, note)) => {
                push(Action::Send(send));
                let standing = Standing::new(true, note);
                ResolvedOutput { interfaces: Few::default(), standing }
            }
            Err(Blocked { reason, drop }) => {
                push(Action::Drop(drop));
                let standing = Standing::new(false, Some(reason));
                ResolvedOutput { interfaces: Few::default(), standing }
            }
        };
    }
    let mut outcome = Outcome::default();
    let links: Vec<&Link> = if output.local {
        interfaces.loopback().into_iter().collect()
    } else {
        selected(&output.interfaces, interfaces, &mut outcome)
    };
    if links.is_empty() {
        push(Action::Drop(DropReason::NoInterface));
    }
    let waits = linger(output);
    if let Some(linger) = waits {
        needs.asks.outputs.insert(slot, linger);
        for link in links.iter().filter(|link| link.up) {
            needs.lingers.entry(link.index).or_default().insert(linger);
        }
    }
    let mut first_blocked = None;
    for link in &links {
        match egress::on_link(&rule.input, output, link, interfaces) {
            Ok(send) => {
                push(Action::Send(send));
                outcome.working += 1;
            }
            Err(Blocked { reason, drop }) => {
                outcome.trouble(reason);
                // Where it waits for members there are none on an interface that does not work.
                match waits {
                    Some(_) => _ = first_blocked.get_or_insert(drop),
                    None => push(Action::Drop(drop)),
                }
            }
        }
    }
    if let Some(drop) = first_blocked.filter(|_| outcome.working == 0) {
        push(Action::Drop(drop));
    }
    let mut standing = outcome.standing();
    if standing.0.is_none()
        && output.local
        && local_groups(rule, output).nth(MAX_LOCAL_GROUPS).is_some()
    {
        let text = format!("only the first {MAX_LOCAL_GROUPS} groups reach programs on this host");
        standing = Standing::new(true, Some(text));
    }
    ResolvedOutput { interfaces: links.iter().map(|link| link.index).collect(), standing }
}

/// How long an output goes on after the last member has left; none where it does not wait for members.
fn linger(output: &Output) -> Option<Duration> {
    let multicast = match output.destination {
        Destination::Unchanged => true,
        Destination::Address(address) => is_multicast(address),
        Destination::Prefix(net) => is_multicast(net.network()),
    };
    match output.when {
        When::Joined { linger } if multicast && !output.local => Some(linger),
        When::Joined { .. } | When::Always => None,
    }
}

/// The interfaces that the selectors select, by index; what selects none is a trouble.
fn selected<'i>(
    selectors: &[InterfaceSelector],
    interfaces: &'i Interfaces,
    outcome: &mut Outcome,
) -> Vec<&'i Link> {
    let mut links: BTreeMap<IfIndex, &Link> = BTreeMap::new();
    for selector in selectors {
        let before = links.len();
        // One by one is what nearly all rules say, and a hash knows it.
        if let Some(name) = selector.only_name() {
            match interfaces.named(name) {
                Some(link) => _ = links.insert(link.index, link),
                None => outcome.trouble(format!("there is no interface {name}")),
            }
            continue;
        }
        links.extend(
            interfaces
                .all()
                .filter(|link| selector.selects(link, interfaces.addresses(link.index)))
                .map(|link| (link.index, link)),
        );
        if links.len() == before {
            outcome.trouble(format!("there is no interface with {selector}"));
        }
    }
    links.into_values().collect()
}

pub(super) fn down(link: &Link) -> String {
    format!("{0} is down (ip link set {0} up)", link.name)
}

pub(super) fn no_carrier(link: &Link) -> String {
    format!("{} has no carrier", link.name)
}
