//! rtnetlink messages to [`NetEvent`]s: pure functions, no state.
//!
//! The headers are read by `netlink-packet-route`; of the attributes only those that we need are
//! looked at. The crate's decoder refuses a whole message for one attribute that it does not
//! understand, and an interface that a driver's odd attribute makes invisible cannot be relayed.

use super::attributes::{
    IFA_ADDRESS, IFA_LOCAL, IFLA_ADDRESS, IFLA_ALT_IFNAME, IFLA_IFNAME, IFLA_INFO_KIND,
    IFLA_LINKINFO, IFLA_MTU, IFLA_PROP_LIST, RTA_DST, RTA_GATEWAY, RTA_MULTIPATH, RTA_OIF,
    RTA_PREFSRC, RTA_PRIORITY, RTA_TABLE, RTA_VIA, address, attributes, number, text, via,
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
    let mut kind = String::new();
    let mut mac = None;
    for attribute in attributes(payload.get(LINK_HEADER_LEN..)?) {
        let value = attribute.value();
        match attribute.kind() {
            IFLA_IFNAME => name = Some(text(value)),
            IFLA_MTU => mtu = number(value).unwrap_or(0),
            IFLA_ADDRESS => mac = value.try_into().ok(),
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
    Some(NetEvent::Link(Link {
        index,
        name,
        alt_names,
        up: header.flags.contains(LinkFlags::Up),
        carrier: header.flags.contains(LinkFlags::LowerUp),
        loopback: header.flags.contains(LinkFlags::Loopback),
        mtu,
        kind,
        link_layer: link_layer(header.link_layer_type),
        mac,
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
mod tests {
    //! The messages are written by `netlink-packet-route`, which did not read them: two opinions.
    use super::*;
    use netlink_packet_core::Emitable;
    use netlink_packet_route::address::{AddressAttribute, AddressMessage};
    use netlink_packet_route::link::{InfoKind, LinkAttribute, LinkInfo, LinkMessage, Prop};
    use netlink_packet_route::route::{RouteAddress, RouteAttribute, RouteFlags, RouteMessage};

    fn bytes(message: &impl Emitable) -> Vec<u8> {
        let mut bytes = vec![0; message.buffer_len()];
        message.emit(&mut bytes);
        bytes
    }

    fn veth() -> LinkMessage {
        let mut message = LinkMessage::default();
        message.header.index = 7;
        message.header.link_layer_type = LinkLayerType::Ether;
        message.header.flags = LinkFlags::Up | LinkFlags::LowerUp | LinkFlags::Multicast;
        message.attributes = vec![
            LinkAttribute::IfName("eth1".into()),
            LinkAttribute::Mtu(9000),
            LinkAttribute::Address(vec![2, 0, 0, 0, 0, 9]),
            LinkAttribute::LinkInfo(vec![LinkInfo::Kind(InfoKind::Veth)]),
            LinkAttribute::PropList(vec![
                Prop::AltIfName("enp1s0".into()),
                Prop::AltIfName("studio-a".into()),
            ]),
        ];
        message
    }

    fn decoded_link(message: &LinkMessage) -> Link {
        match event(RTM_NEWLINK, &bytes(message)) {
            Some(NetEvent::Link(link)) => link,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_link_with_everything() {
        let expected = Link {
            index: IfIndex(7),
            name: "eth1".parse().expect("a name"),
            alt_names: vec!["enp1s0".into(), "studio-a".into()],
            up: true,
            carrier: true,
            loopback: false,
            mtu: 9000,
            kind: "veth".into(),
            link_layer: LinkLayer::Ethernet,
            mac: Some([2, 0, 0, 0, 0, 9]),
        };
        assert_eq!(decoded_link(&veth()), expected);
        let mut message = veth();
        message.header.flags = LinkFlags::LowerUp | LinkFlags::Loopback;
        message.attributes =
            vec![LinkAttribute::IfName("lo".into()), LinkAttribute::Address(vec![1; 20])];
        let link = decoded_link(&message);
        assert!(!link.up && link.carrier && link.loopback);
        assert_eq!((link.mac, link.kind.as_str(), link.mtu), (None, "", 0));
    }

    #[test]
    fn the_link_layer_follows_the_hardware_type() {
        for (kind, expected) in [
            (1_u16, LinkLayer::Ethernet),
            (772, LinkLayer::Ethernet),
            (65534, LinkLayer::None),
            (768, LinkLayer::None),
            (776, LinkLayer::None),
            (778, LinkLayer::None),
            (823, LinkLayer::None),
            (519, LinkLayer::None),
            (512, LinkLayer::None),
            (32, LinkLayer::Ethernet),
        ] {
            let mut message = veth();
            message.header.link_layer_type = kind.into();
            assert_eq!(decoded_link(&message).link_layer, expected, "ARPHRD {kind}");
        }
    }

    #[test]
    fn a_bridge_port_is_no_link() {
        for family in [AddressFamily::Bridge, AddressFamily::Inet6] {
            let mut message = veth();
            message.header.interface_family = family;
            message.attributes.truncate(3);
            assert_eq!(event(RTM_NEWLINK, &bytes(&message)), None);
            assert_eq!(event(RTM_DELLINK, &bytes(&message)), None, "it only left its bridge");
        }
        assert_eq!(event(RTM_DELLINK, &bytes(&veth())), Some(NetEvent::LinkGone(IfIndex(7))));
    }

    #[test]
    fn names_that_no_rule_can_mean() {
        let mut message = veth();
        message.attributes.remove(0);
        assert_eq!(event(RTM_NEWLINK, &bytes(&message)), None, "a wireless event");
        let mut raw = bytes(&veth());
        let name = raw.windows(4).position(|w| w == b"eth1").expect("there");
        raw[name..name + 4].copy_from_slice(b"et\xff ");
        assert_eq!(event(RTM_NEWLINK, &raw), Some(NetEvent::LinkGone(IfIndex(7))));
    }

    #[test]
    fn alternative_names_are_bounded() {
        let mut message = veth();
        let names = (0..200).map(|n| Prop::AltIfName(format!("alt{n}"))).collect();
        message.attributes.push(LinkAttribute::PropList(names));
        assert_eq!(decoded_link(&message).alt_names.len(), MAX_ALT_NAMES);
    }

    #[test]
    fn the_address_of_a_tunnel_is_its_own_end() {
        let mut message = AddressMessage::default();
        message.header.family = AddressFamily::Inet;
        message.header.prefix_len = 24;
        message.header.index = 7;
        let peer = AddressAttribute::Address("10.0.0.2".parse().expect("an address"));
        let own = AddressAttribute::Local("10.0.0.1".parse().expect("an address"));
        message.attributes = vec![peer.clone(), own];
        let expected = Address { index: IfIndex(7), net: "10.0.0.1/24".parse().expect("a prefix") };
        assert_eq!(event(RTM_NEWADDR, &bytes(&message)), Some(NetEvent::Address(expected)));
        assert_eq!(event(RTM_DELADDR, &bytes(&message)), Some(NetEvent::AddressGone(expected)));
        message.attributes = vec![peer];
        let expected = Address { net: "10.0.0.2/24".parse().expect("a prefix"), ..expected };
        assert_eq!(event(RTM_NEWADDR, &bytes(&message)), Some(NetEvent::Address(expected)));
        message.header.flags = AddressHeaderFlags::Tentative;
        assert_eq!(event(RTM_NEWADDR, &bytes(&message)), None, "not usable yet");
        assert_eq!(event(RTM_DELADDR, &bytes(&message)), Some(NetEvent::AddressGone(expected)));
        message.header.flags = AddressHeaderFlags::empty();
        message.header.prefix_len = 33;
        assert_eq!(event(RTM_NEWADDR, &bytes(&message)), None, "an impossible prefix");
        message.header.family = AddressFamily::Inet6;
        assert_eq!(event(RTM_NEWADDR, &bytes(&message)), None, "the family contradicts");
    }

    fn gateway_route() -> RouteMessage {
        let v4 = |text: &str| RouteAddress::Inet(text.parse().expect("an address"));
        let mut message = RouteMessage::default();
        message.header.address_family = AddressFamily::Inet;
        message.header.destination_prefix_length = 16;
        message.header.kind = RouteType::Unicast;
        message.header.table = RT_TABLE_MAIN;
        message.attributes = vec![
            RouteAttribute::Destination(v4("10.9.0.0")),
            RouteAttribute::Gateway(v4("10.1.1.2")),
            RouteAttribute::Oif(7),
            RouteAttribute::Priority(100),
        ];
        message
    }

    fn expected_route() -> Route {
        Route {
            net: "10.9.0.0/16".parse().expect("a prefix"),
            oif: Some(IfIndex(7)),
            gateway: Some("10.1.1.2".parse().expect("an address")),
            metric: 100,
            table: 254,
        }
    }

    #[test]
    fn a_route_by_gateway() {
        let expected = expected_route();
        let raw = bytes(&gateway_route());
        assert_eq!(event(RTM_NEWROUTE, &raw), Some(NetEvent::Route(expected)));
        assert_eq!(event(RTM_DELROUTE, &raw), Some(NetEvent::RouteGone(expected)));
        let change = change(RTM_NEWROUTE, NLM_F_REPLACE, &raw).expect("a change");
        assert!(change.replace && !change.detail.multipath);
    }

    #[test]
    fn a_default_route_has_no_destination_attribute() {
        let mut message = gateway_route();
        message.header.destination_prefix_length = 0;
        message.attributes.remove(0);
        let net = "0.0.0.0/0".parse().expect("a prefix");
        let expected = Some(NetEvent::Route(Route { net, ..expected_route() }));
        assert_eq!(event(RTM_NEWROUTE, &bytes(&message)), expected);
    }

    #[test]
    fn the_table_attribute_wins_over_the_header() {
        let mut message = gateway_route();
        message.attributes.push(RouteAttribute::Table(1000));
        assert_eq!(event(RTM_NEWROUTE, &bytes(&message)), None);
        message.header.table = libc::RT_TABLE_COMPAT;
        message.attributes.pop();
        message.attributes.push(RouteAttribute::Table(255));
        let expected = Some(NetEvent::Route(Route { table: 255, ..expected_route() }));
        assert_eq!(event(RTM_NEWROUTE, &bytes(&message)), expected);
    }

    #[test]
    fn only_routes_to_unicast_count() {
        for (kind, counts) in [
            (RouteType::Unicast, true),
            (RouteType::Local, true),
            (RouteType::BlackHole, true),
            (RouteType::Unreachable, true),
            (RouteType::Prohibit, true),
            (RouteType::Broadcast, false),
            (RouteType::Anycast, false),
            (RouteType::Multicast, false),
            (RouteType::Throw, false),
        ] {
            let mut message = gateway_route();
            message.header.kind = kind;
            let decoded = event(RTM_NEWROUTE, &bytes(&message));
            assert_eq!(decoded.is_some(), counts, "{kind:?}");
            if let Some(NetEvent::Route(route)) = decoded {
                let usable = matches!(kind, RouteType::Unicast | RouteType::Local);
                assert_eq!(route.oif.is_some(), usable, "{kind:?}");
            }
        }
        let mut cached = gateway_route();
        cached.header.flags = RouteFlags::Cloned;
        assert_eq!(event(RTM_NEWROUTE, &bytes(&cached)), None);
        let mut for_tos = gateway_route();
        for_tos.header.tos = 0x10;
        assert_eq!(event(RTM_NEWROUTE, &bytes(&for_tos)), None);
    }

    #[test]
    fn cut_messages_never_panic_and_never_invent() {
        for (kind, raw) in [
            (RTM_NEWLINK, bytes(&veth())),
            (RTM_NEWROUTE, bytes(&gateway_route())),
            (RTM_NEWADDR, bytes(&AddressMessage::default())),
        ] {
            for end in 0..raw.len() {
                match change(kind, 0, &raw[..end]).map(|change| change.event) {
                    None => {}
                    Some(NetEvent::Link(link)) => assert_eq!(link.name.as_str(), "eth1"),
                    Some(NetEvent::Route(route)) => assert_eq!(route.table, 254),
                    other => panic!("{other:?}"),
                }
            }
        }
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_are_survived(kind in 16_u16..27, raw in proptest::collection::vec(0_u8.., 0..200)) {
            let _ = change(kind, 0, &raw);
        }
    }
}
