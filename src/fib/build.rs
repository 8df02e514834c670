//! Compiles resolved rules into a [`Fib`].

use super::union::{Union, narrowed};
use super::{
    Action, CopyOut, Entry, Fib, IfIndex, Limit, Map, OutputSlot, Prefix, PrefixLengths, Protocol,
    RuleSlot, Set, SourceClass, Tables, Target, VlanClass, VlanFilter,
};
use crate::types::{DropReason, SourceFilter};
use ipnet::{IpNet, Ipv4Net};
use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr};

/// 224.0.0.0/24: these groups stay on their link (RFC 5771 section 4).
const LINK_LOCAL: Ipv4Net = Ipv4Net::new_assert(Ipv4Addr::new(224, 0, 0, 0), 24);

/// A rule on one of its input interfaces, its names all become interfaces.
#[derive(Clone, Debug)]
pub struct Resolved {
    /// Its counter.
    pub slot: RuleSlot,
    /// The interface.
    pub iif: IfIndex,
    /// The frames by VLAN.
    pub vlan: VlanFilter,
    /// The destinations; none twice.
    pub groups: Vec<IpNet>,
    /// The UDP ports, both ends included; empty = every port.
    pub ports: Vec<(u16, u16)>,
    /// The sources.
    pub sources: SourceFilter,
    /// The protocols.
    pub protocol: Protocol,
    /// Packets to 224.0.0.0/24 too.
    pub link_local: bool,
    /// Its copies, in the order of its outputs; an output with several interfaces has several.
    pub copies: Vec<CopyOut>,
}

impl Resolved {
    /// True where it takes every packet to `net`; a part of it, were it larger, is in the table
    /// by itself.
    fn covers(&self, net: &IpNet) -> bool {
        self.groups.iter().any(|group| group.contains(net))
    }

    fn keeps_on_link(&self, net: &IpNet) -> bool {
        !self.link_local && IpNet::V4(LINK_LOCAL).contains(net)
    }

    pub(super) fn sends(&self) -> impl Iterator<Item = &super::Send> {
        self.copies.iter().filter_map(|copy| match &copy.action {
            Action::Send(send) => Some(send),
            Action::Drop(_) => None,
        })
    }
}

/// Two outputs want the same copy rewritten differently.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Conflict {
    /// The output that is not served.
    pub loser: OutputSlot,
    /// The rule that wins.
    pub winner: RuleSlot,
    /// The loser is served for other packets.
    pub partial: bool,
}

/// A table and what became of contradictions.
#[derive(Debug, Default)]
pub struct Compiled {
    /// The table.
    pub fib: Fib,
    /// Who lost to whom.
    pub conflicts: BTreeSet<Conflict>,
}

/// Collects what a table is made of.
#[derive(Debug, Default)]
pub struct Builder {
    rules: Vec<Resolved>,
    own: Vec<(IfIndex, IpAddr)>,
}

impl Builder {
    /// Adds a rule on one interface. Rules added earlier take precedence in contradictions. A rule may be added
    /// several times in a row, for parts of what it takes: where parts meet, it counts once, and
    /// [`DropReason::NoMember`] gives way to what else the others do with the copies of that output.
    pub fn rule(&mut self, rule: Resolved) {
        self.rules.push(rule);
    }

    /// Declares an address of ours on an interface.
    pub fn own_address(&mut self, iif: IfIndex, address: IpAddr) {
        self.own.push((iif, address));
    }

    /// Compiles the table.
    pub fn build(self, generation: u64) -> Compiled {
        let mut tables = Tables { own: self.own.into_iter().collect(), ..Tables::default() };
        let mut union = Union::default();
        for ((iif, vlan), rules) in by_vlan(&self.rules) {
            tables.vlans.insert((iif, vlan));
            Segment { tables: &mut tables, union: &mut union, rules: &rules }.compile(iif, vlan);
        }
        let rule_slots = self.rules.iter().map(|rule| rule.slot.0 + 1).max().unwrap_or(0);
        let copies = self.rules.iter().flat_map(|rule| &rule.copies);
        let output_slots = copies.map(|copy| copy.slot.0 + 1).max().unwrap_or(0);
        let limits = self.rules.iter().flat_map(|rule| &rule.copies).filter_map(limit_of);
        let limits: BTreeMap<OutputSlot, Limit> = limits.collect();
        let limits = limits.into_iter().collect();
        let conflicts = union.conflicts();
        Compiled { fib: Fib { generation, tables, rule_slots, output_slots, limits }, conflicts }
    }
}

fn limit_of(copy: &CopyOut) -> Option<(OutputSlot, Limit)> {
    match copy.action {
        Action::Send(send) => Some((copy.slot, send.limit?)),
        Action::Drop(_) => None,
    }
}

/// The rules by the frames that they take, in the order of precedence.
fn by_vlan(rules: &[Resolved]) -> BTreeMap<(IfIndex, VlanClass), Vec<&Resolved>> {
    let mut classes: BTreeMap<IfIndex, BTreeSet<VlanClass>> = BTreeMap::new();
    for rule in rules {
        let of_interface = classes.entry(rule.iif).or_default();
        match rule.vlan {
            VlanFilter::Untagged => of_interface.insert(VlanClass::Untagged),
            VlanFilter::Id(id) => of_interface.insert(VlanClass::Id(id)),
            VlanFilter::Any => {
                of_interface.insert(VlanClass::Untagged);
                of_interface.insert(VlanClass::Other)
            }
        };
    }
    let mut by_vlan: BTreeMap<(IfIndex, VlanClass), Vec<&Resolved>> = BTreeMap::new();
    for rule in rules {
        for class in classes.get(&rule.iif).into_iter().flatten() {
            let takes = match rule.vlan {
                VlanFilter::Any => true,
                VlanFilter::Untagged => *class == VlanClass::Untagged,
                VlanFilter::Id(id) => *class == VlanClass::Id(id),
            };
            if takes {
                by_vlan.entry((rule.iif, *class)).or_default().push(rule);
            }
        }
    }
    by_vlan
}

/// One interface and VLAN while it is compiled.
struct Segment<'a> {
    tables: &'a mut Tables,
    union: &'a mut Union,
    rules: &'a [&'a Resolved],
}

impl<'a> Segment<'a> {
    fn compile(mut self, iif: IfIndex, vlan: VlanClass) {
        let by_group = by_net(self.rules.iter().map(|rule| rule.groups.as_slice()));
        let mut lengths = PrefixLengths::default();
        by_group.keys().for_each(|net| lengths.add(net));
        let mut nets: BTreeSet<IpNet> = by_group.keys().copied().collect();
        if self.rules.iter().any(|rule| {
            !rule.link_local && rule.covers(&LINK_LOCAL.into()) && !rule.groups.is_empty()
        }) {
            nets.insert(LINK_LOCAL.into());
        }
        let mut special = BTreeSet::new();
        for net in &nets {
            let rules = self.covering(net, &by_group, &lengths);
            special.extend(meeting_points(net, &rules));
        }
        nets.extend(special);
        for net in nets {
            let rules = self.covering(&net, &by_group, &lengths);
            let at = self.prefix(&net, &rules);
            self.tables.lengths.add(&net);
            self.tables.destinations.insert((iif, vlan, net), at);
        }
    }

    /// The rules that take all packets to `net`, in the order of precedence.
    fn covering(
        &self,
        net: &IpNet,
        by_group: &Map<IpNet, Vec<u32>>,
        lengths: &PrefixLengths,
    ) -> Vec<&'a Resolved> {
        covering(net, by_group, lengths).into_iter().map(|at| self.rules[at as usize]).collect()
    }

    fn prefix(&mut self, net: &IpNet, rules: &[&'a Resolved]) -> u32 {
        let at = place(self.tables.prefixes.len());
        let takers: Vec<&Resolved> =
            rules.iter().copied().filter(|rule| !rule.keeps_on_link(net)).collect();
        let kept = takers.is_empty() && !rules.is_empty();
        let others = self.class(net, takers.iter().filter(|r| r.sources.include.is_empty()));
        let mut prefix = Prefix {
            source_lengths: PrefixLengths::default(),
            others,
            ports: joined(takers.iter().copied()).into(),
            any_protocol: takers.iter().any(|rule| rule.protocol == Protocol::Any),
            miss: if kept { DropReason::LinkLocal } else { DropReason::NoRule },
        };
        let included = by_net(takers.iter().map(|rule| rule.sources.include.as_slice()));
        let mut lengths = PrefixLengths::default();
        included.keys().for_each(|net| lengths.add(net));
        let everyone: Vec<u32> = (0..place(takers.len()))
            .filter(|&at| takers[at as usize].sources.include.is_empty())
            .collect();
        let excluded = takers.iter().flat_map(|rule| &rule.sources.exclude);
        let sources: BTreeSet<IpNet> = included.keys().chain(excluded).copied().collect();
        for source in sources {
            let mut places = covering(&source, &included, &lengths);
            places.extend(&everyone);
            places.sort_unstable();
            let class: Vec<&Resolved> = places
                .into_iter()
                .map(|at| takers[at as usize])
                .filter(|rule| rule.sources.takes(&source))
                .collect();
            let class = self.class(net, class.iter());
            prefix.source_lengths.add(&source);
            self.tables.sources.insert((at, source), class);
        }
        self.tables.prefixes.push(prefix);
        at
    }

    /// The entries for packets to `net` that these rules take, by port.
    fn class<'r>(&mut self, net: &IpNet, rules: impl Iterator<Item = &'r &'a Resolved>) -> u32
    where
        'a: 'r,
    {
        let rules: Vec<&Resolved> = rules.copied().collect();
        let mut ports = Vec::new();
        for (start, end, places) in port_segments(&rules) {
            let entry = self.union.of(net, Some((start, end)), places.iter().map(|&at| rules[at]));
            let entry = self.entry(entry);
            ports.push((start, end, entry));
        }
        let mut class = SourceClass { ports: ports.into(), other: None };
        let any: Vec<&Resolved> =
            rules.iter().copied().filter(|rule| rule.protocol == Protocol::Any).collect();
        if !any.is_empty() {
            let entry = self.union.of(net, None, any.into_iter());
            class.other = Some(self.entry(entry));
        }
        let at = place(self.tables.classes.len());
        self.tables.classes.push(class);
        at
    }

    fn entry(&mut self, entry: Entry) -> u32 {
        self.tables.entries.push(entry);
        place(self.tables.entries.len() - 1)
    }
}

/// A table of 2^32 entries does not fit any memory that this runs on.
fn place(at: usize) -> u32 {
    u32::try_from(at).unwrap_or(u32::MAX)
}

/// Who names which prefix, by place.
fn by_net<'n>(lists: impl Iterator<Item = &'n [IpNet]>) -> Map<IpNet, Vec<u32>> {
    let mut by_net: Map<IpNet, Vec<u32>> = Map::default();
    for (at, nets) in (0u32..).zip(lists) {
        for net in nets {
            by_net.entry(net.trunc()).or_default().push(at);
        }
    }
    by_net
}

/// The places of all that name a prefix that contains `net`, sorted, each once.
fn covering(net: &IpNet, by_net: &Map<IpNet, Vec<u32>>, lengths: &PrefixLengths) -> Vec<u32> {
    let mut places: Vec<u32> = lengths
        .covering(net.network())
        .filter(|wider| wider.prefix_len() <= net.prefix_len())
        .filter_map(|wider| by_net.get(&wider))
        .flatten()
        .copied()
        .collect();
    places.sort_unstable();
    places.dedup();
    places
}

/// Within a prefix, a copy to a fixed group and a copy that keeps host bits meet for one
/// destination only: that destination needs an entry of its own, where they are the same copy.
fn meeting_points(net: &IpNet, rules: &[&Resolved]) -> BTreeSet<IpNet> {
    let mut points = BTreeSet::new();
    let (IpNet::V4(v4), true) = (net, net.prefix_len() < net.max_prefix_len()) else {
        return points;
    };
    let mut fixed: BTreeSet<(Option<IfIndex>, Ipv4Addr)> = BTreeSet::new();
    let mut mapped: BTreeSet<(Option<IfIndex>, Ipv4Addr)> = BTreeSet::new();
    // The packet itself, where it came from.
    mapped.extend(rules.iter().map(|rule| (Some(rule.iif), v4.network())));
    for send in rules.iter().flat_map(|rule| rule.sends()) {
        match narrowed(send.target, net) {
            Target::Set(IpAddr::V4(address)) => _ = fixed.insert((send.oif, address)),
            Target::Map { base: IpAddr::V4(base), .. } => _ = mapped.insert((send.oif, base)),
            _ => {}
        }
    }
    let host = u32::from(v4.hostmask());
    for (oif, address) in &fixed {
        let base = Ipv4Addr::from(u32::from(*address) & !host);
        if mapped.contains(&(*oif, base)) {
            let meets = u32::from(v4.network()) | u32::from(*address) & host;
            points.insert(IpNet::V4(Ipv4Addr::from(meets).into()));
        }
    }
    points
}

/// All ports that the rules take, as sorted ranges that do not touch.
fn joined<'r>(rules: impl Iterator<Item = &'r Resolved>) -> Vec<(u16, u16)> {
    let mut ranges: Vec<(u16, u16)> = rules.flat_map(ranges_of).collect();
    ranges.sort_unstable();
    let mut joined: Vec<(u16, u16)> = Vec::new();
    for (start, end) in ranges {
        match joined.last_mut() {
            Some((_, last)) if u32::from(start) <= u32::from(*last) + 1 => *last = end.max(*last),
            _ => joined.push((start, end)),
        }
    }
    joined
}

fn ranges_of(rule: &Resolved) -> Vec<(u16, u16)> {
    match rule.ports.as_slice() {
        [] => vec![(0, u16::MAX)],
        ranges => ranges.to_vec(),
    }
}

/// Cuts the ports where the set of rules changes: first port, last port, places of the rules.
fn port_segments(rules: &[&Resolved]) -> Vec<(u16, u16, Vec<usize>)> {
    let mut begins: BTreeMap<u32, Vec<usize>> = BTreeMap::new();
    let mut ends: BTreeMap<u32, Vec<usize>> = BTreeMap::new();
    let mut cuts: BTreeSet<u32> = BTreeSet::new();
    for (at, rule) in rules.iter().enumerate() {
        for (start, end) in ranges_of(rule) {
            begins.entry(start.into()).or_default().push(at);
            ends.entry(u32::from(end) + 1).or_default().push(at);
            cuts.extend([u32::from(start), u32::from(end) + 1]);
        }
    }
    cuts.extend(meeting_ports(rules));
    let mut active: BTreeMap<usize, u32> = BTreeMap::new();
    let mut segments = Vec::new();
    let cuts: Vec<u32> = cuts.into_iter().collect();
    for (n, cut) in cuts.iter().enumerate() {
        for at in begins.get(cut).into_iter().flatten() {
            *active.entry(*at).or_default() += 1;
        }
        for at in ends.get(cut).into_iter().flatten() {
            if let Some(count) = active.get_mut(at) {
                *count -= 1;
                if *count == 0 {
                    active.remove(at);
                }
            }
        }
        let next = cuts.get(n + 1).copied();
        if let (Ok(start), Some(next), false) = (u16::try_from(*cut), next, active.is_empty()) {
            let end = u16::try_from(next - 1).unwrap_or(u16::MAX);
            segments.push((start, end, active.keys().copied().collect()));
        }
    }
    segments
}

/// A copy to a fixed port and one that keeps its port meet where the packet has that port.
fn meeting_ports(rules: &[&Resolved]) -> Vec<u32> {
    let sends = || rules.iter().flat_map(|rule| rule.sends());
    let mut keeping: Set<Option<IfIndex>> =
        sends().filter(|send| send.port.is_none()).map(|send| send.oif).collect();
    keeping.extend(rules.iter().map(|rule| Some(rule.iif)));
    sends()
        .filter(|send| keeping.contains(&send.oif))
        .filter_map(|send| send.port)
        .flat_map(|port| [u32::from(port), u32::from(port) + 1])
        .collect()
}
