//! rtnetlink messages to [`NetEvent`]s: pure functions, no state.
//!
//! The headers are read by `netlink-packet-route`; of the attributes only those that we need are
//! looked at. The crate's decoder refuses a whole message for one attribute that it does not
//! understand, and an interface that a driver's odd attribute makes invisible cannot be relayed.

use super::attributes::{
    IFA_ADDRESS, IFA_LOCAL, IFLA_ADDRESS, IFLA_ALT_IFNAME, IFLA_CARRIER_DOWN_COUNT, IFLA_IFNAME,
    IFLA_INFO_KIND, IFLA_LINK, IFLA_LINK_NETNSID, IFLA_LINKINFO, IFLA_MTU, IFLA_PROP_LIST, RTA_DST,
    RTA_GATEWAY, RTA_MULTIPATH, RTA_OIF, RTA_PREFSRC, RTA_PRIORITY, RTA_TABLE, RTA_VIA, address,
    attributes, number, text, via,
};
use crate::types::{Address, IfIndex, IfName, Link, LinkLayer, NetEvent, Route};
use ipnet::IpNet;
use libc::{
    RT_TABLE_LOCAL, RT_TABLE_MAIN, RTM_DELADDR, RTM_DELLINK, RTM_DELROUTE, RTM_F_CLONED,
    RTM_NEWADDR, RTM_NEWLINK, RTM_NEWROUTE,
};
use netlink_packet_core::NLM_F_REPLACE;
use netlink_packet_route::AddressFamily;
use netlink_packet_route::address::{AddressHeader, AddressHeaderFlags};
use netlink_packet_route::link::{LinkFlags, LinkHeader, LinkLayerType};
use netlink_packet_route::route::{RouteHeader, RouteType};
use std::net::IpAddr;

/// More alternative names than this are cut off; each is at most 127 bytes long in the kernel.
pub const MAX_ALT_NAMES: usize = 64;

const LINK_HEADER_LEN: usize = 16;
const ADDRESS_HEADER_LEN: usize = 8;
const ROUTE_HEADER_LEN: usize = 12;

/// One decoded message, with what only the picture of the network needs to know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// What happened.
    pub event: NetEvent,
    /// The message carries NLM_F_REPLACE: a route stands in for one with the same destination,
    /// table and metric, whose end is not told separately.
    pub replace: bool,
    /// What the kernel knows about a route beyond [`Route`].
    pub detail: RouteDetail,
}

/// Facts of a route that decide when the kernel drops it silently.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RouteDetail {
    /// `RTA_PREFSRC`: the route ends when this address of ours does.
    pub preferred_source: Option<IpAddr>,
    /// `RTA_MULTIPATH`: several next hops, which we do not list.
    pub multipath: bool,
}

/// The change that a message of type `message_type` (RTM_*) with these header flags (NLM_F_*)
/// announces; none where it does not concern us or is malformed. `payload` begins behind the
/// netlink header.
pub fn change(message_type: u16, flags: u16, payload: &[u8]) -> Option<Change> {
    let event = event(message_type, payload)?;
    let detail = match event {
        NetEvent::Route(_) => route_detail(payload.get(ROUTE_HEADER_LEN..)?),
        _ => RouteDetail::default(),
    };
    Some(Change { event, replace: flags & NLM_F_REPLACE != 0, detail })
}

/// [`change`] without the details.
pub fn event(message_type: u16, payload: &[u8]) -> Option<NetEvent> {
    match message_type {
        RTM_NEWLINK => link(payload),
        RTM_DELLINK => link_gone(payload),
        RTM_NEWADDR if is_tentative(payload) => None,
        RTM_NEWADDR => interface_address(payload).map(NetEvent::Address),
        RTM_DELADDR => interface_address(payload).map(NetEvent::AddressGone),
        RTM_NEWROUTE => route(payload).map(NetEvent::Route),
        RTM_DELROUTE => route(payload).map(NetEvent::RouteGone),
        _ => None,
    }
}

/// The header of a message about an interface itself. Messages of another family (AF_BRIDGE: a
/// bridge port; AF_INET6: its IPv6 settings) tell about a part of it: a bridge port that leaves
/// its bridge is told as RTM_DELLINK while the interface lives on.
fn link_header(payload: &[u8]) -> Option<LinkHeader> {
    let header = LinkHeader::parse(payload).ok()?;
    (header.interface_family == AddressFamily::Unspec && header.index != 0).then_some(header)
}

fn link_gone(payload: &[u8]) -> Option<NetEvent> {
    link_header(payload).map(|header| NetEvent::LinkGone(IfIndex(header.index)))
}

fn link(payload: &[u8]) -> Option<NetEvent> {
    let header = link_header(payload)?;
    let mut name = None;
    let mut alt_names = Vec::new();
    let mut mtu = 0;
    let mut carrier_losses = 0;
    let mut kind = String::new();
    let mut mac = None;
    let mut peer = None;
    let mut peer_is_elsewhere = false;
    for attribute in attributes(payload.get(LINK_HEADER_LEN..)?) {
        let value = attribute.value();
        match attribute.kind() {
            IFLA_IFNAME => name = Some(text(value)),
            IFLA_MTU => mtu = number(value).unwrap_or(0),
            IFLA_CARRIER_DOWN_COUNT => carrier_losses = number(value).unwrap_or(0),
            IFLA_ADDRESS => mac = value.try_into().ok(),
            IFLA_LINK => peer = number(value).filter(|&index| index != 0).map(IfIndex),
            IFLA_LINK_NETNSID => peer_is_elsewhere = true,
            IFLA_LINKINFO => kind = nested_text(value, IFLA_INFO_KIND).next().unwrap_or_default(),
            IFLA_PROP_LIST => {
                alt_names = nested_text(value, IFLA_ALT_IFNAME).take(MAX_ALT_NAMES).collect();
            }
            _ => {}
        }
    }
    // Wireless drivers send messages with nothing in them but their own news: no name, no change.
    let name = name?;
    let index = IfIndex(header.index);
    let Ok(name) = IfName::try_from(name) else {
        // A name that is not UTF-8: no rule can mean this interface (any more).
        return Some(NetEvent::LinkGone(index));
    };
    // Of other kinds IFLA_LINK names the lower device.
    let peer = peer.filter(|_| kind == "veth" && !peer_is_elsewhere);
    Some(NetEvent::Link(Link {
        index,
        name,
        alt_names,
        up: header.flags.contains(LinkFlags::Up),
        carrier: header.flags.contains(LinkFlags::LowerUp),
        carrier_losses,
        loopback: header.flags.contains(LinkFlags::Loopback),
        mtu,
        kind,
        link_layer: link_layer(header.link_layer_type),
        mac,
        peer,
    }))
}

/// All strings of one kind in a nested attribute.
fn nested_text(value: &[u8], kind: u16) -> impl Iterator<Item = String> {
    attributes(value).filter(move |a| a.kind() == kind).map(|a| text(a.value()))
}

/// What stands before the IP header in a frame of an AF_PACKET socket. The tunnels listed here
/// deliver the inner packet without a link header; GRE over Ethernet is `ARPHRD_ETHER`.
fn link_layer(kind: LinkLayerType) -> LinkLayer {
    match kind {
        LinkLayerType::None
        | LinkLayerType::Rawip
        | LinkLayerType::Tunnel
        | LinkLayerType::Tunnel6
        | LinkLayerType::Sit
        | LinkLayerType::Ipgre
        | LinkLayerType::Ip6gre
        | LinkLayerType::Ppp => LinkLayer::None,
        _ => LinkLayer::Ethernet,
    }
}

/// An IPv6 address whose uniqueness is not established (RFC 4862 section 5.4) cannot be used yet.
/// Dumps list it, but its notification comes only once it can.
fn is_tentative(payload: &[u8]) -> bool {
    AddressHeader::parse(payload)
        .is_ok_and(|header| header.flags.contains(AddressHeaderFlags::Tentative))
}

fn interface_address(payload: &[u8]) -> Option<Address> {
    let header = AddressHeader::parse(payload).ok()?;
    let (mut own, mut peer) = (None, None);
    for attribute in attributes(payload.get(ADDRESS_HEADER_LEN..)?) {
        match attribute.kind() {
            // On a point-to-point interface IFA_ADDRESS is the peer's.
            IFA_LOCAL => own = address(attribute.value()),
            IFA_ADDRESS => peer = address(attribute.value()),
            _ => {}
        }
    }
    let ip = own.or(peer).filter(|ip| of_family(*ip, header.family))?;
    (header.index != 0).then_some(())?;
    Some(Address { index: IfIndex(header.index), net: IpNet::new(ip, header.prefix_len).ok()? })
}

fn of_family(ip: IpAddr, family: AddressFamily) -> bool {
    family == if ip.is_ipv4() { AddressFamily::Inet } else { AddressFamily::Inet6 }
}

/// A route to unicast destinations: also one to ourselves (`local`), and one that refuses
/// (blackhole, unreachable, prohibit: without interface and gateway), because it hides shorter
/// prefixes. Broadcast, anycast, multicast and throw routes, cached ones, those for another type of
/// service, and those of other tables are not taken.
fn route(payload: &[u8]) -> Option<Route> {
    let header = RouteHeader::parse(payload).ok()?;
    let refuses = match header.kind {
        RouteType::Unicast | RouteType::Local => false,
        RouteType::BlackHole | RouteType::Unreachable | RouteType::Prohibit => true,
        _ => return None,
    };
    if header.flags.bits() & RTM_F_CLONED != 0
        || header.tos != 0
        || header.source_prefix_length != 0
    {
        return None;
    }
    let (mut destination, mut oif, mut gateway) = (None, None, None);
    let (mut metric, mut table) = (0, u32::from(header.table));
    for attribute in attributes(payload.get(ROUTE_HEADER_LEN..)?) {
        let value = attribute.value();
        match attribute.kind() {
            RTA_DST => destination = address(value),
            RTA_OIF => oif = number(value).filter(|&index| index != 0).map(IfIndex),
            RTA_GATEWAY => gateway = address(value),
            RTA_VIA => gateway = via(value),
            RTA_PRIORITY => metric = number(value)?,
            // The header has room for 8 bits only; larger tables say RT_TABLE_COMPAT there.
            RTA_TABLE => table = number(value)?,
            _ => {}
        }
    }
    if table != u32::from(RT_TABLE_MAIN) && table != u32::from(RT_TABLE_LOCAL) {
        return None;
    }
    let any = match header.address_family {
        AddressFamily::Inet => IpAddr::from([0; 4]),
        AddressFamily::Inet6 => IpAddr::from([0; 16]),
        _ => return None,
    };
    let destination = destination.unwrap_or(any);
    if !of_family(destination, header.address_family) {
        return None;
    }
    let net = IpNet::new(destination, header.destination_prefix_length).ok()?.trunc();
    // The kernel gives IPv6 routes that refuse the loopback interface.
    let (oif, gateway) = if refuses { (None, None) } else { (oif, gateway) };
    Some(Route { net, oif, gateway, metric, table })
}

fn route_detail(bytes: &[u8]) -> RouteDetail {
    let mut detail = RouteDetail::default();
    for attribute in attributes(bytes) {
        match attribute.kind() {
            RTA_PREFSRC => detail.preferred_source = address(attribute.value()),
            RTA_MULTIPATH => detail.multipath = true,
            _ => {}
        }
    }
    detail
}

#[cfg(test)]
#[path = "decode_tests.rs"]
mod tests;
