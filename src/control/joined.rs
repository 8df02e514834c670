//! Outputs that wait for members: what of a rule is sent where, as members are now, and what is asked for
//! upstream on demand.

use super::members::Watched;
use super::members::wanted::{Wanted, either};
use super::resolve::memberships;
use crate::fib::{
    Action, CopyOut, Egress, OutputSlot, Resolved, RuleSlot, Send, SourceRewrite, Target,
};
use crate::types::{DropReason, Membership, Reception, SourceFilter, Time, is_multicast};
use ipnet::{IpNet, Ipv4Net};
use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

/// Sources that members name, in the table; where there are more, groups go out from every source.
const MAX_SOURCES: usize = 262_144;
/// Addresses of one input prefix that are asked for upstream because a member wants a group that all of it is
/// sent to.
const MAX_UPSTREAM: usize = 1024;

/// What the rules ask of members.
#[derive(Debug, Default)]
pub(super) struct Asks {
    /// Outputs that wait for members, and how long they go on after those.
    pub(super) outputs: HashMap<OutputSlot, Duration>,
    /// Rules that ask upstream for no more than their outputs want.
    pub(super) on_demand: HashSet<RuleSlot>,
}

/// What came of it.
#[derive(Debug, Default)]
pub(super) struct Narrowed {
    /// What rules on demand ask for; some several times.
    pub(super) memberships: Vec<Membership>,
    /// For each output that waits for members how many groups have some, over all of its interfaces.
    pub(super) groups: HashMap<OutputSlot, usize>,
    /// What would change it.
    pub(super) watched: Watched,
    sources: usize,
}

/// What one copy of a rule, by its place there, is wanted of: packets to a part of the rule's groups.
type Wish = (IpNet, Reception, usize);

/// Divides rules by what members want.
pub(super) struct Narrower<'a> {
    pub(super) asks: &'a Asks,
    pub(super) wanted: &'a Wanted,
    pub(super) now: Time,
    pub(super) narrowed: Narrowed,
}

impl Narrower<'_> {
    /// The parts of a rule on one input interface: all of it with what is always done, then what members want.
    pub(super) fn divide(&mut self, mut rule: Resolved) -> Vec<Resolved> {
        let waits = |copy: &CopyOut| self.asks.outputs.contains_key(&copy.slot);
        let on_demand = self.asks.on_demand.contains(&rule.slot);
        if !rule.copies.iter().any(waits) {
            if on_demand {
                self.ask_for_all(&rule);
            }
            return vec![rule];
        }
        let wishes = self.wishes(&rule);
        if on_demand && !rule.copies.iter().all(waits) {
            self.ask_for_all(&rule);
        } else if on_demand {
            self.ask_for_wanted(&rule, &wishes);
        }
        // Groups of which the same is wanted stand together.
        let mut alike: BTreeMap<(Reception, Vec<usize>), Vec<IpNet>> = BTreeMap::new();
        for same in wishes.chunk_by(|a, b| (a.0, &a.1) == (b.0, &b.1)) {
            let (net, reception, _) = &same[0];
            let reception = self.within_limit(reception.clone());
            let copies = same.iter().map(|(_, _, at)| *at).collect();
            alike.entry((reception, copies)).or_default().push(*net);
        }
        let parts = alike.into_iter().map(|((reception, copies), groups)| Resolved {
            groups,
            sources: filter(&rule.sources, reception),
            ports: rule.ports.clone(),
            copies: copies.into_iter().map(|at| rule.copies[at]).collect(),
            ..rule
        });
        let parts: Vec<Resolved> = parts.collect();
        rule.copies = without_members(&rule.copies, self.asks);
        std::iter::once(rule).chain(parts).collect()
    }

    /// In order. One list: a map for each of thousands of groups would be most of what control takes.
    fn wishes(&mut self, rule: &Resolved) -> Vec<Wish> {
        let mut wishes = Vec::new();
        let mut groups: HashMap<OutputSlot, usize> = HashMap::new();
        for (at, copy) in rule.copies.iter().enumerate() {
            let Some(linger) = self.asks.outputs.get(&copy.slot) else { continue };
            let count = groups.entry(copy.slot).or_default();
            let Action::Send(Send { oif: Some(oif), target, egress, .. }) = copy.action else {
                continue;
            };
            let mut seen: BTreeSet<Ipv4Addr> = BTreeSet::new();
            for net in rule.groups.iter().filter_map(v4) {
                let Some(out) = leaving(target, net) else { continue };
                self.narrowed.watched.add(oif, out);
                for (group, reception) in self.wanted.within(oif, out, *linger, self.now) {
                    seen.insert(group);
                    let Some(taken) = taken(&rule.sources, seen_source(egress), &reception) else {
                        continue;
                    };
                    wishes.push((arriving(target, net, group).into(), taken, at));
                }
            }
            *count += seen.len();
        }
        for (slot, count) in groups {
            let most = self.narrowed.groups.entry(slot).or_default();
            *most = count.max(*most);
        }
        wishes.sort_unstable();
        wishes
    }

    fn within_limit(&mut self, reception: Reception) -> Reception {
        let (Reception::Include(sources) | Reception::Exclude(sources)) = &reception;
        self.narrowed.sources = self.narrowed.sources.saturating_add(sources.len());
        match self.narrowed.sources > MAX_SOURCES && !sources.is_empty() {
            true => Reception::Exclude(BTreeSet::new()),
            false => reception,
        }
    }

    fn ask_for_all(&mut self, rule: &Resolved) {
        for net in rule.groups.iter().filter(|net| is_multicast(net.network())).filter_map(v4) {
            self.narrowed.memberships.extend(memberships(&rule.sources, net, rule.iif));
        }
    }

    fn ask_for_wanted(&mut self, rule: &Resolved, wishes: &[Wish]) {
        for of_net in wishes.chunk_by(|a, b| a.0 == b.0) {
            let all = of_net.iter().map(|(_, reception, _)| Cow::Borrowed(reception));
            let Some(all) = all.reduce(|a, b| Cow::Owned(either(&a, &b))) else { continue };
            let Some(net) = v4(&of_net[0].0).filter(|net| net.network().is_multicast()) else {
                continue;
            };
            let ask = |source| Membership { index: rule.iif, group: net.network().into(), source };
            match (&*all, net.prefix_len()) {
                // They are among those that the rule takes.
                (Reception::Include(sources), 32) => {
                    let asked = sources.iter().map(|source| ask(Some((*source).into())));
                    self.narrowed.memberships.extend(asked);
                }
                (all, _) => {
                    let sources = filter(&rule.sources, all.clone());
                    let asked = memberships(&sources, net, rule.iif).take(MAX_UPSTREAM);
                    self.narrowed.memberships.extend(asked);
                }
            }
        }
    }
}

/// What is done with packets that nobody wants.
fn without_members(copies: &[CopyOut], asks: &Asks) -> Vec<CopyOut> {
    let mut waiting = BTreeSet::new();
    let mut always = Vec::with_capacity(copies.len());
    for copy in copies {
        match copy.action {
            Action::Send(_) if asks.outputs.contains_key(&copy.slot) => {
                // Once for all of an output's interfaces.
                if waiting.insert(copy.slot) {
                    let action = Action::Drop(DropReason::NoMember);
                    always.push(CopyOut { action, ..*copy });
                }
            }
            _ => always.push(*copy),
        }
    }
    always
}

fn v4(net: &IpNet) -> Option<Ipv4Net> {
    match net {
        IpNet::V4(net) => Some(net.trunc()),
        IpNet::V6(_) => None,
    }
}

/// The groups that packets to `net` go out to.
fn leaving(target: Target, net: Ipv4Net) -> Option<Ipv4Net> {
    let IpAddr::V4(first) = target.of(net.network().into()) else { return None };
    let length = match target {
        Target::Set(_) => 32,
        Target::Map { .. } => net.prefix_len(),
    };
    Ipv4Net::new(first, length).ok().map(|net| net.trunc())
}

/// The packets to `net` that go out to a group.
fn arriving(target: Target, net: Ipv4Net, group: Ipv4Addr) -> Ipv4Net {
    match target {
        Target::Set(_) => net,
        Target::Map { .. } => {
            let host = u32::from(net.hostmask());
            Ipv4Addr::from(u32::from(net.network()) | u32::from(group) & host).into()
        }
    }
}

/// The source that receivers see; none = the packet's own.
fn seen_source(egress: Egress) -> Option<Ipv4Addr> {
    let address = match egress {
        Egress::Socket { source, .. } => source,
        Egress::Link { source: SourceRewrite { address, .. }, .. }
        | Egress::Raw { source: SourceRewrite { address, .. } } => address,
    };
    match address? {
        IpAddr::V4(address) => Some(address),
        IpAddr::V6(_) => None,
    }
}

/// Of the sources that a rule takes those that are wanted; none where there are none.
fn taken(rule: &SourceFilter, seen: Option<Ipv4Addr>, wanted: &Reception) -> Option<Reception> {
    let takes = |source: &Ipv4Addr| rule.takes(&IpAddr::V4(*source).into());
    match (seen, wanted) {
        (Some(ours), wanted) => wanted.wants(ours).then(|| Reception::Exclude(BTreeSet::new())),
        (None, Reception::Include(sources)) => {
            let taken: BTreeSet<Ipv4Addr> = sources.iter().copied().filter(takes).collect();
            (!taken.is_empty()).then_some(Reception::Include(taken))
        }
        (None, Reception::Exclude(not)) => {
            Some(Reception::Exclude(not.iter().copied().filter(takes).collect()))
        }
    }
}

/// What a rule takes, from the sources that are wanted of those.
fn filter(rule: &SourceFilter, wanted: Reception) -> SourceFilter {
    let nets =
        |sources: BTreeSet<Ipv4Addr>| sources.into_iter().map(|s| IpNet::from(IpAddr::V4(s)));
    match wanted {
        Reception::Include(sources) => {
            SourceFilter { include: nets(sources).collect(), exclude: Vec::new() }
        }
        Reception::Exclude(not) => {
            let exclude = rule.exclude.iter().copied().chain(nets(not)).collect();
            SourceFilter { include: rule.include.clone(), exclude }
        }
    }
}
