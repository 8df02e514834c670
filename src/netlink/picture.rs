//! The network as the kernel last told it, and the changes that the kernel does not tell.

use super::channel::Table;
use super::decode::{Change, RouteDetail};
use crate::types::{Address, IfIndex, Link, NetEvent, NetSnapshot, Route};
use ipnet::IpNet;
use libc::RT_TABLE_LOCAL;
use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};

/// Links, addresses and routes. Applying a change yields the events that lead a consumer from the
/// picture before to the picture after: none for what was known, several where the kernel leaves
/// consequences unsaid.
#[derive(Debug, Default)]
pub(super) struct Picture {
    links: BTreeMap<IfIndex, Link>,
    /// In the order in which the kernel told them: an interface's primary address first.
    addresses: Vec<Address>,
    routes: BTreeMap<Route, RouteDetail>,
    doubtful: bool,
}

impl Picture {
    /// Forgets one table, to list it again.
    pub(super) fn clear(&mut self, table: Table) {
        match table {
            Table::Links => self.links.clear(),
            Table::Addresses => self.addresses.clear(),
            Table::Routes => self.routes.clear(),
        }
    }

    /// Everything, in order.
    pub(super) fn snapshot(&self) -> NetSnapshot {
        NetSnapshot {
            links: self.links.values().cloned().collect(),
            addresses: self.addresses.clone(),
            routes: self.routes.keys().copied().collect(),
        }
    }

    /// True once a change had consequences that cannot be derived: which next hops of a multipath
    /// route remain. Only a new dump tells.
    pub(super) fn is_doubtful(&self) -> bool {
        self.doubtful
    }

    /// Takes a change in and appends what it means to `events`.
    pub(super) fn apply(&mut self, change: Change, events: &mut Vec<NetEvent>) {
        match change.event {
            NetEvent::Snapshot(_) => {}
            NetEvent::Link(link) => self.link(link, events),
            NetEvent::LinkGone(index) => self.link_gone(index, events),
            NetEvent::Address(address) => {
                if !self.addresses.contains(&address) {
                    self.addresses.push(address);
                    events.push(NetEvent::Address(address));
                }
            }
            NetEvent::AddressGone(address) => {
                let before = self.addresses.len();
                self.addresses.retain(|other| *other != address);
                if self.addresses.len() < before {
                    events.push(NetEvent::AddressGone(address));
                    if let IpNet::V4(net) = address.net {
                        self.v4_address_ended(address.index, net.addr(), events);
                    }
                }
            }
            NetEvent::Route(route) => {
                // The kernel tells a changed IPv6 multipath route whole, replaced or not.
                if change.replace || (change.detail.multipath && route.net.addr().is_ipv6()) {
                    self.drop_siblings(route, events);
                }
                if self.routes.insert(route, change.detail).is_none() {
                    events.push(NetEvent::Route(route));
                }
            }
            NetEvent::RouteGone(route) => {
                if self.routes.remove(&route).is_some() {
                    events.push(NetEvent::RouteGone(route));
                } else if self.siblings(route).any(|(_, detail)| detail.multipath) {
                    self.doubtful = true;
                }
            }
        }
    }

    fn link(&mut self, link: Link, events: &mut Vec<NetEvent>) {
        let index = link.index;
        let down = !link.up;
        if self.links.get(&index) == Some(&link) {
            return;
        }
        let peer = link.peer;
        self.links.insert(index, link.clone());
        events.push(NetEvent::Link(link));
        if let Some(peer) = peer {
            self.set_peer(peer, Some(index), events);
        }
        if down {
            // An interface set down loses its IPv4 routes without a word (`fib_sync_down_dev`),
            // but not those to its own addresses. IPv6 tells each.
            self.drop_v4_routes(index, false, events);
        }
    }

    fn link_gone(&mut self, index: IfIndex, events: &mut Vec<NetEvent>) {
        let known = self.links.remove(&index).is_some();
        self.addresses.retain(|address| {
            if address.index == index {
                events.push(NetEvent::AddressGone(*address));
            }
            address.index != index
        });
        self.drop_routes(events, |route, _| route.oif == Some(index));
        self.doubt_multipath();
        if known {
            events.push(NetEvent::LinkGone(index));
        }
        let left = self.links.values().find(|link| link.peer == Some(index));
        if let Some(left) = left.map(|link| link.index) {
            self.set_peer(left, None, events);
        }
    }

    /// The kernel tells the first end of a veth pair before there is a second one, and nothing of
    /// it when the second goes to another namespace.
    fn set_peer(&mut self, of: IfIndex, peer: Option<IfIndex>, events: &mut Vec<NetEvent>) {
        if let Some(link) = self.links.get_mut(&of).filter(|link| link.peer != peer) {
            link.peer = peer;
            events.push(NetEvent::Link(link.clone()));
        }
    }

    /// With the last IPv4 address of an interface all its IPv4 routes end, and with an address
    /// those that prefer it as source; newer kernels tell the latter only.
    fn v4_address_ended(&mut self, index: IfIndex, ip: Ipv4Addr, events: &mut Vec<NetEvent>) {
        let is_v4 = |address: &&Address| matches!(address.net, IpNet::V4(_));
        let v4 = || self.addresses.iter().filter(is_v4);
        let last_of_interface = !v4().any(|address| address.index == index);
        let last_of_host = !v4().any(|address| address.net.addr() == ip);
        if last_of_host {
            let ended = Some(IpAddr::V4(ip));
            self.drop_routes(events, |_, detail| detail.preferred_source == ended);
        }
        if last_of_interface {
            self.drop_v4_routes(index, true, events);
        }
    }

    fn drop_v4_routes(&mut self, index: IfIndex, to_self_too: bool, events: &mut Vec<NetEvent>) {
        self.drop_routes(events, |route, _| {
            route.oif == Some(index)
                && matches!(route.net, IpNet::V4(_))
                && (to_self_too || route.table != u32::from(RT_TABLE_LOCAL))
        });
        self.doubt_multipath();
    }

    fn doubt_multipath(&mut self) {
        self.doubtful |= self.routes.values().any(|detail| detail.multipath);
    }

    /// The routes with the same destination, table and metric. Routes sort by destination first.
    fn siblings(&self, of: Route) -> impl Iterator<Item = (&Route, &RouteDetail)> {
        let first = Route { oif: None, gateway: None, metric: 0, table: 0, ..of };
        self.routes
            .range(first..)
            .take_while(move |(route, _)| route.net == of.net)
            .filter(move |(route, _)| (route.table, route.metric) == (of.table, of.metric))
    }

    fn drop_siblings(&mut self, of: Route, events: &mut Vec<NetEvent>) {
        let ended: Vec<Route> =
            self.siblings(of).map(|(route, _)| *route).filter(|route| *route != of).collect();
        for route in ended {
            self.routes.remove(&route);
            events.push(NetEvent::RouteGone(route));
        }
    }

    fn drop_routes(
        &mut self,
        events: &mut Vec<NetEvent>,
        mut ended: impl FnMut(&Route, &RouteDetail) -> bool,
    ) {
        self.routes.retain(|route, detail| {
            let ended = ended(route, detail);
            if ended {
                events.push(NetEvent::RouteGone(*route));
            }
            !ended
        });
    }
}
