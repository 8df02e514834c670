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
        LinkAttribute::CarrierDownCount(5),
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
fn a_veth_in_the_same_namespace_has_a_peer() {
    let peer = |extra: &[LinkAttribute], kind| {
        let mut message = veth();
        message.attributes.extend_from_slice(extra);
        message.attributes.push(LinkAttribute::LinkInfo(vec![LinkInfo::Kind(kind)]));
        decoded_link(&message).peer
    };
    let to_9 = LinkAttribute::Link(9);
    assert_eq!(peer(std::slice::from_ref(&to_9), InfoKind::Veth), Some(IfIndex(9)));
    let elsewhere = LinkAttribute::LinkNetNsId(0);
    assert_eq!(peer(&[to_9.clone(), elsewhere], InfoKind::Veth), None);
    assert_eq!(peer(&[LinkAttribute::Link(0)], InfoKind::Veth), None);
    assert_eq!(peer(&[to_9], InfoKind::Vlan), None, "its lower device");
}

#[test]
fn a_link_with_everything() {
    let expected = Link {
        index: IfIndex(7),
        name: "eth1".parse().expect("a name"),
        alt_names: vec!["enp1s0".into(), "studio-a".into()],
        up: true,
        carrier: true,
        carrier_losses: 5,
        loopback: false,
        mtu: 9000,
        kind: "veth".into(),
        link_layer: LinkLayer::Ethernet,
        mac: Some([2, 0, 0, 0, 0, 9]),
        peer: None,
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
