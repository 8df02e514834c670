//! Nodes, links and the clock.

use crate::groups::union_of;
use ipnet::Ipv4Net;
use mcr::igmp::host::{Host, HostInterface};
use mcr::igmp::{Igmp, Interface};
use mcr::timers::Timers;
use mcr::types::{HostMode, IfIndex, IgmpSettings, Reception, Time};
use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;
use std::rc::Rc;
use std::time::Duration;

/// A virtual link. A node's interface on it has its number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Lan(u32);

/// Something on links.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct NodeId(usize);

/// What a link does to packets, to each receiver's copy by itself.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Quality {
    /// Of a hundred, how many are lost.
    pub(crate) loss: u64,
    /// Of a hundred, how many arrive twice.
    pub(crate) twice: u64,
    /// The least and the longest time under way: packets may overtake each other.
    pub(crate) delay: (Duration, Duration),
}

impl Default for Quality {
    fn default() -> Self {
        let delay = (Duration::from_micros(100), Duration::from_millis(2));
        Self { loss: 0, twice: 0, delay }
    }
}

impl Quality {
    /// Loses so many of a hundred, repeats a few, and delays all by up to 20 ms.
    pub(crate) fn lossy(loss: u64) -> Self {
        let delay = (Duration::from_micros(100), Duration::from_millis(20));
        Self { loss, twice: 5, delay }
    }
}

/// A packet that a node sent.
#[derive(Clone, Debug)]
pub(crate) struct Sent {
    pub(crate) at: Time,
    pub(crate) from: NodeId,
    pub(crate) lan: Lan,
    pub(crate) packet: Rc<[u8]>,
}

/// What a router came to know.
#[derive(Clone, Debug)]
pub(crate) struct Change {
    pub(crate) at: Time,
    pub(crate) router: NodeId,
    pub(crate) lan: Lan,
    pub(crate) group: Ipv4Addr,
    pub(crate) reception: Option<Reception>,
}

/// Router side and host side of one machine; each runs on the links where it is configured.
struct Node {
    igmp: Igmp,
    host: Host,
    wanted: BTreeMap<Lan, BTreeMap<Ipv4Addr, Reception>>,
    /// A proxy asks here for what is wanted on its other links (RFC 4605).
    upstream: Option<Lan>,
}

struct Arrival {
    node: NodeId,
    lan: Lan,
    packet: Rc<[u8]>,
}

/// All of it.
pub(crate) struct Sim {
    pub(crate) now: Time,
    random: u64,
    nodes: Vec<Node>,
    lans: Vec<(Quality, BTreeSet<NodeId>)>,
    under_way: BTreeMap<(Time, u64), Arrival>,
    packets: u64,
    due: Timers<NodeId>,
    pub(crate) sent: Vec<Sent>,
    pub(crate) changes: Vec<Change>,
}

impl Sim {
    pub(crate) fn new(seed: u64) -> Self {
        Self {
            now: Time(1_000_000_000),
            random: seed,
            nodes: Vec::new(),
            lans: Vec::new(),
            under_way: BTreeMap::new(),
            packets: 0,
            due: Timers::default(),
            sent: Vec::new(),
            changes: Vec::new(),
        }
    }

    /// A number below `below`, by chance (SplitMix64).
    pub(crate) fn chance(&mut self, below: u64) -> u64 {
        self.random = self.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.random ^ (self.random >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % below.max(1)
    }

    pub(crate) fn lan(&mut self) -> Lan {
        self.lans.push((Quality::default(), BTreeSet::new()));
        Lan(u32::try_from(self.lans.len() - 1).expect("few links"))
    }

    pub(crate) fn set_quality(&mut self, lan: Lan, quality: Quality) {
        self.lans[lan.0 as usize].0 = quality;
    }

    pub(crate) fn node(&mut self) -> NodeId {
        let host = Host::new(self.chance(u64::MAX));
        let (igmp, wanted) = (Igmp::default(), BTreeMap::new());
        self.nodes.push(Node { igmp, host, wanted, upstream: None });
        NodeId(self.nodes.len() - 1)
    }

    /// Runs the router side of a node on a link, as 10.1.`link`.`last`.
    pub(crate) fn route(&mut self, node: NodeId, lan: Lan, last: u8, settings: IgmpSettings) {
        let interface = Interface { settings, addresses: vec![address(lan, last)], mtu: 1500 };
        self.nodes[node.0].igmp.configure(self.now, index(lan), Some(interface));
        self.plug(node, lan);
    }

    /// A node that is a router on a link.
    pub(crate) fn router(&mut self, lan: Lan, last: u8, settings: IgmpSettings) -> NodeId {
        let node = self.node();
        self.route(node, lan, last, settings);
        node
    }

    /// Runs the host side of a node on a link, as 10.1.`link`.`last`.
    pub(crate) fn listen(&mut self, node: NodeId, lan: Lan, last: u8, mode: HostMode) {
        let interface = HostInterface { mode, addresses: vec![address(lan, last)], mtu: 1500 };
        self.nodes[node.0].host.configure(self.now, index(lan), Some(interface));
        self.plug(node, lan);
    }

    /// A node that is a host on a link.
    pub(crate) fn host(&mut self, lan: Lan, last: u8, mode: HostMode) -> NodeId {
        let node = self.node();
        self.listen(node, lan, last, mode);
        node
    }

    /// Makes a node ask upstream for what is wanted on its other links.
    pub(crate) fn proxy(&mut self, node: NodeId, upstream: Lan) {
        self.nodes[node.0].upstream = Some(upstream);
    }

    fn plug(&mut self, node: NodeId, lan: Lan) {
        self.lans[lan.0 as usize].1.insert(node);
        self.settle(node);
    }

    /// Takes a node off all links: it is heard no more and hears nothing.
    pub(crate) fn kill(&mut self, node: NodeId) {
        for (_, nodes) in &mut self.lans {
            nodes.remove(&node);
        }
        self.nodes[node.0] = Node {
            igmp: Igmp::default(),
            host: Host::new(0),
            wanted: BTreeMap::new(),
            upstream: None,
        };
        self.due.cancel(node);
    }

    /// What a host wants of a group from now on.
    pub(crate) fn want(&mut self, node: NodeId, lan: Lan, group: Ipv4Addr, reception: Reception) {
        let wanted = self.nodes[node.0].wanted.entry(lan).or_default();
        wanted.insert(group, reception);
        let Node { host, wanted, .. } = &mut self.nodes[node.0];
        host.set(self.now, index(lan), &wanted[&lan]);
        self.settle(node);
    }

    pub(crate) fn leave(&mut self, node: NodeId, lan: Lan, group: Ipv4Addr) {
        self.want(node, lan, group, Reception::Include(BTreeSet::new()));
    }

    /// What a router knows of a group on a link.
    pub(crate) fn reception(&self, router: NodeId, lan: Lan, group: Ipv4Addr) -> Option<Reception> {
        self.nodes[router.0].igmp.reception(index(lan), group)
    }

    /// All that a router knows of a link.
    pub(crate) fn known(&self, router: NodeId, lan: Lan) -> BTreeMap<Ipv4Addr, Reception> {
        self.nodes[router.0].igmp.groups_in(index(lan), multicast()).collect()
    }

    /// What a host reports on a link.
    pub(crate) fn reported(&self, host: NodeId, lan: Lan) -> BTreeMap<Ipv4Addr, Reception> {
        let groups = self.nodes[host.0].host.groups(index(lan));
        groups
            .filter(|group| *group.wanted != Reception::Include(BTreeSet::new()))
            .map(|group| (group.group, group.wanted.clone()))
            .collect()
    }

    /// Lets time pass.
    pub(crate) fn run(&mut self, time: Duration) {
        self.run_until(time, |_| false);
    }

    /// Lets time pass until something is so; how long that took, none = it did not come to be within that time.
    pub(crate) fn run_until(
        &mut self,
        time: Duration,
        is_so: impl Fn(&Self) -> bool,
    ) -> Option<Duration> {
        let (start, end) = (self.now, self.now.plus(time));
        loop {
            if is_so(self) {
                return Some(self.now.since(start));
            }
            let arrival = self.under_way.first_key_value().map(|((at, _), _)| *at);
            let next = [arrival, self.due.next()].into_iter().flatten().min();
            let Some(next) = next.filter(|next| *next <= end) else {
                self.now = end;
                return None;
            };
            self.now = next;
            if arrival == Some(next) {
                self.arrive();
            } else if let Some(node) = self.due.pop_due(next) {
                self.nodes[node.0].igmp.handle_timeout(next);
                self.nodes[node.0].host.handle_timeout(next);
                self.settle(node);
            }
        }
    }

    fn arrive(&mut self) {
        let Some((_, arrival)) = self.under_way.pop_first() else { return };
        let Arrival { node, lan, packet } = arrival;
        if !self.lans[lan.0 as usize].1.contains(&node) {
            return;
        }
        self.nodes[node.0].igmp.handle_packet(self.now, index(lan), &packet);
        self.nodes[node.0].host.handle_packet(self.now, index(lan), &packet);
        self.settle(node);
    }

    /// Takes what a node gives after something was done to it.
    fn settle(&mut self, id: NodeId) {
        let node = &mut self.nodes[id.0];
        let mut changed = false;
        while let Some((index, group)) = node.igmp.poll_change() {
            changed = true;
            self.changes.push(Change {
                at: self.now,
                router: id,
                lan: Lan(index.0 - 1),
                group,
                reception: node.igmp.reception(index, group),
            });
        }
        if let Some(upstream) = node.upstream.filter(|_| changed) {
            let links =
                (0..self.lans.len()).map(|lan| IfIndex(u32::try_from(lan).expect("few") + 1));
            let below = links.filter(|link| *link != index(upstream));
            let wanted = union_of(below.flat_map(|link| node.igmp.groups_in(link, multicast())));
            node.host.set(self.now, index(upstream), &wanted);
        }
        let routed = std::iter::from_fn(|| node.igmp.poll_transmit());
        let mut transmits: Vec<_> = routed.collect();
        transmits.extend(std::iter::from_fn(|| node.host.poll_transmit()));
        let next = [node.igmp.next_timeout(), node.host.next_timeout()];
        match next.into_iter().flatten().min() {
            Some(at) => self.due.set(id, at),
            None => {
                self.due.cancel(id);
            }
        }
        for transmit in transmits {
            self.send(id, Lan(transmit.index.0 - 1), transmit.packet.into());
        }
    }

    fn send(&mut self, from: NodeId, lan: Lan, packet: Rc<[u8]>) {
        let (quality, nodes) = self.lans[lan.0 as usize].clone();
        for node in nodes.into_iter().filter(|node| *node != from) {
            let copies = match self.chance(100) {
                roll if roll < quality.loss => 0,
                roll if roll < quality.loss + quality.twice => 2,
                _ => 1,
            };
            for _ in 0..copies {
                let (least, most) = quality.delay;
                let spread = u64::try_from((most - least).as_nanos()).expect("short");
                let at = self.now.plus(least + Duration::from_nanos(self.chance(spread)));
                self.packets += 1;
                let arrival = Arrival { node, lan, packet: Rc::clone(&packet) };
                self.under_way.insert((at, self.packets), arrival);
            }
        }
        self.sent.push(Sent { at: self.now, from, lan, packet });
    }
}

fn index(lan: Lan) -> IfIndex {
    IfIndex(lan.0 + 1)
}

fn address(lan: Lan, last: u8) -> Ipv4Net {
    let third = u8::try_from(lan.0).expect("few links");
    Ipv4Net::new_assert(Ipv4Addr::new(10, 1, third, last), 24)
}

fn multicast() -> Ipv4Net {
    Ipv4Net::new_assert(Ipv4Addr::new(224, 0, 0, 0), 4)
}
